"""The one training loop: `partial_fit` trains a temporal network on windows of many videos.

Adam with weight decay on the masked binary cross-entropy; a rare label's positives weigh more. The
frames of a memory-mapped feature file are read window by window, so memory does not grow with the
number of videos. Random numbers come from generators of their own and the number of threads is fixed,
so that equal data give equal weights.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from timelinelabels.metrics import FrameScores, frame_scores
from timelinelabels.neural_nets.base import Array, BaseNN
from timelinelabels.neural_nets.windows import window_starts

EpochHook = Callable[[int, FrameScores | None], None]

THREADS = 1  # the networks are small: more threads cost more in waiting than they give
PATIENCE = 12  # epochs without a better monitored F1
MAX_POSITIVE_WEIGHT = 10.0


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What one call of `partial_fit` did."""

    # Epochs of training that the kept weights have seen.
    epochs: int
    # Scores of the kept weights on the monitored videos; None where nothing was monitored.
    scores: FrameScores | None
    # "f1", "accuracy", "patience" or "epochs".
    stopped_by: str


def _as_list(arrays: Array | Sequence[Array]) -> list[Array]:
    return [arrays] if isinstance(arrays, np.ndarray) else list(arrays)


@contextmanager
def _fixed_threads_and_seed(seed: int) -> Iterator[None]:
    """One seed and THREADS threads inside; the caller's are put back after."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(THREADS)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def positive_weights(labels: Sequence[Array]) -> Tensor:
    """(C,): √(negatives / positives) of each label over all frames, within 1 … 10.

    The square root is a compromise: the full ratio makes rare labels fire everywhere.
    """
    positives = np.sum([array.sum(axis=0, dtype=np.float64) for array in labels], axis=0)
    frames = sum(len(array) for array in labels)
    ratio = np.sqrt((frames - positives) / np.maximum(positives, 1.0))
    return torch.from_numpy(np.clip(ratio, 1.0, MAX_POSITIVE_WEIGHT)).float()


class _Windows:
    """Windows of many videos, gathered batch by batch from (possibly memory-mapped) arrays."""

    def __init__(self, sequences: list[Array], labels: list[Array], size: int, overlap: int):
        self.sequences, self.labels, self.size = sequences, labels, size
        self.index = [
            (video, start)
            for video, sequence in enumerate(sequences)
            for start in window_starts(len(sequence), size, overlap)
        ]

    def batch(self, chosen: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, S, D), targets (B, S, C), mask (B, S)."""
        width, columns = self.sequences[0].shape[1], self.labels[0].shape[1]
        features = np.zeros((len(chosen), self.size, width), dtype=np.float32)
        targets = np.zeros((len(chosen), self.size, columns), dtype=np.float32)
        mask = np.zeros((len(chosen), self.size), dtype=bool)
        for row, window in enumerate(chosen):
            video, start = self.index[window]
            part = self.sequences[video][start : start + self.size]
            features[row, : len(part)] = part
            targets[row, : len(part)] = self.labels[video][start : start + self.size]
            mask[row, : len(part)] = True
        return torch.from_numpy(features), torch.from_numpy(targets), torch.from_numpy(mask)


def partial_fit(
    network: BaseNN,
    sequence: Array | Sequence[Array],
    labels: Array | Sequence[Array],
    *,
    validation: tuple[Sequence[Array], Sequence[Array]] | None = None,
    monitor: bool = True,
    epochs: int = 1000,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
    weight_decay: float = 1e-2,
    f1_threshold: float = 0.95,
    accuracy_threshold: float = 1.0,
    patience: int | None = PATIENCE,
    overlap: int = 2,
    seed: int = 0,
    on_epoch: EpochHook | None = None,
) -> Fit:
    """Train on from the present weights.

    After each epoch the network is scored on the monitored videos: those of `validation`, or the
    training videos where there are none. Training ends when the monitored F1 or accuracy reaches its
    threshold, when F1 has not improved for `patience` epochs, or after `epochs`; the weights of the
    best epoch are kept.

    Args:
        network: changed in place.
        sequence: (T, D) features of one video, or a list of such arrays.
        labels: (T, C) targets, or a list of such arrays.
        validation: features and targets of videos that are not trained on.
        monitor: False trains for exactly `epochs` and scores nothing.
        epochs: most passes over the data.
        batch_size: windows in a step.
        learning_rate: of AdamW (Loshchilov and Hutter, 2019), which also applies `weight_decay`.
        weight_decay: strength of the L2-like regularisation.
        f1_threshold: monitored F1 that is enough.
        accuracy_threshold: monitored accuracy that is enough.
        patience: epochs without improvement; None never stops for it.
        overlap: frames shared by neighbouring windows.
        seed: of shuffling, dropout.
        on_epoch: called with the number of epochs done and the monitored scores.

    Raises:
        ValueError: the arrays do not belong together.
    """
    sequences, targets = _as_list(sequence), _as_list(labels)
    if not sequences or [len(item) for item in sequences] != [len(item) for item in targets]:
        raise ValueError("features and targets must be equally long lists of equally long arrays")
    windows = _Windows(sequences, targets, network.sequence_size, overlap)
    monitored = validation or (sequences, targets)
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay)
    weight = positive_weights(targets)
    order = np.random.default_rng(seed)
    best = _Best(network)
    stopped_by, epoch = "epochs", 0
    with _fixed_threads_and_seed(seed):
        for epoch in range(1, epochs + 1):
            network.train()
            shuffled = order.permutation(len(windows.index))
            for at in range(0, len(shuffled), batch_size):
                features, wanted, mask = windows.batch(shuffled[at : at + batch_size].tolist())
                loss = functional.binary_cross_entropy_with_logits(
                    network(features, mask)[mask], wanted[mask], pos_weight=weight
                )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
            scores = score(network, *monitored) if monitor else None
            best.offer(network, epoch, scores)
            if on_epoch is not None:
                on_epoch(epoch, scores)
            if scores is None:
                continue
            if scores.f1 >= f1_threshold:
                stopped_by = "f1"
                break
            if scores.accuracy >= accuracy_threshold:
                stopped_by = "accuracy"
                break
            if patience is not None and epoch - best.epoch >= patience:
                stopped_by = "patience"
                break
    network.load_state_dict(best.weights)
    network.eval()
    return Fit(epochs=best.epoch, scores=best.scores, stopped_by=stopped_by)


class _Best:
    """The weights with the highest monitored F1 (then accuracy) so far; unmonitored, the last ones."""

    def __init__(self, network: BaseNN) -> None:
        self.epoch = 0
        self.scores: FrameScores | None = None
        self.weights = self._copy(network)

    @staticmethod
    def _copy(network: BaseNN) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in network.state_dict().items()}

    def offer(self, network: BaseNN, epoch: int, scores: FrameScores | None) -> None:
        if (
            scores is None
            or self.scores is None
            or (scores.f1, scores.accuracy) > (self.scores.f1, self.scores.accuracy)
        ):
            self.epoch, self.scores, self.weights = epoch, scores, self._copy(network)


def score(network: BaseNN, sequences: Sequence[Array], labels: Sequence[Array]) -> FrameScores:
    """Frame scores at threshold 0.5 of the network on whole videos."""
    predicted = [torch.from_numpy(network.predict(sequence) >= 0.5) for sequence in sequences]
    wanted = [torch.from_numpy(np.asarray(array) >= 0.5) for array in labels]
    return frame_scores(torch.cat(predicted), torch.cat(wanted))
