"""From frames to steps, to inputs, to calibrated probabilities, to segments; and the head's file."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from temporal_videos import LABELS, NAMES, WIDTH, easy_video
from timelinelabels.errors import ModelRegistryError
from timelinelabels.metrics import spans_of
from timelinelabels.segments import segments_of
from timelinelabels.temporal_head import LabelRule, StepInputs, TemporalHead, VideoSequence
from timelinelabels.temporal_head.calibration import (
    calibrated,
    fit_calibration,
    identity_calibration,
)
from timelinelabels.temporal_head.label_rules import assumed_rules, fit_rules
from timelinelabels.temporal_head.moments import MOMENTS
from timelinelabels.temporal_head.time_steps import LONGEST_GAP, STEP_SECONDS, TimeSteps
from timelinelabels.thumbnails import CELLS
from timelinelabels.training import Example, HeadParameters, train_head

moments = st.lists(st.floats(0.001, 5), min_size=0, max_size=60).map(
    lambda gaps: 2.0 + np.concatenate([[0.0], np.cumsum(gaps)])
)


@given(moments)
def test_there_are_never_many_more_steps_than_frames(times):
    steps = TimeSteps.of(times)
    assert 1 <= steps.count <= len(times) * (LONGEST_GAP / STEP_SECONDS + 1) + 1


@given(moments, st.integers(1, 3))
def test_a_constant_stays_the_same_constant_through_steps_and_back(times, width):
    values = np.full((len(times), width), 0.25, np.float32)
    steps = TimeSteps.of(times)
    pooled = steps.pool(values)
    assert pooled.shape == (steps.count, width)
    np.testing.assert_allclose(pooled, 0.25, rtol=1e-6)
    np.testing.assert_allclose(steps.to_frames(pooled), 0.25, rtol=1e-6)


@pytest.mark.parametrize(("fps", "frames_a_step"), [(25, 5), (10, 2), (50, 10), (5, 1)])
def test_whole_numbers_of_frames_share_a_step(fps, frames_a_step):
    frames = 40 * frames_a_step
    steps = TimeSteps.of(np.arange(frames) / fps)
    assert steps.count == 40
    means = steps.pool(np.arange(frames, dtype=np.float32)[:, None])[:, 0]
    expected = np.arange(frames).reshape(40, frames_a_step).mean(axis=1)
    np.testing.assert_allclose(means, expected)


@pytest.mark.parametrize("fps", [1, 2, 5, 10, 25])
def test_what_changes_evenly_comes_back_at_its_own_time(fps):
    """At one frame a step, a step is that frame, not the time until the next one."""
    times = np.arange(12 * fps) / fps
    steps = TimeSteps.of(times)
    back = steps.to_frames(steps.pool(times[:, None].astype(np.float32)))[:, 0]
    inner = slice(fps, -fps)
    allowed = 1e-4 if fps >= 5 else STEP_SECONDS * np.ceil(5 / fps)  # empty steps hold their values
    np.testing.assert_allclose(back[inner], times[inner], atol=allowed)


def test_a_step_without_frames_shows_what_the_one_before_it_showed():
    steps = TimeSteps.of(np.array([0.0, 1.0, 1.1]))
    assert steps.pool(np.array([[1.0], [5.0], [7.0]]))[:, 0].tolist() == [1, 1, 1, 1, 1, 6]


def test_many_steps_are_pooled_in_parts_as_in_one():
    frames = 5 * 4096 + 17
    steps = TimeSteps.of(np.arange(frames) / 25)
    values = np.random.default_rng(0).random((frames, 1)).astype(np.float32)
    np.testing.assert_allclose(
        steps.pool(values)[4095:4098, 0],
        values[5 * 4095 : 5 * 4098, 0].reshape(3, 5).mean(axis=1),
        rtol=1e-5,
    )


def test_inputs_show_what_moves_and_what_is_not_always_there():
    thumbnails = np.zeros((500, CELLS), np.uint8)
    thumbnails[250:300, 7] = 255  # something appears in one cell for two seconds
    video = VideoSequence(
        features=np.random.default_rng(0).normal(size=(500, WIDTH)),
        thumbnails=thumbnails,
        times=np.arange(500) / 25,
    )
    inputs = StepInputs.fit([video])
    described = inputs(video)
    assert described.shape == (100, inputs.width)
    _, motion, foreground, moments = np.split(
        described, np.cumsum([inputs.components, CELLS, CELLS]), axis=1
    )
    assert moments.shape[1] == MOMENTS
    assert moments[50:60, 0].min() > 0
    assert not moments[:50, 0].any()
    assert set(np.argsort(motion[:, 7])[-2:]) == {50, 60}
    assert np.flatnonzero(foreground[:, 7] > foreground[0, 7] + 1).tolist() == list(range(50, 60))
    assert not motion[:, 8].any()


def test_the_frame_rate_hardly_matters_to_the_inputs():
    video, _ = easy_video(0)
    inputs = StepInputs.fit([video])
    half = VideoSequence(
        features=np.asarray(video.features, np.float32).reshape(200, 2, -1).mean(axis=1),
        thumbnails=video.thumbnails[::2],
        times=video.times[::2],
    )
    at_25, at_12 = inputs(video), inputs(half)
    assert at_25.shape == at_12.shape
    assert np.corrcoef(at_25[:, :3].ravel(), at_12[:, :3].ravel())[0, 1] > 0.9


def test_arrays_that_are_not_one_video_are_refused():
    video, _ = easy_video(0)
    with pytest.raises(ValueError, match="not one video"):
        VideoSequence(features=video.features[:-1], thumbnails=video.thumbnails, times=video.times)


def test_calibration_makes_probabilities_as_frequent_as_they_say():
    random = np.random.default_rng(0)
    true_chance = random.random((20_000, 1))
    targets = (random.random((20_000, 1)) < true_chance).astype(np.float32)
    odds = true_chance / (1 - true_chance)
    too_sure = (4 * odds / (1 + 4 * odds)).astype(np.float32)
    curves = fit_calibration(
        [too_sure[:10_000], too_sure[10_000:]], [targets[:10_000], targets[10_000:]]
    )
    assert np.abs(calibrated(too_sure, curves) - true_chance).max() < 0.07
    assert np.abs(too_sure - true_chance).max() > 0.3


def test_a_label_that_was_never_held_out_is_left_as_it_is():
    said, targets = np.full((50, 2), 0.7, np.float32), np.zeros((50, 2), np.float32)
    targets[:10, 0] = 1
    curves = fit_calibration([said], [targets])
    assert curves[1].tolist() == identity_calibration(1)[0].tolist()
    assert calibrated(said, curves)[0, 1] == pytest.approx(0.7)


def held_out(threshold, *, videos=8, flicker=False):
    """Probabilities that cross `threshold` where the label holds, and its targets."""
    random = np.random.default_rng(0)
    said, true = [], []
    for _ in range(videos):
        targets = np.zeros((300, 1), np.float32)
        for start in (40, 120, 220):
            targets[start : start + int(random.integers(15, 25))] = 1
        probabilities = np.where(targets > 0, threshold + 0.08, threshold - 0.08)
        if flicker:
            probabilities[::9] = threshold + 0.08
        said.append(probabilities.astype(np.float32))
        true.append(targets)
    return said, true


def test_the_threshold_is_what_one_half_has_become_and_segments_are_found_by_it():
    said, true = held_out(0.3)
    (rule,) = fit_rules(said, true, np.array([0.3]))
    assert (rule.threshold, rule.keep, rule.shortest) == (0.3, 0.3, 0.0)


def test_segments_may_sink_as_far_as_it_helped():
    said, true = held_out(0.5)
    for probabilities in said:
        probabilities[7::9] = 0.4
        probabilities[8::9] = 0.4
    sinking = [np.where(held > 0, said, 0.1) for said, held in zip(said, true, strict=True)]
    (rule,) = fit_rules(sinking, true, np.array([0.5]))
    assert rule.keep < 0.4 < rule.threshold == 0.5


def test_flicker_is_dropped_by_a_shortest_duration():
    said, true = held_out(0.5, flicker=True)
    (rule,) = fit_rules(said, true, np.array([0.5]))
    assert rule.keep == 0.5  # what is between reaches 0.42
    assert rule.shortest > STEP_SECONDS


def test_without_anything_held_out_the_networks_own_half_is_the_threshold():
    nothing = [np.zeros((20, 2), np.float32)]
    rules = fit_rules(nothing, nothing, np.array([0.5, 0.3]))
    assert [rule.threshold for rule in rules] == [0.5, 0.3]
    assert [rule.keep for rule in rules] == [0.5, 0.3]


def test_a_label_that_was_never_held_out_has_the_durations_that_are_best_for_the_others():
    said, true = held_out(0.5, flicker=True)
    said = [np.hstack([one, np.zeros_like(one)]) for one in said]
    true = [np.hstack([one, np.zeros_like(one)]) for one in true]
    known, unknown = fit_rules(said, true, np.array([0.5, 0.2]))
    assert (known.threshold, known.keep) == (0.5, 0.5)
    assert (unknown.threshold, unknown.keep) == (0.2, 0.2)
    assert unknown.shortest == pytest.approx(known.shortest, rel=0.1)
    assert unknown.shortest > 0


def test_before_anything_is_held_out_a_label_s_own_durations_say_what_is_too_short():
    targets = np.zeros((100, 3), np.float32)
    targets[10:40, 0] = targets[60:70, 0] = targets[80:90, 1] = 1  # of 30, 10 and 10 steps
    often, once, never = assumed_rules([targets, np.zeros_like(targets)])
    assert (often.threshold, often.keep) == (0.5, 0.5)
    assert often.shortest == often.longest_gap == pytest.approx(0.5 * 20 * STEP_SECONDS)
    assert once.shortest == pytest.approx(0.5 * 10 * STEP_SECONDS)
    assert never.shortest == pytest.approx(0.5 * 15 * STEP_SECONDS)  # between the others'


def test_what_people_drew_is_neither_dropped_nor_joined_by_an_assumed_rule():
    targets = np.zeros((600, 3), np.float32)
    targets[10:110, 0] = targets[115:200, 0] = targets[300:400, 0] = 1  # a pause of five steps
    targets[110:115, 1] = targets[400:420, 1] = targets[500:520, 1] = 1  # and a short span
    targets[0:250, 2] = targets[350:600, 2] = 1  # cut off at both ends of the video
    for label, rule in enumerate(assumed_rules([targets])):
        found = segments_of(targets[:, label], rule.at(1 / STEP_SECONDS))
        assert found == spans_of(targets)[label], label


def test_a_label_that_fills_whole_videos_is_found_in_shorter_ones():
    (rule,) = assumed_rules([np.ones((600, 1), np.float32)])
    assert segments_of(np.ones(50, np.float32), rule.at(1 / STEP_SECONDS)) == [(0, 50)]


def test_labels_that_nobody_has_drawn_yet_have_no_shortest_duration():
    (rule,) = assumed_rules([np.zeros((5, 1), np.float32)])
    assert (rule.threshold, rule.shortest) == (0.5, 0.0)


def test_a_persons_threshold_replaces_the_fitted_one_and_keeps_the_durations():
    rule = LabelRule(threshold=0.3, keep=0.2, shortest=1.0, longest_gap=0.4).with_threshold(0.8)
    assert (rule.threshold, rule.keep, rule.shortest, rule.longest_gap) == (0.8, 0.8, 1.0, 0.4)
    assert (rule.at(25).shortest, rule.at(25).longest_gap) == (25, 10)


@pytest.fixture(scope="module")
def head():
    videos = [easy_video(seed) for seed in range(3)]
    examples = [
        Example(media_hash=str(number), video=video, targets=targets)
        for number, (video, targets) in enumerate(videos)
    ]
    return train_head(examples, NAMES, HeadParameters(epochs=2)).head


def test_a_saved_head_predicts_the_same_after_loading(head, tmp_path):
    head.save(tmp_path / "head.safetensors")
    loaded = TemporalHead.load(tmp_path / "head.safetensors")
    video, targets = easy_video(7)
    np.testing.assert_array_equal(loaded.predict(video), head.predict(video))
    assert loaded.predict(video).shape == targets.shape
    assert loaded.rules == head.rules
    assert loaded.label_map == head.label_map == {name: index for index, name in enumerate(NAMES)}


def test_a_file_that_is_no_head_is_named_in_the_error(head, tmp_path):
    path = tmp_path / "head.safetensors"
    head.save(path)
    whole, tensors = path.read_bytes(), load_file(path)
    with safe_open(path, "np") as file:
        description = json.loads(file.metadata()["temporal_head"])
    for content in (b"", b"nothing", whole[:-10]):
        path.write_bytes(content)
        with pytest.raises(ModelRegistryError, match=r"head\.safetensors"):
            TemporalHead.load(path)
    spoiled = [
        {**description, "format": "temporal head 99"},
        {**description, "rules": [{"threshold": 1, "unknown": 2}]},
        {**description, "networks": {"tcn": {"network": "os.system", "arguments": {}}}},
        {**description, "networks": []},
        [],
    ]
    for other in spoiled:
        save_file(tensors, path, metadata={"temporal_head": json.dumps(other)})
        with pytest.raises(ModelRegistryError, match=r"head\.safetensors"):
            TemporalHead.load(path)
    save_file({"x": np.zeros(1)}, path)
    with pytest.raises(ModelRegistryError, match=r"head\.safetensors"):
        TemporalHead.load(path)


assert len(NAMES) == LABELS
