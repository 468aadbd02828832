"""The one training loop: `partial_fit` trains a temporal network on windows of many videos.

AdamW on the binary cross-entropy of each label, in which a rare label's positives weigh more, and on
the truncated mean squared error between neighbouring rows that MS-TCN smooths with (Abu Farha and Gall,
CVPR 2019). The weights that are kept are a running mean of the last updates' (Polyak and Juditsky,
1992): they are better than any single update's, so training can stop at any moment.

Random numbers come from generators of their own, so that equal data give equal weights, in however many
threads networks are trained side by side.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from timelinelabels.metrics import FrameScores, frame_scores
from timelinelabels.neural_nets.base import Array, BaseNN
from timelinelabels.neural_nets.dropout import seed_dropout

EpochHook = Callable[[int, FrameScores], None]

UPDATES = 80  # of the weights; more are no better (docs/decisions/0010)
BATCH_ROWS = 1024  # rows in an update
WARM_UP = 20  # updates over which the learning rate rises
MAX_POSITIVE_WEIGHT = 10.0
SMOOTHING = 0.15  # weight of the smoothing loss, and the step in log probability at which it is cut
TRUNCATED_AT = 4.0
MEAN_OF_LAST = 0.9  # share of the running mean that an update leaves as it is
LARGEST_GRADIENT = 1.0


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What one call of `partial_fit` did."""

    # Begun passes over the data, and updates of the weights.
    epochs: int
    updates: int
    # Of the last whole epoch, on the windows that were trained on, while they were.
    scores: FrameScores
    # "f1", "accuracy", "epochs", "updates" or "time".
    stopped_by: str


def positive_weights(labels: Sequence[Array]) -> Tensor:
    """(C,): √(negatives / positives) of each label over all rows, within 1 … 10.

    The square root is a compromise: the full ratio makes rare labels fire everywhere.
    """
    positives = np.sum([array.sum(axis=0, dtype=np.float64) for array in labels], axis=0)
    rows = sum(len(array) for array in labels)
    ratio = np.sqrt((rows - positives) / np.maximum(positives, 1.0))
    return torch.from_numpy(np.clip(ratio, 1.0, MAX_POSITIVE_WEIGHT)).float()


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch computes each operation in one thread; the caller's number is put back after.

    The networks are small: more threads cost more in waiting for each other than they give.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@one_thread()
def partial_fit(
    network: BaseNN,
    sequence: Array | Sequence[Array],
    labels: Array | Sequence[Array],
    *,
    judged: Sequence[npt.NDArray[np.bool_]] | None = None,
    epochs: int = 1000,
    updates: int = UPDATES,
    learning_rate: float = 5e-3,
    weight_decay: float = 1e-2,
    f1_threshold: float = 0.95,
    accuracy_threshold: float = 1.0,
    deadline: float | None = None,
    seed: int = 0,
    on_epoch: EpochHook | None = None,
) -> Fit:
    """Train on from the present weights (a warm start).

    An epoch is as many random windows as have the rows of all videos together. After each one the
    predictions that were made on its windows are scored, and training ends where their F1 or accuracy
    reaches its threshold; at the latest after `epochs` or `updates`, whatever comes first.

    Args:
        network: changed in place.
        sequence: (T, D) features of one video, or a list of such arrays.
        labels: (T, C) targets in 0..1, or a list of such arrays.
        judged: (T,) bool of each video: rows that say something about labels; None: all.
        epochs: most passes over the data.
        updates: most updates of the weights.
        learning_rate: of AdamW (Loshchilov and Hutter, 2019), which also applies `weight_decay`.
        weight_decay: strength of the L2-like regularisation.
        f1_threshold: F1 on the training windows that is enough.
        accuracy_threshold: accuracy on the training windows that is enough.
        deadline: `time.monotonic()` at which training ends with what it has.
        seed: of the windows and the dropout.
        on_epoch: called with the number of epochs done and their last scores.

    Raises:
        ValueError: the arrays do not belong together.
    """
    sequences, targets = _as_list(sequence), _as_list(labels)
    if not sequences or [len(item) for item in sequences] != [len(item) for item in targets]:
        raise ValueError("features and targets must be equally long lists of equally long arrays")
    windows = _Windows(sequences, targets, judged, network.window_size, seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda update: min(1.0, (update + 1) / WARM_UP)
    )
    weight = positive_weights(targets)
    mean = _RunningMean(network)
    seed_dropout(network, seed)
    network.train()
    planned = min(updates, epochs * windows.updates_an_epoch)
    stopped_by = "updates" if planned == updates else "epochs"
    epoch, update, scores = 0, 0, FrameScores(f1=0.0, accuracy=0.0)
    said: list[Tensor] = []
    true: list[Tensor] = []
    for update in range(1, planned + 1):
        features, wanted, valid, counted = windows.batch()
        stages = network.stages(features, valid)
        optimizer.zero_grad(set_to_none=True)
        _loss(stages, wanted, counted, weight).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), LARGEST_GRADIENT)
        optimizer.step()
        schedule.step()
        mean.add(network, update)
        said.append(stages[-1].detach()[counted] >= 0)
        true.append(wanted[counted] >= 0.5)
        if update % windows.updates_an_epoch == 0 or update == planned:
            epoch += 1
            scores = frame_scores(torch.cat(said), torch.cat(true))
            said, true = [], []
            if on_epoch is not None:
                on_epoch(epoch, scores)
            if scores.f1 >= f1_threshold:
                stopped_by = "f1"
                break
            if scores.accuracy >= accuracy_threshold:
                stopped_by = "accuracy"
                break
        if deadline is not None and time.monotonic() >= deadline:
            stopped_by = "time"
            break
    mean.give_to(network)
    network.eval()
    return Fit(epochs=max(epoch, 1), updates=update, scores=scores, stopped_by=stopped_by)


def _as_list(arrays: Array | Sequence[Array]) -> list[Array]:
    return [arrays] if isinstance(arrays, np.ndarray) else list(arrays)


def _loss(stages: Sequence[Tensor], wanted: Tensor, counted: Tensor, weight: Tensor) -> Tensor:
    """The loss of all stages over the rows of the mask `counted` (B, T)."""
    both = (counted[:, 1:] & counted[:, :-1])[..., None]
    # Where no row of the windows counts, the loss is 0, not a division by 0.
    cells = counted.sum().clamp(min=1) * wanted.shape[2]
    pairs = both.sum().clamp(min=1) * wanted.shape[2]
    total = torch.zeros(())
    for logits in stages:
        wrong = functional.binary_cross_entropy_with_logits(
            logits[counted], wanted[counted], pos_weight=weight, reduction="sum"
        )
        total = total + wrong / cells
        now, before = functional.logsigmoid(logits[:, 1:]), functional.logsigmoid(logits[:, :-1])
        step = (now - before.detach()).square().clamp(max=TRUNCATED_AT**2)
        total = total + SMOOTHING * (step * both).sum() / pairs
    return total


class _Windows:
    """Random windows of many videos; each moment of every video is as likely as any other."""

    def __init__(
        self,
        sequences: list[Array],
        targets: list[Array],
        judged: Sequence[npt.NDArray[np.bool_]] | None,
        size: int,
        seed: int,
    ) -> None:
        lengths = np.array([len(sequence) for sequence in sequences])
        self._sequences, self._targets, self._judged = sequences, targets, judged
        self._size = int(min(size, lengths.max()))
        self._count = max(1, BATCH_ROWS // self._size)
        self._share = lengths / lengths.sum()
        self._random = np.random.default_rng(seed)
        self.updates_an_epoch = int(max(1, -(-lengths.sum() // (self._count * self._size))))

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
            # Windows may reach over both ends, so that the ends are seen as often as the middle.
            start = int(self._random.integers(-half, max(length - half, 1)))
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


class _RunningMean:
    """The exponentially weighted mean of a network's weights over its updates."""

    def __init__(self, network: BaseNN) -> None:
        self._mean = [parameter.detach().clone() for parameter in network.parameters()]

    def add(self, network: BaseNN, update: int) -> None:
        # At first the mean forgets faster: the initial weights are nobody's.
        keep = min(MEAN_OF_LAST, update / (update + 10))
        for mean, parameter in zip(self._mean, network.parameters(), strict=True):
            mean.lerp_(parameter.detach(), 1 - keep)

    def give_to(self, network: BaseNN) -> None:
        with torch.no_grad():
            for mean, parameter in zip(self._mean, network.parameters(), strict=True):
                parameter.copy_(mean)
