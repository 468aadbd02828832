"""What is concluded from held-out predictions: which networks, which calibration, which rules, how good."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from timelinelabels.metrics import (
    VideoOutcome,
    average_precision,
    frame_scores,
    segmental_f1,
    spans_of,
)
from timelinelabels.segments import segments_of
from timelinelabels.temporal_head.calibration import calibrated, fit_calibration
from timelinelabels.temporal_head.label_rules import LabelRule, fit_rules
from timelinelabels.temporal_head.time_steps import STEP_SECONDS
from timelinelabels.training.champion import HeldOutVideo

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


CLEAR_GAIN = 0.5  # over the number of videos: the gain in quality for which another kind is chosen


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The conclusions."""

    # Of the networks whose mean is the best.
    kinds: tuple[str, ...]
    # (C, 2) calibration and the rules of the C columns, from all held-out predictions.
    curves: npt.NDArray[np.float64]
    rules: tuple[LabelRule, ...]
    # One for each example; its calibration and rules come from the other folds.
    outcomes: list[VideoOutcome]
    # Media hash → how well the video was predicted.
    by_video: dict[str, HeldOutVideo]


def outcomes(
    said: Sequence[Mapping[str, Floats]],
    targets: Sequence[Floats],
    judged: Sequence[Bools],
    *,
    folds: Sequence[int],
    hashes: Sequence[str],
    truths: Sequence[str],
    candidates: Sequence[Sequence[str]],
) -> HeldOut:
    """Draw the conclusions.

    Args:
        said: kind → probabilities (S, C) of each example by networks that never saw its video.
        targets: (S, C) of each example.
        judged: (S,) of each example: steps that say something about labels.
        folds: of each example.
        hashes: media hash of each example.
        truths: hash of what is taken as true of each example.
        candidates: kinds that may be averaged; the first is the one to leave for a clear gain only.
    """
    kept = [target[mask] for target, mask in zip(targets, judged, strict=True)]

    def mean(kinds: Sequence[str]) -> list[Floats]:
        return [
            np.mean([one[kind] for kind in kinds], axis=0)[mask]
            for one, mask in zip(said, judged, strict=True)
        ]

    # Few videos say little about which kind is better: the first is left for a clear gain only.
    margin = CLEAR_GAIN / len(set(hashes))
    qualities = [_quality(mean(kinds), kept) for kinds in candidates]
    qualities[0] += margin
    best = candidates[int(np.argmax(qualities))]
    probabilities = mean(best)
    judgements: list[VideoOutcome | None] = [None] * len(said)
    for fold in sorted(set(folds)):
        others = [index for index, other in enumerate(folds) if other != fold]
        curves, rules = _conclude([probabilities[i] for i in others], [kept[i] for i in others])
        for index, own in enumerate(folds):
            if own == fold:
                judgements[index] = outcome(
                    calibrated(probabilities[index], curves), kept[index], None, rules
                )
    judged_outcomes = [item for item in judgements if item is not None]
    curves, rules = _conclude(probabilities, kept)
    by_hash: dict[str, list[tuple[float, str]]] = {}
    for media_hash, item, truth in zip(hashes, judged_outcomes, truths, strict=True):
        by_hash.setdefault(media_hash, []).append((video_score(item), truth))
    return HeldOut(
        kinds=tuple(best),
        curves=curves,
        rules=rules,
        outcomes=judged_outcomes,
        by_video={
            media_hash: HeldOutVideo(
                score=float(np.mean([score for score, _ in found])),
                truth="-".join(truth for _, truth in found),
            )
            for media_hash, found in by_hash.items()
        },
    )


def outcome(
    probabilities: Floats,
    targets: Floats,
    judged: Bools | None,
    rules: Sequence[LabelRule],
) -> VideoOutcome:
    """One video's steps as they are scored."""
    if judged is not None:
        probabilities, targets = probabilities[judged], targets[judged]
    predicted = np.zeros(targets.shape, dtype=bool)
    for label, rule in enumerate(rules):
        for start, end in segments_of(probabilities[:, label], rule.at(1 / STEP_SECONDS)):
            predicted[start:end, label] = True
    return VideoOutcome(
        truth=targets >= 0.5,
        predicted=predicted,
        probabilities=probabilities,
        fps=1 / STEP_SECONDS,
    )


def video_score(item: VideoOutcome) -> float:
    """How well one video was predicted, 0..1: the mean of its frame F1 (micro) and segmental F1@50."""
    frames = frame_scores(item.predicted, item.truth).f1_micro
    return (frames + segmental_f1([spans_of(item.predicted)], [spans_of(item.truth)], 0.5)) / 2


def _conclude(
    probabilities: Sequence[Floats], targets: Sequence[Floats]
) -> tuple[npt.NDArray[np.float64], tuple[LabelRule, ...]]:
    curves = fit_calibration(probabilities, targets)
    bent = [calibrated(item, curves) for item in probabilities]
    halves = calibrated(np.full((1, len(curves)), 0.5, np.float32), curves)[0]
    return curves, tuple(fit_rules(bent, targets, halves))


def _quality(probabilities: Sequence[Floats], targets: Sequence[Floats]) -> float:
    """Mean of the mean average precision and of the segmental F1@50 at a threshold of one half."""
    found = average_precision(
        np.concatenate(list(probabilities)), np.concatenate(list(targets)) >= 0.5
    )
    known = [value for value in found if value is not None]
    segments = segmental_f1(
        [spans_of(said >= 0.5) for said in probabilities],
        [spans_of(true >= 0.5) for true in targets],
        0.5,
    )
    return (float(np.mean(known)) + segments) / 2 if known else 0.0
