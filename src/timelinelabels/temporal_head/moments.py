"""Where what differs is, how large and how long it is, and how that changes: image moments of thumbnails.

A map of cells (what differs from the background, or what moved) says which cells. Whoever stands two cells
further left looks altogether different in it, and from few videos no network learns that this hardly
matters. Its moments of order 0 to 2 (Hu, "Visual pattern recognition by moment invariants", 1962) are a
few numbers that do not mind: how much there is, where its centre lies, how long and how wide it is, and
which way it points.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from timelinelabels.thumbnails import SIDE

Floats = npt.NDArray[np.float32]

MOMENTS = 25
"""Numbers that describe a step: eight of the foreground, eight of the motion, three changes over each of
`_SPANS`."""

_SPANS = (1, 3, 8)  # steps
# Shares of full white from which on a cell counts, and by which more it counts wholly.
_FOREGROUND = (0.06, 0.06)
_MOTION = (0.03, 0.05)
_FAINT = 0.02  # mean of a map below which there is too little of it to have a place and a shape


def moments_of(motion: Floats, foreground: Floats) -> Floats:
    """The moments (S, MOMENTS) of maps of motion and foreground (S, SIDE²), shares of full white."""
    figure = _shape(np.clip((foreground - _FOREGROUND[0]) / _FOREGROUND[1], 0, 1))
    moved = _shape(np.clip((motion - _MOTION[0]) / _MOTION[1], 0, 1))
    return np.concatenate([figure, moved, *_changes(figure)], axis=1, dtype=np.float32)


def _shape(cells: Floats) -> Floats:
    """(S, 8) of maps (S, SIDE²) in 0..1.

    √mass; the centre's x and y; the standard deviations along the longest and the shortest axis, and their
    difference; the cosine and sine of twice the longest axis' angle. The picture reaches from -1 to 1.
    """
    middle = (SIDE - 1) / 2
    y, x = ((np.indices((SIDE, SIDE)) - middle) / (SIDE / 2)).reshape(2, -1).astype(np.float32)
    mass = cells.mean(axis=1)
    share = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1e-3 * cells.shape[1])
    at_x, at_y = share @ x, share @ y
    wide = np.maximum(share @ (x * x) - at_x**2, 0)
    high = np.maximum(share @ (y * y) - at_y**2, 0)
    both = share @ (x * y) - at_x * at_y
    apart = np.sqrt((wide - high) ** 2 + 4 * both**2)
    long = np.sqrt(np.maximum(wide + high + apart, 0) / 2)
    short = np.sqrt(np.maximum(wide + high - apart, 0) / 2)
    turned = np.maximum(apart, 1e-3)
    there = np.minimum(mass / _FAINT, 1)
    placed = np.stack(
        [at_x, at_y, long, short, long - short, (wide - high) / turned, 2 * both / turned], axis=1
    )
    return np.concatenate([np.sqrt(mass)[:, None], placed * there[:, None]], axis=1)


def _changes(figure: Floats) -> Iterator[Floats]:
    """For each span: how far the centre went (S, 1), how the √mass and the length changed (S, 2)."""
    for span in _SPANS:
        before = np.concatenate([figure[:1].repeat(span, axis=0), figure])[: len(figure)]
        change = figure - before
        yield np.stack([np.hypot(change[:, 1], change[:, 2]), change[:, 0], change[:, 3]], axis=1)
