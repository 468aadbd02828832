"""Fixtures that every suite shares."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("ci", max_examples=50, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real videos and weights; the test is skipped, with the reason, where unset."""
    value = os.environ.get("TIMELINELABELS_DATA")
    if not value:
        pytest.skip("TIMELINELABELS_DATA is unset: real videos and weights are not here")
    return Path(value)


@pytest.fixture(scope="session")
def leaf_weights(shared_data: Path) -> Path:
    """A real Ultralytics YOLOv8n-cls checkpoint, input size 224."""
    return shared_data.parent / "weights" / "leaf-cls-224.pt"
