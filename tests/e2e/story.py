"""What the stories share: labeling configs, regions as Label Studio has them, and how good they are."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from timelinelabels.demo.scene import Scene

LABELS = ("Ball in frame", "Ball touch")

# One network instead of the choice between two (which takes twice as long), and fewer epochs.
QUICK = 'model_trainable="true" model_classifier_type="tcn" model_classifier_epochs="60"'


def label_config(
    labels: Iterable[str] = LABELS,
    *,
    attributes: str = QUICK,
    frame_rate: str = "25.0",
) -> str:
    """The guide's labeling config, learned quickly; `test_other_configs.py` learns by the defaults."""
    inside = "".join(f'<Label value="{label}"/>' for label in labels)
    return (
        f'<View><TimelineLabels name="videoLabels" toName="video" {attributes}>{inside}'
        f'</TimelineLabels><Video name="video" value="$video" frameRate="{frame_rate}" '
        'timelineHeight="120" height="240"/></View>'
    )


def frames_of(regions: Iterable[Mapping[str, Any]], label: str) -> set[int]:
    """All 1-based frames of a label."""
    return {
        frame
        for region in regions
        if label in region["value"]["timelinelabels"]
        for span in region["value"]["ranges"]
        for frame in range(span["start"], span["end"] + 1)
    }


def agreement(
    predicted: Iterable[Mapping[str, Any]],
    scene: Scene,
    label: str = LABELS[0],
    *,
    written: str | None = None,
) -> float:
    """F1 of a label's frames against the truth that the scene was rendered from.

    Args:
        predicted: regions.
        scene: the video.
        label: as the scene has it.
        written: as the regions have it, where that differs.
    """
    found = frames_of(predicted, written or label)
    truth = frames_of(scene.annotation_result(), label)
    return 2 * len(found & truth) / (len(found) + len(truth)) if found or truth else 1.0


def requests_answered(backend_url: str, route: str, *, within: float = 1.0) -> dict[str, float]:
    """How many requests to a route the backend has answered, and how many within so many seconds."""
    text = httpx.get(f"{backend_url}/metrics", timeout=20).text
    counted = re.findall(
        rf'^timelinelabels_request_seconds_(count|bucket){{(.*?route="{route}".*?)}} (\S+)$',
        text,
        re.MULTILINE,
    )
    total = sum(float(value) for kind, _, value in counted if kind == "count")
    in_time = sum(
        float(v) for kind, names, v in counted if kind == "bucket" and f'le="{within}"' in names
    )
    return {"total": total, "in time": in_time}


def outstanding(backend_url: str) -> float:
    """Trainings that the backend has yet to do, or is at."""
    return _trainings(backend_url, "outstanding")


def running(backend_url: str) -> float:
    """Trainings that the backend is at."""
    return _trainings(backend_url, "running")


def _trainings(backend_url: str, which: str) -> float:
    text = httpx.get(f"{backend_url}/metrics", timeout=20).text
    found = re.search(rf'^timelinelabels_work_{which}{{kind="train"}} (\S+)$', text, re.MULTILINE)
    assert found, text
    return float(found.group(1))
