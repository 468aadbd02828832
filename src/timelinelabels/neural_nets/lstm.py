"""The guide's temporal network: a bidirectional LSTM over reduced features."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from timelinelabels.neural_nets.base import Array, BaseNN
from timelinelabels.neural_nets.dropout import Dropout
from timelinelabels.neural_nets.fitting import Fit, partial_fit
from timelinelabels.neural_nets.windows import window_starts

PREDICT_ROWS = 8192  # rows reduced at once in `predict`: bounds memory whatever the length


class MultiLabelLSTM(BaseNN):
    """Fully connected → layer norm → dropout → bidirectional LSTM → a logit for each label.

    Where several labels may hold at once, each has its own sigmoid and binary cross-entropy.

    Args:
        input_size: leading numbers of a row (a frame, or a step of time) that are read.
        output_size: C, number of labels.
        hidden_size: size of the LSTM state in each direction.
        num_layers: LSTM layers.
        sequence_size: rows in a training sequence; a window is `window_sequences` of them.
        dropout: share of reduced features dropped in training.
        input_dropout: share of the inputs dropped in training.
        exclusive: whether at most one label holds at a time.
    """

    window_sequences = 4

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        hidden_size: int = 32,
        num_layers: int = 1,
        sequence_size: int = 16,
        dropout: float = 0.4,
        input_dropout: float = 0.2,
        exclusive: bool = False,
    ) -> None:
        super().__init__(
            input_size=input_size,
            output_size=output_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            sequence_size=sequence_size,
            dropout=dropout,
            input_dropout=input_dropout,
            exclusive=exclusive,
        )
        self.output_size = output_size
        reduced = 2 * hidden_size
        self.input_dropout = Dropout(input_dropout)
        self.fc_input = nn.Linear(input_size, reduced)
        self.layer_norm = nn.LayerNorm(reduced)
        self.dropout = Dropout(dropout)
        self.lstm = nn.LSTM(
            reduced, hidden_size, num_layers=num_layers, batch_first=True, bidirectional=True
        )
        self.fc_output = nn.Linear(2 * hidden_size, output_size)

    def reduce(self, features: Tensor) -> Tensor:
        """Features (..., D) → what the LSTM reads (..., 2 · hidden_size), row by row."""
        reduced = self.layer_norm(self.fc_input(self.input_dropout(self.reads(features).float())))
        return cast(Tensor, self.dropout(torch.relu(reduced)))

    def relate(self, reduced: Tensor, mask: Tensor | None = None) -> Tensor:
        """Reduced features (B, T, R) → logits (B, T, C); frames outside `mask` have no influence."""
        if mask is None or bool(mask.all()):
            related, _ = self.lstm(reduced)
        else:
            related = self._within(reduced, mask)
        return cast(Tensor, self.fc_output(self.dropout(related)))

    def _within(self, values: Tensor, mask: Tensor) -> Tensor:
        """What the LSTM says of sequences that end where their mask (B, T) does; zeros after that.

        The way back must begin at a sequence's own end: each is mirrored within its length, so that it
        begins at the first row, too. Packed sequences give the same and leave the fast code of oneDNN.
        """
        places, lengths = torch.arange(mask.shape[1]), mask.sum(1, keepdim=True)
        mirrored = torch.where(places < lengths, lengths - 1 - places, places)[..., None]
        nothing = values.new_zeros(1, len(values), self.lstm.hidden_size)
        for layer in range(self.lstm.num_layers):
            ways = []
            for suffix in ("", "_reverse"):
                weights = [
                    getattr(self.lstm, f"{name}_l{layer}{suffix}")
                    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                ]
                given = values.gather(1, mirrored.expand_as(values)) if suffix else values
                said = torch.lstm(
                    given, (nothing, nothing), weights, True, 1, 0.0, self.training, False, True
                )[0]
                ways.append(said.gather(1, mirrored.expand_as(said)) if suffix else said)
            values = torch.cat(ways, dim=2) * mask[..., None]
        return values

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits (B, T, C) of features (B, T, D).

        Args:
            features: windows of frames, padded at the end.
            mask: (B, T) bool, True for real frames; None means that all are real.
        """
        return self.relate(self.reduce(features), mask)

    def preprocess_sequence(
        self, sequence: Array, labels: Array | None = None, overlap: int = 2
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Cut a video into windows of `sequence_size` frames, the last one padded with zeros.

        Args:
            sequence: (T, D) features, T ≥ 1.
            labels: (T, C) targets, or None.
            overlap: frames that a window shares with the one before it.

        Returns:
            Windows (N, S, D), their targets (N, S, C) or None, and the mask (N, S) of real frames.
        """
        starts = window_starts(len(sequence), self.sequence_size, overlap)
        rows = np.asarray(starts)[:, None] + np.arange(self.sequence_size)[None, :]
        mask = rows < len(sequence)
        rows = np.where(mask, rows, 0)
        windows = torch.from_numpy(np.asarray(sequence)[rows]).float()
        windows[~torch.from_numpy(mask)] = 0.0
        targets = None
        if labels is not None:
            targets = torch.from_numpy(np.asarray(labels, dtype=np.float32)[rows])
            targets[~torch.from_numpy(mask)] = 0.0
        return windows, targets, torch.from_numpy(mask)

    def partial_fit(
        self, sequence: Array | Sequence[Array], labels: Array | Sequence[Array], **options: Any
    ) -> Fit:
        """Train on from the present weights (a warm start); see `fitting.partial_fit` for options."""
        return partial_fit(self, sequence, labels, **options)

    @torch.inference_mode()
    def predict(self, sequence: Array) -> npt.NDArray[np.float32]:
        """Probabilities (T, C) of features (T, D).

        Windows overlap by half; a frame's probability is the mean over its windows, weighted towards
        their middle, where the LSTM has seen both the past and the future.
        """
        if self.training:  # eval() walks over every part: a third of a short prediction
            self.eval()
        length, size = len(sequence), self.window_size
        if length == 0:
            return np.zeros((0, self.output_size), dtype=np.float32)
        reduced = torch.cat(
            [
                self.reduce(torch.from_numpy(np.array(sequence[at : at + PREDICT_ROWS])))
                for at in range(0, length, PREDICT_ROWS)
            ]
        )
        if length <= size:
            return np.asarray(self.probabilities(self.relate(reduced[None]))[0].numpy())
        starts = torch.tensor(window_starts(length, size, size - max(1, size // 2), whole=True))
        weight = 1.0 - (torch.arange(size) - (size - 1) / 2).abs() / ((size + 1) / 2)
        total = torch.zeros(length, self.output_size)
        weights = torch.zeros(length, 1)
        for chunk in torch.split(starts, max(1, PREDICT_ROWS // size)):
            rows = chunk[:, None] + torch.arange(size)[None, :]
            values = self.probabilities(self.relate(reduced[rows])) * weight[None, :, None]
            total.index_add_(0, rows.flatten(), values.flatten(0, 1))
            weights.index_add_(0, rows.flatten(), weight.repeat(len(chunk))[:, None])
        return np.asarray((total / weights).clamp(0, 1).numpy())
