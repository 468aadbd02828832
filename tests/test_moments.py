"""Moments say where something is, how large and how long, and how that changes."""

import numpy as np
import pytest

from timelinelabels.temporal_head.moments import MOMENTS, moments_of
from timelinelabels.thumbnails import CELLS, SIDE

NOTHING = np.zeros((1, CELLS), np.float32)


def picture(rows: slice, columns: slice) -> np.ndarray:
    cells = np.zeros((SIDE, SIDE), np.float32)
    cells[rows, columns] = 1
    return cells.reshape(1, CELLS)


def figure(*pictures: np.ndarray) -> np.ndarray:
    """(S, 8): √mass, x, y, long, short, long - short, cos, sin."""
    foreground = np.concatenate(pictures)
    return moments_of(np.zeros_like(foreground), foreground)[:, :8]


def test_nothing_has_no_moments() -> None:
    assert not moments_of(NOTHING, NOTHING).any()
    assert moments_of(NOTHING, NOTHING).shape == (1, MOMENTS)


def test_the_centre_moves_with_what_is_seen_and_its_shape_stays() -> None:
    left, right = figure(picture(slice(2, 5), slice(1, 3)), picture(slice(2, 5), slice(6, 8)))
    assert right[1] - left[1] == pytest.approx(1.0)  # five cells: half of the picture, from -1 to 1
    assert right[2] == pytest.approx(left[2])
    assert right[3:] == pytest.approx(left[3:], abs=1e-5)
    assert right[0] == pytest.approx(np.sqrt(6 / CELLS))


def test_a_long_figure_is_told_from_a_round_one_and_which_way_it_lies() -> None:
    lying, standing, round_one = figure(
        picture(slice(4, 5), slice(1, 9)),
        picture(slice(1, 9), slice(4, 5)),
        picture(slice(4, 7), slice(4, 7)),
    )
    assert lying[3] == pytest.approx(standing[3])
    assert lying[3] > 2 * round_one[3]
    assert round_one[5] == pytest.approx(0, abs=1e-3)
    assert lying[6] == pytest.approx(1)
    assert standing[6] == pytest.approx(-1)


def test_moving_and_growing_show_as_changes() -> None:
    small, away, large = (
        picture(slice(4, 6), slice(0, 2)),
        picture(slice(4, 6), slice(5, 7)),
        picture(slice(2, 8), slice(2, 8)),
    )
    foreground = np.concatenate([small, small, away, away, large])
    changes = moments_of(np.zeros_like(foreground), foreground)[:, 16:19]  # over one step
    assert changes[:, 0].tolist() == pytest.approx([0, 0, 1.0, 0, changes[4, 0]], abs=1e-5)
    assert changes[4, 1] == pytest.approx(np.sqrt(0.36) - np.sqrt(0.04))
    assert not changes[1].any()


def test_faint_differences_are_noise() -> None:
    faint = 0.05 * picture(slice(0, 10), slice(0, 10))
    assert not moments_of(0.02 * faint, faint).any()
