"""What is done to a decoder's picture before it is scaled: less is left, and nothing is converted.

What the crop will cut off is cut off first (FFmpeg's crop filter moves pointers and copies nothing). Where
the picture shrinks by four or more, every two rows are averaged, which halves what swscale must filter row
by row. Measured as in `pictures` (cosine with Pillow's resize of the full-size RGB picture, median and
least; one thread, `benchmarks/scaling.py`):

======================  ==============  ==============  ========  ========
                        all rows        rows averaged   all       averaged
======================  ==============  ==============  ========  ========
1920×1080, shrinks 4.8  0.9999  0.9965  0.9986  0.9964  1.24 ms   0.88 ms
1280×720, shrinks 3.2   0.9976  0.9968  0.9968  0.9913  0.61 ms   0.48 ms
======================  ==============  ==============  ========  ========

So it is not done for 720p: there it would cost more agreement than it gives time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from av.filter import Graph
from av.video.format import VideoFormat
from av.video.reformatter import VideoReformatter

if TYPE_CHECKING:
    from av.filter.context import FilterContext
    from av.video.frame import VideoFrame

_MARGIN = 24  # scaled pixels beside the crop box among which a cut is looked for
_SHIFT = 0.06  # scaled pixels by which a cut may miss the place that it stands for
_HALVED_FROM = 4.0  # shrink factor; the reason is in the module's docstring
_HALVED_FORMATS = frozenset({"yuv420p", "yuvj420p", "nv12"})
_FROM_GPU = "nv12"  # the same with colours interleaved, which FFmpeg's filters do not average
_PAIRS = 4  # rows: two of colour, which are stored at half the resolution


class SourceCutter:
    """Cuts off, before scaling, what the crop would cut off after it, and averages rows of large pictures.

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
        halved = (
            frame.format.name in _HALVED_FORMATS
            and frame.height >= _HALVED_FROM * size[1]
            and frame.height % _PAIRS == 0
        )
        left, right = even_cuts(frame.width, size[0], box[0], box[2])
        top, bottom = even_cuts(frame.height, size[1], box[1], box[3], grid=_PAIRS if halved else 2)
        self.scaled_size = (right.scaled - left.scaled, bottom.scaled - top.scaled)
        """(width, height) to scale what `cut` gives to."""
        self.box = (
            box[0] - left.scaled,
            box[1] - top.scaled,
            box[2] - left.scaled,
            box[3] - top.scaled,
        )
        """(left, top, right, bottom) to keep of that."""
        kept = (right.source - left.source, bottom.source - top.source)
        self._to_planes: VideoReformatter | None = None
        pixel_format = frame.format
        if halved and pixel_format.name == _FROM_GPU:
            self._to_planes, pixel_format = VideoReformatter(), VideoFormat("yuv420p")
        self._graph: Graph | None = None
        if halved or kept != (frame.width, frame.height):
            self._graph = graph = Graph()
            graph.threads = 1  # waking more costs more than they give
            source = graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=pixel_format,
                time_base=frame.time_base,
            )
            cut = graph.add("crop", f"{kept[0]}:{kept[1]}:{left.source}:{top.source}:exact=1")
            source.link_to(cut)
            last = _rows_averaged(graph, cut) if halved else cut
            last.link_to(graph.add("buffersink"))
            graph.configure()

    def cut(self, frame: VideoFrame) -> VideoFrame:
        """The part of `frame` that is needed; where only a part is, its pixels are not copied."""
        if self._graph is None:
            return frame
        if self._to_planes is not None:
            frame = self._to_planes.reformat(frame, format="yuv420p", threads=1)
        self._graph.vpush(frame)
        return self._graph.vpull()


def _rows_averaged(graph: Graph, given: FilterContext) -> FilterContext:
    """The mean of every two rows: of the picture's two fields, which share its memory."""
    both = graph.add("split")
    mean = graph.add("blend", "all_mode=average")
    given.link_to(both)
    for place, rows in enumerate(("top", "bottom")):
        field = graph.add("field", rows)
        both.link_to(field, place, 0)
        field.link_to(mean, 0, place)
    return mean


@dataclass(frozen=True)
class Cut:
    """A place in the source, in pixels, and the one in the scaled picture that it comes to lie at."""

    source: int
    scaled: int


def even_cuts(length: int, scaled: int, low: int, high: int, *, grid: int = 2) -> tuple[Cut, Cut]:
    """Where to cut a side of `length` pixels that is scaled to `scaled`, to keep [low, high).

    Only multiples of `grid` source pixels are candidates, and the edges: where colours are stored at half
    the resolution, a cut at an odd pixel would shift them.
    """
    factor = length / scaled

    def first_exact(places: range, edge: Cut) -> Cut:
        for place in places:
            source = grid * round(place * factor / grid)
            if abs(source / factor - place) <= _SHIFT and 0 < source < length:
                return Cut(source, place)
        return edge

    # One pixel more than is kept: at its edges swscale sees no neighbours.
    before = range(low - 1, max(low - 1 - _MARGIN, 0), -1)
    after = range(high + 1, min(high + 1 + _MARGIN, scaled))
    return first_exact(before, Cut(0, 0)), first_exact(after, Cut(length, scaled))
