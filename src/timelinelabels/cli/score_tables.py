"""Scores as tables on standard output."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from timelinelabels.evaluation.held_out import Evaluation
from timelinelabels.evaluation.pages import (
    CORRECTION_HEADERS,
    OVERALL,
    correction_cells,
    seen_text,
)
from timelinelabels.evaluation.simulation import ControlSimulation, Simulation
from timelinelabels.metrics import Scores
from timelinelabels.report.page import cell

LEARNING_CURVE = tuple(
    item for item in OVERALL if item[1] not in ("frame_accuracy", "temporal_iou")
)


def print_evaluation(console: Console, evaluation: Evaluation) -> None:
    """Overall scores, scores by label and corrections of each control."""
    if evaluation.seen_in_training:
        console.print(f"[yellow]{escape(seen_text(evaluation.seen_in_training))}[/yellow]")
    for outcome in evaluation.controls:
        scores = outcome.scores
        _show(
            console,
            f"{outcome.control}: {scores.videos} videos, {scores.frames} frames, "
            f"{evaluation.protocol}",
            ("score", ""),
            [(name, getattr(scores, attribute)) for name, attribute in OVERALL],
        )
        _show_labels(console, scores)
        _show(
            console,
            "Corrections left to a person",
            CORRECTION_HEADERS,
            [correction_cells(scores)],
        )


def print_simulation(console: Console, simulation: Simulation) -> None:
    """The learning curve and each video's corrections, by control."""
    for control in simulation.controls:
        _show(
            console,
            f"{control.control}: score on the remaining videos",
            ("annotated", "on", *(name for name, _ in LEARNING_CURVE)),
            [
                (
                    step.annotated_videos,
                    step.remaining_videos,
                    *(getattr(step.scores, attribute) for _, attribute in LEARNING_CURVE),
                )
                for step in control.steps
            ],
        )
        _show(
            console,
            f"{control.control}: corrections left to a person, video by video as it was met",
            ("video", "learned", "frame F1", *CORRECTION_HEADERS),
            _met_rows(control),
        )
    console.print(f"Order: {simulation.order}.", style="dim")


def _met_rows(control: ControlSimulation) -> list[Sequence[object]]:
    rows: list[Sequence[object]] = [
        (
            f"{video.position}. {video.name}",
            video.learned_videos,
            video.scores.frame_f1_macro,
            *correction_cells(video.scores),
        )
        for video in control.videos
    ]
    if control.met is not None:
        count = sum(video.learned_videos > 0 for video in control.videos)
        scores = control.met.scores
        rows.append(
            (
                f"{count} videos with a model",
                "",
                scores.frame_f1_macro,
                *correction_cells(scores),
            )
        )
    return rows


def _show_labels(console: Console, scores: Scores) -> None:
    _show(
        console,
        "By label (segments, then scores)",
        ("label", "true", "claimed", "frame F1", "AP", "F1@50", "temporal IoU", "cal. error"),
        [
            (
                item.label,
                item.true_segments,
                item.claimed_segments,
                item.f1,
                item.average_precision,
                item.segmental_f1_50,
                item.temporal_iou,
                item.calibration_error,
            )
            for item in scores.labels
        ],
    )


def _show(
    console: Console, title: str, headers: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    table = Table()
    for place, header in enumerate(headers):
        table.add_column(header, justify="left" if place == 0 else "right")
    for row in rows:
        table.add_row(*(escape(cell(value)) for value in row))
    console.print(f"[bold]{escape(title)}[/bold]")
    console.print(table)
