"""Sizes and crops as torchvision rounds them; what a checkpoint records of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import changed_checkpoint, trusted_load
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from timelinelabels.backbones import Preprocessing, YoloBackbone
from timelinelabels.errors import CheckpointError
from torchvision_operators import import_torchvision

NONE = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


@given(
    width=st.integers(1, 900),
    height=st.integers(1, 900),
    side=st.sampled_from([8, 31, 32, 96, 97]),
    less=st.integers(0, 3),
)
def test_pictures_are_scaled_and_cut_at_the_same_pixels_as_by_torchvision(
    width: int, height: int, side: int, less: int
) -> None:
    import_torchvision()
    from torchvision import transforms

    crop = (side - less, side) if side > 8 + less else (side, side)
    ours = Preprocessing(resize=side, crop=crop, **NONE)
    if max(width, height) * side // min(width, height) > 3000:
        return
    picture = Image.new("L", (width, height))
    scaled = transforms.Resize(side)(picture)
    assert ours.scaled_size(width, height) == scaled.size
    left, top, right, bottom = ours.crop_box(*scaled.size)
    gradient = np.arange(scaled.width * scaled.height, dtype=np.int32).reshape(scaled.size[::-1])
    theirs = transforms.CenterCrop(crop)(torch.from_numpy(gradient))
    assert np.array_equal(gradient[top:bottom, left:right], theirs.numpy())


def test_two_sides_are_the_exact_height_and_width() -> None:
    exact = Preprocessing(resize=(64, 96), crop=(64, 96), **NONE)
    assert exact.scaled_size(1000, 20) == (96, 64)
    assert exact.crop_box(96, 64) == (0, 0, 96, 64)


@pytest.mark.parametrize(
    "change",
    [
        {"resize": 4},
        {"resize": 100_000, "crop": (100_000, 100_000)},
        {"crop": (7, 64)},
        {"crop": (64, 65)},
        {"resize": (64, 32)},
        {"mean": (float("nan"), 0.0, 0.0)},
        {"mean": (-1.0, 0.0, 0.0)},
        {"std": (1.0, 0.0, 1.0)},
        {"std": (1.0, -1.0, 1.0)},
        {"std": (1.0, float("inf"), 1.0)},
    ],
)
def test_sizes_and_statistics_that_cannot_be_right_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Preprocessing(**({"resize": 64, "crop": (64, 64)} | NONE | change))


def with_transforms(source: Path, target: Path, imgsz: object, **recorded: object) -> Preprocessing:
    """The preprocessing of a checkpoint that records real torchvision transforms."""
    import_torchvision()
    from ultralytics.data.augment import classify_transforms

    model = trusted_load(source)["model"]
    if recorded:
        model.transforms = classify_transforms(**recorded)
    train_args = {} if imgsz is None else {"imgsz": imgsz}
    changed_checkpoint(source, target, model=model, train_args=train_args)
    return YoloBackbone.open(target).preprocessing


def test_recorded_transforms_are_used(seeded_weights: Path, tmp_path: Path) -> None:
    mean, std = (0.5, 0.25, 0.125), (0.5, 0.25, 0.75)
    found = with_transforms(seeded_weights, tmp_path / "a.pt", 96, size=96, mean=mean, std=std)
    assert found == Preprocessing(resize=96, crop=(96, 96), mean=mean, std=std)


def test_recorded_transforms_of_another_size_than_the_training_s_are_not_used(
    seeded_weights: Path, tmp_path: Path
) -> None:
    """Ultralytics' predict ignores them, too."""
    found = with_transforms(
        seeded_weights, tmp_path / "a.pt", 128, size=96, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
    )
    assert found == Preprocessing(resize=128, crop=(128, 128), **NONE)


@pytest.mark.parametrize(
    ("imgsz", "resize", "crop"),
    [
        (64, 64, (64, 64)),
        (65, 96, (96, 96)),
        ("64", 64, (64, 64)),
        ([64], 64, (64, 64)),
        ([64, 96], (64, 96), (64, 96)),
        (None, 224, (224, 224)),
    ],
)
def test_without_transforms_the_training_s_size_decides(
    seeded_weights: Path, tmp_path: Path, imgsz: object, resize: object, crop: object
) -> None:
    found = with_transforms(seeded_weights, tmp_path / "a.pt", imgsz)
    assert (found.resize, found.crop) == (resize, crop)


def test_without_a_training_size_that_of_the_transforms_is_used(
    seeded_weights: Path, tmp_path: Path
) -> None:
    found = with_transforms(seeded_weights, tmp_path / "a.pt", None, size=160)
    assert found == Preprocessing(resize=160, crop=(160, 160), **NONE)


@pytest.mark.parametrize("imgsz", [0.5, "big", [1, 2, 3], {}, 2**70, True])
def test_a_training_size_that_is_none_is_an_error(
    seeded_weights: Path, tmp_path: Path, imgsz: object
) -> None:
    with pytest.raises(CheckpointError, match="imgsz"):
        with_transforms(seeded_weights, tmp_path / "a.pt", imgsz)


def test_a_huge_training_size_is_an_error(seeded_weights: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"imgsz|4096"):
        with_transforms(seeded_weights, tmp_path / "a.pt", 5000)


def test_another_interpolation_than_bilinear_is_an_error(
    seeded_weights: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="bicubic"):
        with_transforms(seeded_weights, tmp_path / "a.pt", 64, size=64, interpolation="BICUBIC")


def test_unusual_transforms_are_named_in_the_log(
    seeded_weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import_torchvision()
    from torchvision import transforms

    model = trusted_load(seeded_weights)["model"]
    model.transforms = transforms.Compose([transforms.Grayscale(), transforms.ToTensor()])
    path = changed_checkpoint(seeded_weights, tmp_path / "a.pt", model=model)
    assert YoloBackbone.open(path).preprocessing == Preprocessing(resize=64, crop=(64, 64), **NONE)
    assert "Grayscale" in caplog.text


def test_the_normalisation_that_ultralytics_recorded_before_8_1_is_kept(
    seeded_weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import_torchvision()
    from torchvision import transforms
    from ultralytics.data.augment import CenterCrop, ToTensor

    mean, std = (0.5, 0.25, 0.125), (0.5, 0.25, 0.75)
    model = trusted_load(seeded_weights)["model"]
    for statistics, steps in (
        ((mean, std), [CenterCrop(64), ToTensor(), transforms.Normalize(mean, std)]),
        ((NONE["mean"], NONE["std"]), [CenterCrop(64), ToTensor()]),
    ):
        model.transforms = transforms.Compose(steps)
        path = changed_checkpoint(seeded_weights, tmp_path / "a.pt", model=model)
        found = YoloBackbone.open(path).preprocessing
        assert (found.mean, found.std) == statistics
        assert (found.resize, found.crop) == (64, (64, 64))
    assert caplog.text == ""
