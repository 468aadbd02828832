"""A multi-stage temporal convolutional network for labels that may hold at once."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from timelinelabels.neural_nets.base import Array, BaseNN
from timelinelabels.neural_nets.dropout import Dropout

LAYERS = 8  # of one stage; the last sees 2 · (2⁸ - 1) + 1 = 511 rows


class MultiStageTCN(BaseNN):
    """Dilated residual convolutions, and stages that refine the probabilities of the stage before.

    After MS-TCN (Abu Farha and Gall, "MS-TCN: Multi-Stage Temporal Convolutional Network for Action
    Segmentation", CVPR 2019), with a sigmoid for each label where several may hold at once.

    Args:
        input_size: leading numbers of a row that are read.
        output_size: C, number of labels.
        hidden_size: channels of the convolutions.
        num_layers: stages of refinement after the first stage.
        sequence_size: rows in a training sequence.
        dropout: share of a layer's output dropped in training.
        input_dropout: share of the inputs dropped in training.
        exclusive: whether at most one label holds at a time.
    """

    window_sequences = 16

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        hidden_size: int = 32,
        num_layers: int = 1,
        sequence_size: int = 16,
        dropout: float = 0.3,
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
        self.input_dropout = Dropout(input_dropout)
        self.first = _Stage(input_size, hidden_size, output_size, dropout)
        self.refinements = nn.ModuleList(
            _Stage(output_size, hidden_size, output_size, dropout) for _ in range(num_layers)
        )

    def stages(self, features: Tensor, mask: Tensor | None = None) -> Sequence[Tensor]:
        """Logits (B, T, C) of each stage."""
        if mask is None:
            mask = torch.ones(features.shape[:2], dtype=torch.bool)
        valid = mask[..., None].to(features.dtype)
        logits = self.first(self.input_dropout(self.reads(features) * valid), valid)
        every = [logits]
        for stage in self.refinements:
            logits = stage(self.probabilities(logits) * valid, valid)
            every.append(logits)
        return every

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits (B, T, C) of features (B, T, D); rows outside mask (B, T) have no influence."""
        return self.stages(features, mask)[-1]

    @torch.inference_mode()
    def predict(self, sequence: Array) -> npt.NDArray[np.float32]:
        """Probabilities (T, C) of features (T, D), in one pass: memory grows with T · hidden_size."""
        if self.training:  # eval() walks over every part: a third of a short prediction
            self.eval()
        if len(sequence) == 0:
            return np.zeros((0, self.output_size), dtype=np.float32)
        features = torch.from_numpy(np.asarray(sequence, dtype=np.float32))[None]
        return np.asarray(self.probabilities(self(features))[0].numpy())


class _Stage(nn.Module):
    """(B, T, inputs) → logits (B, T, outputs)."""

    def __init__(self, inputs: int, channels: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.enter = nn.Conv1d(inputs, channels, 1)
        self.layers = nn.ModuleList(
            _DilatedResidual(channels, 2**depth, dropout) for depth in range(LAYERS)
        )
        self.leave = nn.Conv1d(channels, outputs, 1)

    def forward(self, values: Tensor, valid: Tensor) -> Tensor:
        hidden = pointwise(self.enter, values) * valid
        for layer in self.layers:
            hidden = layer(hidden, valid)
        return pointwise(self.leave, hidden) * valid


class _DilatedResidual(nn.Module):
    """A convolution over three rows that lie `dilation` apart, added to its input."""

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.dilated = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.mixed = nn.Conv1d(channels, channels, 1)
        self.dropout = Dropout(dropout)

    def forward(self, values: Tensor, valid: Tensor) -> Tensor:
        hidden = torch.relu(three_taps(self.dilated, values))
        change = self.dropout(pointwise(self.mixed, hidden))
        return cast(Tensor, (values + change) * valid)


# Of so few channels, torch's convolution takes longer to arrange its data than to compute. Both functions
# are `convolution(values.transpose(1, 2)).transpose(1, 2)` as one product of matrices.


def pointwise(convolution: nn.Conv1d, values: Tensor) -> Tensor:
    """A convolution of one tap over (B, T, inputs) → (B, T, outputs)."""
    return functional.linear(values, convolution.weight[:, :, 0], convolution.bias)


def three_taps(convolution: nn.Conv1d, values: Tensor) -> Tensor:
    """A dilated convolution of three taps over (B, T, inputs) → (B, T, outputs)."""
    apart, rows = convolution.dilation[0], values.shape[1]
    padded = functional.pad(values, (0, 0, apart, apart))
    taps = torch.cat([padded[:, :rows], values, padded[:, 2 * apart :]], dim=2)
    return functional.linear(taps, convolution.weight.permute(0, 2, 1).flatten(1), convolution.bias)
