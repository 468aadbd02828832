"""HTML reports of an evaluation and of a simulation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from timelinelabels.evaluation.held_out import Evaluation
from timelinelabels.evaluation.judging import ControlOutcome, JudgedVideo
from timelinelabels.evaluation.simulation import ControlSimulation, Simulation
from timelinelabels.metrics import (
    ReliabilityBin,
    Scores,
    precision_recall,
    reliability_table,
    spans_of,
)
from timelinelabels.report.charts import Curve, colour, curves, timeline
from timelinelabels.report.page import heading, quiet, table, warning, write_page

OURS, WITHOUT = "#2563eb", "#9ca3af"
CURVE_POINTS = 120
OVERALL = (
    ("frame F1, macro", "frame_f1_macro"),
    ("frame F1, micro", "frame_f1_micro"),
    ("frame accuracy", "frame_accuracy"),
    ("mAP", "mean_average_precision"),
    ("segmental F1@10", "segmental_f1_10"),
    ("segmental F1@25", "segmental_f1_25"),
    ("segmental F1@50", "segmental_f1_50"),
    ("edit score", "edit_score"),
    ("temporal IoU", "temporal_iou"),
    ("calibration error", "calibration_error"),
)
CORRECTION_HEADERS = ("add", "delete", "move", "relabel", "corrections", "without model")
DEFINITIONS = (
    "Definitions: docs/reference/scores.md. Scores lie in 0..1, higher is better, but for the "
    "calibration error. A boundary up to 0.5 s off needs no correction; without a model every true "
    "region is drawn by hand."
)


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write the report of `evaluate`."""
    parts = [quiet(f"Measured on: {evaluation.protocol}. {DEFINITIONS}")]
    if evaluation.seen_in_training:
        parts.append(warning(seen_text(evaluation.seen_in_training)))
    for item in evaluation.left_out:
        parts.append(warning(f"Left out: task {item.task_id}: {item.reason}"))
    for outcome in evaluation.controls:
        parts += [heading(2, f"Control {outcome.control}"), *_outcome(outcome, outcome.scores)]
    write_page(path, "timelinelabels evaluate", parts)


def write_simulation(path: Path, simulation: Simulation) -> None:
    """Write the report of `simulate`."""
    parts = [
        quiet(
            "Each video was first predicted by the model that had learned the videos submitted before "
            f"it, then scored, then learned. Order: {simulation.order}. {DEFINITIONS}"
        )
    ]
    for item in simulation.left_out:
        parts.append(warning(f"Left out: task {item.task_id}: {item.reason}"))
    for control in simulation.controls:
        parts += [heading(2, f"Control {control.control}"), *_replay(control)]
        if control.met is not None:
            parts.append(heading(3, "All predictions that annotators met"))
            parts += _outcome(control.met, control.met.scores)
    write_page(path, "timelinelabels simulate", parts)


def seen_text(task_ids: Sequence[str]) -> str:
    """The warning about test tasks whose videos were trained on."""
    return (
        f"The videos of {len(task_ids)} test task(s) were trained on too, so the scores flatter: "
        f"{', '.join(task_ids[:20])}"
    )


def correction_cells(scores: Scores) -> list[object]:
    """The cells under CORRECTION_HEADERS."""
    corrections = scores.corrections
    return [
        corrections.add,
        corrections.delete,
        corrections.move,
        corrections.relabel,
        corrections.total,
        scores.regions,
    ]


def _replay(control: ControlSimulation) -> list[str]:
    steps = control.steps
    most = max((step.annotated_videos for step in steps), default=1)

    def line(name: str, shade: str, attribute: str) -> Curve:
        points = [(step.annotated_videos, getattr(step.scores, attribute) or 0.0) for step in steps]
        return Curve(name=name, points=points, colour=shade)

    learning = curves(
        [
            line("frame F1, macro", OURS, "frame_f1_macro"),
            line("mAP", "#059669", "mean_average_precision"),
            line("segmental F1@50", "#dc2626", "segmental_f1_50"),
            line("edit score", "#d97706", "edit_score"),
        ],
        x_label="annotated videos",
        y_label="score on the remaining videos",
        x_max=float(most),
    )
    done, with_model, without = [], [], []
    total_with = total_without = 0
    for video in control.videos:
        total_with += video.scores.corrections.total
        total_without += video.scores.regions
        done.append(video.position)
        with_model.append(float(total_with))
        without.append(float(total_without))
    work = curves(
        [
            Curve(
                name="with the model",
                points=list(zip(done, with_model, strict=True)),
                colour=OURS,
            ),
            Curve(
                name="drawing everything",
                points=list(zip(done, without, strict=True)),
                colour=WITHOUT,
                dashed=True,
            ),
        ],
        x_label="annotated videos",
        y_label="actions of the annotator so far",
        x_max=float(len(done)),
        y_max=float(max(total_with, total_without, 1)),
    )
    return [
        heading(3, "Learning curve"),
        learning,
        table(
            ("annotated videos", "on videos", *(name for name, _ in OVERALL)),
            [
                [
                    step.annotated_videos,
                    step.remaining_videos,
                    *(getattr(step.scores, attribute) for _, attribute in OVERALL),
                ]
                for step in steps
            ],
        ),
        heading(3, "Work left to the annotator"),
        work,
        table(
            ("video", "learned videos", "frame F1", "F1@50", *CORRECTION_HEADERS),
            [
                [
                    f"{video.position}. {video.name}",
                    video.learned_videos,
                    video.scores.frame_f1_macro,
                    video.scores.segmental_f1_50,
                    *correction_cells(video.scores),
                ]
                for video in control.videos
            ],
        ),
    ]


def _outcome(outcome: ControlOutcome, scores: Scores) -> list[str]:
    """Tables, curves and timelines of one control's predictions."""
    return [
        table(
            ("videos", "frames", *(name for name, _ in OVERALL)),
            [
                [
                    scores.videos,
                    scores.frames,
                    *(getattr(scores, attribute) for _, attribute in OVERALL),
                ]
            ],
        ),
        table(CORRECTION_HEADERS, [correction_cells(scores)]),
        heading(3, "By label"),
        table(
            (
                "label",
                "true s.",
                "claimed s.",
                "frame F1",
                "AP",
                "F1@50",
                "temporal IoU",
                "cal. err.",
            ),
            [
                [
                    item.label,
                    item.true_segments,
                    item.claimed_segments,
                    item.f1,
                    item.average_precision,
                    item.segmental_f1_50,
                    item.temporal_iou,
                    item.calibration_error,
                ]
                for item in scores.labels
            ],
        ),
        heading(3, "Precision and recall by label"),
        _precision_recall(outcome),
        heading(3, "Reliability: what was said against what was true"),
        _reliability(outcome),
        heading(3, "Timelines: truth above, prediction below"),
        *(part for video in outcome.videos for part in _timeline(video, outcome.labels)),
    ]


def _precision_recall(outcome: ControlOutcome) -> str:
    truth = np.concatenate([video.outcome.truth for video in outcome.videos])
    said = np.concatenate([_probabilities(video) for video in outcome.videos])
    lines = []
    for column, label in enumerate(outcome.labels):
        if not truth[:, column].any():
            continue
        precision, recall = precision_recall(said[:, column], truth[:, column])
        chosen = np.unique(np.linspace(0, len(recall) - 1, CURVE_POINTS).round().astype(int))
        points = [(float(recall[at]), float(precision[at])) for at in chosen]
        lines.append(Curve(name=label, points=points, colour=colour(column), dots=False))
    if not lines:
        return quiet("No label occurs in the truth.")
    return curves(lines, x_label="recall", y_label="precision")


def _reliability(outcome: ControlOutcome) -> str:
    truth = np.concatenate([video.outcome.truth for video in outcome.videos])
    said = np.concatenate([_probabilities(video) for video in outcome.videos])
    regions = [region for video in outcome.videos for region in video.regions]
    tables = {
        "frames, all labels": (reliability_table(said, truth), OURS),
        "regions": (
            reliability_table(
                [min(region.score, 1.0) for region in regions],
                [region.true_share for region in regions],
            ),
            "#dc2626",
        ),
    }
    lines = [
        Curve(name="said = true", points=[(0, 0), (1, 1)], colour=WITHOUT, dots=False, dashed=True)
    ]
    for name, (bins, shade) in tables.items():
        lines.append(Curve(name=name, points=_points(bins), colour=shade))
    for column, label in enumerate(outcome.labels):
        if truth[:, column].any():
            bins = reliability_table(said[:, column], truth[:, column])
            lines.append(
                Curve(
                    name=label, points=_points(bins), colour=colour(column), dashed=True, dots=False
                )
            )
    rows = [
        [
            f"{item.low:.1f}–{item.high:.1f}",
            *(item.count, item.mean_probability, item.frequency),
            *(region.count, region.mean_probability, region.frequency),
        ]
        for item, region in zip(tables["frames, all labels"][0], tables["regions"][0], strict=True)
    ]
    headers = ("probability", "frames × labels", "said", "true", "regions", "said", "share true")
    return curves(lines, x_label="said (mean probability)", y_label="true (share)") + table(
        headers, rows
    )


def _points(bins: Sequence[ReliabilityBin]) -> list[tuple[float, float]]:
    return [
        (item.mean_probability, item.frequency)
        for item in bins
        if item.mean_probability is not None and item.frequency is not None
    ]


def _timeline(video: JudgedVideo, labels: Sequence[str]) -> list[str]:
    names = dict(enumerate(labels))
    truth = {names[column]: spans for column, spans in spans_of(video.outcome.truth).items()}
    said = {names[column]: spans for column, spans in spans_of(video.outcome.predicted).items()}
    shown = [label for label in labels if truth[label] or said[label]]
    if not shown:
        return [heading(3, video.name), quiet("No region, neither true nor predicted.")]
    return [
        heading(3, f"{video.name} (task {video.task_id})"),
        timeline(len(video.outcome.truth), shown, truth, said),
    ]


def _probabilities(video: JudgedVideo) -> "np.ndarray[tuple[int, ...], np.dtype[np.floating]]":
    assert video.outcome.probabilities is not None  # `judge` always gives them
    return video.outcome.probabilities
