"""Processor time of the ways to get from a decoded frame to a small RGB picture.

python benchmarks/scaling.py VIDEO
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import av
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

FRAMES, ROUNDS, SIDE = 12, 6, 224
ONE_STEP = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND


def scaler(width: int, pixel_format: str) -> Callable[[VideoFrame], VideoFrame]:
    reformatter = VideoReformatter()
    return lambda frame: reformatter.reformat(
        frame, width=width, height=SIDE, format=pixel_format, interpolation=ONE_STEP, threads=1
    )


def cutter(frame: VideoFrame, *, averaged: bool = False) -> Callable[[VideoFrame], VideoFrame]:
    """The middle square; of `averaged`, the mean of every two rows."""
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    crop = graph.add("crop", f"{frame.height}:{frame.height}")
    source.link_to(crop)
    last = crop
    if averaged:
        both, last = graph.add("split"), graph.add("blend", "all_mode=average")
        crop.link_to(both)
        for place, rows in enumerate(("top", "bottom")):
            field = graph.add("field", rows)
            both.link_to(field, place, 0)
            field.link_to(last, 0, place)
    last.link_to(graph.add("buffersink"))
    graph.configure()

    def cut(frame: VideoFrame) -> VideoFrame:
        graph.vpush(frame)
        return graph.vpull()

    return cut


def main() -> None:
    with av.open(sys.argv[1]) as container:
        frames = [
            f for i, f in enumerate(container.decode(video=0)) if i % 5 == 0 and i < 5 * FRAMES
        ]
    width = int(SIDE * frames[0].width / frames[0].height)
    cut, square = cutter(frames[0]), scaler(SIDE, "gbrp")
    averaged, flat = cutter(frames[0], averaged=True), scaler(SIDE, "gbrp")
    triples = VideoReformatter()
    ways: dict[str, Callable[[VideoFrame], object]] = {
        "whole picture to rgb24": scaler(width, "rgb24"),
        "whole picture to gbrp": scaler(width, "gbrp"),
        "cut, then to gbrp": lambda frame: square(cut(frame)),
        "cut, rows averaged, then to gbrp": lambda frame: flat(averaged(frame)),
        "cut, to gbrp, to rgb24": lambda frame: triples.reformat(
            square(cut(frame)), format="rgb24", threads=1
        ),
        "Pillow, from full-size RGB": lambda frame: frame.to_image().resize((width, SIDE), 2),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, way in ways.items():
            started = time.process_time()
            for frame in frames:
                way(frame)
            best[name] = min(best[name], (time.process_time() - started) / len(frames))
    for name, seconds in best.items():
        print(f"{name:34} {seconds * 1000:.2f} ms a frame")


if __name__ == "__main__":
    main()
