"""Whether a new head may take the place of the one that predicts."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timelinelabels.training.champion import FEWEST_VIDEOS, HeldOutVideo, clear_loss


def videos(scores, truth="same"):
    return {
        f"video {index}": HeldOutVideo(score=score, truth=truth)
        for index, score in enumerate(scores)
    }


def test_a_head_that_loses_much_on_every_video_is_clearly_worse():
    loss = clear_loss(videos([0.8, 0.7, 0.9, 0.8]), videos([0.5, 0.4, 0.5, 0.6]))
    assert loss.videos == 4
    assert (loss.score_before, loss.score) == (pytest.approx(0.8), pytest.approx(0.5))
    assert clear_loss(videos([0.8] * 4), videos([0.5] * 4)) is not None


def test_a_small_loss_or_one_that_may_be_chance_is_none():
    assert clear_loss(videos([0.8, 0.7, 0.9, 0.8]), videos([0.77, 0.67, 0.88, 0.76])) is None
    assert clear_loss(videos([0.8, 0.7, 0.9, 0.8]), videos([0.2, 0.75, 0.92, 0.85])) is None


def test_two_videos_are_too_few_to_judge_by():
    assert clear_loss(videos([0.9] * (FEWEST_VIDEOS - 1)), videos([0.0] * 5)) is None
    assert clear_loss(videos([0.9] * FEWEST_VIDEOS), videos([0.0] * 5)) is not None


def test_videos_that_are_annotated_anew_do_not_count():
    assert clear_loss(videos([0.9] * 5), videos([0.1] * 5, truth="another")) is None


@given(
    pairs=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=12),
    seed=st.integers(0, 99),
)
def test_the_order_of_videos_never_matters_and_of_two_heads_at_most_one_is_worse(pairs, seed):
    before, after = videos([old for old, _ in pairs]), videos([new for _, new in pairs])
    shuffled = dict(random.Random(seed).sample(sorted(after.items()), len(after)))
    assert (clear_loss(before, after) is None) == (clear_loss(before, shuffled) is None)
    assert clear_loss(before, after) is None or clear_loss(after, before) is None
    assert clear_loss(before, before) is None
