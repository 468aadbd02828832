"""The preprocessing that a checkpoint records, by Ultralytics' own rules.

As in ultralytics/models/yolo/classify/predict.py (8.4): the input size is the training's `imgsz`,
rounded up to a multiple of 32; the recorded torchvision transforms are used if their `Resize` has
that size; otherwise Ultralytics' defaults for that size: scale the short side, cut the centre, no
normalisation. The transforms come as records, so torchvision need not be importable.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from timelinelabels.backbones.archive import CheckpointArchive
from timelinelabels.backbones.base import LARGEST_SIDE, Preprocessing
from timelinelabels.backbones.checkpoint import StoredTensor
from timelinelabels.backbones.pickle_records import Record, describe
from timelinelabels.errors import CheckpointError

DEFAULT_SIZE = 224
"""What Ultralytics' classification weights are trained on, where a file does not say."""

_USUAL = ("Resize", "CenterCrop", "ToTensor", "Normalize")
_BEFORE_8_1 = ("CenterCrop", "ToTensor")
"""Classes of Ultralytics' own then: they cut the centre square and scale it, which shows the same."""

_Channels = tuple[float, float, float]
_NO_NORMALISATION: tuple[_Channels, _Channels] = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_STRIDE = 32
_BILINEAR = ("bilinear", 2)  # torchvision's name, and Pillow's number that older versions recorded

logger = logging.getLogger(__name__)


def recorded_preprocessing(
    train_args: Any, model_state: Mapping[Any, Any], archive: CheckpointArchive
) -> Preprocessing:
    """How pictures are prepared for the network of a checkpoint.

    Args:
        train_args: the checkpoint's "train_args", whatever it is.
        model_state: attributes of its model.
        archive: where recorded tensors are read from.

    Raises:
        CheckpointError: what is recorded cannot be followed, or is out of range.
    """
    steps = _steps(model_state.get("transforms"))
    recorded = steps if _are(steps, "torchvision.", *_USUAL) else []
    size = (
        _image_size(_attribute(train_args, "imgsz"))
        or _image_size(_attribute(model_state.get("args"), "imgsz"))
        or (_pair(_state(recorded[0]).get("size")) if recorded else None)
        or (DEFAULT_SIZE, DEFAULT_SIZE)
    )
    try:
        if recorded and _pair(_state(recorded[0]).get("size")) == size:
            return _as_recorded(recorded, archive)
        mean, std = _NO_NORMALISATION
        if _are(steps[:2], "ultralytics.", *_BEFORE_8_1) and _are(
            steps[2:], "torchvision.", "Normalize"
        ):
            mean, std = _statistics(steps[2], archive)
        height, width = size
        return Preprocessing(
            resize=height if height == width else size, crop=size, mean=mean, std=std
        )
    except (ValueError, OverflowError) as error:
        raise CheckpointError(
            f"its input size or normalisation cannot be right: {error}"
        ) from error


def _steps(compose: Any) -> list[Record]:
    """The recorded transforms, in order; one that is not of a known kind is told to the log."""
    if compose is None:
        return []
    steps = _state(compose).get("transforms") if isinstance(compose, Record) else None
    steps = steps if isinstance(steps, list) else []
    if all(isinstance(step, Record) for step in steps) and (
        _are(steps, "torchvision.", *_USUAL) or _are(steps[:2], "ultralytics.", *_BEFORE_8_1)
    ):
        return steps
    logger.warning(
        "The checkpoint's recorded transforms are not the usual %s (but %s); Ultralytics' defaults for "
        "its input size are used",
        ", ".join(_USUAL),
        ", ".join(map(describe, steps[:8])) or describe(compose),
    )
    return []


def _are(steps: list[Record], package: str, *names: str) -> bool:
    """Whether these steps are just these classes of a package."""
    return tuple(step.type.name for step in steps) == names and all(
        step.type.module.startswith(package) for step in steps
    )


def _as_recorded(transforms: list[Record], archive: CheckpointArchive) -> Preprocessing:
    resize, crop = _state(transforms[0]), _state(transforms[1])
    mean, std = _statistics(transforms[3], archive)
    interpolation = resize.get("interpolation", "bilinear")
    if isinstance(interpolation, Record):
        interpolation = interpolation.arguments[0] if interpolation.arguments else None
    if interpolation not in _BILINEAR or resize.get("max_size") is not None:
        raise CheckpointError(
            f"its recorded Resize is not followed here (interpolation {describe(interpolation)}, "
            f"max_size {describe(resize.get('max_size'))}); Ultralytics' own is bilinear without a limit"
        )
    size = resize.get("size")
    short_side = size[0] if isinstance(size, list | tuple) and len(size) == 1 else size
    exact = _pair(size)
    crop_size = _pair(crop.get("size"))
    if exact is None or crop_size is None:
        raise CheckpointError("its recorded CenterCrop has no size")
    return Preprocessing(
        resize=short_side if isinstance(short_side, int) else exact,
        crop=crop_size,
        mean=mean,
        std=std,
    )


def _statistics(normalize: Record, archive: CheckpointArchive) -> tuple[_Channels, _Channels]:
    """(mean, std) of a recorded Normalize."""
    state = _state(normalize)
    return _channels(state.get("mean"), archive), _channels(state.get("std"), archive)


def _channels(value: Any, archive: CheckpointArchive) -> _Channels:
    if isinstance(value, StoredTensor) and value.shape == (3,) and value.is_floating:
        value = value.read(archive).tolist()
    if (
        not isinstance(value, list | tuple)
        or len(value) != 3
        or not all(isinstance(number, int | float) for number in value)
    ):
        raise CheckpointError("its recorded Normalize does not hold three numbers")
    red, green, blue = map(float, value)
    return red, green, blue


def _image_size(imgsz: Any) -> tuple[int, int] | None:
    """(height, width), rounded up to multiples of 32; None where the record says nothing usable."""
    if isinstance(imgsz, str) and imgsz.isascii() and imgsz.isdigit() and len(imgsz) < 6:
        imgsz = int(imgsz)
    size = _pair(imgsz)
    if size is None:
        if imgsz is not None:
            raise CheckpointError(
                f"its imgsz is not one or two numbers of pixels ({describe(imgsz)})"
            )
        return None
    height, width = (max(math.ceil(side / _STRIDE), 1) * _STRIDE for side in size)
    return height, width


def _pair(size: Any) -> tuple[int, int] | None:
    """(height, width) of 224, [224] or [224, 320]; None for anything else."""
    sides = list(size) if isinstance(size, list | tuple) and len(size) in {1, 2} else [size]
    if not all(type(side) is int and abs(side) <= LARGEST_SIDE for side in sides):
        return None
    return sides[0], sides[-1]


def _attribute(record: Any, name: str) -> Any:
    """A value of a recorded dictionary or namespace."""
    values = _state(record) if isinstance(record, Record) else record
    return values.get(name) if isinstance(values, Mapping) else None


def _state(record: Record) -> Mapping[Any, Any]:
    return record.state if isinstance(record.state, dict) else {}
