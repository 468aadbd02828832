"""Tiny grey pictures of whole frames."""

from fractions import Fraction

import av
import av.filter
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


def test_cells_are_the_means_of_pixels_that_are_evenly_spread_in_them():
    random, made = np.random.default_rng(0), ThumbnailMaker(UPRIGHT)
    for height, width in [(222, 350), (180, 350), (222, 200), (222, 350)]:  # rows have padding
        grey = random.integers(0, 255, (height, width), dtype=np.uint8)
        at = [(2 * np.arange(80) + 1) * side // 160 for side in (height, width)]
        blocks = grey[np.ix_(*at)].reshape(SIDE, 8, SIDE, 8)
        frame = av.VideoFrame.from_ndarray(grey, format="gray")
        assert made.make(frame).tolist() == np.rint(blocks.mean(axis=(1, 3))).ravel().tolist()


def test_a_picture_that_is_stored_bottom_up_has_the_same_thumbnail():
    graph = av.filter.Graph()
    grey = np.zeros((2 * SIDE, 64), np.uint8)
    grey[:2] = 240
    frame = av.VideoFrame.from_ndarray(grey, format="gray")
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
    )
    flip = graph.add("vflip")
    source.link_to(flip)
    flip.link_to(graph.add("buffersink"))
    graph.configure()
    graph.vpush(frame)
    flipped = graph.vpull()
    assert flipped.planes[0].line_size < 0
    cells = thumbnail(flipped)
    assert cells[-1].min() > 200
    assert cells[:-2].max() < 20


@pytest.mark.parametrize("size", [(1, 1), (7, 500), (33, 35)])
def test_odd_and_tiny_pictures_have_thumbnails(size):
    frame = av.VideoFrame.from_ndarray(np.full((*size, 3), 200, np.uint8), format="rgb24")
    frame.time_base = Fraction(1, 25)
    assert np.abs(thumbnail(frame.reformat(format="yuv444p")).astype(int) - 187).max() < 20
