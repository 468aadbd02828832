"""Frames ↔ steps of time: a temporal network reads five steps a second, whatever the frame rate.

Actions last seconds: at every frame the network would see nearly the same thing again, at five times the
cost, and what it has learned at 25 frames a second would not hold at 10.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

STEP_SECONDS = 0.2
LONGEST_GAP = 2.0
"""Seconds: a longer gap between two frames counts as so long, so that steps are never many more than
frames."""

_POOLED_AT_ONCE = 4096  # steps: bounds memory


@dataclass(frozen=True, kw_only=True)
class TimeSteps:
    """Where a video's T frames lie on its S steps."""

    # (T,): a frame's place on the axis of steps; step s is [s, s + 1).
    places: npt.NDArray[np.float64]
    # (N,): steps that hold frames, ascending, and the first frame of each.
    filled: npt.NDArray[np.int64]
    first_frames: npt.NDArray[np.int64]

    @classmethod
    def of(cls, times: npt.NDArray[np.float64]) -> Self:
        """The steps of frames at these times (T,), seconds, ascending, T ≥ 1."""
        gaps = np.minimum(np.diff(times), LONGEST_GAP)
        places = np.concatenate([[0.0], np.cumsum(gaps)]) / STEP_SECONDS
        # Ten frames a second lie exactly on the borders of steps: rounding must not move them.
        steps = np.floor(places + 1e-6).astype(np.int64)
        filled, first_frames = np.unique(steps, return_index=True)
        return cls(places=places, filled=filled, first_frames=first_frames.astype(np.int64))

    @property
    def count(self) -> int:
        """S."""
        return int(self.filled[-1]) + 1

    def pool(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Values of frames (T, N) as values of steps (S, N): the mean of a step's frames.

        A step without frames shows what the last one before it showed.
        """
        ends = np.append(self.first_frames[1:], len(values))
        means = np.empty((len(self.filled), values.shape[1]), dtype=np.float32)
        for at in range(0, len(means), _POOLED_AT_ONCE):
            first = self.first_frames[at : at + _POOLED_AT_ONCE]
            last = ends[at : at + _POOLED_AT_ONCE]
            part = np.asarray(values[first[0] : last[-1]], dtype=np.float32)
            sums = np.add.reduceat(part, first - first[0], axis=0)
            means[at : at + _POOLED_AT_ONCE] = sums / (last - first)[:, None]
        if len(means) == self.count:
            return means
        return means[np.searchsorted(self.filled, np.arange(self.count), side="right") - 1]

    def to_frames(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Values of steps (S, C) as values of frames (T, C).

        A step's value belongs where its frames lie on average (at one frame a step that is the frame
        itself), and changes evenly from step to step.
        """
        centres = np.arange(self.count) + 0.5
        counts = np.diff(np.append(self.first_frames, len(self.places)))
        centres[self.filled] = np.add.reduceat(self.places, self.first_frames) / counts
        frames = np.empty((len(self.places), values.shape[1]), dtype=np.float32)
        for column in range(values.shape[1]):
            frames[:, column] = np.interp(self.places, centres, values[:, column])
        return frames
