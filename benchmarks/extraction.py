"""Cold extraction against the reference loop and against the limits of its two halves.

    python benchmarks/extraction.py [--video FILE] [--rounds 5] [--frames 200] [--threads 1]

Each round runs the reference loop, decoding alone, the network alone and the product, one after the
other, each in a process of its own (importing is not measured; building the network is, in the
product only). Ratios are medians over the rounds. Processor seconds per frame are less disturbed by
what else the machine does than frames per second.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from clips import write_clip
from results import write_section

HERE = Path(__file__).parent
CLIPS = Path(tempfile.gettempdir()) / "timelinelabels-benchmarks"


def extract(video: Path, weights: Path) -> dict[str, float]:
    """The product: a fresh cache, a backbone that has not been built."""
    from timelinelabels.backbones import YoloBackbone
    from timelinelabels.features import FeatureStore
    from timelinelabels.runtime import prepare_computation

    prepare_computation()
    with tempfile.TemporaryDirectory() as cache:
        store = FeatureStore(Path(cache))
        backbone = YoloBackbone.open(weights)
        wall, processor = time.perf_counter(), time.process_time()
        frames = len(store.extract(video, backbone).values)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000  # as GNU time's, here in MB
    return {
        "frames": frames,
        "fps": frames / wall,
        "cpu_per_frame": processor / frames,
        "peak": peak,
    }


def child(*arguments: str | Path) -> dict[str, float]:
    """What one measurement, in a process of its own, says."""
    output = subprocess.run(
        [sys.executable, *map(str, arguments)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"YOLO_VERBOSE": "false"},
    ).stdout
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return result


def compare(
    video: Path, weights: Path, *, rounds: int, frames: int, threads: int | None
) -> list[dict[str, float]]:
    """One row a round."""
    found = []
    how = ["--json", *(["--threads", str(threads)] if threads else [])]
    for number in range(rounds):
        reference = HERE / "reference.py"
        loop = child(reference, "loop", video, "--frames", str(frames // 2), *how)
        decode = child(reference, "decode", video, "--json")
        network = child(reference, "network", "--frames", str(frames), *how)
        ours = child(HERE / "extraction.py", "--child", "--video", video, "--weights", weights)
        limit = 1 / (1 / decode["fps"] + 1 / network["fps"])
        row = {
            "loop": loop["fps"],
            "decode": decode["fps"],
            "network": network["fps"],
            "limit": limit,
            "ours": ours["fps"],
            "× loop": ours["fps"] / loop["fps"],
            "of limit": ours["fps"] / limit,
            "cpu × loop": loop["cpu_per_frame"] / ours["cpu_per_frame"],
            "cpu of limit": (decode["cpu_per_frame"] + network["cpu_per_frame"])
            / ours["cpu_per_frame"],
            "peak": ours["peak"],
        }
        print(number, {key: round(value, 2) for key, value in row.items()}, file=sys.stderr)
        found.append(row)
    return found


def seeded_weights() -> Path:
    """The architecture with seeded numbers, where no checkpoint is given."""
    import av
    import numpy as np

    from timelinelabels.demo.checkpoint import write_seeded_checkpoint

    path = CLIPS / "seeded-224-cls.pt"
    if not path.exists():
        clip = write_clip(CLIPS / "seed.mp4", width=320, height=240, frames=60)
        with av.open(str(clip)) as container:
            frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)][::2]
        write_seeded_checkpoint(path, np.stack(frames), image_size=224)
    return path


VIDEOS = {
    "720p H.264": {},
    "1080p H.264": {"width": 1920, "height": 1080, "frames": 250},
    "720p H.265": {"codec": "libx265"},
    "720p H.264, 10 fps": {"fps": 10, "frames": 300},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, help="instead of the rendered clips")
    parser.add_argument("--weights", type=Path, help="a YOLOv8n-cls checkpoint of 224 pixels")
    parser.add_argument("--only", choices=list(VIDEOS), help="one of the rendered clips")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=200, help="of the reference loop, doubled")
    parser.add_argument("--threads", type=int, help="of torch in the references; default: its own")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(extract(given.video, given.weights)))
        return
    weights = given.weights or seeded_weights()
    if given.video:
        videos = {given.video.name: given.video}
    else:
        videos = {
            name: write_clip(CLIPS / f"{name}.mp4", **how)
            for name, how in VIDEOS.items()
            if given.only in (None, name)
        }
    rows = [
        "| Video | loop | decode | network | limit | ours | × loop | of the limit "
        "| × loop, processor time | of the limit, processor time | peak memory, MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, video in videos.items():
        found = compare(
            video, weights, rounds=given.rounds, frames=given.frames, threads=given.threads
        )
        middle = {key: statistics.median(row[key] for row in found) for key in found[0]}
        rows.append(
            f"| {name} | "
            + " | ".join(f"{middle[key]:.0f}" for key in ("loop", "decode", "network"))
            + f" | {middle['limit']:.0f} | {middle['ours']:.0f} | {middle['× loop']:.2f} "
            f"| {middle['of limit']:.0%} | {middle['cpu × loop']:.2f} "
            f"| {middle['cpu of limit']:.0%} | {middle['peak']:.0f} |"
        )
    write_section(
        "Extraction",
        "python benchmarks/extraction.py",
        f"Frames per second and ratios, medians of {given.rounds} interleaved rounds; torch in the "
        f"references with {given.threads or 'its own number of'} threads.\n\n" + "\n".join(rows),
    )


if __name__ == "__main__":
    main()
