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

from timelinelabels.errors import DeviceMemoryError, SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from timelinelabels.backbones.base import FeatureNetwork

logger = logging.getLogger(__name__)

SMALL_BATCH = 8
"""Frames: on a processor more at once are not faster, and its caches are small."""

LARGEST_BATCH = 64
"""Frames: more do not make a GPU faster at this network, and wait as pictures in the memory of the host."""

GPU_PRECISION = torch.float16
"""Of the formats of 16 bits the one with more digits: docs/decisions/0040-devices.md."""

_LARGER_AFTER = 100  # batches that fitted after one that did not

_OUT_OF_MEMORY = (
    "DefaultCPUAllocator",
    "CUDA error: out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)

_NOT_ONE_FRAME = (
    "There is no memory for a single frame at a time: {}. End what else uses the memory of this device, or "
    "choose another one (DEVICE) or a smaller network (model_path)"
)

_MEMORY_SHARE = 0.5  # of what is free on a GPU: others may use it, and fragments are lost


def chosen_device(name: str) -> torch.device:
    """The device that DEVICE names: "auto", "cpu", "cuda" or "cuda:1".

    Raises:
        SettingsError: a GPU is asked for that torch does not see.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind != "cuda":
        return torch.device(name)
    if not torch.cuda.is_available():
        build = torch.version.cuda
        reason = (
            f"torch {torch.__version__} is a build without CUDA; install one with it "
            "(docs/how-to/docker.md)"
            if build is None
            else f"torch, built for CUDA {build}, finds no GPU and driver that it can use; see nvidia-smi"
        )
        raise SettingsError(f"DEVICE={name}: {reason}. DEVICE=auto takes the processor then.")
    # torch.device keeps 8 bits of the number: its "cuda:256" is the first GPU.
    if number and int(number) >= torch.cuda.device_count():
        raise SettingsError(
            f"DEVICE={name}: torch sees {torch.cuda.device_count()} GPUs, counted from cuda:0"
        )
    return torch.device("cuda", int(number)) if number else torch.device("cuda")


def fitting_batch(device: torch.device, run: Callable[[int], object]) -> int:
    """How many frames fit into what is free of a device's memory.

    Args:
        device: of the network.
        run: runs the network on so many frames.

    Raises:
        DeviceMemoryError: not even one does.
    """
    if device.type != "cuda":
        return SMALL_BATCH
    tried = SMALL_BATCH
    while True:
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        try:
            run(tried)
            break
        except (RuntimeError, MemoryError) as error:
            _raise_unless_fewer_may_fit(error, tried)
        tried //= 2
        torch.cuda.empty_cache()
    a_frame = (torch.cuda.max_memory_allocated(device) - before) / tried
    free, _ = torch.cuda.mem_get_info(device)
    fitting = int(_MEMORY_SHARE * free / max(a_frame, 1.0))
    return max(1, min(LARGEST_BATCH, fitting))


class Batches:
    """Runs a network on any number of frames, in batches that its device has memory for.

    Where a batch does not fit, because others use the memory too, it is halved, and doubled again after a
    while.

    Args:
        network: gives features (N, D) of frames (N, H, W, 3).
        size: frames in a batch, at first and at most.
    """

    def __init__(self, network: FeatureNetwork, size: int) -> None:
        self.size = size
        self._largest = size
        self._fitted = 0  # batches of this size in a row
        self._network = network

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (N, D).

        Raises:
            DeviceMemoryError: there is no memory for a single frame.
        """
        parts, done = [], 0
        while done < len(frames):
            size = self.size
            try:
                parts.append(self._network(frames[done : done + size]))
                done += size
                self._note_fit(size)
                continue
            except (RuntimeError, MemoryError) as error:
                _raise_unless_fewer_may_fit(error, size)
            # Outside of the handler, which holds on to the memory of the batch that failed.
            self.size, self._fitted = min(self.size, size // 2), 0
            logger.warning("Out of memory with %d frames at a time; now %d", size, self.size)
            torch.cuda.empty_cache()
        return np.concatenate(parts)

    def _note_fit(self, size: int) -> None:
        if size != self.size or size == self._largest:
            return
        self._fitted += 1
        if self._fitted == _LARGER_AFTER:
            self.size, self._fitted = min(2 * size, self._largest), 0


def _raise_unless_fewer_may_fit(error: Exception, frames: int) -> None:
    if not is_out_of_memory(error):
        raise error
    if frames == 1:
        raise DeviceMemoryError(_NOT_ONE_FRAME.format(error)) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: torch has a type for its own allocator on GPUs, other lacks have a text."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        text in str(error) for text in _OUT_OF_MEMORY
    )
