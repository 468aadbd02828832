"""The running mean of a network's weights over its updates (Polyak and Juditsky, 1992)."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from timelinelabels.neural_nets.base import BaseNN

MEAN_OF_LAST = 0.9  # share of the running mean that an update leaves as it is


class RunningMean:
    """A copy of a network whose weights are the exponentially weighted mean over the updates."""

    def __init__(self, network: BaseNN) -> None:
        self.network = copy.deepcopy(network).eval()

    def add(self, network: BaseNN, update: int) -> None:
        """Take in the weights after that update, counted from 1."""
        # At first the mean forgets faster: the initial weights are nobody's.
        keep = min(MEAN_OF_LAST, update / (update + 10))
        with torch.no_grad():
            for mean, parameter in self._pairs(network):
                mean.lerp_(parameter, 1 - keep)

    def give_to(self, network: BaseNN) -> None:
        """Replace a network's weights by their mean."""
        with torch.no_grad():
            for mean, parameter in self._pairs(network):
                parameter.copy_(mean)

    def _pairs(self, network: BaseNN) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(self.network.parameters(), network.parameters(), strict=True)
