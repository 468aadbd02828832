"""Temporal networks: features (B, T, D) → logits (B, T, C).

`BaseNN` is the contract; `MultiLabelLSTM` is the guide's network and `MultiStageTCN` its sibling;
`partial_fit` is the one training loop.
"""

from timelinelabels.neural_nets.base import BaseNN
from timelinelabels.neural_nets.fitting import Fit, Videos, partial_fit
from timelinelabels.neural_nets.lstm import MultiLabelLSTM
from timelinelabels.neural_nets.tcn import MultiStageTCN

__all__ = ["BaseNN", "Fit", "MultiLabelLSTM", "MultiStageTCN", "Videos", "partial_fit"]
