"""What an Ultralytics classification checkpoint says of itself, from its records.

torch pickles a module as its class and a dictionary of its attributes, with `_modules` (children),
`_parameters` and `_buffers` among them; that tree is walked here. Whatever else the file holds
(optimiser, training curves, its own copy of the architecture's YAML) is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from timelinelabels.backbones.archive import CheckpointArchive
from timelinelabels.backbones.base import Preprocessing
from timelinelabels.backbones.checkpoint import StoredTensor, read_checkpoint
from timelinelabels.backbones.pickle_records import Record, describe
from timelinelabels.backbones.recorded_transforms import recorded_preprocessing
from timelinelabels.errors import CheckpointError, NotAClassificationCheckpointError

_MAX_MODULES = 20_000  # YOLO12x-cls has under 1,000
_MAX_TENSORS = 50_000  # and under 2,000 of these
_MAX_DEPTH = 30
_MAX_NAME = 200
_MAX_CLASSES = 100_000

_NEEDED = (
    "A classification checkpoint of Ultralytics (*-cls.pt, such as yolov8n-cls.pt, or one that "
    "`yolo classify train` wrote) is needed."
)
_KINDS = {
    "DetectionModel": "an object detector",
    "SegmentationModel": "an instance segmentation network",
    "SemanticModel": "a semantic segmentation network",
    "SemanticSegmentationModel": "a semantic segmentation network",
    "PoseModel": "a pose network",
    "OBBModel": "a detector of oriented boxes",
    "WorldModel": "an open-vocabulary detector",
    "YOLOEModel": "an open-vocabulary detector",
    "RTDETRDetectionModel": "an object detector (RT-DETR)",
}


@dataclass(frozen=True, kw_only=True)
class ModuleRecord:
    """One recorded module of the network."""

    # Its class, without the package: "Conv2d".
    class_name: str
    attributes: Mapping[Any, Any]


@dataclass(frozen=True, kw_only=True)
class ClassifierRecord:
    """A classification network as its file describes it."""

    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    # By their place in the network, as in a state_dict: "0.conv" is the first layer's convolution.
    modules: Mapping[str, ModuleRecord]
    tensors: Mapping[str, StoredTensor]
    # The place of the last layer, Ultralytics' `Classify` head.
    head: str

    @property
    def feature_dim(self) -> int:
        """D, the number of inputs of the last linear layer."""
        return self.tensors[f"{self.head}.linear.weight"].shape[1]


def read_classifier(archive: CheckpointArchive) -> ClassifierRecord:
    """Find the classification network in a checkpoint.

    Raises:
        UnsafeCheckpointError: its pickle asks for something that a checkpoint never needs.
        NotAClassificationCheckpointError: it holds something else; the message says what.
        CheckpointError: it is damaged.
    """
    root = read_checkpoint(archive)
    model = _model(root)
    state = model.state if isinstance(model.state, dict) else {}
    layers = _children(state).get("model")
    if not isinstance(layers, Record) or not isinstance(layers.state, dict):
        raise CheckpointError(f"its {model.type.name} has no layers: the file is damaged")
    modules, tensors = _walk(layers)
    head = next(reversed([name for name in modules if name and "." not in name]), "")
    if not head or modules[head].class_name != "Classify":
        found = modules[head].class_name if head else "nothing"
        raise NotAClassificationCheckpointError(
            f"its network ends in {found} instead of Ultralytics' Classify head. {_NEEDED}"
        )
    weight, bias = (tensors.get(f"{head}.linear.{name}") for name in ("weight", "bias"))
    if weight is None or bias is None or len(weight.shape) != 2 or bias.shape != weight.shape[:1]:
        raise CheckpointError("its Classify head has no linear layer: the file is damaged")
    return ClassifierRecord(
        class_names=_class_names(state.get("names"), weight.shape[0]),
        preprocessing=recorded_preprocessing(root.get("train_args"), state, archive),
        modules=modules,
        tensors=tensors,
        head=head,
    )


def _model(root: Any) -> Record:
    """The record of the ClassificationModel that Ultralytics would load, or what is there instead."""
    if isinstance(root, Record):
        raise _other(f"this is a bare {root.type} without Ultralytics' notes on its training")
    if isinstance(root, StoredTensor):
        raise _other("this is a single tensor")
    if not isinstance(root, dict):
        raise _other(f"this is {describe(root)}, not a checkpoint")
    if root and all(isinstance(value, StoredTensor) for value in root.values()):
        raise _other(f"this is a plain dictionary of {len(root)} tensors (a state_dict)")
    model = root.get("ema") or root.get("model")
    if isinstance(model, dict):
        raise _other("its 'model' is a dictionary of tensors (a state_dict), not a model")
    if not isinstance(model, Record):
        keys = ", ".join(describe(key) for key in list(root)[:8]) or "nothing"
        raise _other(f"this is a dictionary without a model (it holds: {keys})")
    kind = model.type
    if kind.module.startswith("models."):
        raise _other(f"this is a {kind.name} of the old YOLOv5 repository")
    if kind.module.startswith("torchvision."):
        raise _other(f"this is torchvision's {kind.name}, trained by Ultralytics")
    if kind.name != "ClassificationModel" or not kind.module.startswith("ultralytics."):
        raise _other(f"this is {_KINDS.get(kind.name, 'another kind of network')} ({kind})")
    return model


def _other(what: str) -> NotAClassificationCheckpointError:
    return NotAClassificationCheckpointError(f"{what}. {_NEEDED}")


def _walk(top: Record) -> tuple[dict[str, ModuleRecord], dict[str, StoredTensor]]:
    """Modules and tensors below `top` by their place; `top` itself has the place ""."""
    modules: dict[str, ModuleRecord] = {}
    tensors: dict[str, StoredTensor] = {}
    waiting: list[tuple[str, Record]] = [("", top)]
    while waiting:
        place, module = waiting.pop()
        if len(modules) + len(waiting) >= _MAX_MODULES or place.count(".") >= _MAX_DEPTH:
            raise CheckpointError(
                f"its network has more than {_MAX_MODULES:,} modules, or contains itself"
            )
        attributes = module.state if isinstance(module.state, dict) else {}
        modules[place] = ModuleRecord(class_name=module.type.name, attributes=attributes)
        below = f"{place}." if place else ""
        for name, tensor in _own_tensors(attributes):
            tensors[below + _checked_name(name)] = tensor
        if len(tensors) > _MAX_TENSORS:
            raise CheckpointError(f"its network has more than {_MAX_TENSORS:,} tensors")
        children = [
            (below + _checked_name(name), child)
            for name, child in _children(attributes).items()
            if isinstance(name, str) and isinstance(child, Record)
        ]
        waiting.extend(reversed(children))  # so that places come out in the file's order
    return modules, tensors


def _checked_name(name: str) -> str:
    """The name of a module or tensor in its parent, of a length that real ones stay far below."""
    if len(name) > _MAX_NAME:
        raise CheckpointError(f"a part of its network has a name of {len(name):,} characters")
    return name


def _own_tensors(attributes: Mapping[Any, Any]) -> list[tuple[str, StoredTensor]]:
    """The parameters and buffers that a state_dict of this module would hold."""
    found = []
    for kind in ("_parameters", "_buffers"):
        group = attributes.get(kind)
        for name, tensor in (group if isinstance(group, dict) else {}).items():
            if isinstance(name, str) and isinstance(tensor, StoredTensor):
                found.append((name, tensor))
            elif tensor is not None:
                raise CheckpointError(f"its {kind} hold {describe(tensor)} instead of a tensor")
    return found


def _children(attributes: Mapping[Any, Any]) -> Mapping[Any, Any]:
    children = attributes.get("_modules")
    return children if isinstance(children, dict) else {}


def _class_names(names: Any, count: int) -> tuple[str, ...]:
    """Names in the order of the linear layer's rows; a list, or a dictionary by number."""
    if isinstance(names, list | tuple):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not 0 < count <= _MAX_CLASSES:
        raise CheckpointError("it does not name its classes")
    by_number = {_number(key): name for key, name in names.items()}
    if sorted(by_number, key=str) != sorted(range(count), key=str):
        raise CheckpointError(
            f"it names {len(names)} classes, but its last layer has {count}; the file was changed"
        )
    if not all(isinstance(name, str | int | float) for name in by_number.values()):
        raise CheckpointError("the names of its classes are not text")
    return tuple(str(by_number[number]) for number in range(count))


def _number(key: Any) -> Any:
    """0 for "0", which some versions write."""
    return int(key) if isinstance(key, str) and key.isdecimal() and len(key) < 10 else key
