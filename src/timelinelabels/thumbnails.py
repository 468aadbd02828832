"""One tiny grey picture of every frame, whole: where in the picture something is, and moves.

A classification backbone sees the centre of a frame and says what is there; where it happens, and
whether anything moves, is mostly lost in its features. `SIDE`² grey cells a frame keep that. They cost
100 bytes a frame beside 2,560 of features, and some 20 µs: where the decoder's picture has a plane of
8-bit luma (nearly always), `_POINTS` pixels of it are read for each side of a cell and nothing is
converted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

    from timelinelabels.pictures import Orientation

SIDE = 10
"""Cells along each side of a thumbnail."""

CELLS = SIDE * SIDE

_POINTS = 8  # sampled pixels along each side of a cell: their mean is nearly free of noise


class ThumbnailMaker:
    """Makes the thumbnails of one video's frames.

    Args:
        orientation: how the stored pictures are shown.
    """

    def __init__(self, orientation: Orientation) -> None:
        self._orientation = orientation
        self._to_grey = VideoReformatter()
        # (height, width, bytes in a row) of a plane → where its sampled pixels are.
        self._places: dict[tuple[int, int, int], NDArray[np.intp]] = {}

    def make(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """The (CELLS,) grey levels of a frame as it is shown, row by row.

        Raises:
            av.FFmpegError: swscale does not know the picture's pixel format.
        """
        # Rows in reverse order (a negative size) are rare, and put in order by the same conversion.
        if not _has_luma_plane(frame) or frame.planes[0].line_size < 0:
            frame = self._to_grey.reformat(
                frame,
                width=SIDE * _POINTS,
                height=SIDE * _POINTS,
                format="gray",
                interpolation=Interpolation.FAST_BILINEAR,
                threads=1,
            )
        plane = frame.planes[0]
        key = (frame.height, frame.width, plane.line_size)
        if key not in self._places:
            self._places = {key: _sampled_places(*key)}
        points = np.frombuffer(memoryview(plane), np.uint8).take(self._places[key])
        # As whole numbers the sums fit into 16 bits and are made several times as fast.
        cells = points.sum(axis=1, dtype=np.uint16) / _POINTS**2
        shown = self._orientation.apply(cells.reshape(SIDE, SIDE, 1))
        return np.rint(shown).astype(np.uint8).reshape(CELLS)


def _has_luma_plane(frame: VideoFrame) -> bool:
    """Whether the first plane is 8-bit luma, a byte a pixel."""
    name = frame.format.name
    first = frame.format.components[0]
    planar_yuv = name.startswith(("yuv4", "yuvj4", "yuva4", "nv12", "nv21")) or name == "gray"
    return planar_yuv and first.bits == 8 and first.plane == 0


def _sampled_places(height: int, width: int, line_size: int) -> NDArray[np.intp]:
    """Where in a plane's bytes the pixels of each cell are, evenly spread: (CELLS, _POINTS²)."""
    side = SIDE * _POINTS
    centres = 2 * np.arange(side) + 1
    rows, columns = centres * height // (2 * side), centres * width // (2 * side)
    places = rows[:, None] * line_size + columns
    by_cell = places.reshape(SIDE, _POINTS, SIDE, _POINTS).swapaxes(1, 2)
    return by_cell.reshape(CELLS, _POINTS**2)
