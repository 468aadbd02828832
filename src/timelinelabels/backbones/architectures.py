"""Networks built by Ultralytics' own code from the YAML files that it ships.

A checkpoint chooses among those files only: by the classes of its layers and the shapes of its
tensors. The YAML inside a checkpoint is never used (Ultralytics evaluates parts of it).
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from timelinelabels.backbones.classifier_record import ClassifierRecord
from timelinelabels.errors import CheckpointError
from timelinelabels.importing import collector_paused, environment_kept

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

ARCHITECTURES = (
    "v8/yolov8-cls",
    "11/yolo11-cls",
    "26/yolo26-cls",
    "12/yolo12-cls",
    "v8/yolov8-cls-resnet50",
    "v8/yolov8-cls-resnet101",
)
"""YAML files of Ultralytics, below its cfg/models. Left out: yolo11-cls-resnet18 needs torchvision."""

SCALES = "nsmlx"

_COMPARED = (
    # What decides the result of a layer besides its class and its tensors: convolutions and pooling,
    *("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode", "output_size"),
    # normalisations and activations,
    *("affine", "track_running_stats", "negative_slope", "approximate"),
    # Ultralytics' blocks and attention.
    *("add", "c", "num_heads", "head_dim", "key_dim", "scale", "area", "dim"),
)

_ENVIRONMENT = {
    "YOLO_AUTOINSTALL": "false",  # it would install packages by itself
    "YOLO_OFFLINE": "true",  # it would look up names of the internet, which can take long without one
    "YOLO_VERBOSE": "false",  # it would print to stdout
}
_importing = threading.Lock()


def build_network(
    record: ClassifierRecord, tensors: Mapping[str, NDArray[Any]]
) -> torch.nn.Sequential:
    """The layers of a recorded network, in evaluation mode, with its tensors in float32.

    Args:
        record: what the checkpoint says.
        tensors: the numbers of `record.tensors`.

    Raises:
        CheckpointError: no architecture that Ultralytics ships computes what the record describes.
    """
    import torch

    wanted = {name: tensor.shape for name, tensor in record.tensors.items()}
    for description in _candidates(record):
        # On the meta device no number is drawn, so torch's global random state is left alone.
        with torch.device("meta"):
            network: torch.nn.Sequential = load_ultralytics().parse_model(
                description, ch=3, verbose=False
            )[0]
        if {name: tuple(value.shape) for name, value in network.state_dict().items()} == wanted:
            break
    else:
        raise CheckpointError(
            f"its {len(wanted)} tensors do not fit into any classification network of the installed "
            f"Ultralytics ({', '.join(name.split('/')[1] for name in ARCHITECTURES)}; each in sizes "
            f"{', '.join(SCALES)}). It has an architecture of its own, was fused or quantised, or was "
            "written by a newer Ultralytics: upgrade ultralytics-opencv-headless, or train from one "
            "of these."
        )
    _follow_attributes(network, record)
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            raise CheckpointError(f"its tensor {name!r} has numbers that are not finite")
        if name.endswith(".running_var") and (value < 0).any():
            raise CheckpointError(f"its tensor {name!r} has variances below zero")
    network.load_state_dict(
        {name: torch.from_numpy(value) for name, value in tensors.items()}, strict=True, assign=True
    )
    return _fused(network.requires_grad_(False).eval())


def _fused(network: torch.nn.Sequential) -> torch.nn.Sequential:
    """Fold each batch normalisation into its convolution, as Ultralytics' own `predict` does.

    The same function up to rounding (1e-5 in features), a sixth faster on a CPU.
    """
    import torch

    module: Any
    for module in network.modules():
        if hasattr(module, "forward_fuse") and hasattr(module, "conv") and hasattr(module, "bn"):
            module.conv = torch.nn.utils.fuse_conv_bn_eval(module.conv, module.bn)
            del module.bn
            module.forward = module.forward_fuse
    return network


def _candidates(record: ClassifierRecord) -> Iterator[dict[str, Any]]:
    """Descriptions, for Ultralytics' parser, of networks with layers of the recorded classes."""
    layers = [
        module.class_name for place, module in record.modules.items() if place and "." not in place
    ]
    for name in ARCHITECTURES:
        bundled = bundled_architecture(name, classes=len(record.class_names))
        if [layer[2] for layer in bundled["backbone"] + bundled["head"]] == layers:
            for scale in SCALES:
                yield deepcopy(bundled) | {"scale": scale}


def bundled_architecture(name: str, *, classes: int) -> dict[str, Any]:
    """One of Ultralytics' YAML files, for this number of classes; read from its own folder only."""
    tasks = load_ultralytics()
    folder = Path(str(tasks.__file__)).parents[1] / "cfg" / "models"
    description: dict[str, Any] = tasks.YAML.load(folder / f"{name}.yaml")
    return description | {"nc": classes}


def _follow_attributes(network: torch.nn.Sequential, record: ClassifierRecord) -> None:
    """Check that equal tensors also mean equal results; take over the one number that may differ."""
    built = dict(network.named_modules(remove_duplicate=False))
    if different := sorted(built.keys() ^ record.modules.keys()):
        raise CheckpointError(f"its module {different[0]!r} is not part of Ultralytics' network")
    for place, module in built.items():
        recorded = record.modules[place]
        if type(module).__name__ != recorded.class_name:
            raise CheckpointError(
                f"its module {place!r} is a {recorded.class_name}, where Ultralytics' network has a "
                f"{type(module).__name__}; a network with other activations is not read here"
            )
        for name in _COMPARED:
            expected = getattr(module, name, None)
            if (
                not isinstance(expected, int | float | str | tuple)
                or name not in recorded.attributes
            ):
                continue
            if not _equal(recorded.attributes[name], expected):
                raise CheckpointError(
                    f"its module {place!r} has another {name} than Ultralytics' network ({expected!r})"
                )
        if hasattr(module, "eps"):  # of the normalisations; Ultralytics has used 1e-3 and 1e-5
            eps = recorded.attributes.get("eps")
            if not isinstance(eps, float) or not 0 < eps < 1:
                raise CheckpointError(f"its normalisation {place!r} has no usable eps")
            module.eps = eps


def _equal(recorded: Any, expected: float | str | tuple[Any, ...]) -> bool:
    """Whether a recorded value is the expected one, compared without walking what is recorded."""
    if isinstance(expected, tuple):
        return (
            isinstance(recorded, tuple | list)
            and len(recorded) == len(expected)
            and all(map(_equal, recorded, expected))
        )
    if isinstance(expected, str):
        return isinstance(recorded, str) and recorded == expected
    return isinstance(recorded, int | float) and bool(
        np.isclose(recorded, expected, rtol=1e-6, atol=0)
    )


def load_ultralytics() -> ModuleType:
    """Ultralytics' module that builds networks, imported without its side effects on the process.

    Its import installs packages, looks for the internet, writes settings into the home folder,
    changes environment variables (OMP_NUM_THREADS among them), warnings, numpy's print options and
    torch.save: all of that is prevented or put back. torch is imported before it, so that its
    number of threads is not what Ultralytics sets. The first call takes about a second.
    """
    import torch

    name = "ultralytics.nn.tasks"
    with _importing:
        if name in sys.modules:
            return sys.modules[name]
        save = torch.save
        with (
            tempfile.TemporaryDirectory(prefix="timelinelabels-") as settings,
            warnings.catch_warnings(),
            np.printoptions(),
            collector_paused(),
            environment_kept(),
        ):
            for variable, value in ({"YOLO_CONFIG_DIR": settings} | _ENVIRONMENT).items():
                os.environ.setdefault(variable, value)
            try:
                return importlib.import_module(name)
            finally:
                torch.save = save
