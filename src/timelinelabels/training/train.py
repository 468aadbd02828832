"""From annotated videos to a trained temporal head with honest scores.

A head is trained from scratch on all examples, in an order that depends on nothing but their content,
with fixed seeds: equal annotations give equal weights, in whatever order they were made.

From `HELD_OUT_FROM` videos on, the videos are dealt into folds. For each fold, networks are trained on
the other folds and predict it, so that every video is predicted by networks that never saw it. From these
held-out predictions come the choice between kinds of network, the calibration, the rules that make
segments, and the scores (where a fold is scored, its rules come from the other folds). By its held-out
videos a fold's training also stops. The head that is published is then trained on all videos, for as long
as the folds were. With fewer videos training stops by its own score, rules for segments are assumed, the
scores are those on the training videos, and say so.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

from timelinelabels.errors import TrainingError
from timelinelabels.metrics import FrameScores, Scores, VideoOutcome, score_videos
from timelinelabels.neural_nets import Fit
from timelinelabels.temporal_head import TemporalHead
from timelinelabels.temporal_head.label_rules import assumed_rules
from timelinelabels.training.champion import HeldOutVideo
from timelinelabels.training.conclusions import outcome
from timelinelabels.training.folds import predict_held_out, updates_that_held
from timelinelabels.training.heads import KINDS, fits_of, untrained_head, videos_of
from timelinelabels.training.lessons import (
    Example,
    HeadParameters,
    Lesson,
    labels_exclude_each_other,
)
from timelinelabels.training.side_by_side import Budget, Progress, run_side_by_side

logger = logging.getLogger(__name__)

HELD_OUT_FROM = 3  # videos

Stage = Literal["on some videos, to judge by the others", "on all videos"]
TrainingHook = Callable[[Stage, int, FrameScores | None], None]


@dataclass(frozen=True, kw_only=True)
class TrainedHead:
    """A trained head and what is known of it."""

    head: TemporalHead
    scores: Scores
    measured_on: Literal["held-out videos", "training videos"]
    # Media hash of each held-out video → how well it was predicted.
    held_out: dict[str, HeldOutVideo]
    # Media hashes of the videos that were learned, sorted.
    media: tuple[str, ...]
    annotations: int
    frames: int
    # Of the networks that were trained on all videos, by kind, and of those that the folds trained.
    fits: dict[str, Fit]
    fold_fits: dict[str, list[Fit]]


def train_head(
    examples: Sequence[Example],
    labels: Sequence[str],
    parameters: HeadParameters,
    *,
    max_seconds: float | None = None,
    on_epoch: TrainingHook | None = None,
) -> TrainedHead:
    """Train a head from scratch on all examples.

    Args:
        examples: in any order.
        labels: names of the C columns.
        parameters: of the networks and of the training.
        max_seconds: budget; where it runs out, training ends with what it has.
        on_epoch: called after each epoch with the stage, the epochs done, and the last scores (on
            held-out videos where there are some); may raise to end the training.

    Raises:
        TrainingError: there is no example, or no label.
    """
    if not examples or not labels:
        raise TrainingError(
            "Nothing to learn from: a training needs at least one annotated video that can be read, "
            "and at least one label in the labeling config."
        )
    budget = Budget.of_seconds(max_seconds)
    ordered = [Lesson.of(example) for example in sorted(examples, key=_content_order)]
    kinds = KINDS if parameters.type == "auto" else (parameters.type,)
    exclusive = labels_exclude_each_other(ordered)
    held_out, fold_fits = None, dict[str, list[Fit]]()
    if len({item.example.media_hash for item in ordered}) >= HELD_OUT_FROM:
        held_out, fold_fits = predict_held_out(
            ordered,
            len(labels),
            kinds=kinds,
            parameters=parameters,
            exclusive=exclusive,
            budget=budget,
            progress=_staged(on_epoch, "on some videos, to judge by the others"),
        )
        kinds = held_out.kinds
    head, fits = _learn(
        ordered,
        len(labels),
        kinds=kinds,
        parameters=parameters,
        exclusive=exclusive,
        updates={kind: updates_that_held(fold_fits[kind]) for kind in kinds if kind in fold_fits},
        budget=budget,
        progress=_staged(on_epoch, "on all videos"),
    )
    _tell_of_haste(
        parameters, chain(fits.values(), *fold_fits.values()), fold_fits.keys() - set(kinds)
    )
    head = replace(head, label_map={label: column for column, label in enumerate(labels)})
    for network in head.networks.values():
        network.set_label_map(head.label_map)
    by_video: dict[str, HeldOutVideo] = {}
    if held_out is not None:
        head = replace(head, curves=held_out.curves, rules=held_out.rules)
        judged = held_out.outcomes
        by_video = held_out.by_video
    else:
        head = replace(head, rules=tuple(assumed_rules([item.targets for item in ordered])))
        judged = [_on_training(head, item) for item in ordered]
    return TrainedHead(
        head=head,
        scores=score_videos(judged, labels),
        measured_on="training videos" if held_out is None else "held-out videos",
        held_out=by_video,
        media=tuple(sorted({item.example.media_hash for item in ordered})),
        annotations=sum(item.example.annotations for item in ordered),
        frames=sum(len(item.example.targets) for item in ordered),
        fits=fits,
        fold_fits={kind: fold_fits[kind] for kind in kinds if kind in fold_fits},
    )


def _learn(
    ordered: Sequence[Lesson],
    labels: int,
    *,
    kinds: Sequence[str],
    parameters: HeadParameters,
    exclusive: bool,
    updates: Mapping[str, int],
    budget: Budget,
    progress: Progress,
) -> tuple[TemporalHead, dict[str, Fit]]:
    """Train on all videos; where `updates` says how long for a kind, no score ends it earlier."""
    head = untrained_head(ordered, labels, kinds, parameters, exclusive=exclusive)
    jobs = fits_of(videos_of(ordered, head), head, parameters, updates=updates)
    fits = run_side_by_side(jobs, budget, progress)
    return head, dict(zip(head.networks, fits, strict=True))


def _tell_of_haste(
    parameters: HeadParameters, fits: Iterable[Fit], left_out: Collection[str]
) -> None:
    """Warn where time ran out: what was trained is less than it could be, and maybe not what was set."""
    if not any(fit.stopped_by == "time" for fit in fits):
        return
    logger.warning(
        "The time for a training (MAX_TRAINING_SECONDS) ran out before it was done%s. Give it more "
        "time, or make the networks smaller (hidden_size is %d, num_layers %d).",
        f"; left out: {', '.join(sorted(left_out))}" if left_out else "",
        parameters.hidden_size,
        parameters.num_layers,
    )


def _on_training(head: TemporalHead, item: Lesson) -> VideoOutcome:
    said = head.step_probabilities(item.example.video)
    return outcome(said, item.targets, item.judged, head.rules)


def _content_order(example: Example) -> tuple[str, bytes]:
    return example.media_hash, example.targets.tobytes()


def _staged(hook: TrainingHook | None, stage: Stage) -> Progress:
    def report(epoch: int, scores: FrameScores) -> None:
        if hook is not None:
            hook(stage, epoch, scores)

    return report
