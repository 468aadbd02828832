"""How near a backbone's features on this machine are to those in float32.

    python benchmarks/precision.py [--weights FILE] [--every 25] [VIDEO...]

Without videos: those of room_actions in TIMELINELABELS_DATA, with the weights beside that folder.
Where the processor computes bfloat16 the features come from it, those of pictures with little contrast
from float32 (src/timelinelabels/backbones/low_contrast.py); "alone" is bfloat16 without that. Each line
tells the least and the median cosine of a video's frames; contrast is the least one, in grey levels.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from results import write_section

from timelinelabels.backbones import Preprocessing, YoloBackbone, execution
from timelinelabels.backbones.devices import Batches
from timelinelabels.backbones.low_contrast import ExactWhereDim, contrast
from timelinelabels.runtime import prepare_computation
from timelinelabels.video import VideoReader


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) of the rows of (N, D) arrays."""
    found: np.ndarray = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", type=Path, nargs="*")
    parser.add_argument("--weights", type=Path, help="a checkpoint of Ultralytics")
    parser.add_argument("--every", type=int, default=25, help="look at every so manieth frame")
    given = parser.parse_args()
    data = Path(os.environ.get("TIMELINELABELS_DATA", "absent"))
    videos = given.videos or sorted((data / "room_actions" / "videos").glob("*.mp4"))
    if not videos:
        parser.error("give videos, or set TIMELINELABELS_DATA")
    prepare_computation()
    backbone = YoloBackbone.open(given.weights or data.parent / "weights" / "leaf-cls-224.pt")
    how = backbone.preprocessing
    ours = execution.feature_network(backbone._read_layers, how)
    exact = execution._exact_network(backbone._read_layers(), how)
    networks = {"float32": exact, "ours": ours}
    if isinstance(ours, ExactWhereDim):
        networks["alone"] = ours.usual
    rows = [
        "| Video | frames | least contrast | ours | median | alone | median |",
        "|---" * 7 + "|",
    ]
    for video in videos:
        frames = every(given.every, video, how)
        features = {name: Batches(network, 8)(frames) for name, network in networks.items()}
        near = {name: cosines(it, features["float32"]) for name, it in features.items()}
        told = [
            f"{values.min():.4f} | {np.median(values):.4f}"
            for values in (near["ours"], near.get("alone", near["ours"]))
        ]
        rows.append(
            f"| {video.name} | {len(frames)} | {contrast(frames).min():.0f} | {' | '.join(told)} |"
        )
        print(rows[-1], flush=True)
    write_section(
        "Precision",
        "python benchmarks/precision.py",
        f"Cosine with features in float32, every {given.every}th frame; torch {torch.__version__}, "
        f"{execution.processor_precision()}, weights {backbone.name}.\n\n" + "\n".join(rows),
    )


def every(step: int, video: Path, how: Preprocessing) -> np.ndarray:
    """(N, H, W, 3): every `step`th frame."""
    kept, seen = [], 0
    with VideoReader(video, scaled_size=how.scaled_size, crop_box=how.crop_box) as reader:
        for batch in reader:
            kept.append(batch.frames[-seen % step :: step])
            seen += len(batch.frames)
    return np.concatenate(kept)


if __name__ == "__main__":
    main()
