"""Scores as tables on standard output."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from timelinelabels.evaluation.held_out import Evaluation
from timelinelabels.evaluation.pages import (
    CORRECTION_HEADERS,
    OVERALL,
    correction_cells,
    seen_text,
)
from timelinelabels.evaluation.simulation import Simulation
from timelinelabels.metrics import Scores
from timelinelabels.report.page import cell


def print_evaluation(console: Console, evaluation: Evaluation) -> None:
    """Overall scores, scores by label and corrections of each control."""
    if evaluation.seen_in_training:
        console.print(f"[yellow]{seen_text(evaluation.seen_in_training)}[/yellow]")
    for outcome in evaluation.controls:
        scores = outcome.scores
        console.print(
            _table(
                f"{outcome.control}: {scores.videos} videos, {scores.frames} frames, "
                f"{evaluation.protocol}",
                ("score", ""),
                [(name, getattr(scores, attribute)) for name, attribute in OVERALL],
            )
        )
        console.print(_labels(scores))
        console.print(_table("Corrections", CORRECTION_HEADERS, [correction_cells(scores)]))


def print_simulation(console: Console, simulation: Simulation) -> None:
    """The learning curve and each video's corrections, by control."""
    for control in simulation.controls:
        shown = [OVERALL[index] for index in (0, 1, 3, 4, 5, 6, 7, 9)]
        console.print(
            _table(
                f"{control.control}: score on the remaining videos",
                ("annotated", "on", *(name for name, _ in shown)),
                [
                    (
                        step.annotated_videos,
                        step.remaining_videos,
                        *(getattr(step.scores, attribute) for _, attribute in shown),
                    )
                    for step in control.steps
                ],
            )
        )
        rows: list[Sequence[object]] = [
            (
                f"{video.position}. {video.name}",
                video.learned_videos,
                video.scores.frame_f1_macro,
                *correction_cells(video.scores),
            )
            for video in control.videos
        ]
        met = [video for video in control.videos if video.learned_videos]
        if met and control.met is not None:
            rows.append(
                (
                    f"{len(met)} videos with a model",
                    "",
                    control.met.scores.frame_f1_macro,
                    *correction_cells(control.met.scores),
                )
            )
        console.print(
            _table(
                f"{control.control}: corrections left to a person, by video as it was met",
                ("video", "learned", "frame F1", *CORRECTION_HEADERS),
                rows,
            )
        )
    console.print(f"Order: {simulation.order}.", style="dim")


def _labels(scores: Scores) -> Table:
    return _table(
        "By label",
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


def _table(title: str, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for place, header in enumerate(headers):
        table.add_column(header, justify="left" if place == 0 else "right")
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    return table
