"""Dropout that draws from a generator of its own.

torch's dropout draws from one generator for the whole process, so two networks that train at the same
time in two threads would disturb each other and no training could be repeated.
"""

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Zeroes a share of the values in training and scales the others up.

    Args:
        share: of values that are zeroed, 0..1.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.generator: torch.Generator | None = None

    def forward(self, values: Tensor) -> Tensor:
        """The values as they are in evaluation, thinned out in training."""
        if not self.training or self.share == 0:
            return values
        keep = torch.empty_like(values).bernoulli_(1 - self.share, generator=self.generator)
        return values * keep.div_(1 - self.share)


def seed_dropout(network: nn.Module, seed: int) -> None:
    """Give every `Dropout` of a network one generator with this seed."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, Dropout):
            module.generator = generator
