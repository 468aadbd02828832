"""One decoded picture → the RGB array that a backbone sees: turned, scaled, cropped.

Agreement with the usual reference, Pillow's antialiased `resize(..., BILINEAR)` of the full-size
RGB picture, was measured on real clips with YOLOv8n-cls features (224 pixels short side, 16 frames
a clip; cosine of the features, mean absolute difference of the pixels in grey levels):

=========================================  ==============  ==============  ==============
swscale, from the decoder's format         320×240         1280×720        1920×1080
=========================================  ==============  ==============  ==============
bilinear                                   0.9987   0.8    0.9787   2.3    0.9986   0.6
area                                       0.9986   1.2    0.9790   2.2    0.9802   0.8
bicubic                                    0.9977   0.8    0.9755   2.4    0.9919   0.8
bilinear, full chroma                      0.9989   1.3    0.9976   1.2    0.9980   1.0
RGB at full size, then bilinear            0.9996   0.1    0.9999   0.1    1.0000   0.0
=========================================  ==============  ==============  ==============

("Full chroma" is FULL_CHR_H_INT: colours are interpolated for every output pixel, not for every
second one. Its remaining grey-level offset is not an error: against a floating-point conversion it
is 0.3 levels off where swscale's fast full-size conversion is 1.3 off.)

The last line is nearly exact but costs 5-7 ms more a frame at 1080p, so it is used only where the
picture shrinks by less than two (or grows), where it costs under 1 ms and where a one-step
conversion of small 10-bit pictures fell to 0.976. Everything larger goes to its small size in one
step, after what is not needed was cut off (`source_cutter`); no picture is converted at full size for
nothing. Planar RGB (gbrp) holds the same values as rgb24, and swscale has vector code for it: 2.1 ms a
frame of 1280×720 for rgb24 uncropped, 0.85 ms for gbrp, 0.61 ms for gbrp of the cropped frame, and
0.04 ms to make triples of its planes (one thread, `benchmarks/scaling.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from timelinelabels.source_cutter import SourceCutter

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

SizeRule = Callable[[int, int], tuple[int, int]]
"""(width, height) as displayed → (width, height) to scale to, pixels."""

BoxRule = Callable[[int, int], tuple[int, int, int, int]]
"""Scaled (width, height) → (left, top, right, bottom) to keep, pixels."""

_ONE_STEP = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND
_ONE_STEP_FROM = 2.0  # shrink factor; the reason is in the module's docstring


@dataclass(frozen=True, kw_only=True)
class Orientation:
    """How the stored picture is shown: mirrored left-right if `mirrored`, then turned."""

    rotation: int
    """Degrees clockwise: 0, 90, 180 or 270."""
    mirrored: bool

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation:
        """Read the display matrix that the container gave to `frame` (none: shown as stored).

        The matrix (libavutil/display.h; nine int32, row by row) sends the stored point (p, q) to
        (a·p + c·q, b·p + d·q), with q and b pointing down, so that atan2(b, a) is the *clockwise*
        angle of the picture's right-hand direction (FFmpeg's and PyAV's own `rotation` counts the
        other way). Angles between quarter turns are rounded to the nearest.
        """
        side_data = cast("Mapping[str, bytes]", frame.side_data)  # PyAV's stub lists one key
        matrix = side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return cls(rotation=0, mirrored=False)
        a, b, _, c, d = (int(value) for value in np.frombuffer(matrix, dtype="<i4")[:5])
        mirrored = a * d - b * c < 0
        if mirrored:
            a, b = -a, -b
        quarter_turns = round(math.degrees(math.atan2(b, a)) / 90) % 4
        return cls(rotation=90 * quarter_turns, mirrored=mirrored)

    def displayed_size(self, width: int, height: int) -> tuple[int, int]:
        """Size as shown of a picture stored as `width` × `height` pixels; its own inverse."""
        return (height, width) if self.rotation in {90, 270} else (width, height)

    def stored_box(
        self, box: tuple[int, int, int, int], width: int, height: int
    ) -> tuple[int, int, int, int]:
        """A (left, top, right, bottom) box of the shown picture, `width` × `height`, as stored."""
        left, top, right, bottom = box
        for _ in range(self.rotation // 90):  # turn back, a quarter counter-clockwise at a time
            left, top, right, bottom = top, width - right, bottom, width - left
            width, height = height, width
        if self.mirrored:
            left, right = width - right, width - left
        return left, top, right, bottom

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn a stored picture (H, W, 3) to what is shown; a view, nothing is copied."""
        if self.mirrored:
            picture = picture[:, ::-1]
        return np.rot90(picture, k=-self.rotation // 90)


class PictureConverter:
    """Converts every picture of one video to the same size; keeps swscale's state between them."""

    def __init__(
        self,
        first: VideoFrame,
        *,
        orientation: Orientation,
        scaled_size: SizeRule | None,
        crop_box: BoxRule | None,
    ) -> None:
        self._orientation = orientation
        displayed = orientation.displayed_size(first.width, first.height)
        scaled = displayed if scaled_size is None else scaled_size(*displayed)
        self.scaled_size = scaled
        self._stored_size = orientation.displayed_size(*scaled)
        left, top, right, bottom = (0, 0, *scaled) if crop_box is None else crop_box(*scaled)
        if not (0 <= left < right <= scaled[0] and 0 <= top < bottom <= scaled[1]):
            raise ValueError(
                f"the crop box ({left}, {top}, {right}, {bottom}) is not inside the scaled "
                f"picture of {scaled[0]}×{scaled[1]} pixels"
            )
        self.size = (right - left, bottom - top)
        self._box = orientation.stored_box((left, top, right, bottom), *scaled)
        self._to_planes = VideoReformatter()
        self._to_rgb = VideoReformatter()
        self._to_size = VideoReformatter()
        self._to_triples = VideoReformatter()
        self._cutters: dict[tuple[int, int, str], SourceCutter] = {}

    def convert(self, frame: VideoFrame, into: NDArray[np.uint8]) -> None:
        """Write the picture as shown, scaled and cropped, into `into`: (H, W, 3) RGB.

        The stream's colour matrix and range are honoured as by PyAV's `to_ndarray("rgb24")`. A
        frame of another size than the first (streams may change it) is scaled to the same size.

        Raises:
            av.FFmpegError: swscale does not know the picture's pixel format.
        """
        width, height = self._stored_size
        shrink = min(frame.width / width, frame.height / height)
        if shrink < _ONE_STEP_FROM:
            if frame.format.name == "nv12":
                # A GPU's pictures: the same numbers in another order, which swscale converts otherwise.
                frame = self._to_planes.reformat(frame, format="yuv420p", threads=1)
            # threads=1: a small picture costs less than waking swscale's own threads.
            frame = self._to_rgb.reformat(frame, format="rgb24", threads=1)
            scaled = self._to_size.reformat(frame, width=width, height=height, threads=1)
            picture = _rgb_pixels(scaled)
            left, top, right, bottom = self._box
        else:
            cutter = self._cutter(frame)
            scaled = self._to_size.reformat(
                cutter.cut(frame),
                width=cutter.scaled_size[0],
                height=cutter.scaled_size[1],
                format="gbrp",
                interpolation=_ONE_STEP,
                threads=1,
            )
            # From planes to triples by swscale: numpy's writing of every third byte takes twice as long.
            triples = self._to_triples.reformat(scaled, format="rgb24", threads=1)
            picture = _rgb_pixels(triples)
            left, top, right, bottom = cutter.box
        into[...] = self._orientation.apply(picture[top:bottom, left:right])

    def _cutter(self, frame: VideoFrame) -> SourceCutter:
        key = (frame.width, frame.height, frame.format.name)
        if key not in self._cutters:
            self._cutters = {key: SourceCutter(frame, self._stored_size, self._box)}
        return self._cutters[key]


def _rgb_pixels(frame: VideoFrame) -> NDArray[np.uint8]:
    """(H, W, 3) of a picture in rgb24; a view."""
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : 3 * frame.width].reshape(frame.height, frame.width, 3)
