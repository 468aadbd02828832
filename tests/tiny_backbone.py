"""A second, complete implementation of the Backbone protocol: the mean colour of each grid cell.

Small enough to reason about (a feature is a colour that can be read off the picture), and a real
backbone all the same: it has weights (the class colours), a fingerprint, a preprocessing.
"""

import hashlib
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from timelinelabels.backbones.base import Preprocessing

CLASSES = {"black": (0, 0, 0), "grey": (128, 128, 128), "white": (255, 255, 255)}


class TinyBackbone:
    """Mean colours of a `grid` × `grid` picture, scaled to `gain`; classes by nearest grey.

    Args:
        grid: cells per side; D = 3 · grid².
        gain: what a full-scale colour becomes.
        log: a file that gets a line (the number of frames) for every call of `embed`.
        seconds: how long a call of `embed` takes at least.
    """

    name = "tiny"
    class_names = tuple(CLASSES)
    batch_frames = 16
    device = "cpu"

    def __init__(
        self, *, grid: int = 4, gain: float = 1.0, log: Path | None = None, seconds: float = 0.0
    ) -> None:
        self.grid = grid
        self.gain = gain
        self.feature_dim = 3 * grid * grid
        self.fingerprint = hashlib.sha256(f"tiny {grid} {gain}".encode()).hexdigest()
        side = 8 * grid
        self.preprocessing = Preprocessing(
            resize=side, crop=(side, side), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
        )
        self._log = log
        self._seconds = seconds

    def warm_up(self) -> None:
        """There is nothing to build."""

    def embed(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        n, height, width, _ = frames.shape
        assert (height, width) == self.preprocessing.crop
        if self._log is not None:
            with self._log.open("a") as file:
                file.write(f"{n}\n")
        time.sleep(self._seconds)
        cells = frames.reshape(n, self.grid, 8, self.grid, 8, 3).mean(axis=(2, 4))
        return (cells.reshape(n, -1) * (self.gain / 255)).astype(np.float32)

    def class_probabilities(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        colours = features.astype(np.float32).reshape(len(features), -1, 3).mean(axis=1) / self.gain
        prototypes = np.array(list(CLASSES.values()), np.float32) / 255
        logits = -((colours[:, None] - prototypes) ** 2).sum(axis=2) * 20
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
