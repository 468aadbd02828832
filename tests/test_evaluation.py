"""`evaluate` and `simulate` on real (rendered) videos, through the product's own training."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from timelinelabels.control_models import Resources
from timelinelabels.control_models.resources import Backbones
from timelinelabels.errors import ConfigError, TrainingError
from timelinelabels.evaluation import evaluate, simulate
from timelinelabels.evaluation.as_json import evaluation_data, simulation_data
from timelinelabels.evaluation.held_out import split
from timelinelabels.evaluation.judging import true_annotation, with_truth
from timelinelabels.evaluation.pages import write_evaluation, write_simulation
from timelinelabels.evaluation.simulation import in_submit_order
from timelinelabels.evaluation.videos import VideoGroup
from timelinelabels.features import FeatureStore
from timelinelabels.labelstudio.media import MediaPolicy, MediaResolver
from timelinelabels.labelstudio.payloads import parse_export
from timelinelabels.model_registry import ModelRegistry

CONFIG = """<View>
<TimelineLabels name="tl" toName="film" model_trainable="true" model_classifier_epochs="6">
<Label value="Ball in frame"/><Label value="Ball touch"/></TimelineLabels>
<Video name="film" value="$clip" frameRate="25.0"/></View>"""
SIMPLE = """<View><TimelineLabels name="tl" toName="film">
<Label value="Ball in frame" predicted_values="ball"/></TimelineLabels>
<Video name="film" value="$clip" frameRate="25.0"/></View>"""


@pytest.fixture
def resources(tmp_path, model_root, warm_cache, scenes):
    policy = MediaPolicy(media_roots=(Path("/"),))
    return Resources(
        backbones=Backbones(model_root),
        features=FeatureStore(warm_cache),
        registry=ModelRegistry(tmp_path / "published"),
        media=MediaResolver(policy, tmp_path / "media"),
    )


@pytest.fixture
def tasks(scenes):
    return parse_export([task_of(scene, number) for number, scene in enumerate(scenes)])


def task_of(scene, number, **annotation):
    result = [{**r, "from_name": "tl", "to_name": "film"} for r in scene.annotation_result()]
    return {
        "id": number + 1,
        "data": {"clip": str(scene.path)},
        "annotations": [{"id": 100 + number, "result": result, **annotation}],
    }


@pytest.fixture
def bench(resources, tmp_path):
    """The arguments that both functions share; `learned_from` tells what was trained on what."""
    features = {}

    def features_of(source):
        features[source] = resources.extract(source)
        return features[source]

    return {
        "resources": resources,
        "folder": tmp_path / "trial",
        "features_of": features_of,
    }


@pytest.mark.slow
def test_folds_judge_every_video_once_by_a_model_that_did_not_see_it(bench, tasks, resources):
    told = []
    found = evaluate(CONFIG, tasks, folds=2, report=told.append, **bench)
    (outcome,) = found.controls
    assert found.protocol == "2 folds by video"
    assert sorted(video.task_id for video in outcome.videos) == ["1", "2", "3", "4", "5"]
    assert told[0] == "fold 1 of 2: training on 2 videos"
    assert told[2] == "fold 2 of 2: training on 3 videos"
    assert outcome.labels == ("Ball in frame", "Ball touch")
    scores = outcome.scores
    assert scores.videos == 5
    assert scores.frames == sum(len(video.outcome.truth) for video in outcome.videos) == 500
    assert not resources.registry.root.exists()  # what was published stays as it was


@pytest.mark.slow
def test_test_tasks_are_scored_as_their_regions_are_shown(bench, tasks, tmp_path):
    found = evaluate(CONFIG, tasks[:3], test=tasks[3:], **bench)
    (outcome,) = found.controls
    assert (found.protocol, found.training_videos) == ("test tasks", 3)
    assert found.seen_in_training == ()
    for video, scene_truth in zip(outcome.videos, tasks[3:], strict=True):
        value = scene_truth.annotations[0].result[0]["value"]
        label = outcome.labels.index(value["timelinelabels"][0])
        first = value["ranges"][0]
        # closed 1-based frames of the annotation are rows start-1 … end-1 of the truth
        assert video.outcome.truth[first["start"] - 1, label]
        assert video.outcome.truth[first["end"] - 1, label]
        assert video.outcome.truth.shape == video.outcome.predicted.shape == (100, 2)
    data = json.loads(json.dumps(evaluation_data(found)))
    (control,) = data["controls"]
    assert control["scores"]["frame_f1_macro"] == round(outcome.scores.frame_f1_macro, 4)
    assert control["regions_without_model"] == outcome.scores.regions
    assert [video["task_id"] for video in control["videos"]] == ["4", "5"]
    write_evaluation(tmp_path / "report.html", found)
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") >= 4
    assert "Ball touch" in page
    assert "<script" not in page
    assert "http" not in page


@pytest.mark.slow
def test_what_unlabelled_time_says_nothing_about_is_not_scored(bench, tasks, caplog):
    config = CONFIG.replace('epochs="6"', 'epochs="6" model_unlabeled="ignore"')
    found = evaluate(config, tasks[:2], test=tasks[3:], **bench)
    for video, task in zip(found.controls[0].videos, tasks[3:], strict=True):
        ranges = [r["value"]["ranges"][0] for r in task.annotations[0].result]
        first, last = min(r["start"] for r in ranges), max(r["end"] for r in ranges)
        assert len(video.outcome.truth) == len(video.outcome.predicted) == last - first + 1 < 100
        assert video.outcome.truth[[0, -1]].any(axis=1).all()
    assert "another labeling config" not in caplog.text


@pytest.mark.slow
def test_annotations_without_a_label_of_the_config_are_told(bench, tasks, caplog):
    other = CONFIG.replace("Ball in frame", "Goal").replace("Ball touch", "Foul")
    evaluate(other, tasks[:2], test=tasks[3:], **bench)
    assert "no annotation has a region with one of the labels Goal, Foul" in caplog.text


def test_more_folds_than_videos_are_an_error(bench, tasks):
    with pytest.raises(TrainingError, match=r"6 .*fewer --folds"):
        evaluate(CONFIG, tasks, folds=6, **bench)


def test_steps_that_a_replay_has_not_enough_videos_for_are_an_error(bench, tasks):
    with pytest.raises(
        TrainingError, match=r"None of the steps 5, 9 .* 5 videos, so steps are 1 to 4"
    ):
        simulate(CONFIG, tasks, steps=[9, 5], **bench)


@pytest.mark.slow
def test_a_test_video_that_was_trained_on_is_named(bench, tasks):
    again = replace(tasks[0], task_id="same video again")
    found = evaluate(CONFIG, tasks[:2], test=[again], **bench)
    assert found.seen_in_training == ("same video again",)


@pytest.mark.slow
def test_the_same_file_in_two_tasks_is_one_video_for_folds_and_replay(bench, tasks):
    twice = [tasks[0], replace(tasks[0], task_id="copy"), tasks[1]]
    found = evaluate(CONFIG, twice, **bench)
    assert found.protocol == "2 folds by video"
    replay = simulate(CONFIG, twice, **{**bench, "folder": bench["folder"] / "replay"})
    (control,) = replay.controls
    assert [video.task_id for video in control.videos] == ["1, copy", "2"]


def test_simple_mode_is_judged_without_training(bench, tasks, resources):
    names = resources.backbones.open(None).class_names
    config = SIMPLE.replace('"ball"', f'"{names[0]}"')
    found = evaluate(config, tasks[:2], **bench)
    assert found.training_videos == 0
    assert len(found.controls[0].videos) == 2
    with pytest.raises(ConfigError, match="model_trainable"):
        simulate(config, tasks, **bench)


def test_a_video_that_cannot_be_read_is_left_out_and_too_few_are_an_error(bench, tasks, tmp_path):
    broken = replace(tasks[1], data={"clip": str(tmp_path / "missing.mp4")})
    with pytest.raises(TrainingError, match=r"2 different annotated videos .* found 1"):
        evaluate(CONFIG, [tasks[0], broken], **bench)
    with pytest.raises(TrainingError, match="found 0"):
        simulate(CONFIG, [broken], **bench)


@pytest.mark.slow
def test_a_replay_predicts_each_video_before_it_is_learned(bench, scenes, tmp_path):
    days = [3, 1, 2, 5, 4]
    export = [
        task_of(scene, number, created_at=f"2026-01-0{day}T00:00:00Z")
        for number, (scene, day) in enumerate(zip(scenes, days, strict=True))
    ]
    found = simulate(CONFIG, parse_export(export), steps=[1, 3], **bench)
    (control,) = found.controls
    assert found.order == "created_at of the annotations"
    assert [video.task_id for video in control.videos] == ["2", "3", "1", "5", "4"]
    assert [video.learned_videos for video in control.videos] == [0, 1, 1, 3, 3]
    assert [(step.annotated_videos, step.remaining_videos) for step in control.steps] == [
        (1, 4),
        (3, 2),
    ]
    first = control.videos[0].scores
    assert first.corrections.total == first.corrections.add == first.regions > 0
    assert [video.task_id for video in control.met.videos] == ["3", "1", "5", "4"]
    data = json.loads(json.dumps(simulation_data(found)))
    assert len(data["controls"][0]["videos"]) == 5
    write_simulation(tmp_path / "replay.html", found)
    page = (tmp_path / "replay.html").read_text()
    assert "Learning curve" in page
    assert "drawing everything" in page


def annotations_of(*changes):
    records = [{"id": number, "result": [], **change} for number, change in enumerate(changes)]
    return parse_export([{"id": 1, "data": {"clip": "a"}, "annotations": records}])[0]


def test_the_truth_is_a_ground_truth_annotation_else_the_one_updated_last():
    early, late = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    assert true_annotation(annotations_of({"updated_at": late}, {"updated_at": early})).id == "0"
    assert true_annotation(annotations_of({}, {})).id == "1"
    marked = annotations_of({"ground_truth": True, "updated_at": early}, {"updated_at": late})
    assert true_annotation(marked).id == "0"


def test_without_times_the_order_is_the_exports():
    def group(name, time):
        task = annotations_of({"created_at": time} if time else {})
        return VideoGroup(media=frozenset({name}), tasks=(task,))

    groups, order = in_submit_order([group("a", None), group("b", "2026-01-01T00:00:00Z")])
    assert [sorted(item.media) for item in groups] == [["a"], ["b"]]
    assert "order of the export" in order


def test_folds_share_the_videos_out_whatever_their_order():
    groups = [VideoGroup(media=frozenset({f"{n:02d}"}), tasks=()) for n in range(7)]
    parts = split(groups, 3)
    assert sorted(len(part) for part in parts) == [2, 2, 3]
    assert sorted(sorted(g.media)[0] for part in parts for g in part) == [
        f"{n:02d}" for n in range(7)
    ]
    assert [{g.media for g in part} for part in split(groups[::-1], 3)] == [
        {g.media for g in part} for part in parts
    ]


def test_probabilities_stand_in_the_columns_of_their_labels(bench, tasks):
    found = evaluate(CONFIG, tasks[:2], test=tasks[2:3], **bench)
    (video,) = found.controls[0].videos
    claimed, probabilities = video.outcome.predicted, video.outcome.probabilities
    assert claimed.any()
    for column in np.flatnonzero(claimed.any(axis=0) & ~claimed.all(axis=0)):
        inside = probabilities[claimed[:, column], column].mean()
        assert inside > probabilities[~claimed[:, column], column].mean()


def test_a_regions_true_share_is_that_of_its_own_frames_and_label():
    region = {"value": {"timelinelabels": ["b"], "ranges": [{"start": 3, "end": 6}]}, "score": 0.7}
    truth, claimed = np.zeros((10, 2), bool), np.zeros((10, 2), bool)
    truth[5:9, 1] = truth[:, 0] = True
    claimed[2:6, 1] = True
    judged = with_truth(region, claimed, truth)
    assert (judged.label, judged.score, judged.true_share) == ("b", 0.7, 0.25)
