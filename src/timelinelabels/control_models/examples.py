"""Annotated tasks → training examples on the frames of their files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from timelinelabels.errors import ConfigError, MediaError, VideoError
from timelinelabels.features import Features
from timelinelabels.labelstudio.config import TimelineLabelsConfig
from timelinelabels.labelstudio.payloads import AnnotatedTask, AnnotationRecord
from timelinelabels.labelstudio.regions import convert_timelinelabels_to_probs
from timelinelabels.labelstudio.timeline import Timeline

if TYPE_CHECKING:
    from timelinelabels.temporal_head import VideoSequence
    from timelinelabels.training import Example

logger = logging.getLogger(__name__)

FeaturesOf = Callable[[str], Features]

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A task that could not be learned from."""

    task_id: str
    reason: str
    # Hash of its video; None: the video could not be had, or not be read.
    media: str | None = None


def timeline_of(features: Features, config: TimelineLabelsConfig) -> Timeline:
    """The file's frames on the grid of a config whose frame rate is resolved.

    Raises:
        VideoError: the file claims a length that no timeline can have.
    """
    if config.frame_rate is None:
        raise ValueError("resolve the frame rate first: config.for_task(data)")
    return Timeline.of(
        features.pts,
        time_base=features.time_base,
        duration=features.duration,
        frame_rate=config.frame_rate,
        sample_fps=features.sample_fps,
    )


def sequence_of(features: Features, frames: int | None = None) -> VideoSequence:
    """A video as a temporal head reads it; its first `frames` frames, or all."""
    from timelinelabels.temporal_head import VideoSequence

    return VideoSequence(
        features=features.values[:frames],
        thumbnails=features.thumbnails[:frames],
        times=features.times[:frames],
    )


def annotations_to_learn(task: AnnotatedTask) -> list[AnnotationRecord]:
    """The annotations of a task that count: ground truth if there is any, else each annotator's latest."""
    truths = [annotation for annotation in task.annotations if annotation.ground_truth]
    latest: dict[str, AnnotationRecord] = {}
    for annotation in truths or task.annotations:
        # Without an annotator's name each annotation stands for somebody.
        annotator = annotation.completed_by or f"annotation {annotation.id}"
        before = latest.get(annotator)
        if before is None or last_changed(annotation) >= last_changed(before):
            latest[annotator] = annotation
    return list(latest.values())


def last_changed(annotation: AnnotationRecord) -> datetime:
    """When an annotation was last updated; long ago where nothing is known of it."""
    return annotation.updated_at or annotation.created_at or _LONG_AGO


def collect_examples(
    tasks: Sequence[AnnotatedTask], config: TimelineLabelsConfig, features_of: FeaturesOf
) -> tuple[list[Example], list[LeftOut]]:
    """The examples of one control, and the tasks that had to be left out, with the reason.

    A video that cannot be read never blocks the others.

    Args:
        tasks: with their current annotations.
        config: of the control.
        features_of: features of a video source; raises MediaError or VideoError.
    """
    from timelinelabels.training import Example

    label_map = config.label_map
    # An annotation made before a label got its alias still carries the label's value.
    known_names = {label.value: label_map[label.name] for label in config.labels} | label_map
    examples: list[Example] = []
    left_out: list[LeftOut] = []
    for task in tasks:
        try:
            resolved = config.for_task(task.data)
            features = features_of(resolved.video_source(task.data))
            timeline = timeline_of(features, resolved)
        except (ConfigError, MediaError, VideoError) as error:
            logger.warning("Task %s is left out of the training: %s", task.task_id, error)
            left_out.append(LeftOut(task_id=str(task.task_id), reason=str(error)))
            continue
        reachable = int(timeline.reachable.sum())  # the unreachable frames are the last ones
        annotations = annotations_to_learn(task)
        targets: npt.NDArray[np.float32] = np.mean(
            [
                timeline.to_frames(
                    convert_timelinelabels_to_probs(
                        annotation.result, known_names, timeline.length, from_name=config.name
                    )
                )[:reachable]
                for annotation in annotations
            ],
            axis=0,
            dtype=np.float32,
        )
        judged = judged_frames(targets) if config.ignores_unlabeled else None
        if judged is not None and not judged.any():
            reason = 'it has no region, and model_unlabeled="ignore" says that this means nothing'
            left_out.append(
                LeftOut(task_id=str(task.task_id), reason=reason, media=features.media_hash)
            )
            continue
        examples.append(
            Example(
                media_hash=features.media_hash,
                video=sequence_of(features, reachable),
                targets=targets,
                judged=judged,
                annotations=len(annotations),
            )
        )
    return examples, left_out


def judged_frames(targets: npt.NDArray[np.floating | np.bool_]) -> npt.NDArray[np.bool_]:
    """(T,): what targets (T, C) say something about with model_unlabeled="ignore".

    From the start of the first region to the end of the last one.
    """
    labelled = np.flatnonzero(targets.any(axis=1))
    judged = np.zeros(len(targets), dtype=bool)
    if len(labelled):
        judged[labelled[0] : labelled[-1] + 1] = True
    return judged
