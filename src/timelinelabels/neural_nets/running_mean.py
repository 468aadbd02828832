"""The running mean of a network's weights over its updates (Polyak and Juditsky, 1992)."""

import copy

import torch

from timelinelabels.neural_nets.base import BaseNN

MEAN_OF_LAST = 0.9  # share of the running mean that an update leaves as it is


class RunningMean:
    """A copy of a network whose weights are the exponentially weighted mean over the updates."""

    def __init__(self, network: BaseNN) -> None:
        # A copy of the network, with the mean of its weights.
        self.network = copy.deepcopy(network).eval()
        self._weights = list(network.parameters())
        self._means = list(self.network.parameters())

    @torch.no_grad()
    def add(self, update: int) -> None:
        """Take in the network's weights after that update, counted from 1."""
        # At first the mean forgets faster: the initial weights are nobody's.
        keep = min(MEAN_OF_LAST, update / (update + 10))
        for mean, weight in zip(self._means, self._weights, strict=True):
            mean.lerp_(weight, 1 - keep)

    @torch.no_grad()
    def replace_weights(self) -> None:
        """Give the network the mean in place of its last weights."""
        for mean, weight in zip(self._means, self._weights, strict=True):
            weight.copy_(mean)
