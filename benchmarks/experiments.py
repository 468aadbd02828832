"""What each part of learning gives: the product with one part changed, over random draws of real videos.

    TIMELINELABELS_DATA=… python benchmarks/experiments.py [--draws N] [--videos 4 10] [--only NAME …]

Every variant learns the same draws of `room_actions` (all videos of train.json and test.json, shuffled) and
predicts all other videos. Differences below about 0.02 are within what another draw would give.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
from learning import bench_from_environment, splits
from results import write_section

from timelinelabels.neural_nets import MultiLabelLSTM, MultiStageTCN
from timelinelabels.neural_nets.fitting import UPDATES
from timelinelabels.temporal_head import StepInputs, VideoSequence, label_rules
from timelinelabels.temporal_head.calibration import identity_calibration
from timelinelabels.temporal_head.moments import MOMENTS
from timelinelabels.temporal_head.time_steps import STEP_SECONDS, TimeSteps

Change = tuple[str, object]
FITTING = "timelinelabels.neural_nets.fitting"
TRAINING = "timelinelabels.training"
HEAD = "timelinelabels.temporal_head"
INPUTS_CALL = f"{HEAD}.inputs.StepInputs.__call__"
AS_IT_IS = StepInputs.__call__
SECOND = round(1 / STEP_SECONDS)


def _nothing_moves(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros_like(grey), np.zeros_like(grey)


def _against_the_median(inputs: StepInputs, video: VideoSequence) -> np.ndarray:
    """Components of the features less their median over the video, as the foreground is."""
    described = AS_IT_IS(inputs, video)
    seen = described[:, : inputs.projection.shape[1]]
    seen -= np.median(seen, axis=0)
    return described


def _slower_motion(inputs: StepInputs, video: VideoSequence) -> np.ndarray:
    """Motion from one second to the next, in the place of that from step to step."""
    described = AS_IT_IS(inputs, video)
    levels = TimeSteps.of(video.times).pool(video.thumbnails) / 255
    before = np.concatenate([levels[:1].repeat(SECOND, axis=0), levels])[: len(levels)]
    motion = (np.abs(levels - before) - inputs.motion_mean) / inputs.scales[0] / 2
    first = inputs.projection.shape[1]
    described[:, first : first + motion.shape[1]] = motion
    return described


def _searched(probabilities, targets, halves):
    """For each label the threshold, of many, whose rule serves best on held-out videos."""
    said, true = label_rules._joined(probabilities), label_rules._joined(targets) >= 0.5
    tried = [
        label_rules.fit_rules(probabilities, targets, np.full_like(halves, threshold))
        for threshold in np.arange(0.1, 0.76, 0.05)
    ]
    tried.append(label_rules.fit_rules(probabilities, targets, halves))
    return [
        max(
            (rules[label] for rules in tried[::-1]),
            key=lambda rule: label_rules._score(said[:, label], true[:, label], rule),
        )
        for label in range(len(halves))
    ]


def _no_moments(motion: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    return np.zeros((len(motion), MOMENTS), np.float32)


def _candidates(*kinds: str) -> list[Change]:
    return [(f"{TRAINING}.folds.CANDIDATES", (kinds,))]


def _refined(stages: int) -> Change:
    """So many stages of refinement more than the product's."""

    def network(*sizes: int, num_layers: int, **options: Any) -> MultiStageTCN:
        return MultiStageTCN(*sizes, num_layers=num_layers + stages, **options)

    return f"{TRAINING}.heads.NETWORKS", {"tcn": network, "lstm": MultiLabelLSTM}


def _updates(count: int) -> list[Change]:
    return [
        (f"{module}.UPDATES", count)
        for module in (FITTING, f"{TRAINING}.heads", f"{TRAINING}.folds")
    ]


VARIANTS: dict[str, list[Change]] = {
    "as it is": [],
    "without motion and foreground": [(f"{HEAD}.inputs._changes", _nothing_moves)],
    "features against the video's median": [(INPUTS_CALL, _against_the_median)],
    "motion over a second": [(INPUTS_CALL, _slower_motion)],
    "16 components": [(f"{HEAD}.inputs.COMPONENTS", 16)],
    "64 components": [(f"{HEAD}.inputs.COMPONENTS", 64)],
    "without moments": [(f"{HEAD}.inputs.moments_of", _no_moments)],
    "LSTM only": _candidates("lstm"),
    "TCN only": _candidates("tcn"),
    "trees only": _candidates("trees"),
    "without trees": _candidates("lstm", "tcn"),
    "mean of all, always": _candidates("lstm", "tcn", "trees"),
    "each label for itself": [(f"{TRAINING}.train.labels_exclude_each_other", lambda items: False)],
    "TCN refined": [_refined(1)],
    "TCN only, refined": [*_candidates("tcn"), _refined(1)],
    "TCN of 6 layers": [("timelinelabels.neural_nets.tcn.LAYERS", 6)],
    "networks chosen freely": [("timelinelabels.training.conclusions.CLEAR_GAIN", 0.0)],
    "no patience": [(f"{TRAINING}.heads.PATIENCE", UPDATES)],
    "half the updates": _updates(UPDATES // 2),
    "twice the updates": _updates(2 * UPDATES),
    "half the rows an update": [("timelinelabels.neural_nets.random_windows.BATCH_ROWS", 512)],
    "no weights for rare labels": [(f"{FITTING}.MAX_POSITIVE_WEIGHT", 1.0)],
    "no smoothing loss": [(f"{FITTING}.SMOOTHING", 0.0)],
    "weights of the last update": [("timelinelabels.neural_nets.running_mean.MEAN_OF_LAST", 0.0)],
    "no calibration": [
        (
            "timelinelabels.training.conclusions.fit_calibration",
            lambda said, _: identity_calibration(said[0].shape[1]),
        )
    ],
    "plain thresholds": [
        (f"{HEAD}.label_rules._SHAPES", label_rules._SHAPES[:1]),
        (f"{HEAD}.label_rules.ASSUMED_SHAPE", label_rules._SHAPES[0]),
    ],
    "one shape of rules, assumed": [
        (f"{HEAD}.label_rules._SHAPES", (label_rules.ASSUMED_SHAPE,)),
    ],
    "hysteresis assumed, too": [
        (f"{HEAD}.label_rules.ASSUMED_SHAPE", label_rules._Shape(0.6, 0.5)),
    ],
    "thresholds searched": [("timelinelabels.training.conclusions.fit_rules", _searched)],
    "boundaries where the steps say": [(f"{HEAD}.head.sharpened", lambda said, *_: said)],
}
COLUMNS: dict[str, Callable] = {
    "F1 macro": lambda scores: scores.frame_f1_macro,
    "mAP": lambda scores: scores.mean_average_precision,
    "F1@50": lambda scores: scores.segmental_f1_50,
    "calibration error": lambda scores: scores.calibration_error,
    "corrections / regions": lambda scores: scores.corrections.total / scores.regions,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, nargs="+", default=[4, 10])
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    given = parser.parse_args()
    bench = bench_from_environment()
    lines = [
        f"| learned from | | {' | '.join(COLUMNS)} | s |",
        f"|---|---|{'---|' * (len(COLUMNS) + 1)}",
    ]
    for count in given.videos:
        for name in given.only:
            with contextlib.ExitStack() as changed:
                for target, value in VARIANTS[name]:
                    changed.enter_context(patch(target, value))
                begun = time.perf_counter()
                scores = [bench.ours(*split) for split in splits(bench, count, given.draws)]
                seconds = (time.perf_counter() - begun) / len(scores)
            cells = [
                f"{np.mean([column(one) for one in scores]):.3f}" for column in COLUMNS.values()
            ]
            lines.append(f"| {count} videos | {name} | {' | '.join(cells)} | {seconds:.0f} |")
            print(lines[-1], flush=True)
    command = "python " + " ".join(["benchmarks/experiments.py", *sys.argv[1:]])
    chosen = f", {len(given.only)} variants" if len(given.only) < len(VARIANTS) else ""
    write_section(f"Experiments, {given.draws} draws{chosen}", command, "\n".join(lines))


if __name__ == "__main__":
    main()
