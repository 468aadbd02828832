"""A small YOLO classification checkpoint made here, for where no trained weights can be had.

Random convolutions are fair features for simple scenes, if their activations are normalised: a
freshly initialised network gives features near 1e-10, zero in float16. So the statistics of its
batch normalisations are estimated on frames of the kind that it will see.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from timelinelabels.backbones import Preprocessing
from timelinelabels.backbones.architectures import bundled_architecture, load_ultralytics

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

FEATURE_DIM = 1280
CLASS_NAMES = ("ball", "floor", "hand")
_MAX_FRAMES = 128  # more frames do not change the statistics
_MIN_SPREAD = 0.01  # mean deviation of a feature over the frames; float16 resolves 1e-4 of it


def write_seeded_checkpoint(
    path: Path,
    frames: NDArray[np.uint8],
    *,
    seed: int = 0,
    image_size: int = 96,
    class_names: Sequence[str] = CLASS_NAMES,
) -> Path:
    """Write a seeded YOLOv8n-cls, in Ultralytics' own format, that `YoloBackbone.open` reads.

    Equal arguments give equal tensors. Nothing of the process is changed, torch's global random
    state included.

    Args:
        path: where to write it, in one step.
        frames: (N, H, W, 3) RGB, at least 16 different ones, of the kind that it will see.
        seed: of the convolutions.
        image_size: input side in pixels, a multiple of 32.
        class_names: names of the outputs (which mean nothing: the network is not trained).

    Raises:
        ValueError: too few frames, frames that are all alike, or an image_size of another kind.
    """
    import torch

    if image_size < 32 or image_size % 32:
        raise ValueError(f"image_size must be a multiple of 32, not {image_size}")
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) < 16:
        raise ValueError(
            f"frames must be uint8 (N, H, W, 3) with N ≥ 16, not {frames.dtype} {frames.shape}"
        )
    tasks = load_ultralytics()
    architecture = bundled_architecture("v8/yolov8-cls", classes=len(class_names))
    architecture |= {"scale": "n", "yaml_file": "yolov8n-cls.yaml"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = tasks.ClassificationModel(architecture, ch=3, verbose=False)
    model.names = dict(enumerate(class_names))
    model.task = "classify"
    spread = _normalise(model.model, _pixels(frames, image_size))
    if not spread >= _MIN_SPREAD:
        raise ValueError(
            f"the frames are too much alike to estimate a backbone on: a feature varies by {spread:.2g} "
            f"over them, at least {_MIN_SPREAD} is needed"
        )
    _save(
        {
            "epoch": -1,
            "best_fitness": None,
            "model": model.half().eval(),
            "ema": None,
            "updates": None,
            "optimizer": None,
            "train_args": {"task": "classify", "mode": "train", "imgsz": image_size, "seed": seed},
            "version": None,
        },
        path,
    )
    return path


def _pixels(frames: NDArray[np.uint8], image_size: int) -> torch.Tensor:
    """Evenly chosen frames as network input (M, 3, S, S), scaled and cropped as Ultralytics does."""
    import torch

    size = (image_size, image_size)
    how = Preprocessing(resize=image_size, crop=size, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    chosen = np.linspace(0, len(frames) - 1, min(len(frames), _MAX_FRAMES)).round().astype(int)
    pictures = (
        torch.from_numpy(np.ascontiguousarray(frames[chosen])).permute(0, 3, 1, 2).float() / 255
    )
    width, height = how.scaled_size(frames.shape[2], frames.shape[1])
    scaled = torch.nn.functional.interpolate(
        pictures, (height, width), mode="bilinear", antialias=True
    )
    left, top, right, bottom = how.crop_box(width, height)
    return scaled[:, :, top:bottom, left:right]


def _normalise(layers: torch.nn.Sequential, pixels: torch.Tensor) -> float:
    """Set each batch normalisation to its statistics on `pixels`; mean deviation of the features.

    In training mode a normalisation uses the statistics of the batch that it sees, and with
    momentum 1 it keeps exactly those: one pass over all frames sets every layer.
    """
    import torch

    normalisations = [m for m in layers.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in normalisations]
    for norm in normalisations:
        norm.momentum = 1.0
    layers.train()
    with torch.no_grad():
        _features(layers, pixels)
        layers.eval()
        features = _features(layers, pixels)
    for norm, momentum in zip(normalisations, momenta, strict=True):
        norm.momentum = momentum
    return float(features.std(dim=0).mean())


def _features(layers: torch.nn.Sequential, pixels: torch.Tensor) -> torch.Tensor:
    head: Any
    *body, head = layers
    for layer in body:
        pixels = layer(pixels)
    features: torch.Tensor = head.pool(head.conv(pixels)).flatten(1)
    return features


def _save(checkpoint: dict[str, Any], path: Path) -> None:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, suffix=".partial")
    try:
        with os.fdopen(descriptor, "wb") as file:
            torch.save(checkpoint, file)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
