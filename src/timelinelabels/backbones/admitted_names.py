"""The names that a checkpoint of Ultralytics may hold; any other is refused.

A name does nothing here (`pickle_records.py` never resolves one). A file that asks for something
which no checkpoint needs, such as `os.system`, is refused all the same, and the message says why:
whoever made it meant it to run, and the person who got it should know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from timelinelabels.backbones.pickle_records import Name
from timelinelabels.errors import UnsafeCheckpointError

STORAGES: Mapping[str, str] = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",  # numpy has no bfloat16: its bits are the upper half of a float32's
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
    "UntypedStorage": "|u1",
}
"""torch's classes of tensor storage → numpy's type of their numbers."""

_CONTAINERS = {"set", "frozenset", "dict", "list", "tuple", "slice", "range", "object"}
_SCALARS = {"int", "float", "bool", "complex", "str", "bytes", "bytearray"}
_PATHS = {"Path", "PurePath", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"}
_NUMBERS = {"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8"}
_REBUILD = {"_rebuild_tensor", "_rebuild_tensor_v2"}
_REBUILD_PARAMETER = {"_rebuild_parameter", "_rebuild_parameter_with_state"}

_ADMITTED: Mapping[str, set[str]] = {
    "builtins": _CONTAINERS | _SCALARS,
    "__builtin__": _CONTAINERS | _SCALARS,
    "collections": {"OrderedDict", "defaultdict", "deque", "Counter"},
    "copyreg": {"_reconstructor"},
    "copy_reg": {"_reconstructor"},
    "_codecs": {"encode"},  # how protocol 2 writes the bytes of a numpy number
    "datetime": {"datetime", "date", "time", "timedelta", "timezone"},
    "pathlib": _PATHS,
    "pathlib._local": _PATHS,
    "types": {"SimpleNamespace"},
    "argparse": {"Namespace"},
    "numpy": _NUMBERS | {"dtype", "ndarray", "bool_"},
    "numpy.core.multiarray": {"scalar", "_reconstruct"},
    "numpy._core.multiarray": {"scalar", "_reconstruct"},
    "torch": set(STORAGES) | _NUMBERS | {"bfloat16", "bool", "Size", "device", "Tensor"},
    "torch.storage": {"UntypedStorage"},
    "torch._utils": _REBUILD | _REBUILD_PARAMETER,
    "torch._tensor": {"_rebuild_from_type_v2"},
    "torch.serialization": {"_get_layout"},
    "torch._C._nn": {"gelu", "silu"},
}
_PACKAGES = ("torch.nn.", "torchvision.", "ultralytics.", "models.")
"""Where modules, transforms and losses are defined; `models.` is the old YOLOv5 repository."""


def admit(name: Name) -> None:
    """Let a name pass that a checkpoint may hold.

    Raises:
        UnsafeCheckpointError: it is another one.
    """
    if name.name in _ADMITTED.get(name.module, ()):
        return
    parts = [*name.module.split("."), name.name]
    if f"{name.module}.".startswith(_PACKAGES) and all(part.isidentifier() for part in parts):
        return
    raise UnsafeCheckpointError(f"its pickle asks for {str(name)[:200]!r}")


def admit_call(name: Name, arguments: tuple[Any, ...]) -> None:
    """Let a call pass that a checkpoint may hold.

    Modules are pickled as a class and its state; only an attack calls a class of theirs with
    arguments (`ClassificationModel({"activation": …})` would reach `eval` inside Ultralytics).

    Raises:
        UnsafeCheckpointError: it is such a call.
    """
    if not arguments or not f"{name.module}.".startswith(_PACKAGES):
        return
    if name.name == "InterpolationMode" and name.module.startswith("torchvision."):
        return  # an Enum: pickled as a call with its value
    raise UnsafeCheckpointError(f"its pickle calls {name} with arguments of its own")
