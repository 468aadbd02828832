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
step, no picture is converted at full size for nothing, and what the crop will cut off is cut off
before scaling (FFmpeg's crop filter moves pointers and copies nothing). Planar RGB (gbrp) holds the
same values as rgb24, and swscale has vector code for it: 1.8 ms a frame of 1280×720 for rgb24 uncropped,
0.7 ms for gbrp, 0.55 ms for gbrp of the cropped frame (one thread, `benchmarks/scaling.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from av.filter import Graph
from av.video.reformatter import Interpolation, VideoReformatter

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

SizeRule = Callable[[int, int], tuple[int, int]]
"""(width, height) as displayed → (width, height) to scale to, pixels."""

BoxRule = Callable[[int, int], tuple[int, int, int, int]]
"""Scaled (width, height) → (left, top, right, bottom) to keep, pixels."""

_ONE_STEP = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND
_ONE_STEP_FROM = 2.0  # shrink factor; the reason is in the module's docstring
_MARGIN = 24  # scaled pixels beside the crop box among which a cut is looked for
_SHIFT = 0.06  # scaled pixels by which a cut may miss the place that it stands for


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
        self._to_rgb = VideoReformatter()
        self._to_size = VideoReformatter()
        self._cutters: dict[tuple[int, int, str], _Cutter] = {}

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
            # threads=1: a small picture costs less than waking swscale's own threads.
            frame = self._to_rgb.reformat(frame, format="rgb24", threads=1)
            scaled = self._to_size.reformat(frame, width=width, height=height, threads=1)
            picture = scaled.to_ndarray().astype(np.uint8, copy=False)
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
            picture = _interleaved(scaled)
            left, top, right, bottom = cutter.box
        into[...] = self._orientation.apply(picture[top:bottom, left:right])

    def _cutter(self, frame: VideoFrame) -> _Cutter:
        key = (frame.width, frame.height, frame.format.name)
        if key not in self._cutters:
            self._cutters = {key: _Cutter(frame, self._stored_size, self._box)}
        return self._cutters[key]


class _Cutter:
    """Cuts off, before scaling, what the crop would cut off after it.

    The cut is made at source pixels that scaled pixels begin at (within `_SHIFT`), so that what is
    left is scaled as it would have been in the whole picture.

    Args:
        frame: of the size and format that all frames given to `cut` have.
        size: (width, height) to which the whole picture would be scaled.
        box: (left, top, right, bottom) to keep of the scaled picture.
    """

    def __init__(
        self, frame: VideoFrame, size: tuple[int, int], box: tuple[int, int, int, int]
    ) -> None:
        left, right = _even_cuts(frame.width, size[0], box[0], box[2])
        top, bottom = _even_cuts(frame.height, size[1], box[1], box[3])
        self.scaled_size = (right.scaled - left.scaled, bottom.scaled - top.scaled)
        """(width, height) to scale what `cut` gives to."""
        self.box = (
            box[0] - left.scaled,
            box[1] - top.scaled,
            box[2] - left.scaled,
            box[3] - top.scaled,
        )
        """(left, top, right, bottom) to keep of that."""
        self._graph: Graph | None = None
        if (right.source - left.source, bottom.source - top.source) != (frame.width, frame.height):
            self._graph = Graph()
            source = self._graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base,
            )
            width, height = right.source - left.source, bottom.source - top.source
            crop = self._graph.add("crop", f"{width}:{height}:{left.source}:{top.source}:exact=1")
            self._graph.link_nodes(source, crop, self._graph.add("buffersink")).configure()

    def cut(self, frame: VideoFrame) -> VideoFrame:
        """The part of `frame` that is needed; its pixels are not copied."""
        if self._graph is None:
            return frame
        self._graph.vpush(frame)
        return self._graph.vpull()


@dataclass(frozen=True)
class _Cut:
    """A place in the source, in pixels, and the one in the scaled picture that it comes to lie at."""

    source: int
    scaled: int


def _even_cuts(length: int, scaled: int, low: int, high: int) -> tuple[_Cut, _Cut]:
    """Where to cut a side of `length` pixels that is scaled to `scaled`, to keep [low, high).

    Only even source pixels are candidates (where colours are stored at half the resolution, a cut
    between would shift them), and the edges.
    """
    factor = length / scaled

    def first_exact(places: range, edge: _Cut) -> _Cut:
        for place in places:
            source = 2 * round(place * factor / 2)
            if abs(source / factor - place) <= _SHIFT and 0 < source < length:
                return _Cut(source, place)
        return edge

    # One pixel more than is kept: at its edges swscale sees no neighbours.
    before = range(low - 1, max(low - 1 - _MARGIN, 0), -1)
    after = range(high + 1, min(high + 1 + _MARGIN, scaled))
    return first_exact(before, _Cut(0, 0)), first_exact(after, _Cut(length, scaled))


def _interleaved(frame: VideoFrame) -> NDArray[np.uint8]:
    """The planes of a gbrp picture as (H, W, 3) RGB."""
    picture = np.empty((frame.height, frame.width, 3), np.uint8)
    for channel, plane in zip((1, 2, 0), frame.planes, strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        picture[..., channel] = rows[: frame.height, : frame.width]
    return picture
