"""Evaluations as JSON-like data for `--json`; what a name means is in docs/reference/scores.md."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from timelinelabels.control_models.examples import LeftOut
from timelinelabels.evaluation.held_out import Evaluation
from timelinelabels.evaluation.judging import ControlOutcome
from timelinelabels.evaluation.simulation import Simulation
from timelinelabels.metrics import Scores, score_videos


def evaluation_data(evaluation: Evaluation) -> dict[str, Any]:
    """Everything that `evaluate` measured."""
    return {
        "measured_on": evaluation.protocol,
        "training_videos": evaluation.training_videos,
        "controls": [_outcome(outcome) for outcome in evaluation.controls],
        "left_out": _left_out(evaluation.left_out),
        "seen_in_training": list(evaluation.seen_in_training),
    }


def simulation_data(simulation: Simulation) -> dict[str, Any]:
    """Everything that `simulate` measured."""
    return {
        "order": simulation.order,
        "controls": [
            {
                "name": control.control,
                "steps": [
                    {
                        "annotated_videos": step.annotated_videos,
                        "remaining_videos": step.remaining_videos,
                        **_scores(step.scores),
                    }
                    for step in control.steps
                ],
                "videos": [
                    {
                        "position": video.position,
                        "task_id": video.task_id,
                        "video": video.name,
                        "learned_videos": video.learned_videos,
                        **_scores(video.scores),
                    }
                    for video in control.videos
                ],
                "met": _outcome(control.met) if control.met else None,
            }
            for control in simulation.controls
        ],
        "left_out": _left_out(simulation.left_out),
    }


def _outcome(outcome: ControlOutcome) -> dict[str, Any]:
    scores = outcome.scores
    return {
        "name": outcome.control,
        **_scores(scores),
        "labels": [_rounded(asdict(item)) for item in scores.labels],
        "videos": [
            {
                "task_id": video.task_id,
                "video": video.name,
                **_scores(score_videos([video.outcome], outcome.labels)),
            }
            for video in outcome.videos
        ],
    }


def _scores(scores: Scores) -> dict[str, Any]:
    return {
        "scores": scores.rounded(),
        "corrections": {**asdict(scores.corrections), "total": scores.corrections.total},
        "regions_without_model": scores.regions,
    }


def _left_out(items: Sequence[LeftOut]) -> list[dict[str, str]]:
    return [{"task_id": item.task_id, "reason": item.reason} for item in items]


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in values.items()
    }
