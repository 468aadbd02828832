"""Every video predicted by networks that never saw it."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from timelinelabels.neural_nets import Fit, Videos
from timelinelabels.neural_nets.base import Array
from timelinelabels.neural_nets.fitting import UPDATES
from timelinelabels.temporal_head import TemporalHead
from timelinelabels.training.conclusions import HeldOut, outcomes
from timelinelabels.training.heads import FOREST, fits_of, untrained_head, videos_of
from timelinelabels.training.lessons import HeadParameters, Lesson
from timelinelabels.training.side_by_side import Budget, Job, Progress, run_side_by_side

FOLDS = 4

# What `auto` chooses from: kinds whose probabilities are averaged. Of equals, the first is taken.
CANDIDATES: tuple[tuple[str, ...], ...] = (
    ("lstm", "tcn", "trees"),
    ("lstm", "tcn"),
    ("trees",),
    ("tcn",),
    ("lstm",),
)


def predict_held_out(
    ordered: Sequence[Lesson],
    labels: int,
    *,
    kinds: Sequence[str],
    parameters: HeadParameters,
    exclusive: bool,
    budget: Budget,
    progress: Progress,
) -> tuple[HeldOut, dict[str, list[Fit]]]:
    """Predict every video by networks that never saw it, and draw the conclusions.

    Returns also what the trainings of each kind did, one for each fold.
    """
    folds = folds_of([item.example.media_hash for item in ordered])
    trials: list[tuple[TemporalHead, Videos]] = []
    jobs: list[list[Job]] = []
    for number in range(max(folds) + 1):
        learned, held_back = _parted(ordered, [fold == number for fold in folds])
        head = untrained_head(learned, labels, kinds, parameters, exclusive=exclusive)
        unseen = videos_of(held_back, head)
        trials.append((head, unseen))
        jobs.append(fits_of(videos_of(learned, head), head, parameters, unseen=unseen))
    by_kind = [job for of_kind in zip(*jobs, strict=True) for job in of_kind]
    fits = run_side_by_side(by_kind, budget, progress, waves_after=len(kinds))
    by_fold = {kind: fits[at * len(jobs) :][: len(jobs)] for at, kind in enumerate(kinds)}
    candidates = [kinds] if len(kinds) == 1 else _unhurried(by_fold)
    predicted = [
        iter([_predict(head, sequence) for sequence in unseen.sequences]) for head, unseen in trials
    ]
    held_out = outcomes(
        [next(predicted[fold]) for fold in folds],  # within a fold, videos keep their order
        [item.targets for item in ordered],
        [item.judged for item in ordered],
        folds=folds,
        hashes=[item.example.media_hash for item in ordered],
        truths=[item.truth for item in ordered],
        candidates=candidates,
    )
    return held_out, by_fold


def _unhurried(by_fold: Mapping[str, Sequence[Fit]]) -> Sequence[Sequence[str]]:
    """The candidates without networks that had no time for half of their updates, if any are left.

    Half-trained networks make a mean worse than trees are alone.
    """
    hurried = {
        kind
        for kind, fits in by_fold.items()
        if kind != FOREST
        and any(fit.stopped_by == "time" and 2 * fit.updates < UPDATES for fit in fits)
    }
    return [kinds for kinds in CANDIDATES if not hurried & set(kinds)] or CANDIDATES


def _predict(head: TemporalHead, sequence: Array) -> dict[str, npt.NDArray[np.float32]]:
    return {kind: network.predict(sequence) for kind, network in head.networks.items()}


def updates_that_held(fits: Sequence[Fit]) -> int:
    """Updates after which held-out videos were predicted as well as they would be; a mean over folds."""
    judged = ("f1", "accuracy", "patience")
    return round(
        sum(fit.updates if fit.stopped_by in judged else UPDATES for fit in fits) / len(fits)
    )


def folds_of(hashes: Sequence[str]) -> list[int]:
    """The fold of each example: videos are dealt out in the order of their content hashes."""
    videos = sorted(set(hashes))
    fold = {media_hash: index % min(FOLDS, len(videos)) for index, media_hash in enumerate(videos)}
    return [fold[media_hash] for media_hash in hashes]


def _parted(items: Sequence[Lesson], chosen: Sequence[bool]) -> tuple[list[Lesson], list[Lesson]]:
    """The items that are not chosen, and those that are."""
    pairs = list(zip(items, chosen, strict=True))
    return [item for item, taken in pairs if not taken], [item for item, taken in pairs if taken]
