"""All scores of a set of videos, overall and by label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from timelinelabels.metrics.calibration import expected_calibration_error
from timelinelabels.metrics.corrections import (
    TOLERANCE_SECONDS,
    Corrections,
    count_corrections,
)
from timelinelabels.metrics.frames import average_precision, frame_scores, label_f1
from timelinelabels.metrics.segments import (
    edit_score,
    segmental_f1,
    spans_of,
    temporal_iou,
)

OVERLAPS = (0.10, 0.25, 0.50)


@dataclass(frozen=True, kw_only=True)
class VideoOutcome:
    """One video: what is true and what was said of each frame."""

    # (T, C) bool.
    truth: npt.NDArray[np.bool_]
    # (T, C) bool: the regions that a person is shown.
    predicted: npt.NDArray[np.bool_]
    # (T, C), 0..1; None where only regions are known: AP and calibration are then not measured.
    probabilities: npt.NDArray[np.floating] | None = None
    # Frames per second, for the tolerance of corrections.
    fps: float = 25.0

    def __post_init__(self) -> None:
        shapes = {np.shape(self.truth), np.shape(self.predicted)}
        if self.probabilities is not None:
            shapes.add(np.shape(self.probabilities))
        if len(shapes) != 1 or len(self.truth.shape) != 2:
            raise ValueError(f"truth, predicted and probabilities must all be (T, C): {shapes}")

    def corrections(self, *, tolerance_seconds: float = TOLERANCE_SECONDS) -> Corrections:
        """What a person still has to do."""
        return count_corrections(
            spans_of(self.predicted), spans_of(self.truth), tolerance=tolerance_seconds * self.fps
        )

    @property
    def regions(self) -> int:
        """Segments of the truth: what a person draws without a model."""
        return sum(len(spans) for spans in spans_of(self.truth).values())


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """One label over all videos; None where it does not occur in the truth or was not measured."""

    label: str
    # Frames that are true, and that were claimed.
    true_frames: int
    claimed_frames: int
    # Segments that are true, and that were claimed.
    true_segments: int
    claimed_segments: int
    f1: float | None
    average_precision: float | None
    # F1@50 of its segments.
    segmental_f1_50: float | None
    temporal_iou: float | None
    calibration_error: float | None


@dataclass(frozen=True, kw_only=True)
class Scores:
    """All scores over a set of videos, 0..1; definitions in docs/reference/scores.md."""

    videos: int
    frames: int
    frame_f1_macro: float
    frame_f1_micro: float
    frame_accuracy: float
    # Mean average precision over the labels in the truth; None without probabilities or truth.
    mean_average_precision: float | None
    segmental_f1_10: float
    segmental_f1_25: float
    segmental_f1_50: float
    edit_score: float
    temporal_iou: float
    # None without probabilities.
    calibration_error: float | None
    corrections: Corrections
    # What a person draws without a model.
    regions: int
    labels: tuple[LabelScores, ...]

    def rounded(self) -> dict[str, float | int | None]:
        """The overall scores by name, to four digits: for a manifest or a table."""
        names = (
            "frame_f1_macro",
            "frame_f1_micro",
            "frame_accuracy",
            "mean_average_precision",
            "segmental_f1_10",
            "segmental_f1_25",
            "segmental_f1_50",
            "edit_score",
            "temporal_iou",
            "calibration_error",
        )
        values = ((name, getattr(self, name)) for name in names)
        return {name: None if value is None else round(value, 4) for name, value in values}


def score_videos(videos: Sequence[VideoOutcome], labels: Sequence[str]) -> Scores:
    """Score videos together: frames and segments are pooled, the edit score is a mean over videos.

    Args:
        videos: in any order, each of its own length; at least one.
        labels: names of the C columns.

    Raises:
        ValueError: there is no video, or its columns are not the labels.
    """
    if not videos or any(video.truth.shape[1] != len(labels) for video in videos):
        raise ValueError(f"at least one video with {len(labels)} columns is needed")
    truth, predicted, probabilities = _joined(videos)
    frames = frame_scores(predicted, truth)
    said = [spans_of(video.predicted) for video in videos]
    true = [spans_of(video.truth) for video in videos]
    segmental = [segmental_f1(said, true, overlap) for overlap in OVERLAPS]
    by_label = _label_scores(videos, labels)
    precisions = [item.average_precision for item in by_label]
    measured = [value for value in precisions if value is not None]
    return Scores(
        videos=len(videos),
        frames=len(truth),
        frame_f1_macro=frames.f1,
        frame_f1_micro=frames.f1_micro,
        frame_accuracy=frames.accuracy,
        mean_average_precision=float(np.mean(measured)) if measured else None,
        segmental_f1_10=segmental[0],
        segmental_f1_25=segmental[1],
        segmental_f1_50=segmental[2],
        edit_score=edit_score(said, true),
        temporal_iou=temporal_iou(said, true),
        calibration_error=None
        if probabilities is None
        else expected_calibration_error(probabilities, truth),
        corrections=sum((video.corrections() for video in videos), Corrections()),
        regions=sum(video.regions for video in videos),
        labels=by_label,
    )


def _joined(
    videos: Sequence[VideoOutcome],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.floating] | None]:
    """Truth, predictions and (where every video has them) probabilities of all frames."""
    given = [video.probabilities for video in videos if video.probabilities is not None]
    return (
        np.concatenate([video.truth for video in videos]),
        np.concatenate([video.predicted for video in videos]),
        np.concatenate(given) if len(given) == len(videos) else None,
    )


def _label_scores(videos: Sequence[VideoOutcome], labels: Sequence[str]) -> tuple[LabelScores, ...]:
    truth, predicted, probabilities = _joined(videos)
    said = [spans_of(video.predicted) for video in videos]
    true = [spans_of(video.truth) for video in videos]
    f1 = label_f1(predicted, truth)
    precision: list[float | None] = [None] * len(labels)
    if probabilities is not None:
        precision = average_precision(probabilities, truth)
    scores = []
    for column, label in enumerate(labels):
        occurs = bool(truth[:, column].any())
        ours = [{column: video[column]} for video in said]
        theirs = [{column: video[column]} for video in true]
        scores.append(
            LabelScores(
                label=label,
                true_frames=int(truth[:, column].sum()),
                claimed_frames=int(predicted[:, column].sum()),
                true_segments=sum(len(video[column]) for video in true),
                claimed_segments=sum(len(video[column]) for video in said),
                f1=f1[column],
                average_precision=precision[column],
                segmental_f1_50=segmental_f1(ours, theirs, 0.5) if occurs else None,
                temporal_iou=temporal_iou(ours, theirs) if occurs else None,
                calibration_error=None
                if probabilities is None
                else expected_calibration_error(probabilities[:, column], truth[:, column]),
            )
        )
    return tuple(scores)
