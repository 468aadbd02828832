"""Trees: what scikit-learn grows, kept as arrays; and what a row's surroundings are."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier

from timelinelabels.neural_nets import BaseNN, ExtraTrees, Videos
from timelinelabels.neural_nets.fitting import positive_weights
from timelinelabels.neural_nets.trees import TREES, with_surroundings

WIDTH, LEADING, TRAILING = 12, 7, 2


def lessons(count: int, *, rows: int = 200, seed: int = 0) -> Videos:
    """Videos whose first labels a column shows, and two labels that hold never and always."""
    random = np.random.default_rng(seed)
    sequences = [
        np.cumsum(random.normal(size=(rows, WIDTH)), axis=0).astype(np.float32) / 4
        for _ in range(count)
    ]
    targets = [
        np.stack(
            [one[:, 0] > 0, one[:, 1] + one[:, 2] > 1, np.zeros(rows), np.ones(rows)], axis=1
        ).astype(np.float32)
        for one in sequences
    ]
    return Videos(sequences=sequences, targets=targets)


def read(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([rows[:, :LEADING], rows[:, -TRAILING:]], axis=1)


def learned(videos: Videos, **options: object) -> ExtraTrees:
    trees = ExtraTrees(WIDTH, videos.targets[0].shape[1], leading=LEADING, trailing=TRAILING)
    trees.learn(videos, **options)
    return trees


def test_the_arrays_say_what_scikit_learns_forest_says() -> None:
    videos, unseen = lessons(4), lessons(1, seed=1)
    rows = np.concatenate([with_surroundings(read(one)) for one in videos.sequences])
    forest = ExtraTreesClassifier(TREES, min_samples_leaf=10, max_features=0.1, random_state=0).fit(
        rows, np.concatenate(list(videos.targets)) >= 0.5
    )
    theirs = forest.predict_proba(with_surroundings(read(unseen.sequences[0])))
    weights = positive_weights(list(videos.targets)).numpy()

    said = learned(videos).predict(unseen.sequences[0])

    for label in (0, 1):
        odds = theirs[label][:, 1] / (1 - theirs[label][:, 1]).clip(1e-3) * weights[label]
        assert np.allclose(said[:, label], odds / (1 + odds), atol=2e-3)


def test_unseen_rows_are_told_apart_and_labels_that_never_or_always_hold_are_learned() -> None:
    unseen = lessons(2, seed=2)
    trees = learned(lessons(6))
    scores = unseen.scores_of(trees)
    assert scores.f1 > 0.7
    said = trees.predict(unseen.sequences[0])
    assert (said[:, 2] < 0.1).all()
    assert (said[:, 3] > 0.9).all()


def test_one_label_alone_is_learned() -> None:
    videos = lessons(3)
    alone = Videos(sequences=videos.sequences, targets=[one[:, :1] for one in videos.targets])
    assert alone.scores_of(learned(alone)).f1 > 0.8


def test_equal_lessons_give_equal_trees_and_a_file_gives_them_back(tmp_path: Path) -> None:
    videos, unseen = lessons(3), lessons(1, seed=3).sequences[0]
    trees = learned(videos)
    trees.set_label_map({"a": 0, "b": 1, "c": 2, "d": 3})
    trees.save(tmp_path / "trees.safetensors")
    again = BaseNN.load(tmp_path / "trees.safetensors")
    said = trees.predict(unseen)
    assert np.array_equal(learned(videos).predict(unseen), said)
    assert np.array_equal(again.predict(unseen), said)
    assert again.get_label_map() == trees.get_label_map()


def test_rows_that_say_nothing_are_left_out() -> None:
    videos = lessons(3)
    judged = [one[:, 1] > 0 for one in videos.sequences]
    wrong = [
        np.where(mask[:, None], one, 1 - one)
        for mask, one in zip(judged, videos.targets, strict=True)
    ]
    half = Videos(sequences=videos.sequences, targets=wrong, judged=judged)
    assert half.scores_of(learned(half)).f1 > 0.8
    nothing = [np.zeros(len(mask), bool) for mask in judged]
    silent = learned(Videos(sequences=videos.sequences, targets=videos.targets, judged=nothing))
    assert silent.predict(videos.sequences[0]).max() < 0.1


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_very_short_videos_are_learned(rows: int) -> None:
    videos = lessons(1, rows=rows)
    said = learned(videos).predict(videos.sequences[0])
    assert said.shape == (rows, 4)
    assert (said[:, 3] > 0.9).all()
    assert learned(videos).predict(np.zeros((0, WIDTH), np.float32)).shape == (0, 4)


def test_time_that_has_run_out_leaves_the_trees_that_were_grown() -> None:
    trees = ExtraTrees(WIDTH, 4, leading=LEADING, trailing=TRAILING)
    fit = trees.learn(lessons(3), deadline=time.monotonic())
    assert fit.stopped_by == "time"
    assert fit.updates == len(trees.roots) == 10
    assert lessons(1).scores_of(trees).f1 > 0.5


def test_many_rows_are_thinned_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("timelinelabels.neural_nets.trees._MOST_ROWS", 300)
    rows, targets = ExtraTrees(WIDTH, 4, leading=LEADING, trailing=TRAILING)._examples(lessons(4))
    assert len(rows) == len(targets) == 300
    assert lessons(1, seed=4).scores_of(learned(lessons(4))).f1 > 0.5


@given(
    length=st.integers(1, 60),
    at=st.integers(0, 59),
    reach=st.sampled_from([0, 1, 2]),
)
@settings(max_examples=50)
def test_surroundings_are_means_around_and_after_less_before(
    length: int, at: int, reach: int
) -> None:
    at = min(at, length - 1)
    rows = np.random.default_rng(length).normal(size=(length, 2)).astype(np.float32)
    given_, *others = np.split(with_surroundings(rows), 7, axis=1)
    span = (2, 8, 20)[reach]
    around, change = others[2 * reach], others[2 * reach + 1]

    def mean(middle: int) -> np.ndarray:
        places = np.clip(np.arange(middle - span, middle + span + 1), 0, length - 1)
        return rows[places].mean(axis=0)

    assert np.array_equal(given_, rows)
    assert np.allclose(around[at], mean(at), atol=1e-5)
    after, before = min(at + span + 1, length - 1), max(at - span - 1, 0)
    assert np.allclose(change[at], mean(after) - mean(before), atol=1e-5)
