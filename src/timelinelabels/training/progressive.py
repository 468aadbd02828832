"""Progressive validation: what is newly annotated is predicted first, scored, and only then learned.

Each such score is that of an unseen video and costs one prediction; over the versions of a model they make
a learning curve that nobody had to hold videos back for.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from timelinelabels.metrics import frame_scores
from timelinelabels.temporal_head import TemporalHead
from timelinelabels.training.conclusions import outcome, video_score
from timelinelabels.training.lessons import Example, Lesson


@dataclass(frozen=True, kw_only=True)
class FirstSight:
    """How well the head that predicts did on videos that it had not learned."""

    # Number of these videos.
    videos: int
    # Their mean frame F1 (micro), 0..1.
    frame_f1: float
    # Mean of frame F1 (micro) and segmental F1@50, 0..1.
    score: float


def first_sight(
    head: TemporalHead, examples: Sequence[Example], learned: Collection[str]
) -> FirstSight | None:
    """Predict and score the examples whose video the head has not learned.

    Args:
        head: with the labels of the examples, in their order.
        examples: all that is about to be learned.
        learned: media hashes that the head has learned from.

    Returns:
        None where every video is known already.
    """
    new = [Lesson.of(item) for item in examples if item.media_hash not in learned]
    if not new:
        return None
    outcomes = [
        outcome(
            head.calibrated_steps(item.example.video),
            item.targets,
            item.judged,
            head.rules,
        )
        for item in new
    ]
    return FirstSight(
        videos=len({item.example.media_hash for item in new}),
        frame_f1=float(
            np.mean([frame_scores(item.predicted, item.truth).f1_micro for item in outcomes])
        ),
        score=float(np.mean([video_score(item) for item in outcomes])),
    )
