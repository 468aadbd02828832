"""The seeded checkpoint of the demo and of the tests."""

from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import noise, trusted_load

from timelinelabels.backbones import YoloBackbone
from timelinelabels.demo.checkpoint import write_seeded_checkpoint
from timelinelabels.demo.scene import Scene
from timelinelabels.video import VideoReader


@pytest.mark.slow
def test_features_of_the_frames_that_it_was_made_for_vary_and_fit_into_float16(
    scenes: list[Scene], tmp_path: Path
) -> None:
    with VideoReader(scenes[0].path, batch_size=100) as reader:
        frames = next(iter(reader)).frames
    path = write_seeded_checkpoint(tmp_path / "a.pt", frames, image_size=64, class_names=("a", "b"))
    backbone = YoloBackbone.open(path)
    assert backbone.class_names == ("a", "b")
    assert backbone.preprocessing.crop == (64, 64)
    assert backbone.feature_dim == 1280
    how = backbone.preprocessing
    with VideoReader(
        scenes[0].path, scaled_size=how.scaled_size, crop_box=how.crop_box, batch_size=100
    ) as reader:
        features = backbone.embed(next(iter(reader)).frames).astype(np.float16)
    assert np.isfinite(features).all()
    assert (features.std(axis=0) > 1e-3).mean() > 0.95


@pytest.mark.slow
def test_equal_arguments_give_equal_tensors_and_leave_torch_s_random_state_alone(
    tmp_path: Path,
) -> None:
    frames, tensors = noise(16), []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        torch.rand(5)
        before = torch.get_rng_state()
        path = write_seeded_checkpoint(tmp_path / f"{name}.pt", frames, seed=seed, image_size=64)
        assert torch.equal(before, torch.get_rng_state())
        tensors.append(trusted_load(path)["model"].state_dict())
    first, second, other = tensors
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.slow
def test_frames_that_are_all_alike_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too much alike"):
        write_seeded_checkpoint(tmp_path / "a.pt", np.full((16, 64, 64, 3), 90, np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("image_size", [0, 65])
def test_other_wrong_arguments_are_errors(tmp_path: Path, image_size: int) -> None:
    with pytest.raises(ValueError, match="image_size"):
        write_seeded_checkpoint(tmp_path / "a.pt", noise(16), image_size=image_size)
    with pytest.raises(ValueError, match="N ≥ 16"):
        write_seeded_checkpoint(tmp_path / "a.pt", noise(3))
