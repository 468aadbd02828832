"""Dropout that draws from a generator of its own, and little.

torch's dropout draws from one generator for the whole process, so two networks that train at the same
time in two threads would disturb each other and no training could be repeated. And drawing a mask for
every layer of every update costs more than a small network's products of matrices: here a network draws
long rows of masks once, and each layer cuts a random piece of them for each update.
"""

import torch
from torch import Tensor, nn

ROW = 8  # times the longest piece that is cut from it


class Masks:
    """Rows of masks, one for each share: 0 where a value goes, 1 / (1 - share) where it stays.

    Args:
        generator: of all that is random; None: torch's own.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self._generator = generator
        self._rows: dict[float, Tensor] = {}

    def piece(self, share: float, count: int) -> Tensor:
        """A random piece (count,) of the row of that share."""
        row = self._rows.get(share)
        if row is None or len(row) < ROW * count:
            stays = torch.rand(ROW * count, generator=self._generator) >= share
            row = self._rows[share] = stays / (1 - share) if share < 1 else stays.float()
        first = int(torch.randint(len(row) - count + 1, (), generator=self._generator))
        return row[first : first + count]


class Dropout(nn.Module):
    """Zeroes a share of the values in training and scales the others up.

    Args:
        share: of values that are zeroed, 0..1.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.masks = Masks()

    def forward(self, values: Tensor) -> Tensor:
        """The values as they are in evaluation, thinned out in training."""
        if not self.training or self.share == 0:
            return values
        return values * self.masks.piece(self.share, values.numel()).view(values.shape)


def seed_dropout(network: nn.Module, seed: int) -> None:
    """Give all `Dropout`s of a network masks of this seed."""
    _give(network, Masks(torch.Generator().manual_seed(seed)))


def forget_dropout(network: nn.Module) -> None:
    """Free the masks that training drew."""
    _give(network, Masks())


def _give(network: nn.Module, masks: Masks) -> None:
    for module in network.modules():
        if isinstance(module, Dropout):
            module.masks = masks
