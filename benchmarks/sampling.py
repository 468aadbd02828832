"""What fewer frames a second cost and give: model_sample_fps on room_actions.

    TIMELINELABELS_DATA=… python benchmarks/sampling.py [--fps 0 12.5 5] [--rounds 3] [--draws 0]

Cost: cold extraction of one video, each rate once a round, in turn; the ratio to every frame (0) of the
same round, its median. Give: train.json learned, test.json predicted, scored on Label Studio's own grid of
25 ticks a second whatever the rate; with --draws, on random halves of all videos as benchmarks/learning.py.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from learning import Bench, measured, splits
from results import write_section

from timelinelabels.backbones import YoloBackbone
from timelinelabels.features import FeatureStore


def extraction(
    videos: list[Path], rates: list[Fraction | None], weights: Path, rounds: int
) -> dict[Fraction | None, tuple[float, float]]:
    """Rate → seconds and processor seconds as shares of those for every frame."""
    shares: dict[Fraction | None, list[tuple[float, float]]] = {rate: [] for rate in rates}
    backbone = YoloBackbone.open(weights)
    backbone.embed(np.zeros((8, *backbone.preprocessing.crop, 3), np.uint8))  # built before
    for number in range(rounds):
        video = videos[number % len(videos)]
        spent = {}
        for rate in rates:
            with tempfile.TemporaryDirectory() as cache:
                store = FeatureStore(Path(cache))
                wall, processor = time.perf_counter(), time.process_time()
                store.extract(video, backbone, sample_fps=rate)
                spent[rate] = (time.perf_counter() - wall, time.process_time() - processor)
        whole = spent[None]
        for rate, own in spent.items():
            shares[rate].append((own[0] / whole[0], own[1] / whole[1]))
        print(number, {str(r): f"{s[-1][0]:.2f}" for r, s in shares.items()}, file=sys.stderr)
    return {
        rate: (
            statistics.median(share[0] for share in found),
            statistics.median(share[1] for share in found),
        )
        for rate, found in shares.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fps", nargs="+", default=["0", "12.5", "5"], help="0: every frame")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=0)
    parser.add_argument("--videos", type=int, default=10, help="learned")
    given = parser.parse_args()
    data = os.environ.get("TIMELINELABELS_DATA")
    if not data:
        sys.exit("Set TIMELINELABELS_DATA to the folder that holds room_actions/.")
    folder = Path(tempfile.gettempdir()) / "timelinelabels-benchmarks"
    folder.mkdir(exist_ok=True)
    rates = [Fraction(text) or None for text in given.fps]
    videos = sorted((Path(data) / "room_actions").rglob("*.mp4"))[: given.rounds]
    rows = []
    costs: dict[Fraction | None, tuple[float, float]] = {}
    for rate in rates:
        bench = Bench(Path(data), folder, sample_fps=rate)
        if not costs:
            weights = folder / "models" / "yolov8n-cls.pt"
            costs = extraction(videos, [None, *filter(None, rates)], weights, given.rounds)
        bench.examples([*bench.train, *bench.test])
        scores, seconds = [], []
        for known, unseen in splits(bench, given.videos, given.draws):
            begun = time.perf_counter()
            scores.append(bench.ours(known, unseen))
            seconds.append(time.perf_counter() - begun)
        *means, _, spent = measured(scores, seconds)
        cells = " | ".join(f"{value:.3f}" for value in means[:3])
        wall, processor = costs[rate]
        rows.append(
            f"| {float(rate) if rate else 'every frame'} | {wall:.2f} | {processor:.2f} | {cells} "
            f"| {spent:.0f} |"
        )
        print(rows[-1], flush=True)
    write_section(
        "Sampling, room_actions",
        "python " + " ".join(["benchmarks/sampling.py", *sys.argv[1:]]),
        f"Extraction as a share of that of every frame (320×240, 25 fps), medians of {given.rounds} "
        "rounds; scores of predictions on test videos"
        + (f", means of {given.draws} draws.\n\n" if given.draws else ".\n\n")
        + "| frames a second | extraction time | processor time | F1 macro | mAP | F1@50 "
        "| learning and predicting, s |\n|---|---|---|---|---|---|---|\n" + "\n".join(rows),
    )


if __name__ == "__main__":
    main()
