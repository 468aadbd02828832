"""Timeline regions of Label Studio ↔ arrays on its frame grid.

Label Studio writes 1-based, closed frame ranges; everything inside this package is 0-based and
half-open. The change of convention happens in this module only; `timeline.py` then goes between the
grid and the frames of a file.
"""

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from timelinelabels.segments import Segment, SegmentRule, from_segments, to_segments

logger = logging.getLogger(__name__)

REGION_TYPE = "timelinelabels"


def _frame(value: Any) -> int | None:
    """A frame number as Label Studio may have written it (int, 12.0, "12"), else None."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return round(number) if math.isfinite(number) and abs(number) < 2**53 else None


def _range_to_span(item: Any, max_frame: int) -> tuple[int, int] | None:
    """A closed 1-based range as a half-open 0-based span within the timeline, else None.

    Both ends are clamped to the timeline. A range drawn backwards (end < start) is the same range.
    """
    if not isinstance(item, Mapping):
        return None
    first, last = _frame(item.get("start")), _frame(item.get("end", item.get("start")))
    if first is None or last is None:
        return None
    first, last = min(first, last), max(first, last)
    start, end = max(first, 1) - 1, min(last, max_frame)
    return (start, end) if start < end else None


def read_regions(
    regions: Iterable[Any],
    label_map: Mapping[str, int],
    max_frame: int,
    *,
    from_name: str | None = None,
) -> tuple[list[Segment], Counter[str]]:
    """The segments that an annotation's `result` holds for one control.

    Args:
        regions: the records of the result; those of other controls and types are passed over.
        label_map: label name → column.
        max_frame: number of frames on Label Studio's timeline.
        from_name: the control's name; None takes every timeline region.

    Returns:
        Segments on the grid, and how many records were skipped for which reason.
    """
    segments: list[Segment] = []
    skipped: Counter[str] = Counter()
    for region in regions:
        if not isinstance(region, Mapping):
            skipped["not a record"] += 1
            continue
        if region.get("type", REGION_TYPE) != REGION_TYPE or (
            from_name is not None and region.get("from_name", from_name) != from_name
        ):
            continue
        value = region.get("value")
        if not isinstance(value, Mapping):
            skipped["no value"] += 1
            continue
        labels, ranges = value.get(REGION_TYPE), value.get("ranges")
        if not isinstance(labels, Sequence) or isinstance(labels, str) or not labels:
            skipped["no label"] += 1
            continue
        if not isinstance(ranges, Sequence) or isinstance(ranges, str) or not ranges:
            skipped["no range"] += 1
            continue
        spans = [_range_to_span(item, max_frame) for item in ranges]
        skipped["range outside the video or ill-formed"] += spans.count(None)
        for label in labels:
            column = label_map.get(label) if isinstance(label, str) else None
            if column is None:
                skipped[f"label {label!r} is not in the labeling config"] += 1
                continue
            segments.extend(
                Segment(start=span[0], end=span[1], label=column) for span in spans if span
            )
    return segments, +skipped


def convert_timelinelabels_to_probs(
    regions: Iterable[Any],
    label_map: Mapping[str, int],
    max_frame: int,
    *,
    from_name: str | None = None,
) -> npt.NDArray[np.float32]:
    """An annotation's regions as a label array on Label Studio's grid.

    Args:
        regions: the `result` of an annotation.
        label_map: label name → column.
        max_frame: number of frames on Label Studio's timeline (rows of the array).
        from_name: take only this control's regions.

    Returns:
        (max_frame, C) array of 0 and 1; row 0 is Label Studio's frame 1.
    """
    segments, skipped = read_regions(regions, label_map, max_frame, from_name=from_name)
    for reason, count in sorted(skipped.items()):
        logger.warning("Skipped %d region(s): %s", count, reason)
    return from_segments(segments, max_frame, _column_count(label_map))


def convert_probs_to_timelinelabels(
    probs: npt.ArrayLike,
    label_map: Mapping[str, int],
    from_name: str,
    threshold: float | Sequence[SegmentRule] = 0.5,
    *,
    to_name: str | None = None,
) -> list[dict[str, Any]]:
    """A probability array on Label Studio's grid as regions, one for each segment.

    Args:
        probs: (frames, C), finite; row 0 is Label Studio's frame 1.
        label_map: label name → column; columns that it does not name are left out.
        from_name: name of the TimelineLabels control.
        threshold: a label is present where its probability is at least this; or the rules of all
            columns, in place of one threshold.
        to_name: name of the Video tag; Label Studio needs it to show the region.

    Returns:
        Regions in the order of their start. Frames are integers in 1..frames; ids are unique within
        the control and depend on nothing but the control, the label and the range; the score is the
        mean probability over the region.

    Raises:
        ValueError: a probability is not finite, or the array does not fit the label map.
    """
    array = np.asarray(probs, dtype=np.float64)
    if array.size == 0:
        return []
    if array.ndim != 2 or array.shape[1] < _column_count(label_map):
        raise ValueError(f"an array (frames, {_column_count(label_map)}) is needed: {array.shape}")
    names = {column: name for name, column in label_map.items()}
    regions = []
    for segment in to_segments(array, threshold):
        name = names.get(segment.label)
        if name is None:
            continue
        first, last = segment.start + 1, segment.end
        region: dict[str, Any] = {
            "id": _region_id(from_name, name, first, last),
            "type": REGION_TYPE,
            "from_name": from_name,
            "value": {"ranges": [{"start": first, "end": last}], REGION_TYPE: [name]},
            "score": round(segment.score, 4),
        }
        if to_name is not None:
            region["to_name"] = to_name
        regions.append(region)
    return regions


def _column_count(label_map: Mapping[str, int]) -> int:
    return max(label_map.values(), default=-1) + 1


def _region_id(from_name: str, label: str, first: int, last: int) -> str:
    """An id that is the same in every process, so that equal predictions are equal byte for byte."""
    identity = "\0".join((from_name, label, str(first), str(last)))
    return hashlib.sha256(identity.encode()).hexdigest()[:12]
