"""What a backbone runs on (DEVICE), and how many frames at a time fit there.

One path for all devices: the same layers, the same batches from the decoder; a GPU has its own batch size
and number format. What is for GPUs here has been run on processors only: docs/decisions/0040-devices.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from timelinelabels.errors import SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from timelinelabels.backbones.execution import FeatureNetwork

logger = logging.getLogger(__name__)

SMALL_BATCH = 8
"""Frames: on a processor more at once are not faster, and its caches are small."""

LARGEST_BATCH = 64
"""Frames: more do not make a GPU faster at this network, and wait as pictures in the memory of the host."""

_MEMORY_SHARE = 0.5  # of what is free on a GPU: others may use it, and fragments are lost


def chosen_device(name: str) -> torch.device:
    """The device that DEVICE names: "auto", "cpu", "cuda" or "cuda:1".

    Raises:
        SettingsError: a GPU is asked for that torch does not see.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type != "cuda":
        return device
    if not torch.cuda.is_available():
        build = torch.version.cuda
        reason = (
            f"torch {torch.__version__} is a build without CUDA; install one with it "
            "(docs/how-to/docker.md)"
            if build is None
            else f"torch, built for CUDA {build}, finds no GPU and driver that it can use; see nvidia-smi"
        )
        raise SettingsError(f"DEVICE={name}: {reason}. DEVICE=auto takes the processor then.")
    if device.index is not None and device.index >= torch.cuda.device_count():
        raise SettingsError(
            f"DEVICE={name}: torch sees {torch.cuda.device_count()} GPUs, counted from cuda:0"
        )
    return device


def gpu_precision() -> torch.dtype:
    """bfloat16 where the GPU computes it (Ampere and later), else float16."""
    return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float16


def fitting_batch(device: torch.device, run: Callable[[int], object]) -> int:
    """How many frames fit into what is free of a device's memory.

    Args:
        device: of the network.
        run: runs the network on so many frames.
    """
    if device.type != "cuda":
        return SMALL_BATCH
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run(SMALL_BATCH)
    a_frame = (torch.cuda.max_memory_allocated(device) - before) / SMALL_BATCH
    free, _ = torch.cuda.mem_get_info(device)
    fitting = int(_MEMORY_SHARE * free / max(a_frame, 1.0))
    return max(1, min(LARGEST_BATCH, fitting))


class Batches:
    """Runs a network on any number of frames, in batches that its device has memory for.

    Where a batch does not fit, because others use the memory too, it is halved from then on.

    Args:
        network: gives features (N, D) of frames (N, H, W, 3).
        size: frames in a batch, at first.
    """

    def __init__(self, network: FeatureNetwork, size: int) -> None:
        self.size = size
        self._network = network

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (N, D).

        Raises:
            MemoryError: there is no memory for a single frame.
        """
        parts, done = [], 0
        while done < len(frames):
            size = self.size
            try:
                parts.append(self._network(frames[done : done + size]))
                done += size
                continue
            except (RuntimeError, MemoryError) as error:
                if not _out_of_memory(error):
                    raise
                if size == 1:
                    raise MemoryError(f"no memory for a single frame: {error}") from error
            # Outside of the handler, which holds on to the memory of the batch that failed.
            self.size = min(self.size, size // 2)
            logger.warning("Out of memory with %d frames at a time; now %d", size, self.size)
            torch.cuda.empty_cache()
        return np.concatenate(parts)


def _out_of_memory(error: BaseException) -> bool:
    """Whether an allocator gave up: torch has a type for GPUs only, its processors' has a name."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        "DefaultCPUAllocator" in str(error)
    )
