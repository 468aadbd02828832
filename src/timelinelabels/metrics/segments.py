"""Scores segment by segment: segmental F1, edit score, temporal IoU.

A video's segments are spans `[start, end)` by label, in any one unit (frames, seconds). Before anything
is counted, the spans of a label that touch or overlap are merged: two regions drawn end to end say the
same as one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Span = tuple[float, float]
# One video: label (a name or a column) → spans.
Labelled = Mapping[Any, Sequence[Span]]


def spans_of(targets: npt.ArrayLike) -> dict[int, list[tuple[int, int]]]:
    """The runs of True in each column of (T, C): column → spans, merged and in order."""
    values = np.asarray(targets, dtype=bool)
    if values.ndim != 2:
        raise ValueError(f"targets must be (T, C), got shape {values.shape}")
    padded = np.zeros((len(values) + 2, values.shape[1]), dtype=np.int8)
    padded[1:-1] = values
    change = np.diff(padded, axis=0)
    return {
        column: list(
            zip(
                np.flatnonzero(change[:, column] == 1).tolist(),
                np.flatnonzero(change[:, column] == -1).tolist(),
                strict=True,
            )
        )
        for column in range(values.shape[1])
    }


def merge_spans(spans: Sequence[Span]) -> list[Span]:
    """The same spans in order, those that touch or overlap made one.

    Raises:
        ValueError: a span ends before or where it starts.
    """
    merged: list[Span] = []
    for start, end in sorted(spans):
        if not start < end:
            raise ValueError(f"a span needs start < end, got [{start}, {end})")
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def span_iou(one: Span, other: Span) -> float:
    """Shared time over the time of either, 0..1."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return max(0.0, shared) / (max(one[1], other[1]) - min(one[0], other[0]))


@dataclass(frozen=True, kw_only=True)
class SegmentCounts:
    """Segments counted over some labels and videos."""

    # Pairs of a predicted and a true segment that match.
    hits: int
    claimed: int
    true: int

    @property
    def f1(self) -> float:
        """2 · hits / (claimed + true); 1 where there is nothing to find and nothing was claimed."""
        return 2 * self.hits / (self.claimed + self.true) if self.claimed + self.true else 1.0

    def __add__(self, other: "SegmentCounts") -> "SegmentCounts":
        return SegmentCounts(
            hits=self.hits + other.hits,
            claimed=self.claimed + other.claimed,
            true=self.true + other.true,
        )


def segment_counts(predicted: Sequence[Span], truth: Sequence[Span], iou: float) -> SegmentCounts:
    """One label of one video: how many predicted segments match a true one.

    A pair matches where its IoU is at least `iou`, 0 < iou ≤ 1; matching is one to one and as large as
    possible. As merged spans of a label lie in order, giving each prediction the earliest true segment
    that is still free finds the largest matching (no two overlapping pairs can cross).
    """
    if not 0 < iou <= 1:
        raise ValueError(f"an IoU threshold must lie in (0, 1], got {iou}")
    said, true = merge_spans(predicted), merge_spans(truth)
    hits, first_free = 0, 0
    for span in said:
        for index in range(first_free, len(true)):
            if true[index][0] >= span[1]:
                break
            if span_iou(span, true[index]) >= iou:
                hits, first_free = hits + 1, index + 1
                break
    return SegmentCounts(hits=hits, claimed=len(said), true=len(true))


def segmental_f1(predicted: Sequence[Labelled], truth: Sequence[Labelled], iou: float) -> float:
    """Segmental F1@iou (Lea et al., 2017), counts pooled over labels and videos.

    Args:
        predicted: one entry for each video.
        truth: the same videos.
        iou: the IoU from which a pair matches, for example 0.5.
    """
    total = SegmentCounts(hits=0, claimed=0, true=0)
    for said, true in zip(predicted, truth, strict=True):
        for label in {**true, **said}:
            total += segment_counts(said.get(label, ()), true.get(label, ()), iou)
    return total.f1


def edit_score(predicted: Sequence[Labelled], truth: Sequence[Labelled]) -> float:
    """How well the order of the segments is right, whatever their times: mean over videos, 0..1.

    A video's segments of all labels are put in the order of their starts (then ends, then labels'
    names), and 1 - Levenshtein distance / length of the longer sequence is taken of the sequences of
    labels (Lea et al., 2017; Farha and Gall, 2019). Where labels exclude one another this is their
    score; background is no segment. A video with no segment on either side scores 1.
    """
    scores = []
    for said, true in zip(predicted, truth, strict=True):
        ours, theirs = _sequence(said), _sequence(true)
        longer = max(len(ours), len(theirs))
        scores.append(1 - _levenshtein(ours, theirs) / longer if longer else 1.0)
    return float(np.mean(scores)) if scores else 1.0


def temporal_iou(predicted: Sequence[Labelled], truth: Sequence[Labelled]) -> float:
    """Mean over all true segments of the best IoU that a predicted segment of its label has.

    Tells how well boundaries sit; a wrong claim far from any true segment does not lower it (it lowers
    the segmental F1). 1 where there is no true segment.
    """
    best: list[float] = []
    for said, true in zip(predicted, truth, strict=True):
        for label, spans in true.items():
            claims = merge_spans(said.get(label, ()))
            best.extend(
                max((span_iou(claim, span) for claim in claims), default=0.0)
                for span in merge_spans(spans)
            )
    return float(np.mean(best)) if best else 1.0


def _sequence(video: Labelled) -> list[str]:
    ordered = sorted(
        (start, end, str(label))
        for label, spans in video.items()
        for start, end in merge_spans(spans)
    )
    return [label for _, _, label in ordered]


def _levenshtein(one: Sequence[str], other: Sequence[str]) -> int:
    """Fewest insertions, deletions and replacements that make one sequence the other."""
    row = list(range(len(other) + 1))
    for count, item in enumerate(one, start=1):
        diagonal, row[0] = row[0], count
        for column, wanted in enumerate(other, start=1):
            diagonal, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, diagonal + (item != wanted)),
            )
    return row[-1]
