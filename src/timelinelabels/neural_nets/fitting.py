"""The one training loop: `partial_fit` trains a temporal network on windows of many videos.

AdamW on the binary cross-entropy of each label (where labels exclude each other: on the cross-entropy over
all of them and "no label"), in which a rare label's positives weigh more, and on the truncated mean squared
error between neighbouring rows that MS-TCN smooths with (Abu Farha and Gall, CVPR 2019).
The weights that are kept are a running mean of the last updates' (Polyak and Juditsky, 1992): they are
better than any single update's, so training can stop at any moment.

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
from timelinelabels.neural_nets.base import Array, BaseNN, with_no_label
from timelinelabels.neural_nets.dropout import forget_dropout, seed_dropout
from timelinelabels.neural_nets.random_windows import RandomWindows
from timelinelabels.neural_nets.running_mean import RunningMean

EpochHook = Callable[[int, FrameScores], None]

UPDATES = 80  # of the weights; more are no better (docs/decisions/0010)
PATIENCE = 40  # updates without a better F1 after which training ends
JUDGED_EVERY = 8  # updates, at least, from one look at unseen videos to the next
WARM_UP = 20  # updates over which the learning rate rises
MAX_POSITIVE_WEIGHT = 10.0
SMOOTHING = 0.15  # weight of the smoothing loss, and the step in log probability at which it is cut
TRUNCATED_AT = 4.0
EXCLUSIVE_SCALE = 0.5  # of a cross-entropy over all labels, beside the smoothing loss
LARGEST_GRADIENT = 1.0


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What one call of `partial_fit` did."""

    # Begun passes over the data, and updates of the weights; of a forest, its trees.
    epochs: int
    updates: int
    # Of the last whole epoch: on the unseen videos, or else on the windows that were trained on.
    scores: FrameScores
    # "f1", "accuracy", "patience", "epochs", "updates" or "time"; "trees" of a forest that is whole.
    stopped_by: str


@dataclass(frozen=True, kw_only=True)
class Videos:
    """Several videos as a network reads them: lists of arrays, one of each for a video."""

    # (T, D) features and (T, C) targets in 0..1.
    sequences: Sequence[Array]
    targets: Sequence[Array]
    # (T,) rows that say something about labels; None: all.
    judged: Sequence[npt.NDArray[np.bool_]] | None = None

    def scores_of(self, network: BaseNN) -> FrameScores:
        """How well a network predicts them at a threshold of one half."""
        said = np.concatenate([network.predict(sequence) for sequence in self.sequences]) >= 0.5
        true = np.concatenate(list(self.targets)) >= 0.5
        if self.judged is not None:
            counted = np.concatenate(list(self.judged))
            said, true = said[counted], true[counted]
        return frame_scores(said, true)


def positive_weights(
    labels: Sequence[Array], judged: Sequence[npt.NDArray[np.bool_]] | None = None
) -> Tensor:
    """(C,): √(negatives / positives) of each label over all rows that are judged, within 1 … 10.

    The square root is a compromise: the full ratio makes rare labels fire everywhere.
    """
    if judged is not None:
        labels = [array[mask] for array, mask in zip(labels, judged, strict=True)]
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
    unseen: Videos | None = None,
    patience: int = PATIENCE,
    learning_rate: float = 5e-3,
    weight_decay: float = 1e-2,
    f1_threshold: float | None = 0.95,
    accuracy_threshold: float | None = 1.0,
    deadline: float | None = None,
    seed: int = 0,
    on_epoch: EpochHook | None = None,
) -> Fit:
    """Train on from the present weights (a warm start).

    An epoch is as many random windows as have the rows of all videos together. After each one (or
    after several that take `JUDGED_EVERY` updates) the network is scored on `unseen`; without it, the
    predictions that were made on the epoch's windows are. Training ends where the F1 or the accuracy
    reaches its threshold, or where the F1 has not risen for `patience` updates; at the latest after
    `epochs` or `updates`, whatever comes first.

    Args:
        network: changed in place.
        sequence: (T, D) features of one video, or a list of such arrays.
        labels: (T, C) targets in 0..1, or a list of such arrays.
        judged: (T,) bool of each video: rows that say something about labels; None: all.
        epochs: most passes over the data.
        updates: most updates of the weights.
        unseen: videos that are not learned from, to judge by when to stop.
        patience: updates without a higher F1 after which training ends; they count from the first
            epoch on in which anything was found.
        learning_rate: of AdamW (Loshchilov and Hutter, 2019), which also applies `weight_decay`.
        weight_decay: strength of the L2-like regularisation.
        f1_threshold: F1 that is enough; None: none is.
        accuracy_threshold: accuracy that is enough; None: none is.
        deadline: `time.monotonic()` at which training ends with what it has.
        seed: of the windows and the dropout.
        on_epoch: called with the number of epochs done and the last scores.

    Raises:
        ValueError: the arrays do not belong together.
    """
    sequences, targets = _as_list(sequence), _as_list(labels)
    if not sequences or [len(item) for item in sequences] != [len(item) for item in targets]:
        raise ValueError("features and targets must be equally long lists of equally long arrays")
    if not any(map(len, sequences)):
        raise ValueError("there is nothing to learn from: all arrays are empty")
    windows = RandomWindows(sequences, targets, judged, network.window_size, seed)
    parameters = list(network.parameters())
    optimizer = torch.optim.AdamW(
        parameters, lr=learning_rate, weight_decay=weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda update: min(1.0, (update + 1) / WARM_UP)
    )
    weight, mean = positive_weights(targets, judged), RunningMean(network)
    seed_dropout(network, seed)
    network.train()
    planned = min(updates, epochs * windows.updates_an_epoch)
    stopped_by = "updates" if planned == updates else "epochs"
    epoch, update, scores = 0, 0, FrameScores(f1=0.0, accuracy=0.0)
    rule = _StopRule(f1_threshold, accuracy_threshold, patience)
    judged_at = 0
    said: list[Tensor] = []
    true: list[Tensor] = []
    for update in range(1, planned + 1):
        features, wanted, valid, counted = windows.batch()
        stages = network.stages(features, valid)
        optimizer.zero_grad()
        loss = _loss(stages, wanted, counted, weight, exclusive=network.exclusive)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, LARGEST_GRADIENT)
        optimizer.step()
        schedule.step()
        mean.add(update)
        if unseen is None:
            said.append(network.probabilities(stages[-1].detach()[counted]) >= 0.5)
            true.append(wanted[counted] >= 0.5)
        if update % windows.updates_an_epoch == 0 or update == planned:
            epoch += 1
            if unseen is None:
                scores, judged_at = frame_scores(torch.cat(said), torch.cat(true)), update
            elif update - judged_at >= JUDGED_EVERY or update == planned:
                scores, judged_at = unseen.scores_of(mean.network), update
            said, true = [], []
            if on_epoch is not None:
                on_epoch(epoch, scores)
            if (enough := rule.says(scores, judged_at, now=update)) is not None:
                stopped_by = enough
                break
        if deadline is not None and time.monotonic() >= deadline:
            stopped_by = "time"
            break
    mean.replace_weights()
    forget_dropout(network)
    network.eval()
    return Fit(epochs=max(epoch, 1), updates=update, scores=scores, stopped_by=stopped_by)


@dataclass
class _StopRule:
    """Says when scores are good enough, or have not risen for too long."""

    f1_threshold: float | None
    accuracy_threshold: float | None
    patience: int
    best: float = 0.0
    best_at: int = 0

    def says(self, scores: FrameScores, judged_at: int, *, now: int) -> str | None:
        """What ends the training at update `now`; None: nothing yet.

        Args:
            scores: the last ones.
            judged_at: the update after which they were found.
            now: the update.
        """
        if scores.f1 > self.best or self.best == 0:
            self.best, self.best_at = scores.f1, judged_at
        if self.f1_threshold is not None and scores.f1 >= self.f1_threshold:
            return "f1"
        if self.accuracy_threshold is not None and scores.accuracy >= self.accuracy_threshold:
            return "accuracy"
        return "patience" if now - self.best_at >= self.patience else None


def _as_list(arrays: Array | Sequence[Array]) -> list[Array]:
    return [arrays] if isinstance(arrays, np.ndarray) else list(arrays)


def _loss(
    stages: Sequence[Tensor], wanted: Tensor, counted: Tensor, weight: Tensor, *, exclusive: bool
) -> Tensor:
    """The loss of all stages over the rows of the mask `counted` (B, T)."""
    weights = counted[..., None].to(wanted.dtype)
    both = weights[:, 1:] * weights[:, :-1]
    # Where no row of the windows counts, the loss is 0, not a division by 0.
    rows = weights.sum().clamp(min=1)
    pairs = both.sum().clamp(min=1) * wanted.shape[2]
    total = torch.zeros(())
    for logits in stages:
        if exclusive:
            shares = with_no_label(logits).log_softmax(dim=-1)
            nothing = (1 - wanted.sum(dim=-1, keepdim=True)).clamp(min=0)
            wrong = -(torch.cat([nothing, wanted * weight], dim=-1) * shares * weights).sum()
            total = total + EXCLUSIVE_SCALE * wrong / rows
            said = shares[..., 1:]
        else:
            wrong = functional.binary_cross_entropy_with_logits(
                logits, wanted, weight=weights, pos_weight=weight, reduction="sum"
            )
            total = total + wrong / (rows * wanted.shape[2])
            said = functional.logsigmoid(logits)
        step = (said[:, 1:] - said[:, :-1].detach()).square().clamp(max=TRUNCATED_AT**2)
        total = total + SMOOTHING * (step * both).sum() / pairs
    return total
