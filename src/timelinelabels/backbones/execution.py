"""Running a YOLO classifier up to its pooled features, as fast as a device can.

Float32 on a processor: ONNX Runtime, whose blocked convolutions are the fastest there. bfloat16, and
architectures that are not written as ONNX here: torch, each convolution one call of oneDNN together
with its bias and activation, its weights laid out once. What was measured, and which runtimes were
not chosen: docs/decisions/0020-processor-runtime.md. A GPU: torch, in 16 bits.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from timelinelabels.backbones.devices import SMALL_BATCH, gpu_precision
from timelinelabels.backbones.onnx_graph import INPUT, OUTPUT, UnknownLayerError, onnx_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from timelinelabels.backbones.base import Preprocessing

logger = logging.getLogger(__name__)

NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"
_PROCESSOR = torch.device("cpu")
_ACTIVATIONS: Mapping[type[torch.nn.Module], str] = {
    torch.nn.SiLU: "swish",
    torch.nn.ReLU: "relu",
    torch.nn.Identity: "none",
}


def processor_precision() -> torch.dtype:
    """bfloat16 where the processor has instructions for it, else float32.

    Elsewhere bfloat16 is emulated, many times slower than float32.
    """
    import torch.cpu

    capabilities = getattr(torch.cpu, "get_capabilities", None)  # from torch 2.11 on
    known: Mapping[str, Any] = capabilities() if capabilities else _flags()
    return torch.bfloat16 if known.get("avx512_bf16") or known.get("amx_bf16") else torch.float32


class FeatureNetwork(Protocol):
    """Layers of a classifier, ready to run; threads may share it."""

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (N, D) of frames (N, H, W, 3), computed all at once."""


def feature_network(
    layers: torch.nn.Sequential,
    preprocessing: Preprocessing,
    device: torch.device | None = None,
) -> FeatureNetwork:
    """The fastest of the networks below on this machine.

    Args:
        layers: in float32 and evaluation mode, normalisations folded; taken over and changed.
        preprocessing: the input's size and normalisation.
        device: to run on; None: the processor.
    """
    on_processor = device is None or device.type == "cpu"
    precision = processor_precision() if on_processor else gpu_precision()
    offset = _take_over_scale(layers, preprocessing)
    if precision is torch.float32:
        try:
            return OnnxNetwork(layers, preprocessing.crop, offset)
        except UnknownLayerError as layer:
            logger.debug("This architecture is run by torch, because of its layer %s", layer)
    return TorchNetwork(
        layers, preprocessing.crop, offset, precision=precision, device=device or _PROCESSOR
    )


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
        self.precision = precision
        self._device = device
        # A GPU has one queue: calls side by side would only hold memory for each.
        self._turn = threading.Lock() if device.type == "cuda" else nullcontext()
        self._head: Any
        *self._layers, self._head = layers.to(device, precision)
        for parameter in layers.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.to(memory_format=torch.channels_last)
        self._offset = (
            None if offset is None else torch.from_numpy(offset).view(1, 3, 1, 1).to(device)
        )
        if device.type == "cpu":
            with torch.inference_mode():
                # The layouts of weights are chosen for the usual batch; others are right, too.
                _fuse(layers, precision, lambda: self(np.zeros((SMALL_BATCH, *size, 3), np.uint8)))

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (N, D) of frames (N, H, W, 3), computed all at once."""
        with self._turn, torch.inference_mode():
            # (N, H, W, 3) in memory is (N, 3, H, W) in the format "channels last": nothing is moved.
            pixels = self._moved(torch.from_numpy(np.ascontiguousarray(frames)))
            pixels = pixels.permute(0, 3, 1, 2)
            if self._offset is None:
                activations = pixels.to(self.precision)  # whole numbers to 255 are exact in all
            else:
                activations = (pixels - self._offset).to(self.precision)
            for layer in self._layers:
                activations = layer(activations)
            pooled = self._head.pool(self._head.conv(activations)).flatten(1).float()
            features: NDArray[np.float32] = pooled.cpu().numpy()
        return features

    def _moved(self, pixels: torch.Tensor) -> torch.Tensor:
        """The pixels on the device; bytes, and to a GPU from memory that it copies from by itself."""
        if self._device.type != "cuda":
            return pixels.to(self._device)
        return pixels.pin_memory().to(self._device, non_blocking=True)


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
    home folder. The environment is the process's: it is put back.
    """
    before = os.environ.get(NO_TELEMETRY)
    os.environ[NO_TELEMETRY] = "1"
    try:
        import onnxruntime
    finally:
        if before is None:
            del os.environ[NO_TELEMETRY]
        else:
            os.environ[NO_TELEMETRY] = before
    onnxruntime.disable_telemetry_events()
    return onnxruntime


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


def _fuse(layers: torch.nn.Sequential, precision: torch.dtype, run: Callable[[], object]) -> None:
    """Make one call of each convolution with its activation, where oneDNN offers it.

    Args:
        layers: whose blocks named `Conv` (Ultralytics' convolution and activation) are changed.
        precision: of the layers.
        run: calls the network once, so that the sizes that each block sees become known.
    """
    operators = torch.ops.mkldnn
    if not hasattr(operators, "_convolution_pointwise"):  # torch without oneDNN
        return
    if precision is torch.bfloat16 and not operators._is_mkldnn_bf16_supported():
        return
    modules: list[Any] = list(layers.modules())
    blocks = [
        module
        for module in modules
        if type(module).__name__ in {"Conv", "DWConv"}
        and type(module.act) in _ACTIVATIONS
        and module.conv.padding_mode == "zeros"
    ]
    sizes: dict[torch.nn.Module, list[int]] = {}

    def note(convolution: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        sizes[convolution] = list(inputs[0].shape)

    hooks = [block.conv.register_forward_pre_hook(note) for block in blocks]
    run()
    for hook in hooks:
        hook.remove()
    for block in blocks:
        if block.conv in sizes:
            block.forward = _FusedConvolution(
                block.conv, _ACTIVATIONS[type(block.act)], sizes[block.conv]
            ).forward
            del block.conv


class _FusedConvolution:
    """A convolution and its activation in one call of oneDNN, its weights in oneDNN's own layout."""

    def __init__(self, convolution: torch.nn.Conv2d, activation: str, size: list[int]) -> None:
        self._places = (
            list(convolution.padding),
            list(convolution.stride),
            list(convolution.dilation),
            convolution.groups,
        )
        self._bias = convolution.bias
        self._activation = activation
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(
            convolution.weight, *self._places, size
        )

    def forward(self, activations: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) → (N, C', H', W')."""
        result: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
            activations, self._weight, self._bias, *self._places, self._activation, [], ""
        )
        return result


def _flags() -> dict[str, bool]:
    """The processor's instruction sets as Linux names them; none where it cannot be asked."""
    from pathlib import Path

    information = Path("/proc/cpuinfo")
    if not information.exists():
        return {}
    lines = [line for line in information.read_text().splitlines() if line.startswith("flags")]
    return dict.fromkeys(lines[0].split(), True) if lines else {}
