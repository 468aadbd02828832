"""A YOLOv8 classifier up to its pooled features as an ONNX model, written without further libraries.

ONNX Runtime computes float32 convolutions a fifth faster than torch does on processors with AVX2
(docs/decisions/0020-processor-runtime.md). torch's own exporter takes seconds and more packages; the
few layers of these networks need no exporter. Whoever uses the model compares it with the network.

The format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (field numbers below are from there)
in the wire format of protocol buffers: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

INPUT = "frames"
OUTPUT = "features"

_IR_VERSION, _OPSET = 8, 13
_FLOAT, _UINT8, _INT64 = 1, 2, 7  # TensorProto.DataType
_INT, _INTS = 2, 7  # AttributeProto.AttributeType


class UnknownLayerError(Exception):
    """The network has a layer that is not written here."""


def onnx_model(
    layers: torch.nn.Sequential, size: tuple[int, int], offset: NDArray[np.float32] | None
) -> bytes:
    """The model: uint8 frames (N, H, W, 3) → float32 features (N, D).

    Args:
        layers: in float32, normalisations folded, the input's scale in the first convolution.
        size: (height, width) of the frames.
        offset: what is subtracted from the three channels first, if anything.

    Raises:
        UnknownLayerError: it is not of YOLOv8's kinds of layers.
    """
    graph = _Graph()
    pixels = graph.node("Transpose", INPUT, perm=[0, 3, 1, 2])
    pixels = graph.node("Cast", pixels, to=_FLOAT)
    if offset is not None:
        pixels = graph.node("Sub", pixels, graph.constant(offset.reshape(1, 3, 1, 1)))
    head: Any
    *body, head = layers
    for layer in body:
        pixels = _layer(graph, layer, pixels)
    pooled = graph.node("GlobalAveragePool", _layer(graph, head.conv, pixels))
    graph.node("Flatten", pooled, outputs=[OUTPUT], axis=1)
    dimension = int(head.conv.conv.out_channels)
    return graph.model(
        _value(INPUT, _UINT8, [None, *size, 3]), _value(OUTPUT, _FLOAT, [None, dimension])
    )


def _layer(graph: _Graph, module: Any, value: str) -> str:
    """Write one of Ultralytics' layers (ultralytics/nn/modules); the name of its result."""
    kind = type(module).__name__
    if kind == "Conv":
        return _activation(graph, module.act, _convolution(graph, module.conv, value))
    if kind == "Bottleneck":
        result = _layer(graph, module.cv2, _layer(graph, module.cv1, value))
        return graph.node("Add", value, result) if module.add else result
    if kind == "C2f":  # the first half passes, the second goes through the chain; all are joined
        parts = graph.split(_layer(graph, module.cv1, value), [module.c, module.c])
        for block in module.m:
            parts.append(_layer(graph, block, parts[-1]))
        return _layer(graph, module.cv2, graph.node("Concat", *parts, axis=1))
    raise UnknownLayerError(kind)


def _convolution(graph: _Graph, module: Any, value: str) -> str:
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise UnknownLayerError(f"convolution with padding {module.padding_mode}")
    return graph.node(
        "Conv",
        value,
        graph.constant(module.weight.detach().numpy()),
        *([] if module.bias is None else [graph.constant(module.bias.detach().numpy())]),
        kernel_shape=list(module.kernel_size),
        strides=list(module.stride),
        pads=[*module.padding, *module.padding],
        dilations=list(module.dilation),
        group=module.groups,
    )


def _activation(graph: _Graph, module: Any, value: str) -> str:
    kind = type(module).__name__
    if kind == "SiLU":
        return graph.node("Mul", value, graph.node("Sigmoid", value))
    if kind == "Identity":
        return value
    raise UnknownLayerError(kind)


class _Graph:
    """Nodes and constants in the order in which they are written."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._names = 0

    def node(
        self, operator: str, *inputs: str, outputs: list[str] | None = None, **how: Any
    ) -> str:
        """Add a NodeProto; the name of its first result."""
        outputs = outputs or [self._name()]
        encoded = b"".join(_text(1, name) for name in inputs)
        encoded += b"".join(_text(2, name) for name in outputs)
        encoded += _text(4, operator)
        encoded += b"".join(_bytes(5, _attribute(name, value)) for name, value in how.items())
        self._parts.append(_bytes(1, encoded))
        return outputs[0]

    def split(self, value: str, sizes: list[int]) -> list[str]:
        """The channels of `value` in consecutive groups of these sizes."""
        outputs = [self._name() for _ in sizes]
        self.node("Split", value, self.constant(np.array(sizes)), outputs=outputs, axis=1)
        return outputs

    def constant(self, values: NDArray[Any]) -> str:
        """Add an initializer (TensorProto); its name."""
        name = self._name()
        kind, dtype = (_FLOAT, "<f4") if values.dtype == np.float32 else (_INT64, "<i8")
        encoded = b"".join(_integer(1, side) for side in values.shape)
        encoded += _integer(2, kind) + _text(8, name)
        encoded += _bytes(9, np.ascontiguousarray(values).astype(dtype).tobytes())
        self._parts.append(_bytes(5, encoded))
        return name

    def model(self, source: bytes, result: bytes) -> bytes:
        """The whole ModelProto."""
        graph = b"".join(self._parts) + _text(2, "features") + _bytes(11, source)
        graph += _bytes(12, result)
        operators = _text(1, "") + _integer(2, _OPSET)
        return _integer(1, _IR_VERSION) + _bytes(8, operators) + _bytes(7, graph)

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"


def _attribute(name: str, value: int | list[int]) -> bytes:
    """AttributeProto."""
    if isinstance(value, int):
        return _text(1, name) + _integer(3, value) + _integer(20, _INT)
    return _text(1, name) + b"".join(_integer(8, item) for item in value) + _integer(20, _INTS)


def _value(name: str, kind: int, shape: list[int | None]) -> bytes:
    """ValueInfoProto of a tensor; None: any length."""
    sides = b"".join(
        _bytes(1, _text(2, "N") if side is None else _integer(1, side)) for side in shape
    )
    return _text(1, name) + _bytes(2, _bytes(1, _integer(1, kind) + _bytes(2, sides)))


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())
