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
        # Four draws of 16 bits at once: ten times as fast as bernoulli_, which took a third of a training.
        draws = torch.empty(-(-values.numel() // 4), dtype=torch.int64)
        draws.random_(-(2**63), None, generator=self.generator)
        bits = draws.view(torch.int16)[: values.numel()].view(values.shape)
        kept = round((1 - self.share) * 2**16)
        return values * ((bits < kept - 2**15) * (2**16 / max(kept, 1)))


def seed_dropout(network: nn.Module, seed: int) -> None:
    """Give every `Dropout` of a network one generator with this seed."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, Dropout):
            module.generator = generator
