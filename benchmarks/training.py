"""How fast annotated frames are learned: the product's training against the guide's procedure.

    python benchmarks/training.py [--rounds 3]

The guide's procedure (benchmarks/guide.py): sequences of 16 frames that overlap by half, and after each
epoch all that was trained on is predicted and scored. Both train the same network, a bidirectional LSTM
of 32 units on 64 reduced features, on 10 videos of 3000 frames with 9 labels; the numbers are random,
because what an update costs does not depend on them. Frames of the videos per second of processor time,
one thread, in turn in each round; ratios are medians over the rounds.

- same rows: the product's training of its LSTM on the very same 1280 numbers of every frame;
- as the product trains: on steps of 0.2 s, with the time to make them from frames.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import guide
import numpy as np
from results import write_section

from timelinelabels.neural_nets import MultiLabelLSTM, partial_fit
from timelinelabels.neural_nets.fitting import UPDATES
from timelinelabels.neural_nets.random_windows import BATCH_ROWS
from timelinelabels.runtime import prepare_computation
from timelinelabels.temporal_head import StepInputs, VideoSequence
from timelinelabels.temporal_head.time_steps import TimeSteps
from timelinelabels.thumbnails import CELLS

VIDEOS, FRAMES, WIDTH, LABELS, FPS = 10, 3000, 1280, 9, 25
GUIDE_EPOCHS = 3
NEVER = 2.0  # a threshold that no score reaches


def made_up() -> tuple[list[VideoSequence], list[np.ndarray]]:
    random = np.random.default_rng(0)
    videos, targets = [], []
    for _ in range(VIDEOS):
        videos.append(
            VideoSequence(
                features=random.standard_normal((FRAMES, WIDTH), np.float32).astype(np.float16),
                thumbnails=random.integers(0, 255, (FRAMES, CELLS), np.uint8),
                times=np.arange(FRAMES) / FPS,
            )
        )
        changes = random.random((FRAMES // 50, LABELS)) < 0.2
        targets.append(changes.repeat(50, axis=0).astype(np.float32))
    return videos, targets


def guides(videos: list[VideoSequence], targets: list[np.ndarray]) -> float:
    guide.EPOCHS, guide.F1_ENOUGH, guide.ACCURACY_ENOUGH = GUIDE_EPOCHS, NEVER, NEVER
    started = time.process_time()
    learner = guide.Learner(WIDTH, LABELS, reduced=2 * guide.HIDDEN)
    learner.learn(videos[0].features, targets[0])
    return GUIDE_EPOCHS * FRAMES / (time.process_time() - started)


def trained(rows: list[np.ndarray], targets: list[np.ndarray]) -> int:
    """Train for UPDATES; how many rows were trained on."""
    network = MultiLabelLSTM(rows[0].shape[1], LABELS)
    fit = partial_fit(
        network, rows, targets, updates=UPDATES, f1_threshold=None, accuracy_threshold=None
    )
    window = network.window_size
    return fit.updates * (BATCH_ROWS // window) * window


def same_rows(videos: list[VideoSequence], targets: list[np.ndarray]) -> float:
    started = time.process_time()
    rows = trained([video.features for video in videos], targets)
    return rows / (time.process_time() - started)


def as_the_product(videos: list[VideoSequence], targets: list[np.ndarray]) -> float:
    started = time.process_time()
    inputs = StepInputs.fit(videos)
    steps = [TimeSteps.of(video.times) for video in videos]
    rows = trained(
        [inputs(video) for video in videos],
        [step.pool(target) for step, target in zip(steps, targets, strict=True)],
    )
    frames = rows * VIDEOS * FRAMES / sum(step.count for step in steps)
    return frames / (time.process_time() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    prepare_computation()
    videos, targets = made_up()
    ways = {"guide": guides, "same rows": same_rows, "as the product trains": as_the_product}
    found = []
    for number in range(given.rounds):
        found.append({name: way(videos, targets) for name, way in ways.items()})
        print(number, {name: round(value) for name, value in found[-1].items()}, file=sys.stderr)
    rows = []
    for name in ways:
        rate = statistics.median(row[name] for row in found)
        ratio = statistics.median(row[name] / row["guide"] for row in found)
        rows.append(f"| {name} | {rate:.0f} | {ratio:.1f} |")
    write_section(
        "Training",
        f"python benchmarks/training.py --rounds {given.rounds}",
        f"Frames of videos per second of processor time, one thread; medians of {given.rounds} rounds.\n\n"
        "| | frames/s | × guide |\n|---|---|---|\n" + "\n".join(rows),
    )


if __name__ == "__main__":
    main()
