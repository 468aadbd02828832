"""Pure conversions between arrays over time and segments; nothing here knows of videos.

Contents, in order (the tests follow it):

- `Segment`: a labelled, half-open span of indices
- `SegmentRule`, `segments_of`: one label's probabilities (T,) → spans
- `to_segments`: probabilities (T, C) → segments
- `from_segments`: segments → targets (T, C), the inverse
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A span `[start, end)` of indices that carries one label."""

    # First index inside the span.
    start: int
    # First index after the span.
    end: int
    # Column of the label in the arrays.
    label: int
    # Mean probability of the label over the span, 0..1.
    score: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"a segment needs 0 <= start < end, got [{self.start}, {self.end})")


@dataclass(frozen=True, kw_only=True)
class SegmentRule:
    """Which runs of indices are segments of a label."""

    # A segment reaches this probability somewhere,
    threshold: float = 0.5
    # and is at or above this one everywhere but in closed gaps; None: the threshold.
    keep: float | None = None
    # Indices: shorter segments are dropped,
    shortest: int = 0
    # and gaps no longer than this are closed before.
    longest_gap: int = 0


def segments_of(
    probabilities: npt.NDArray[np.floating], rule: SegmentRule
) -> list[tuple[int, int]]:
    """The spans `[start, end)` of one label by its probabilities (T,), in order, apart from each other.

    Hysteresis (Schmitt, 1938): a run at or above `keep` counts where it reaches `threshold`.
    """
    keep = rule.threshold if rule.keep is None else min(rule.keep, rule.threshold)
    starts, ends = _runs(probabilities >= keep)
    if keep < rule.threshold and len(starts):
        reached = np.maximum.reduceat(probabilities, starts)
        # reduceat goes on to the next start; between two runs everything lies below `keep`.
        starts, ends = starts[reached >= rule.threshold], ends[reached >= rule.threshold]
    if rule.longest_gap and len(starts):
        apart = starts[1:] - ends[:-1] > rule.longest_gap
        starts, ends = starts[np.append(True, apart)], ends[np.append(apart, True)]
    lasting = ends - starts >= rule.shortest
    return list(zip(starts[lasting].tolist(), ends[lasting].tolist(), strict=True))


def to_segments(
    probabilities: npt.NDArray[np.floating], rules: float | Sequence[float | SegmentRule]
) -> list[Segment]:
    """The segments of all labels.

    Args:
        probabilities: (T, C), finite, in 0..1.
        rules: one threshold for all labels, or the threshold or rule of each of the C labels.

    Returns:
        Segments ordered by start, then by label; within a label they neither touch nor overlap.

    Raises:
        ValueError: the array is not two-dimensional or holds a value that is not finite.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"probabilities must be (T, C), got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("probabilities hold a value that is not finite")
    if not isinstance(rules, Sequence):
        rules = [rules] * values.shape[1]
    segments = []
    for label, rule in zip(range(values.shape[1]), rules, strict=True):
        if not isinstance(rule, SegmentRule):
            rule = SegmentRule(threshold=rule)  # noqa: PLW2901
        for start, end in segments_of(values[:, label], rule):
            score = float(np.clip(values[start:end, label].mean(), 0.0, 1.0))
            segments.append(Segment(start=start, end=end, label=label, score=score))
    return sorted(segments, key=lambda segment: (segment.start, segment.label))


def _runs(active: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Starts and ends of the maximal runs of True in (T,)."""
    change = np.diff(active.astype(np.int8), prepend=0, append=0)
    return np.flatnonzero(change == 1), np.flatnonzero(change == -1)


def from_segments(
    segments: Iterable[Segment], length: int, label_count: int
) -> npt.NDArray[np.float32]:
    """Targets (length, label_count): 1 where a segment of that label lies, else 0.

    What lies past `length` is cut off.
    """
    targets = np.zeros((length, label_count), dtype=np.float32)
    for segment in segments:
        targets[segment.start : segment.end, segment.label] = 1.0
    return targets
