"""What is learned from few videos: the product against the guide's procedure, on the same features.

    TIMELINELABELS_DATA=… python benchmarks/learning.py [--videos 1 2 4 10] [--others] [--draws N]

On `room_actions`: the first videos of train.json are learned and test.json is predicted; with --others,
all videos that were not learned are. With --draws, all videos of both files are shuffled N times instead,
so many are learned, and all others are predicted: four test videos are too few to choose between ideas
by. The guide's network learns each annotation in turn, so its seconds are those of the annotations that
came in since the row before. Scores: docs/reference/scores.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import guide
import numpy as np
from results import write_section

from timelinelabels.cli.offline import offline_settings
from timelinelabels.control_models import ProjectModel
from timelinelabels.control_models.examples import collect_examples
from timelinelabels.evaluation import evaluate
from timelinelabels.labelstudio.payloads import AnnotatedTask, parse_export
from timelinelabels.metrics import Scores, VideoOutcome, score_videos
from timelinelabels.runtime import build_resources, prepare_computation
from timelinelabels.training import Example

COLUMNS = ("frame_f1_macro", "mean_average_precision", "segmental_f1_50", "calibration_error")


class Bench:
    """The data set, its features, and the two ways to learn it."""

    def __init__(self, data: Path, folder: Path, *, sample_fps: Fraction | None = None) -> None:
        root = data / "room_actions"
        weights = data.parent / "weights" / "leaf-cls-224.pt"
        (folder / "models").mkdir(exist_ok=True)
        link = folder / "models" / "yolov8n-cls.pt"
        if not link.exists():
            link.write_bytes(weights.read_bytes())
        settings = offline_settings([root]).model_copy(
            update={"model_root": folder / "models", "cache_dir": folder / "cache"}
        )
        prepare_computation()
        self._guide: guide.Learner | None = None
        self._guides: list[AnnotatedTask] = []  # what it has learned
        self.config = (root / "config.xml").read_text()
        if sample_fps is not None:
            attribute = f'<TimelineLabels model_sample_fps="{float(sample_fps):g}" '
            self.config = self.config.replace("<TimelineLabels ", attribute)
        self.resources = build_resources(settings, download_weights=False)
        model = ProjectModel.create(self.config, resources=self.resources, project="bench")
        (self.control,) = model.models
        self.train, self.test = (
            [
                task
                for task in parse_export(json.loads((root / name).read_text()))
                if task.annotations
            ]
            for name in ("train.json", "test.json")
        )

    def examples(self, tasks: Sequence[AnnotatedTask]) -> list[Example]:
        return collect_examples(tasks, self.control.config, self.control.features_of)[0]

    def ours(self, known: Sequence[AnnotatedTask], unseen: Sequence[AnnotatedTask]) -> Scores:
        with tempfile.TemporaryDirectory() as trial:
            result = evaluate(
                self.config,
                known,
                resources=self.resources,
                folder=Path(trial),
                features_of=lambda source: self.control.features_of(source.video),
                test=unseen,
            )
        return result.controls[0].scores

    def guides(self, known: Sequence[AnnotatedTask], unseen: Sequence[AnnotatedTask]) -> Scores:
        """The guide's network goes on from the annotations that it has learned before."""
        if self._guide is None or known[: len(self._guides)] != self._guides:
            width = self.examples(known[:1])[0].video.features.shape[1]
            self._guide, self._guides = guide.Learner(width, len(self.control.label_map)), []
        for example in self.examples(known[len(self._guides) :]):
            epochs = self._guide.learn(example.video.features, example.targets)
            print(f"guide: {len(example.targets)} frames, {epochs} epochs", file=sys.stderr)
        self._guides = list(known)
        outcomes = []
        for example in self.examples(unseen):
            said = guide.predict(self._guide.network, example.video.features)
            outcomes.append(
                VideoOutcome(
                    truth=example.targets >= 0.5, predicted=said >= 0.5, probabilities=said
                )
            )
        return score_videos(outcomes, list(self.control.label_map))


def bench_from_environment() -> Bench:
    """The bench on the data that TIMELINELABELS_DATA names; ends the process where it names none."""
    data = os.environ.get("TIMELINELABELS_DATA")
    if not data:
        sys.exit("Set TIMELINELABELS_DATA to the folder that holds room_actions/.")
    folder = Path(tempfile.gettempdir()) / "timelinelabels-benchmarks"
    folder.mkdir(exist_ok=True)
    bench = Bench(Path(data), folder)
    bench.examples([*bench.train, *bench.test])  # extraction is not what is measured
    return bench


def splits(
    bench: Bench, count: int, draws: int, *, others: bool = False
) -> Iterator[tuple[list[AnnotatedTask], list[AnnotatedTask]]]:
    """Tasks to learn and tasks to predict."""
    everything = [*bench.train, *bench.test]
    if not draws:
        yield bench.train[:count], everything[count:] if others else bench.test
        return
    for draw in range(draws):
        shuffled = random.Random(draw).sample(everything, len(everything))
        yield shuffled[:count], shuffled[count:]


def measured(scores: Sequence[Scores], seconds: Sequence[float]) -> list[float]:
    """Means over the splits, the corrections as a share of the regions drawn without a model."""
    means = [float(np.mean([getattr(item, name) for item in scores])) for name in COLUMNS]
    saved = [item.corrections.total / item.regions for item in scores]
    return [*means, float(np.mean(saved)), float(np.mean(seconds))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, nargs="+", default=[1, 2, 4, 10])
    parser.add_argument("--others", action="store_true")
    parser.add_argument("--draws", type=int, default=0)
    given = parser.parse_args()
    bench = bench_from_environment()
    lines = [
        "| videos learned | | F1 macro | mAP | F1@50 | calibration error | corrections / regions | s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for count in given.videos:
        rows = {}
        for name, way in (("guide", bench.guides), ("ours", bench.ours)):
            scores, seconds = [], []
            for known, unseen in splits(bench, count, given.draws, others=given.others):
                begun = time.perf_counter()
                scores.append(way(known, unseen))
                seconds.append(time.perf_counter() - begun)
            rows[name] = measured(scores, seconds)
            cells = " | ".join(f"{value:.3f}" for value in rows[name][:-1])
            lines.append(f"| {count} | {name} | {cells} | {rows[name][-1]:.0f} |")
            print(lines[-1], flush=True)
        pairs = zip(rows["ours"], rows["guide"], strict=True)
        # Nothing is a multiple of (nearly) nothing.
        ratios = [f"{ours / guide:.2f}" if guide >= 0.005 else "–" for ours, guide in pairs]
        lines.append(f"| {count} | ratio | {' | '.join(ratios)} |")
    protocol = "first of train.json → all others" if given.others else "train.json → test.json"
    if given.draws:
        protocol = f"{given.draws} draws of all videos"
    command = "python " + " ".join(["benchmarks/learning.py", *sys.argv[1:]])
    write_section(f"Learning, {protocol}", command, "\n".join(lines))


if __name__ == "__main__":
    main()
