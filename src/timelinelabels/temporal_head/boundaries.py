"""Boundaries to the frame: where a label begins or ends, the picture usually changes.

Networks that read steps of 0.2 s say to within a step or so where a label begins. Where one frame near
that place differs from the frame before it far more than its neighbours do, the boundary is moved there;
where nothing stands out, it stays.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from timelinelabels.temporal_head.time_steps import STEP_SECONDS

Floats = npt.NDArray[np.float32]

REACH_SECONDS = 1.75 * STEP_SECONDS
"""How far a boundary may move."""

STANDS_OUT = 4.0
"""How many times the usual change of its surroundings a change must be to attract a boundary."""

_LEAST_CHANGE = 1.0  # grey levels, mean over the picture: below this nothing happens
_SURROUNDINGS = 4  # reaches on either side


def sharpened(
    probabilities: Floats,
    levels: Sequence[float],
    thumbnails: npt.NDArray[np.uint8],
    times: npt.NDArray[np.float64],
) -> Floats:
    """Probabilities (T, C) that cross their levels where the picture changes.

    Args:
        probabilities: (T, C) of frames.
        levels: (C,): at or above its level a label is taken to hold.
        thumbnails: (T, CELLS) grey levels.
        times: (T,) seconds, ascending.
    """
    change = np.zeros(len(thumbnails), dtype=np.float32)
    for at in range(1, len(thumbnails), 8192):  # in parts: int16 of a long video is large
        part = thumbnails[at - 1 : at + 8192].astype(np.int16)
        change[at : at + 8192] = np.abs(np.diff(part, axis=0)).mean(axis=1)
    result = probabilities.copy()
    for label, level in enumerate(levels):
        _sharpen(result[:, label], level, change, times)
    return result


def _sharpen(
    column: Floats,
    level: float,
    change: Floats,
    times: npt.NDArray[np.float64],
) -> None:
    """Move the crossings of one label's probabilities (T,), in place."""
    held = column >= level
    crossings = np.flatnonzero(held[1:] != held[:-1]) + 1
    # A boundary may not pass the middle of the segment or gap at either side.
    ends = np.concatenate([[0], crossings, [len(column)]])
    middles = (ends[1:] + ends[:-1] + 1) // 2
    for number, crossing in enumerate(crossings.tolist()):
        first = max(
            int(np.searchsorted(times, times[crossing] - REACH_SECONDS)), middles[number], 1
        )
        last = min(
            int(np.searchsorted(times, times[crossing] + REACH_SECONDS, side="right")),
            int(middles[number + 1]),
        )
        if first >= last:
            continue
        best = first + int(change[first:last].argmax())
        wide = _SURROUNDINGS * REACH_SECONDS
        low, high = np.searchsorted(times, [times[crossing] - wide, times[crossing] + wide])
        middle = (high - low) // 2  # the crossing itself lies between: there is one
        usual = float(np.partition(change[low:high], middle)[middle])  # np.median is far slower
        if best == crossing or change[best] < max(STANDS_OUT * usual, _LEAST_CHANGE):
            continue
        begins, below = bool(held[crossing]), np.nextafter(np.float32(level), np.float32(0))
        between = slice(min(best, crossing), max(best, crossing))
        if begins == (best < crossing):
            column[between] = np.maximum(column[between], level)
        else:
            column[between] = np.minimum(column[between], below)
