"""Running a YOLO classifier up to its pooled features, as fast as a device can.

Float32 on a processor: ONNX Runtime, whose blocked convolutions are the fastest there. bfloat16, and
architectures that are not written as ONNX here: torch, each convolution one call of oneDNN
(`fused_convolutions`); pictures of little contrast in float32 all the same (`low_contrast`). What was
measured, and which runtimes were not chosen: docs/decisions/0020-processor-runtime.md. A GPU: torch, in
16 bits.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from timelinelabels.backbones.devices import GPU_PRECISION
from timelinelabels.backbones.fused_convolutions import fuse
from timelinelabels.backbones.low_contrast import ExactWhereDim
from timelinelabels.backbones.onnx_graph import INPUT, OUTPUT, UnknownLayerError, onnx_model
from timelinelabels.importing import environment_kept

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from timelinelabels.backbones.base import FeatureNetwork, Preprocessing

logger = logging.getLogger(__name__)

NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"
_PROCESSOR = torch.device("cpu")


def processor_precision() -> torch.dtype:
    """bfloat16 where the processor has instructions for it, else float32.

    Elsewhere bfloat16 is emulated, many times slower than float32.
    """
    import torch.cpu

    capabilities = getattr(torch.cpu, "get_capabilities", None)  # from torch 2.11 on
    known: Mapping[str, Any] = capabilities() if capabilities else _flags()
    return torch.bfloat16 if known.get("avx512_bf16") or known.get("amx_bf16") else torch.float32


def feature_network(
    read_layers: Callable[[], torch.nn.Sequential],
    preprocessing: Preprocessing,
    device: torch.device | None = None,
) -> FeatureNetwork:
    """The fastest of the networks below on this machine.

    Args:
        read_layers: gives the layers, new ones each time: in float32 and evaluation mode, normalisations
            folded. A network is built of them; what is computed in float32 beside bfloat16 gets its own.
        preprocessing: the input's size and normalisation.
        device: to run on; None: the processor.
    """
    if device is not None and device.type != "cpu":
        return _torch_network(read_layers(), preprocessing, GPU_PRECISION, device)
    if processor_precision() is torch.float32:
        return _exact_network(read_layers(), preprocessing)
    return ExactWhereDim(
        _torch_network(read_layers(), preprocessing, torch.bfloat16, _PROCESSOR),
        lambda: _exact_network(read_layers(), preprocessing),
    )


def _torch_network(
    layers: torch.nn.Sequential,
    preprocessing: Preprocessing,
    precision: torch.dtype,
    device: torch.device,
) -> TorchNetwork:
    offset = _take_over_scale(layers, preprocessing)
    return TorchNetwork(layers, preprocessing.crop, offset, precision=precision, device=device)


def _exact_network(layers: torch.nn.Sequential, preprocessing: Preprocessing) -> FeatureNetwork:
    """In float32 on the processor."""
    offset = _take_over_scale(layers, preprocessing)
    try:
        return OnnxNetwork(layers, preprocessing.crop, offset)
    except UnknownLayerError as layer:
        logger.debug("This architecture is run by torch, because of its layer %s", layer)
    return TorchNetwork(layers, preprocessing.crop, offset, precision=torch.float32)


class TorchNetwork:
    """The layers run by torch.

    Args:
        layers: with the input's scale in the first convolution; taken over and changed.
        size: (height, width) of the frames.
        offset: (3,) to subtract from the channels of a frame first; None: nothing.
        precision: of the computation.
        device: that computes.
    """

    def __init__(
        self,
        layers: torch.nn.Sequential,
        size: tuple[int, int],
        offset: NDArray[np.float32] | None,
        *,
        precision: torch.dtype,
        device: torch.device = _PROCESSOR,
    ) -> None:
        self.precision = self._entering = precision
        self._device = device
        if device.type == "cuda":
            # A GPU has one queue: calls side by side would only hold memory for each.
            turn = threading.Lock()
            self._turn: Callable[[], AbstractContextManager[object]] = lambda: turn
        else:
            torch.get_num_threads()  # else torch's first computation in a thread sets it anew
            one_thread = _openmp()
            self._turn = lambda: one_thread.limit(limits=1)
            if fuse(layers, precision, size):
                self._entering = torch.float32
        self._head: Any
        *self._layers, self._head = layers.to(device, precision)
        for parameter in layers.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.to(memory_format=torch.channels_last)
        self._offset = (
            None if offset is None else torch.from_numpy(offset).view(1, 3, 1, 1).to(device)
        )

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (N, D) of frames (N, H, W, 3), computed all at once; on the processor by one thread."""
        bytes_ = torch.from_numpy(np.ascontiguousarray(frames))
        if self._device.type == "cuda":
            bytes_ = (
                bytes_.pin_memory()
            )  # a GPU copies from there by itself, while others have the turn
        with torch.inference_mode():
            with self._turn():
                # (N, H, W, 3) in memory is (N, 3, H, W) in the format "channels last": nothing is moved.
                pixels = bytes_.to(self._device, non_blocking=True).permute(0, 3, 1, 2)
                if self._offset is None:
                    activations = pixels.to(self._entering)  # whole numbers to 255 are exact in all
                else:
                    activations = (pixels - self._offset).to(self._entering)
                for layer in self._layers:
                    activations = layer(activations)
                pooled = self._head.pool(self._head.conv(activations)).flatten(1).float()
            features: NDArray[np.float32] = (
                pooled.cpu().numpy()
            )  # waits for a GPU, whose turn is over
        return features


class OnnxNetwork:
    """The layers run by ONNX Runtime, in float32 on the processor; one thread a call.

    Args:
        layers: with the input's scale in the first convolution.
        size: (height, width) of the frames.
        offset: (3,) to subtract from the channels of a frame first; None: nothing.

    Raises:
        UnknownLayerError: the layers are not of a kind that is written as ONNX here.
    """

    precision = torch.float32

    def __init__(
        self,
        layers: torch.nn.Sequential,
        size: tuple[int, int],
        offset: NDArray[np.float32] | None,
    ) -> None:
        model = onnx_model(layers, size, offset)
        onnxruntime = _onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (N, D) of frames (N, H, W, 3), computed all at once."""
        features: NDArray[np.float32]
        (features,) = self._session.run([OUTPUT], {INPUT: np.ascontiguousarray(frames)})
        return features


def _onnxruntime() -> Any:
    """ONNX Runtime, kept from reporting its use to its makers.

    Unless the variable is there when it is first imported, it leaves an identity of this machine in the
    home folder.
    """
    with environment_kept():
        os.environ[NO_TELEMETRY] = "1"
        import onnxruntime
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def _openmp() -> Any:
    """What says how many threads OpenMP takes for the calls of a thread; torch itself asks it."""
    with environment_kept():  # threadpoolctl sets one of Intel's variables
        from threadpoolctl import ThreadpoolController
    return ThreadpoolController().select(user_api="openmp")


def _take_over_scale(
    layers: torch.nn.Sequential, preprocessing: Preprocessing
) -> NDArray[np.float32] | None:
    """Let the first convolution do the input's scaling; what is left to subtract (3,), if anything.

    (x/255 - mean)/std = (x - 255·mean)/(255·std). The division goes into the weights. The mean stays:
    the convolution pads with zeros, which must keep meaning the mean.
    """
    first = next(module for module in layers.modules() if isinstance(module, torch.nn.Conv2d))
    scale = 255 * torch.tensor(preprocessing.std, dtype=torch.float32).view(1, 3, 1, 1)
    first.weight.data = first.weight.data / scale
    return 255 * np.array(preprocessing.mean, np.float32) if any(preprocessing.mean) else None


def _flags() -> dict[str, bool]:
    """The processor's instruction sets as Linux names them; none where it cannot be asked."""
    from pathlib import Path

    information = Path("/proc/cpuinfo")
    if not information.exists():
        return {}
    lines = [line for line in information.read_text().splitlines() if line.startswith("flags")]
    return dict.fromkeys(lines[0].split(), True) if lines else {}
