"""Fixtures that every suite shares: real videos, a real checkpoint, real resources."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

from timelinelabels.demo.scene import Scene, render_scene

settings.register_profile("ci", max_examples=50, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

SEEDED = "seeded-cls.pt"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real videos; the test is skipped, with the reason, where unset."""
    value = os.environ.get("TIMELINELABELS_DATA")
    if not value:
        pytest.skip("TIMELINELABELS_DATA is unset: real videos and weights are not here")
    return Path(value)


@pytest.fixture(scope="session")
def leaf_weights(shared_data: Path) -> Path:
    """A real Ultralytics YOLOv8n-cls checkpoint, input size 224."""
    return shared_data.parent / "weights" / "leaf-cls-224.pt"


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Scene]:
    """Five rendered videos of 100 frames with a known truth."""
    folder = tmp_path_factory.mktemp("videos")
    return [render_scene(folder / f"scene {n}.mp4", seed=n, frames=100) for n in range(5)]


@pytest.fixture(scope="session")
def seeded_weights(scenes: list[Scene], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small seeded checkpoint of Ultralytics' own architecture and format."""
    import av
    import numpy as np

    from timelinelabels.demo.checkpoint import write_seeded_checkpoint

    frames = []
    for scene in scenes[:3]:
        with av.open(str(scene.path)) as container:
            frames += [f.to_ndarray(format="rgb24") for f in container.decode(video=0)][::10]
    path = tmp_path_factory.mktemp("weights") / SEEDED
    write_seeded_checkpoint(path, np.stack(frames), image_size=64)
    return path


@pytest.fixture(scope="session")
def warm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A feature cache that the tests of a session share: features are keyed by content."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def model_root(tmp_path: Path, seeded_weights: Path) -> Path:
    """A MODEL_ROOT with the seeded checkpoint as the default weights, too."""
    root = tmp_path / "models"
    root.mkdir()
    shutil.copyfile(seeded_weights, root / SEEDED)
    shutil.copyfile(seeded_weights, root / "yolov8n-cls.pt")
    return root


@pytest.fixture
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backbones compute in float32 even on a processor with bfloat16, whose rounding is not the matter."""
    import torch

    monkeypatch.setattr(
        "timelinelabels.backbones.execution.processor_precision", lambda: torch.float32
    )
