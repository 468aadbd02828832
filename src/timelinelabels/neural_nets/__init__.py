"""Temporal networks: features (B, T, D) → logits (B, T, C).

`BaseNN` is the contract; `MultiLabelLSTM` is the guide's network; `partial_fit` is the one training
loop.
"""

from timelinelabels.neural_nets.base import BaseNN
from timelinelabels.neural_nets.fitting import Fit, partial_fit
from timelinelabels.neural_nets.lstm import MultiLabelLSTM

__all__ = ["BaseNN", "Fit", "MultiLabelLSTM", "partial_fit"]
