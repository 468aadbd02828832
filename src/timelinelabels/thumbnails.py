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

from timelinelabels.pictures import packed_pixels

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

    def make(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """The (CELLS,) grey levels of a frame as it is shown, row by row.

        Raises:
            av.FFmpegError: swscale does not know the picture's pixel format.
        """
        side = SIDE * _POINTS
        if _has_luma_plane(frame):
            points = _sampled(packed_pixels(frame, 1)[..., 0], side)
        else:
            grey = self._to_grey.reformat(
                frame,
                width=side,
                height=side,
                format="gray",
                interpolation=Interpolation.FAST_BILINEAR,
                threads=1,
            )
            points = packed_pixels(grey, 1)[..., 0]
        cells = points.reshape(SIDE, _POINTS, SIDE, _POINTS).mean(axis=(1, 3))
        shown = self._orientation.apply(cells[..., None])
        return np.rint(shown).astype(np.uint8).reshape(CELLS)


def _has_luma_plane(frame: VideoFrame) -> bool:
    """Whether the first plane is 8-bit luma, a byte a pixel."""
    name = frame.format.name
    first = frame.format.components[0]
    planar_yuv = name.startswith(("yuv4", "yuvj4", "yuva4", "nv12", "nv21")) or name == "gray"
    return planar_yuv and first.bits == 8 and first.plane == 0


def _sampled(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """side × side pixels, evenly spread."""
    height, width = picture.shape
    centres = 2 * np.arange(side) + 1
    points: NDArray[np.uint8] = picture[
        (centres * height // (2 * side))[:, None], centres * width // (2 * side)
    ]
    return points
