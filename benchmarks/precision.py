"""How near a backbone's features on this machine are to those in float32.

    python benchmarks/precision.py WEIGHTS VIDEO... [--every 25]

Where the processor computes bfloat16 the features come from it, those of pictures with little contrast
from float32 (src/timelinelabels/backbones/low_contrast.py); "alone" is bfloat16 without that. Each line
tells the least and the median cosine of a video's frames; contrast is the least one, in grey levels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from timelinelabels.backbones import YoloBackbone, execution
from timelinelabels.backbones.devices import Batches
from timelinelabels.backbones.low_contrast import ExactWhereDim
from timelinelabels.runtime import prepare_computation
from timelinelabels.video import VideoReader


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) of the rows of (N, D) arrays."""
    found: np.ndarray = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--every", type=int, default=25, help="look at every so manieth frame")
    given = parser.parse_args()
    prepare_computation()
    backbone = YoloBackbone.open(given.weights)
    how = backbone.preprocessing
    ours = execution.feature_network(backbone._read_layers, how)
    exact = execution._exact_network(backbone._read_layers(), how)
    networks = {"float32": exact, "ours": ours}
    if isinstance(ours, ExactWhereDim):
        networks["alone"] = ours.usual
    print(f"{torch.__version__}, {execution.processor_precision()}")
    for video in given.videos:
        kept, seen = [], 0
        with VideoReader(video, scaled_size=how.scaled_size, crop_box=how.crop_box) as reader:
            for batch in reader:
                kept.append(batch.frames[-seen % given.every :: given.every])
                seen += len(batch.frames)
        frames = np.concatenate(kept)
        features = {name: Batches(network, 8)(frames) for name, network in networks.items()}
        told = [f"{video.name}: {len(frames)} frames"]
        for name in list(networks)[1:]:
            near = cosines(features[name], features["float32"])
            told.append(f"{name} {near.min():.4f}, {np.median(near):.4f}")
        told.append(f"contrast {frames[:, ::8, ::8, 1].std(axis=(1, 2)).min():.0f}")
        print(" · ".join(told), flush=True)


if __name__ == "__main__":
    main()
