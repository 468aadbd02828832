"""A queue of short clips against one long video of as many frames: what each clip costs beyond its frames.

    python benchmarks/queue_of_clips.py [--clips 100] [--rounds 3]

Clips of 2 s are extracted one after the other and overlapped, as `timelinelabels extract` does it, and so
is one long video; all in turn in each round, with a network that is built already and a cache that is
empty. Ratios are medians over the rounds; at 100 % a clip costs what its frames cost in a long video.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from clips import write_clip
from extraction import CLIPS, seeded_weights
from results import write_section

from timelinelabels.backbones import YoloBackbone
from timelinelabels.features import FeatureStore
from timelinelabels.prefetch import computed_in_order
from timelinelabels.runtime import prepare_computation

FRAMES, SIZE = 50, {"width": 640, "height": 360}
LONG = 1000  # frames of the long video


def short_clips(count: int) -> list[Path]:
    """Different files; what follows the last box of an mp4 is no part of the video."""
    folder = CLIPS / "short"
    rendered = [
        write_clip(folder / f"rendered {n}.mp4", frames=FRAMES, seed=n, **SIZE) for n in range(10)
    ]
    paths = []
    for number in range(count):
        path = folder / f"clip {number}.mp4"
        free = (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")
        path.write_bytes(rendered[number % len(rendered)].read_bytes() + free)
        paths.append(path)
    return paths


def frames_a_second(videos: list[Path], backbone: YoloBackbone, at_once: int) -> float:
    with tempfile.TemporaryDirectory() as cache:
        store = FeatureStore(Path(cache))
        started, frames = time.perf_counter(), 0
        with computed_in_order(
            lambda video: len(store.extract(video, backbone).values), videos, workers=at_once
        ) as done:
            for _, count in done:
                frames += count
        return frames / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    prepare_computation()
    clips = short_clips(given.clips)
    long = write_clip(CLIPS / "long.mp4", frames=LONG, **SIZE)
    backbone = YoloBackbone.open(seeded_weights())
    backbone.embed(np.zeros((8, *backbone.preprocessing.crop, 3), np.uint8))
    found = []
    for number in range(given.rounds):
        row = {
            "long": frames_a_second([long], backbone, 1),
            "one": frames_a_second(clips, backbone, 1),
            "two": frames_a_second(clips, backbone, 2),
        }
        print(number, {name: round(value) for name, value in row.items()}, file=sys.stderr)
        found.append(row)

    def middle(name: str) -> float:
        return statistics.median(row[name] / row["long"] for row in found)

    overhead = statistics.median(FRAMES / row["one"] - FRAMES / row["long"] for row in found)
    write_section(
        "Queue of short clips",
        f"python benchmarks/queue_of_clips.py --clips {given.clips} --rounds {given.rounds}",
        f"{given.clips} clips of {FRAMES} frames, 640×360, against one video of {LONG} frames; medians of "
        f"{given.rounds} rounds.\n\n"
        "| | frames/s, of the long video's |\n|---|---|\n"
        f"| one clip after the other | {middle('one'):.0%} |\n"
        f"| two at once | {middle('two'):.0%} |\n\n"
        f"One after the other a clip costs {1000 * overhead:.0f} ms beyond its frames.",
    )


if __name__ == "__main__":
    main()
