"""Each convolution of a YOLO classifier as one call of oneDNN, on the processor.

Convolution, bias and activation are one call, the weights laid out once as oneDNN wants them. In bfloat16
two things stay in float32, because what bfloat16 rounds away there is not small: the first convolution,
which sees pictures as they are (5 % of the network's time), and all biases (free). The least cosine with
float32 came from 0.9976 to 0.9994 on a video of colour bars, from 0.9994 to 0.9998 on people in a room.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from timelinelabels.backbones.devices import SMALL_BATCH

_ACTIVATIONS: Mapping[type[torch.nn.Module], str] = {
    torch.nn.SiLU: "swish",
    torch.nn.ReLU: "relu",
    torch.nn.Identity: "none",
}


def fuse(layers: torch.nn.Sequential, precision: torch.dtype, size: tuple[int, int]) -> bool:
    """Make one call of each convolution with its activation, where oneDNN offers it.

    Args:
        layers: in float32; their blocks named `Conv` (Ultralytics' convolution and activation) are changed.
        precision: to compute in.
        size: (height, width) of frames. The layouts of weights are chosen for the usual batch of them;
            other batches are right, too.

    Returns:
        Whether the first layer was changed: it takes float32, and computes in it.
    """
    operators = torch.ops.mkldnn
    if not hasattr(operators, "_convolution_pointwise"):  # torch without oneDNN
        return False
    if precision is torch.bfloat16 and not operators._is_mkldnn_bf16_supported():
        return False
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
        sizes[convolution] = [SMALL_BATCH, *inputs[0].shape[1:]]

    hooks = [block.conv.register_forward_pre_hook(note) for block in blocks]
    head: Any
    *body, head = layers
    with torch.inference_mode():
        activations = torch.zeros(1, 3, *size)
        for layer in body:
            activations = layer(activations)
        head.conv(activations)
    for hook in hooks:
        hook.remove()
    for block in blocks:
        if block.conv in sizes:
            block.forward = _FusedConvolution(
                block.conv,
                _ACTIVATIONS[type(block.act)],
                sizes[block.conv],
                computes=torch.float32 if block is body[0] else precision,
                gives=precision,
            ).forward
            del block.conv
    return any(block is body[0] for block in blocks)


class _FusedConvolution:
    """A convolution and its activation in one call of oneDNN, its weights in oneDNN's own layout.

    Args:
        convolution: in float32; its bias stays so in every precision.
        activation: oneDNN's name of it.
        size: of the input, (N, C, H, W).
        computes: the precision of its weights and its input.
        gives: that of what it returns.
    """

    def __init__(
        self,
        convolution: torch.nn.Conv2d,
        activation: str,
        size: list[int],
        *,
        computes: torch.dtype,
        gives: torch.dtype,
    ) -> None:
        self._places = (
            list(convolution.padding),
            list(convolution.stride),
            list(convolution.dilation),
            convolution.groups,
        )
        self._bias = None if convolution.bias is None else convolution.bias.detach()
        self._activation = activation
        self._gives = gives
        weight = convolution.weight.detach().to(computes, memory_format=torch.channels_last)
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(weight, *self._places, size)

    def forward(self, activations: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) → (N, C', H', W')."""
        result: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
            activations, self._weight, self._bias, *self._places, self._activation, [], ""
        )
        return result.to(self._gives)
