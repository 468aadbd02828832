"""Pure conversions between arrays over time and segments; nothing here knows of videos.

Contents, in order (the tests follow it):

- `Segment`: a labelled, half-open span of indices
- `to_segments`: probabilities (T, C) → segments
- `from_segments`: segments → targets (T, C), the inverse
"""

from collections.abc import Iterable
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


def to_segments(
    probabilities: npt.NDArray[np.floating], thresholds: float | npt.ArrayLike
) -> list[Segment]:
    """The maximal runs of indices at which a label reaches its threshold.

    Args:
        probabilities: (T, C), finite, in 0..1.
        thresholds: one for all labels, or (C,).

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
    active = values >= np.broadcast_to(np.asarray(thresholds, dtype=np.float64), values.shape)
    padded = np.zeros((values.shape[0] + 2, values.shape[1]), dtype=np.int8)
    padded[1:-1] = active
    change = np.diff(padded, axis=0)
    segments = []
    for label in range(values.shape[1]):
        starts = np.flatnonzero(change[:, label] == 1)
        ends = np.flatnonzero(change[:, label] == -1)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            score = float(np.clip(values[start:end, label].mean(), 0.0, 1.0))
            segments.append(Segment(start=start, end=end, label=label, score=score))
    return sorted(segments, key=lambda segment: (segment.start, segment.label))


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
