"""All scores of a set of videos."""

import numpy as np
import pytest

from timelinelabels.metrics import VideoOutcome, score_videos
from timelinelabels.metrics.corrections import Corrections

LABELS = ("walk", "sit", "never")


def outcome(seed, frames=200):
    random = np.random.default_rng(seed)
    truth = np.zeros((frames, 3), dtype=bool)
    truth[20:80, 0] = truth[100:150, 1] = True
    probabilities = np.clip(truth * 0.6 + random.random(truth.shape) * 0.5, 0, 1)
    predicted = truth.copy()
    predicted[70:80, 0] = False
    return VideoOutcome(truth=truth, predicted=predicted, probabilities=probabilities)


def test_the_summary_agrees_with_the_scores_it_is_made_of():
    scores = score_videos([outcome(1), outcome(2)], LABELS)
    assert (scores.videos, scores.frames, scores.regions) == (2, 400, 4)
    assert scores.frame_f1_macro == pytest.approx((2 * 50 / 110 + 1) / 2)
    assert scores.segmental_f1_50 == 1
    assert scores.edit_score == 1
    assert scores.temporal_iou == pytest.approx((50 / 60 + 1) / 2)
    # 10 frames at 25 fps are 0.4 s: within the tolerance of 0.5 s
    assert scores.corrections == Corrections()
    walk, sit, never = scores.labels
    assert (walk.true_frames, walk.claimed_frames, walk.true_segments) == (120, 100, 2)
    assert sit.f1 == 1
    assert (never.f1, never.average_precision, never.segmental_f1_50) == (None, None, None)
    assert scores.mean_average_precision == pytest.approx(
        (walk.average_precision + sit.average_precision) / 2
    )


def test_the_tolerance_of_corrections_is_in_seconds():
    video = outcome(1)
    slow = VideoOutcome(truth=video.truth, predicted=video.predicted, fps=10)
    assert score_videos([slow], LABELS).corrections == Corrections(move=1)


def test_what_needs_probabilities_is_not_measured_without_them():
    video = outcome(1)
    scores = score_videos([VideoOutcome(truth=video.truth, predicted=video.predicted)], LABELS)
    assert scores.mean_average_precision is None
    assert scores.calibration_error is None
    assert scores.labels[0].average_precision is None
    assert scores.rounded()["calibration_error"] is None


def test_the_order_of_videos_does_not_matter():
    videos = [outcome(seed, frames) for seed, frames in ((1, 200), (2, 300), (3, 150))]
    one, other = score_videos(videos, LABELS), score_videos(videos[::-1], LABELS)
    assert one.rounded() == other.rounded()


def test_segments_at_the_border_of_two_videos_stay_two():
    whole = VideoOutcome(truth=np.ones((10, 1), bool), predicted=np.ones((10, 1), bool))
    scores = score_videos([whole, whole], ["a"])
    assert scores.labels[0].true_segments == 2


def test_arrays_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"\(T, C\)"):
        VideoOutcome(truth=np.zeros((3, 2), bool), predicted=np.zeros((3, 1), bool))
    with pytest.raises(ValueError, match="at least one video"):
        score_videos([], ["a"])
    with pytest.raises(ValueError, match="at least one video"):
        score_videos([outcome(1)], ["a"])
