"""torchvision beside a torch that it was not built for, so that Ultralytics' `predict` runs in tests.

Ultralytics prepares pictures with torchvision. Where torch is the CPU build and torchvision came
from the package index (built for CUDA), torchvision's compiled operators do not load, and importing
it fails because it describes two of them. None is used for classification, so they are declared
without being implemented. Only tests do this: the package itself never imports torchvision.
"""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[torch.library.Library] = []  # declarations last as long as this object


def import_torchvision() -> ModuleType:
    """Import torchvision, its missing operators declared first."""
    if not _declared and not _operators_load():
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(name + _SCHEMA)
        _declared.append(library)
    return importlib.import_module("torchvision")


def _operators_load() -> bool:
    spec = importlib.util.find_spec("torchvision")
    assert spec is not None and spec.origin is not None, "torchvision comes with ultralytics"
    try:
        for library in Path(spec.origin).parent.glob("_C*.so"):
            torch.ops.load_library(library)
    except OSError:
        return False
    return True
