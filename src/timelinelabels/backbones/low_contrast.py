"""Pictures of little contrast, which bfloat16 does not tell apart well, computed in float32.

In the dark, through a covered lens or during a fade, what little a picture shows is small beside the
constants that the layers add, and bfloat16 keeps 8 bits of the sum. Of a recording by night (standard
deviation 9 to 20 grey levels) features came down to a cosine of 0.993 with float32; from a standard
deviation of 20 on, the least of 2,727 frames of real recordings was 0.9994 (`benchmarks/precision.py`
tells of yours).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from timelinelabels.backbones.base import FeatureNetwork

LOW_CONTRAST = 20.0
"""Standard deviation of a picture's green, in grey levels, below which it is computed in float32."""

_EVERY = 8  # row and column is looked at: contrast needs no more, and costs 10 µs a picture


def contrast(frames: NDArray[np.uint8]) -> NDArray[np.floating]:
    """(N,) standard deviations of the green of frames (N, H, W, 3), in grey levels."""
    deviations: NDArray[np.floating] = frames[:, ::_EVERY, ::_EVERY, 1].std(axis=(1, 2))
    return deviations


class ExactWhereDim:
    """A network for most pictures, and an exact one for those of little contrast; threads may share it.

    Args:
        usual: the network for most.
        build_exact: builds the other one, when the first such picture comes.
    """

    def __init__(self, usual: FeatureNetwork, build_exact: Callable[[], FeatureNetwork]) -> None:
        self.usual = usual
        self._build_exact = build_exact
        self._exact: FeatureNetwork | None = None
        self._building = threading.Lock()

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (N, D) of frames (N, H, W, 3)."""
        dim = contrast(frames) < LOW_CONTRAST
        if not dim.any():
            return self.usual(frames)
        exact = self._built()
        if dim.all():
            return exact(frames)
        by_exact, by_usual = exact(frames[dim]), self.usual(frames[~dim])
        features = np.empty((len(frames), by_usual.shape[1]), np.float32)
        features[dim], features[~dim] = by_exact, by_usual
        return features

    def _built(self) -> FeatureNetwork:
        with self._building:
            if self._exact is None:
                self._exact = self._build_exact()
            return self._exact
