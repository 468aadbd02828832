"""Label Studio's frame grid ↔ the frames of a file, by raw presentation time (PTS).

Label Studio's timeline is a grid of ticks: its frame N (1-based) is the time (N-1)/frameRate. What it
shows there is the last picture whose PTS is not later than that time; before the first PTS the first
picture, after the last PTS the last one. The file's own frame rate is never consulted. So a region
and a feature meet only on the time axis, and everything about that meeting is in this module.

Here a tick is the 0-based grid index N-1, and a frame is an index into the file's decoded pictures.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from timelinelabels.errors import VideoError

# Containers round a PTS to their time base (Matroska: whole milliseconds), so the picture of tick 2 at
# 30 fps may carry 67 ms where the tick is 66.7 ms. Half a time-base unit undoes the rounding; the cap
# keeps coarse time bases (AVI: one unit is a whole frame) exact.
MAX_ROUNDING = Fraction(1, 2000)

# 4.6 days at 25 ticks a second. A damaged header can claim 30 years, which would fill the memory.
MAX_TICKS = 10_000_000


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """One file's pictures on one frameRate grid."""

    # Raw PTS of every decoded frame (T,), strictly increasing, in `time_base` units.
    pts: npt.NDArray[np.int64]
    # Seconds per PTS unit.
    time_base: Fraction
    # Ticks per second: the Video tag's frameRate.
    frame_rate: Fraction
    # Number of ticks on Label Studio's timeline; its last frame is this number.
    length: int
    # Frames a second that were looked at of those that the file has; None: all are in `pts`.
    sample_fps: Fraction | None = None

    @classmethod
    def of(
        cls,
        pts: npt.NDArray[np.int64],
        *,
        time_base: Fraction,
        duration: Fraction,
        frame_rate: Fraction,
        sample_fps: Fraction | None = None,
    ) -> "Timeline":
        """The timeline that Label Studio draws: round(container duration · frameRate) ticks.

        Raises:
            VideoError: it has more than MAX_TICKS ticks.
        """
        if len(pts) == 0:
            raise ValueError("a timeline needs at least one frame")
        length = max(1, math.floor(duration * frame_rate + Fraction(1, 2)))
        if length > MAX_TICKS:
            raise VideoError(
                f"by its header the video lasts {float(duration):.0f} s, which is {length} frames at "
                f"frameRate {float(frame_rate):g}; at most {MAX_TICKS} can be labelled. Where the "
                "header is wrong, write the file anew (ffmpeg -i IN -c copy OUT)"
            )
        return cls(
            pts=pts,
            time_base=time_base,
            frame_rate=frame_rate,
            length=length,
            sample_fps=sample_fps,
        )

    @property
    def first_ticks(self) -> npt.NDArray[np.int64]:
        """(T,): the first tick at which each frame can be shown; not cut to the timeline."""
        rounding = min(self.time_base / 2, MAX_ROUNDING)
        position = self.pts * float(self.time_base * self.frame_rate)
        first: npt.NDArray[np.int64] = np.ceil(position - float(rounding * self.frame_rate)).astype(
            np.int64
        )
        return first

    @property
    def shown_frames(self) -> npt.NDArray[np.int64]:
        """(length,): the index of the frame that is shown at each tick."""
        ticks = np.arange(self.length)
        shown = np.searchsorted(self.first_ticks, ticks, side="right") - 1
        return np.clip(shown, 0, len(self.pts) - 1)

    @property
    def reachable(self) -> npt.NDArray[np.bool_]:
        """(T,): whether a frame lies on the timeline at all, so that a person could have judged it.

        Frames after the container's stated duration are never shown and say nothing about labels.
        """
        reachable = self.first_ticks < self.length
        reachable[0] = True  # shown from the first tick on, whatever its PTS
        return reachable

    def to_grid(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Values of frames (T, C) as values of ticks (length, C).

        A tick has the values of the picture that it shows. Where only some frames were looked at, the
        picture shown may be none of them: values change evenly from one to the next. Over a gap that
        is so long that the file itself has no frames in it, the picture stands still, and so do they.
        """
        if len(values) != len(self.pts):
            raise ValueError(f"{len(values)} rows for {len(self.pts)} frames")
        before = self.shown_frames
        if self.sample_fps is None:
            return values[before]
        position = self.pts * float(self.time_base * self.frame_rate)  # in ticks
        after = np.minimum(before + 1, len(values) - 1)
        gap = position[after] - position[before]
        still = gap > float((2 / self.sample_fps + 2 * MAX_ROUNDING) * self.frame_rate)
        share = (np.arange(self.length) - position[before]) / np.where(gap > 0, gap, 1)
        share = np.where(still | (gap <= 0), 0, share.clip(0, 1)).astype(values.dtype)[:, None]
        between: npt.NDArray[np.floating] = (1 - share) * values[before] + share * values[after]
        return between

    def to_frames(self, grid: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Targets of ticks (length, C) as targets of frames (T, C), values 0 or 1.

        A frame has a label where at least half of the ticks that show it have it. A frame that no
        tick shows (the file is faster than the grid) takes the tick during which it lies. Where only
        some frames were looked at, each takes the first tick that shows it: later ones may show others.
        """
        if len(grid) != self.length:
            raise ValueError(f"{len(grid)} rows for {self.length} ticks")
        if self.sample_fps is not None:
            return (grid[np.clip(self.first_ticks, 0, self.length - 1)] >= 0.5).astype(np.float32)
        first = np.clip(self.first_ticks, 0, self.length)
        first[0] = 0
        after = np.append(first[1:], self.length)
        sums = np.vstack([np.zeros((1, grid.shape[1])), np.cumsum(grid, axis=0, dtype=np.float64)])
        counts = after - first
        shown_sum = sums[after] - sums[first]
        during = np.clip(first - 1, 0, self.length - 1)
        targets = np.where(
            counts[:, None] > 0,
            shown_sum * 2 >= np.maximum(counts, 1)[:, None],
            grid[during] >= 0.5,
        )
        return targets.astype(np.float32)
