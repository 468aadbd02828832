"""Training windows: random cuts of many videos, in batches."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from timelinelabels.neural_nets.base import Array

BATCH_ROWS = 1024  # rows in an update


class RandomWindows:
    """Random windows of many videos; each moment that is judged is as likely as any other.

    What lies around it is seen as well: a network reads what it is not judged by.
    """

    def __init__(
        self,
        sequences: list[Array],
        targets: list[Array],
        judged: Sequence[npt.NDArray[np.bool_]] | None,
        size: int,
        seed: int,
    ) -> None:
        lengths = np.array([len(sequence) for sequence in sequences])
        # (V, 2): the first row that is judged, and the one after the last.
        self._spans = np.stack([np.zeros_like(lengths), lengths], axis=1)
        if judged is not None and any(mask.any() for mask in judged):
            self._spans = np.array([_span(mask) for mask in judged])
        spans = self._spans[:, 1] - self._spans[:, 0]
        self._sequences, self._targets, self._judged = sequences, targets, judged
        self._size = int(min(size, lengths.max()))
        self._count = max(1, BATCH_ROWS // self._size)
        self._share = spans / spans.sum()
        self._random = np.random.default_rng(seed)
        self.updates_an_epoch = int(max(1, -(-spans.sum() // (self._count * self._size))))

    def batch(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features (B, S, D), targets (B, S, C), and masks (B, S): real rows, rows that count."""
        shape = (self._count, self._size)
        features = np.zeros((*shape, self._sequences[0].shape[1]), dtype=np.float32)
        targets = np.zeros((*shape, self._targets[0].shape[1]), dtype=np.float32)
        valid, counted = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        for row, video in enumerate(
            self._random.choice(len(self._share), self._count, p=self._share)
        ):
            length, half = len(self._sequences[video]), self._size // 2
            begin, end = self._spans[video]
            # Windows may reach over both ends, so that the ends are seen as often as the middle.
            start = int(self._random.integers(begin - half, max(end - half, begin + 1)))
            first, last = max(start, 0), min(start + self._size, length)
            rows = slice(0, last - first)
            features[row, rows] = self._sequences[video][first:last]
            targets[row, rows] = self._targets[video][first:last]
            valid[row, rows] = True
            counted[row, rows] = True if self._judged is None else self._judged[video][first:last]
        return (
            torch.from_numpy(features),
            torch.from_numpy(targets),
            torch.from_numpy(valid),
            torch.from_numpy(counted),
        )


def _span(mask: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """From the first row of a mask (T,) to the one after the last; (0, 0) where there is none."""
    rows = np.flatnonzero(mask)
    return (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
