"""From examples to a trained network with honest scores."""

import hashlib
import random

import numpy as np
import pytest

from test_neural_nets import LABELS, easy_video
from timelinelabels.errors import TrainingError
from timelinelabels.training import HELD_OUT_FROM, Example, HeadParameters, train_head

NAMES = ["one", "two", "three"]
QUICK = HeadParameters(epochs=6, hidden_size=8)


def examples(count):
    result = []
    for seed in range(count):
        features, targets = easy_video(seed)
        media_hash = hashlib.sha256(str(seed).encode()).hexdigest()
        result.append(Example(media_hash=media_hash, features=features, targets=targets))
    return result


def weights(head):
    return {name: tensor.numpy() for name, tensor in head.network.state_dict().items()}


def test_the_same_annotations_in_any_order_give_the_same_model():
    given = examples(5)
    shuffled = random.Random(1).sample(given, len(given))
    first, second = train_head(given, NAMES, QUICK), train_head(shuffled, NAMES, QUICK)
    assert first.scores == second.scores
    for name, value in weights(first).items():
        np.testing.assert_array_equal(value, weights(second)[name])


def test_scores_come_from_held_out_videos_as_soon_as_there_are_enough():
    few = train_head(examples(HELD_OUT_FROM - 1), NAMES, QUICK)
    enough = train_head(examples(HELD_OUT_FROM), NAMES, QUICK)
    assert (few.measured_on, few.held_out_videos) == ("training videos", 0)
    assert (enough.measured_on, enough.held_out_videos) == ("held-out videos", 1)
    assert train_head(examples(12), NAMES, HeadParameters(epochs=1)).held_out_videos == 3


def test_held_out_scores_do_not_praise_what_cannot_generalise():
    """Targets that have nothing to do with the features can be learned by heart, not predicted."""
    noise = np.random.default_rng(0)
    given = [
        Example(
            media_hash=example.media_hash,
            features=noise.normal(size=(80, 300)).astype(np.float16),
            targets=example.targets,
        )
        for example in examples(6)
    ]
    head = train_head(given, NAMES, HeadParameters(epochs=40))
    learned_by_heart = train_head(given[:2], NAMES, HeadParameters(epochs=40))
    assert head.scores.f1 < 0.75
    assert learned_by_heart.scores.f1 > 0.9


def test_several_annotations_of_one_video_are_never_split_between_training_and_held_out():
    one_video = examples(1)[0]
    given = [
        Example(media_hash=one_video.media_hash, features=one_video.features, targets=targets)
        for targets in (one_video.targets, 1 - one_video.targets, one_video.targets * 0)
    ]
    head = train_head(given, NAMES, QUICK)
    assert (head.videos, head.annotations, head.held_out_videos) == (1, 3, 0)


def test_the_network_is_built_as_the_parameters_say():
    parameters = HeadParameters(epochs=1, hidden_size=5, num_layers=2, sequence_size=9)
    network = train_head(examples(1), NAMES, parameters).network
    assert network.lstm.hidden_size == 5
    assert network.lstm.num_layers == 2
    assert network.sequence_size == 9
    assert network.get_label_map() == {"one": 0, "two": 1, "three": 2}


def test_a_feature_that_never_varies_in_training_cannot_blow_up_predictions():
    features, targets = easy_video(0)
    features[:, -1] = 0
    head = train_head([Example(media_hash="a", features=features, targets=targets)], NAMES, QUICK)
    odd = features.copy()
    odd[:, -1] = 0.5
    assert np.isfinite(head.network.predict(odd)).all()
    assert head.network.feature_scale.min() > 0


def test_nothing_to_learn_from_is_an_error_that_says_what_is_needed():
    with pytest.raises(TrainingError, match="at least one annotated video"):
        train_head([], NAMES, QUICK)
    with pytest.raises(TrainingError, match="at least one label"):
        train_head(examples(1), [], QUICK)


def test_all_epochs_are_reported():
    seen = []
    train_head(
        examples(3),
        NAMES,
        HeadParameters(epochs=2),
        on_epoch=lambda *report: seen.append(report[:2]),
    )
    assert seen[0] == ("choosing epochs", 1)
    assert seen[-1][0] == "training on all videos"


assert len(NAMES) == LABELS
