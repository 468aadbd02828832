"""One task's prediction beside its annotation, on Label Studio's frame grid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from timelinelabels.control_models import ProjectModel, TimelineLabelsModel
from timelinelabels.control_models.examples import judged_frames, last_changed, timeline_of
from timelinelabels.labelstudio.payloads import AnnotatedTask, AnnotationRecord
from timelinelabels.labelstudio.regions import convert_timelinelabels_to_probs
from timelinelabels.metrics import Scores, VideoOutcome, score_videos

Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class PredictedRegion:
    """One predicted region and how much of it is true."""

    label: str
    # What the model said: the mean probability of its frames.
    score: float
    # Share of its frames that carry the label in the truth.
    true_share: float


@dataclass(frozen=True, kw_only=True)
class JudgedVideo:
    """One control's prediction for one task, beside the truth."""

    task_id: str
    # The last part of the video's path or address.
    name: str
    outcome: VideoOutcome
    regions: tuple[PredictedRegion, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ControlOutcome:
    """One control's predictions for some tasks."""

    control: str
    labels: tuple[str, ...]
    videos: tuple[JudgedVideo, ...]

    @property
    def scores(self) -> Scores:
        """All videos scored together."""
        return score_videos([video.outcome for video in self.videos], self.labels)


def all_labels(model: ProjectModel, tasks: Sequence[AnnotatedTask]) -> dict[str, tuple[str, ...]]:
    """Control name → its labels, those that single tasks bring along in their data too."""
    return {
        control.config.name: tuple(
            dict.fromkeys(
                [
                    *control.label_map,
                    *(
                        name
                        for task in tasks
                        for name in control.config.for_task(task.data).label_map
                    ),
                ]
            )
        )
        for control in model.models
    }


def judge(
    model: ProjectModel, tasks: Sequence[AnnotatedTask], labels: Mapping[str, tuple[str, ...]]
) -> dict[str, ControlOutcome]:
    """Predict annotated tasks and put each control's predictions beside the annotations.

    Where a control has learned nothing yet, it predicts no region.

    Args:
        model: the project as it predicts now.
        tasks: at least one.
        labels: of `all_labels`, so that outcomes of several calls have the same columns.
    """
    return {
        control.config.name: ControlOutcome(
            control=control.config.name,
            labels=labels[control.config.name],
            videos=tuple(_judge_one(control, task, labels[control.config.name]) for task in tasks),
        )
        for control in model.models
    }


def merge_outcomes(parts: Sequence[dict[str, ControlOutcome]]) -> dict[str, ControlOutcome]:
    """The videos of all parts together, by control."""
    merged: dict[str, ControlOutcome] = {}
    for part in parts:
        for name, outcome in part.items():
            before = merged.get(name)
            videos = (*before.videos, *outcome.videos) if before else outcome.videos
            merged[name] = replace(outcome, videos=videos)
    return merged


def true_annotation(task: AnnotatedTask) -> AnnotationRecord:
    """The annotation that counts as the truth: a ground-truth one, else the one updated last."""
    numbered = enumerate(task.annotations)
    return max(
        numbered,
        key=lambda item: (
            item[1].ground_truth,
            last_changed(item[1]),
            item[0],
        ),
    )[1]


def _judge_one(
    control: TimelineLabelsModel, task: AnnotatedTask, labels: Sequence[str]
) -> JudgedVideo:
    config = control.config.for_task(task.data)
    source = config.video_source(task.data)
    features = control.features_of(source)
    length = timeline_of(features, config).length
    columns = {label: column for column, label in enumerate(labels)}
    # As in training: an annotation from before a label got its alias carries the label's value.
    known = {label.value: columns[label.name] for label in config.labels} | columns

    def on_grid(regions: Sequence[Any]) -> npt.NDArray[np.bool_]:
        grid = convert_timelinelabels_to_probs(regions, known, length, from_name=config.name)
        return grid > 0.5

    truth = on_grid(true_annotation(task).result)
    probabilities = np.zeros(truth.shape, dtype=np.float32)
    prediction = replace(control, config=config).predict(features)
    regions: list[dict[str, Any]] = []
    if prediction is not None:
        regions = prediction.regions
        for name, column in config.label_map.items():
            probabilities[:, columns[name]] = prediction.probabilities[:, column]
    # What training leaves out of the loss says nothing here either.
    judged = judged_frames(truth) if config.ignores_unlabeled else np.ones(length, dtype=bool)
    claims = [(region, on_grid([region])[judged]) for region in regions]
    return JudgedVideo(
        task_id=task.task_id,
        name=PurePosixPath(urlsplit(source).path).name or source,
        outcome=VideoOutcome(
            truth=truth[judged],
            predicted=on_grid(regions)[judged],
            probabilities=probabilities[judged],
            fps=float(config.frame_rate or 25),
        ),
        regions=tuple(
            with_truth(region, claimed, truth[judged])
            for region, claimed in claims
            if claimed.any()
        ),
    )


def with_truth(
    region: dict[str, Any], claimed: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]
) -> PredictedRegion:
    """A predicted region beside the truth (T, C); `claimed` (T, C) is where the region lies."""
    return PredictedRegion(
        label=region["value"]["timelinelabels"][0],
        score=float(region["score"]),
        true_share=float(truth[claimed].mean()) if claimed.any() else 0.0,
    )
