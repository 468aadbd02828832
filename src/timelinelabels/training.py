"""From annotated videos to a trained temporal head with honest scores.

A head is trained from scratch on all examples, in an order that depends on nothing but their content,
with fixed seeds: equal annotations give equal weights, in whatever order they were made.

From `HELD_OUT_FROM` videos on, the videos are dealt into folds. For each fold, networks are trained on
the other folds and predict it, so that every video is predicted by networks that never saw it. From these
held-out predictions come the choice between kinds of network, the calibration, the rules that make
segments, and the scores (where a fold is scored, its rules come from the other folds). The head that is
published is then trained on all videos. With fewer videos the scores are those on the training videos,
and say so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from timelinelabels.errors import TrainingError
from timelinelabels.fits import Budget, Job, Progress, run_side_by_side
from timelinelabels.held_out import HeldOut, outcome, outcomes
from timelinelabels.metrics import FrameScores, Scores, VideoOutcome, score_videos
from timelinelabels.neural_nets import BaseNN, Fit, MultiLabelLSTM, MultiStageTCN, partial_fit
from timelinelabels.temporal_head import LabelRule, StepInputs, TemporalHead, VideoSequence
from timelinelabels.temporal_head.calibration import identity_calibration
from timelinelabels.temporal_head.time_steps import TimeSteps

HELD_OUT_FROM = 3  # videos
FOLDS = 4
SEED = 0

NETWORKS: dict[str, type[MultiLabelLSTM] | type[MultiStageTCN]] = {
    "lstm": MultiLabelLSTM,
    "tcn": MultiStageTCN,
}
# What `auto` chooses from: kinds whose probabilities are averaged. Of equals, the first is taken.
CANDIDATES: tuple[tuple[str, ...], ...] = (("lstm", "tcn"), ("tcn",), ("lstm",))

Stage = Literal["on some videos, to judge by the others", "on all videos"]
TrainingHook = Callable[[Stage, int, FrameScores | None], None]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One annotated video, on the frames of the file."""

    # Content hash of the video: equal videos are never split between training and held out.
    media_hash: str
    video: VideoSequence
    # (T, C) in 0..1: the share of the annotators who gave a frame a label.
    targets: npt.NDArray[np.float32]
    # (T,) bool: frames that say something about labels; None: all.
    judged: npt.NDArray[np.bool_] | None = None
    # Annotations that the targets are made of.
    annotations: int = 1


@dataclass(frozen=True, kw_only=True)
class HeadParameters:
    """How the temporal networks are built and trained: the guide's parameters, and which network."""

    type: str = "auto"
    epochs: int = 1000
    sequence_size: int = 16
    hidden_size: int = 32
    num_layers: int = 1
    f1_threshold: float = 0.95
    accuracy_threshold: float = 1.0


@dataclass(frozen=True, kw_only=True)
class TrainedHead:
    """A trained head and what is known of it."""

    head: TemporalHead
    scores: Scores
    measured_on: Literal["held-out videos", "training videos"]
    # Media hash of each held-out video → how well it was predicted, 0..1.
    held_out: dict[str, float]
    videos: int
    annotations: int
    frames: int
    # Of the networks that were trained on all videos, by kind.
    fits: dict[str, Fit]


@dataclass(frozen=True)
class _Prepared:
    """An example on the steps of time."""

    example: Example
    targets: npt.NDArray[np.float32]  # (S, C)
    judged: npt.NDArray[np.bool_]  # (S,)

    @classmethod
    def of(cls, example: Example) -> "_Prepared":
        steps = TimeSteps.of(example.video.times)
        judged = np.ones(len(example.targets)) if example.judged is None else example.judged
        return cls(example, steps.pool(example.targets), steps.pool(judged[:, None])[:, 0] >= 0.5)


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
        on_epoch: called after each epoch with the stage, the epochs done, and the scores on what was
            trained on; may raise to end the training.

    Raises:
        TrainingError: there is no example, or no label.
    """
    if not examples or not labels:
        raise TrainingError(
            "Nothing to learn from: a training needs at least one annotated video that can be read, "
            "and at least one label in the labeling config."
        )
    budget = Budget.of_seconds(max_seconds)
    ordered = [_Prepared.of(example) for example in sorted(examples, key=_content_order)]
    kinds = tuple(NETWORKS) if parameters.type == "auto" else (parameters.type,)
    held_out = None
    if len({item.example.media_hash for item in ordered}) >= HELD_OUT_FROM:
        held_out = _held_out(
            ordered,
            len(labels),
            kinds=kinds,
            parameters=parameters,
            budget=budget,
            on_epoch=on_epoch,
        )
        kinds = held_out.kinds
    head, fits = _learn(
        ordered,
        len(labels),
        kinds=kinds,
        parameters=parameters,
        budget=budget,
        progress=_staged(on_epoch, "on all videos"),
    )
    head = replace(head, label_map={label: column for column, label in enumerate(labels)})
    for network in head.networks.values():
        network.set_label_map(head.label_map)
    by_video: dict[str, float] = {}
    if held_out is not None:
        head = replace(head, curves=held_out.curves, rules=held_out.rules)
        judged = held_out.outcomes
        by_video = held_out.by_video
    else:
        judged = [_on_training(head, item) for item in ordered]
    return TrainedHead(
        head=head,
        scores=score_videos(judged, labels),
        measured_on="training videos" if held_out is None else "held-out videos",
        held_out=by_video,
        videos=len({item.example.media_hash for item in ordered}),
        annotations=sum(item.example.annotations for item in ordered),
        frames=sum(len(item.example.targets) for item in ordered),
        fits=fits,
    )


def _held_out(
    ordered: Sequence[_Prepared],
    labels: int,
    *,
    kinds: Sequence[str],
    parameters: HeadParameters,
    budget: Budget,
    on_epoch: TrainingHook | None,
) -> HeldOut:
    """Predict every video by networks that never saw it, and draw the conclusions."""
    folds = _folds([item.example.media_hash for item in ordered])
    parts = [
        [item for item, fold in zip(ordered, folds, strict=True) if fold != number]
        for number in range(max(folds) + 1)
    ]
    trials = [_untrained(part, labels, kinds, parameters) for part in parts]
    jobs = [
        job
        for part, trial in zip(parts, trials, strict=True)
        for job in _jobs(part, trial, parameters)
    ]
    run_side_by_side(
        jobs,
        budget,
        _staged(on_epoch, "on some videos, to judge by the others"),
        waves_after=len(kinds),
    )
    candidates = [kinds] if len(kinds) == 1 else CANDIDATES
    said = [
        {kind: network.predict(inputs) for kind, network in trials[fold].networks.items()}
        for item, fold in zip(ordered, folds, strict=True)
        for inputs in [trials[fold].inputs(item.example.video)]
    ]
    return outcomes(
        said,
        [item.targets for item in ordered],
        [item.judged for item in ordered],
        folds=folds,
        hashes=[item.example.media_hash for item in ordered],
        candidates=candidates,
    )


def _learn(
    ordered: Sequence[_Prepared],
    labels: int,
    *,
    kinds: Sequence[str],
    parameters: HeadParameters,
    budget: Budget,
    progress: Progress,
) -> tuple[TemporalHead, dict[str, Fit]]:
    head = _untrained(ordered, labels, kinds, parameters)
    fits = run_side_by_side(_jobs(ordered, head, parameters), budget, progress)
    return head, dict(zip(head.networks, fits, strict=True))


def _untrained(
    items: Sequence[_Prepared], labels: int, kinds: Sequence[str], parameters: HeadParameters
) -> TemporalHead:
    """A head with untrained networks, whose inputs are fitted on these videos."""
    inputs = StepInputs.fit([item.example.video for item in items])
    networks: dict[str, BaseNN] = {}
    for kind in kinds:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            networks[kind] = NETWORKS[kind](
                inputs.width,
                labels,
                hidden_size=parameters.hidden_size,
                num_layers=parameters.num_layers,
                sequence_size=parameters.sequence_size,
            )
    return TemporalHead(
        label_map={},
        inputs=inputs,
        networks=networks,
        curves=identity_calibration(labels),
        rules=(LabelRule(),) * labels,
    )


def _jobs(items: Sequence[_Prepared], head: TemporalHead, parameters: HeadParameters) -> list[Job]:
    """A fit of each of a head's networks."""
    sequences = [head.inputs(item.example.video) for item in items]

    def fit(network: BaseNN, deadline: float | None, progress: Progress) -> Fit:
        return partial_fit(
            network,
            sequences,
            [item.targets for item in items],
            judged=[item.judged for item in items],
            epochs=parameters.epochs,
            f1_threshold=parameters.f1_threshold,
            accuracy_threshold=parameters.accuracy_threshold,
            deadline=deadline,
            seed=SEED,
            on_epoch=progress,
        )

    return [partial(fit, network) for network in head.networks.values()]


def _on_training(head: TemporalHead, item: _Prepared) -> VideoOutcome:
    said = head.step_probabilities(item.example.video)
    return outcome(said, item.targets, item.judged, head.rules)


def _content_order(example: Example) -> tuple[str, bytes]:
    return example.media_hash, example.targets.tobytes()


def _folds(hashes: Sequence[str]) -> list[int]:
    """The fold of each example: videos are dealt out in the order of their content hashes."""
    videos = sorted(set(hashes))
    fold = {media_hash: index % min(FOLDS, len(videos)) for index, media_hash in enumerate(videos)}
    return [fold[media_hash] for media_hash in hashes]


def _staged(hook: TrainingHook | None, stage: Stage) -> Progress:
    def report(epoch: int, scores: FrameScores) -> None:
        if hook is not None:
            hook(stage, epoch, scores)

    return report
