"""Temporal networks: features (B, T, D) → logits (B, T, C).

`BaseNN` is the contract; `MultiLabelLSTM` is the guide's network and `MultiStageTCN` its sibling;
`partial_fit` is their training loop. `ExtraTrees` keeps the same contract and grows in its own way.
"""

from timelinelabels.neural_nets.base import BaseNN
from timelinelabels.neural_nets.fitting import Fit, Videos, partial_fit
from timelinelabels.neural_nets.lstm import MultiLabelLSTM
from timelinelabels.neural_nets.tcn import MultiStageTCN
from timelinelabels.neural_nets.trees import ExtraTrees

__all__ = [
    "BaseNN",
    "ExtraTrees",
    "Fit",
    "MultiLabelLSTM",
    "MultiStageTCN",
    "Videos",
    "partial_fit",
]
