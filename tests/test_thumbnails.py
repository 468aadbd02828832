"""Tiny grey pictures of whole frames."""

from fractions import Fraction

import av
import numpy as np
import pytest

from timelinelabels.pictures import Orientation
from timelinelabels.thumbnails import CELLS, SIDE, ThumbnailMaker

UPRIGHT = Orientation(rotation=0, mirrored=False)


def picture(height=240, width=320):
    """Black, but for a white block in the third column of cells of the first row of cells."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // SIDE, 2 * width // SIDE : 3 * width // SIDE] = 255
    return image


def thumbnail(frame, orientation=UPRIGHT):
    cells = ThumbnailMaker(orientation).make(frame)
    assert cells.shape == (CELLS,)
    return cells.reshape(SIDE, SIDE)


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "yuvj444p", "nv12", "gray", "rgb24", "yuv420p10le", "gbrp"]
)
def test_every_pixel_format_gives_the_same_cells(pixel_format):
    frame = av.VideoFrame.from_ndarray(picture(), format="rgb24").reformat(format=pixel_format)
    cells = thumbnail(frame).astype(int)
    assert cells[0, 2] > 180
    cells[0, 2] = cells.min()
    assert cells.max() - cells.min() < 40


def test_a_turned_video_has_its_thumbnail_turned():
    frame = av.VideoFrame.from_ndarray(picture(), format="rgb24").reformat(format="yuv420p")
    turned = thumbnail(frame, Orientation(rotation=90, mirrored=False))
    assert np.unravel_index(turned.argmax(), turned.shape) == (2, SIDE - 1)
    mirrored = thumbnail(frame, Orientation(rotation=0, mirrored=True))
    assert np.unravel_index(mirrored.argmax(), mirrored.shape) == (0, SIDE - 3)


@pytest.mark.parametrize("size", [(1, 1), (7, 500), (33, 35)])
def test_odd_and_tiny_pictures_have_thumbnails(size):
    frame = av.VideoFrame.from_ndarray(np.full((*size, 3), 200, np.uint8), format="rgb24")
    frame.time_base = Fraction(1, 25)
    assert np.abs(thumbnail(frame.reformat(format="yuv444p")).astype(int) - 187).max() < 20
