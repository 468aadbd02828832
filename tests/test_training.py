"""From examples to a trained head with honest scores."""

import hashlib
import random
import time
from dataclasses import replace

import numpy as np
import pytest

from temporal_videos import LABELS, NAMES, easy_video
from timelinelabels.errors import TrainingError
from timelinelabels.metrics.frames import FrameScores
from timelinelabels.neural_nets import Fit
from timelinelabels.neural_nets.fitting import UPDATES
from timelinelabels.thumbnails import CELLS
from timelinelabels.training import HELD_OUT_FROM, Example, HeadParameters, train_head
from timelinelabels.training.folds import CANDIDATES, _unhurried
from timelinelabels.training.lessons import Lesson, labels_exclude_each_other
from timelinelabels.training.side_by_side import Budget, run_side_by_side

QUICK = HeadParameters(epochs=4, hidden_size=8)
NOTHING = FrameScores(f1=0.0, accuracy=0.0)


def examples(count, **options):
    result = []
    for seed in range(count):
        video, targets = easy_video(seed, **options)
        media_hash = hashlib.sha256(str(seed).encode()).hexdigest()
        result.append(Example(media_hash=media_hash, video=video, targets=targets))
    return result


def weights(trained):
    return {
        f"{kind}.{name}": tensor.numpy()
        for kind, network in trained.head.networks.items()
        for name, tensor in network.state_dict().items()
    }


def test_the_same_annotations_in_any_order_give_the_same_model():
    given = examples(5)
    shuffled = random.Random(1).sample(given, len(given))
    first, second = train_head(given, NAMES, QUICK), train_head(shuffled, NAMES, QUICK)
    assert first.scores == second.scores
    assert first.head.rules == second.head.rules
    np.testing.assert_array_equal(first.head.curves, second.head.curves)
    for name, value in weights(first).items():
        np.testing.assert_array_equal(value, weights(second)[name])


@pytest.mark.slow
def test_every_video_is_held_out_once_as_soon_as_there_are_enough():
    few = train_head(examples(HELD_OUT_FROM - 1), NAMES, QUICK)
    assert (few.measured_on, few.held_out) == ("training videos", {})
    for count in (HELD_OUT_FROM, 6):
        given = examples(count)
        enough = train_head(given, NAMES, QUICK)
        assert enough.measured_on == "held-out videos"
        assert set(enough.held_out) == {example.media_hash for example in given}


@pytest.mark.slow
def test_what_is_plain_to_see_is_learned_and_holds_on_unseen_videos():
    trained = train_head(examples(6), NAMES, HeadParameters())
    assert trained.scores.frame_f1_macro > 0.8
    assert min(video.score for video in trained.held_out.values()) > 0.6
    video, targets = easy_video(99)
    assert ((trained.head.predict(video) >= 0.5) == targets).mean() > 0.9


@pytest.mark.slow
def test_held_out_scores_do_not_praise_what_cannot_generalise():
    """Targets that have nothing to do with the features can be learned by heart, not predicted."""
    noise = np.random.default_rng(0)
    given = [
        Example(
            media_hash=example.media_hash,
            video=easy_video(100 + index, noise=noise)[0],
            targets=example.targets,
        )
        for index, example in enumerate(examples(6))
    ]
    head = train_head(given, NAMES, HeadParameters())
    assert head.scores.frame_f1_macro < 0.75


def test_examples_of_one_video_are_never_split_between_training_and_held_out():
    one = examples(1)[0]
    given = [
        Example(media_hash=one.media_hash, video=one.video, targets=targets, annotations=2)
        for targets in (one.targets, 1 - one.targets, one.targets * 0)
    ]
    head = train_head(given, NAMES, QUICK)
    assert (len(head.media), head.annotations, head.held_out) == (1, 6, {})


def test_from_the_first_video_on_what_is_much_shorter_than_people_draw_is_not_predicted():
    trained = train_head(examples(1), NAMES, QUICK)
    assert all(rule.shortest > 0 for rule in trained.head.rules)


def test_the_networks_are_built_as_the_parameters_say():
    parameters = HeadParameters(epochs=1, hidden_size=5, num_layers=2, sequence_size=9)
    head = train_head(examples(1), NAMES, parameters).head
    assert head.label_map == {"one": 0, "two": 1, "three": 2}
    lstm, tcn = head.networks["lstm"], head.networks["tcn"]
    assert (lstm.lstm.hidden_size, lstm.lstm.num_layers, lstm.sequence_size) == (5, 2, 9)
    assert (tcn.first.enter.out_channels, tcn.sequence_size) == (5, 9)
    for network in head.networks.values():
        assert network.get_label_map() == head.label_map


@pytest.mark.parametrize(("kind", "refinements"), [("tcn", 2), ("auto", 1)])
def test_in_auto_the_tcn_has_one_stage_of_refinement_fewer(kind, refinements):
    parameters = HeadParameters(type=kind, epochs=1, num_layers=2)
    tcn = train_head(examples(1), NAMES, parameters).head.networks["tcn"]
    assert len(tcn.refinements) == refinements


@pytest.mark.parametrize("kind", ["lstm", "tcn"])
def test_a_network_that_a_person_names_is_the_one_that_is_trained(kind):
    trained = train_head(examples(4), NAMES, HeadParameters(type=kind, epochs=2))
    assert list(trained.head.networks) == list(trained.fits) == [kind]


def test_epochs_and_thresholds_end_the_training():
    def fits(**options):
        found = train_head(examples(2), NAMES, HeadParameters(**options)).fits
        assert found["trees"].stopped_by == "trees"  # which have no epochs
        return [found["tcn"], found["lstm"]]

    assert {(fit.epochs, fit.stopped_by) for fit in fits(epochs=2)} == {(2, "epochs")}
    assert {fit.stopped_by for fit in fits(f1_threshold=0.01)} == {"f1"}
    assert {fit.stopped_by for fit in fits(accuracy_threshold=0.01)} == {"accuracy"}


@pytest.mark.slow
def test_from_three_videos_on_the_thresholds_are_judged_on_held_out_videos():
    """Rare labels that no feature shows can be learned by heart; held out, they reach no threshold."""
    noise = np.random.default_rng(0)
    given = []
    for index, one in enumerate(examples(4)):
        targets = np.zeros_like(one.targets)
        targets[(start := 80 * int(noise.integers(4))) : start + 40] = 1
        video = easy_video(index, noise=noise)[0]
        given.append(replace(one, video=video, targets=targets))
    parameters = HeadParameters(type="tcn", f1_threshold=0.6)
    by_heart, honest = (train_head(given[:count], NAMES, parameters) for count in (2, 4))
    assert by_heart.fits["tcn"].stopped_by == "f1"
    assert by_heart.fold_fits == {}
    assert "f1" not in {fit.stopped_by for fit in honest.fold_fits["tcn"]}


def test_what_is_published_is_trained_for_as_long_as_the_folds_were():
    trained = train_head(examples(4), NAMES, HeadParameters(type="tcn", f1_threshold=0.01))
    folds = trained.fold_fits["tcn"]
    assert {fit.stopped_by for fit in folds} == {"f1"}
    assert trained.fits["tcn"].updates == round(np.mean([fit.updates for fit in folds])) < UPDATES


@pytest.mark.slow
def test_a_held_out_video_in_which_nothing_happens_ends_no_training():
    given = examples(4)
    given[0] = replace(given[0], targets=given[0].targets * 0)
    folds = train_head(given, NAMES, HeadParameters(type="tcn")).fold_fits["tcn"]
    assert min(fit.updates for fit in folds) > 3


@pytest.mark.slow
def test_a_training_ends_with_what_it_has_when_its_time_is_up(caplog):
    given = examples(4, frames=4000)
    begun = time.monotonic()
    trained = train_head(given, NAMES, HeadParameters(f1_threshold=1.0), max_seconds=0.5)
    assert time.monotonic() - begun < 15
    assert "time" in {fit.stopped_by for fit in trained.fits.values()}
    assert np.isfinite(trained.head.predict(given[0].video)).all()
    assert "MAX_TRAINING_SECONDS" in caplog.text


def test_networks_that_had_no_time_are_left_out_of_a_mean_with_trees():
    def fits(updates, stopped_by):
        return [Fit(epochs=1, updates=updates, scores=NOTHING, stopped_by=stopped_by)] * 2

    done, hurried = fits(UPDATES, "updates"), fits(UPDATES // 2 - 1, "time")
    trees = fits(10, "time")
    assert _unhurried({"tcn": done, "lstm": done, "trees": trees}) == list(CANDIDATES)
    assert _unhurried({"tcn": hurried, "lstm": hurried, "trees": trees}) == [("trees",)]
    assert _unhurried({"tcn": hurried, "lstm": done, "trees": trees}) == [("trees",), ("lstm",)]


def test_whoever_watches_may_end_a_training():
    class EnoughError(Exception):
        pass

    def stop(*report):
        raise EnoughError

    with pytest.raises(EnoughError):
        train_head(examples(4), NAMES, QUICK, on_epoch=stop)


def test_of_fits_side_by_side_the_error_is_raised_that_ended_the_others():
    def fails(share, report):
        raise OSError("the first")

    def goes_on(share, report):
        while True:
            report(1, FrameScores(f1=0.0, accuracy=0.0))

    for _ in range(50):
        with pytest.raises(OSError, match="the first"):
            run_side_by_side([goes_on, fails], Budget.of_seconds(None), lambda *_: None)


@pytest.mark.slow
def test_frames_that_nobody_judged_do_not_count_in_the_scores():
    given = examples(4)
    half = [
        Example(
            media_hash=example.media_hash,
            video=example.video,
            targets=example.targets,
            judged=np.arange(len(example.targets)) < len(example.targets) // 2,
        )
        for example in given
    ]
    whole = train_head(given, NAMES, QUICK).scores.frames
    assert train_head(half, NAMES, QUICK).scores.frames == pytest.approx(whole / 2, rel=0.02)


def test_a_feature_that_never_varies_in_training_cannot_blow_up_predictions():
    video, targets = easy_video(0)
    video.features[:, -1] = 0
    head = train_head([Example(media_hash="a", video=video, targets=targets)], NAMES, QUICK).head
    video.features[:, -1] = 0.5
    assert np.isfinite(head.predict(video)).all()


@pytest.mark.slow
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_the_shortest_videos_can_be_learned_and_predicted(frames):
    trained = train_head(examples(4, frames=frames), NAMES, QUICK)
    video, targets = easy_video(9, frames=frames)
    assert trained.head.predict(video).shape == targets.shape


def test_nothing_to_learn_from_is_an_error_that_says_what_is_needed():
    with pytest.raises(TrainingError, match="at least one annotated video"):
        train_head([], NAMES, QUICK)
    with pytest.raises(TrainingError, match="at least one label"):
        train_head(examples(1), [], QUICK)


def test_all_epochs_are_reported_with_their_stage():
    seen = []
    train_head(
        examples(3),
        NAMES,
        HeadParameters(epochs=2),
        on_epoch=lambda *report: seen.append(report[:2]),
    )
    assert seen[0] == ("on some videos, to judge by the others", 1)
    assert seen[-1] == ("on all videos", 2)


assert len(NAMES) == LABELS


def test_labels_that_never_meet_exclude_each_other():
    def lesson(*rows, judged=None):
        targets = np.array(rows, np.float32)
        times = np.arange(len(rows)) * 0.2
        video = replace(
            easy_video(0)[0],
            features=np.zeros((len(rows), 4)),
            thumbnails=np.zeros((len(rows), CELLS), np.uint8),
            times=times,
        )
        return Lesson.of(replace(examples(1)[0], video=video, targets=targets, judged=judged))

    apart = [[1, 0]] * 60 + [[0, 0]] * 20 + [[0, 1]] * 60
    together = [[1, 1]] * 30
    assert labels_exclude_each_other([lesson(*apart)])
    assert labels_exclude_each_other([lesson(*apart, [1, 1])])  # a boundary, not a rule
    assert not labels_exclude_each_other([lesson(*apart), lesson(*together)])
    assert not labels_exclude_each_other([lesson([0, 0], [0, 0])])
    assert not labels_exclude_each_other([lesson(*[[1, 0]] * 30)])  # one label
    torn = [[1, 0]] * 10 + [[0.5, 0.5]] * 10 + [[0, 1]] * 10
    assert labels_exclude_each_other([lesson(*torn)])  # annotators differ
    judged = np.array([True] * len(apart) + [False] * 30)
    assert labels_exclude_each_other([lesson(*apart, *together, judged=judged)])


def test_where_labels_exclude_each_other_they_share_one_probability():
    given = examples(2)
    apart = [
        replace(
            one,
            targets=np.eye(len(NAMES), dtype=np.float32)[
                np.arange(len(one.targets)) * len(NAMES) // len(one.targets)
            ],
        )
        for one in given
    ]
    together = [replace(one, targets=np.ones_like(one.targets)) for one in given]
    for lessons, exclusive in ((apart, True), (together, False)):
        head = train_head(lessons, NAMES, HeadParameters()).head
        for kind in ("tcn", "lstm"):
            said = head.networks[kind].predict(head.inputs(given[0].video))
            assert head.networks[kind].exclusive == exclusive
            assert (said.sum(axis=1).max() <= 1 + 1e-5) == exclusive
