"""Whether a new head may take the place of the one that predicts: only if it is not clearly worse.

Both were scored on videos that they had not learned from. On the videos whose truth is still the same, the
two scores of each are a pair; the new head is clearly worse where it loses much on average, and a paired
one-sided t-test says that this is hardly chance. One bad annotation cannot then undo what was learned;
nor can a head that only differs stay behind for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

FEWEST_VIDEOS = 3
CLEAR_LOSS = 0.05  # of the mean score
CHANCE = 0.05  # probability of so great a loss where there is none, below which it counts


@dataclass(frozen=True, kw_only=True)
class HeldOutVideo:
    """How well a video was predicted by networks that never saw it."""

    # Mean of frame F1 (micro) and segmental F1@50, 0..1.
    score: float
    # Of what was taken as true: scores against different truths say nothing about each other.
    truth: str


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A new head's clear loss on the videos that both heads were held out from."""

    videos: int
    score_before: float
    score: float


def clear_loss(
    before: Mapping[str, HeldOutVideo], after: Mapping[str, HeldOutVideo]
) -> Loss | None:
    """What a new head loses against the one before; None where it is not clearly worse.

    Args:
        before: media hash → score, of the head that predicts.
        after: of the new head.
    """
    common = [
        (before[media_hash].score, video.score)
        for media_hash, video in after.items()
        if media_hash in before and before[media_hash].truth == video.truth
    ]
    if len(common) < FEWEST_VIDEOS:
        return None
    old, new = np.array(common).T
    losses = old - new
    if losses.mean() <= CLEAR_LOSS:
        return None
    if losses.std() > 0:
        from scipy.stats import ttest_1samp  # a second to import

        if ttest_1samp(losses, 0.0, alternative="greater").pvalue >= CHANCE:
            return None
    return Loss(videos=len(losses), score_before=float(old.mean()), score=float(new.mean()))
