"""The model behind <TimelineLabels>, with real videos and a real (seeded) checkpoint."""

import json
import re
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from label_studio_sdk.label_interface import LabelInterface

from support import write_video
from timelinelabels.control_models import ControlModel, ProjectModel, Resources, TimelineLabelsModel
from timelinelabels.control_models.resources import Backbones
from timelinelabels.errors import ConfigError, TrainingError, VideoError, WeightsNotFoundError
from timelinelabels.features import FeatureStore
from timelinelabels.labelstudio.config import parse_label_config
from timelinelabels.labelstudio.media import MediaPolicy, MediaResolver
from timelinelabels.labelstudio.payloads import AnnotatedTask, AnnotationRecord
from timelinelabels.model_registry import ModelRegistry

pytestmark = pytest.mark.slow

TRAINABLE = """<View>
  <TimelineLabels name="videoLabels" toName="video" model_trainable="true"
                  model_classifier_epochs="60">
    <Label value="Ball in frame"/><Label value="Ball touch"/>
  </TimelineLabels>
  <Video name="video" value="$video" frameRate="25.0"/>
</View>"""
# One decision tree, which no haste can do without, already says much of these scenes; one update does not.
LSTM = TRAINABLE.replace(
    'model_trainable="true"', 'model_trainable="true" model_classifier_type="lstm"'
)
SIMPLE = TRAINABLE.replace('model_trainable="true"', 'model_score_threshold="0.001"').replace(
    '<Label value="Ball in frame"/>', '<Label value="Ball" predicted_values="ball,floor"/>'
)

SIMPLE_SAMPLED = SIMPLE.replace("model_score", 'model_sample_fps="5" model_score')


@pytest.fixture
def resources(model_root, warm_cache, scenes):
    policy = MediaPolicy(media_roots=(scenes[0].path.parent, model_root.parent))
    return Resources(
        backbones=Backbones(model_root),
        features=FeatureStore(warm_cache),
        registry=ModelRegistry(model_root),
        media=MediaResolver(policy, warm_cache / "media"),
    )


def model_of(resources, xml=TRAINABLE, **options):
    (config,) = parse_label_config(xml)
    return TimelineLabelsModel.create(config, resources=resources, project="1.1", **options)


def task_of(scene, number, result=None):
    record = AnnotationRecord(
        id=str(number),
        task_id=str(number),
        result=scene.annotation_result() if result is None else result,
    )
    return AnnotatedTask(
        task_id=str(number), data={"video": scene.path.name}, annotations=(record,)
    )


def webhook(scene, number, action="ANNOTATION_CREATED", **changes):
    annotation = {"id": number, "task": number, "result": scene.annotation_result()} | changes
    task = {"id": number, "data": {"video": scene.path.name}}
    return {"action": action, "project": 1, "annotation": annotation, "task": task}


def test_only_timeline_labels_on_a_video_are_matched():
    interface = LabelInterface(
        """<View><Video name="v" value="$v"/><Text name="t" value="$t"/>
        <TimelineLabels name="tl" toName="v"><Label value="a"/></TimelineLabels>
        <VideoRectangle name="box" toName="v"/>
        <Choices name="c" toName="t"><Choice value="x"/></Choices></View>"""
    )
    matched = {
        control.name
        for control in interface.controls
        if TimelineLabelsModel.is_control_matched(control)
    }
    assert matched == {"tl"}
    assert issubclass(TimelineLabelsModel, ControlModel)


def test_an_untrained_control_predicts_nothing(resources, scenes):
    model = model_of(resources)
    assert model.head_version() is None
    assert model.predict_regions(scenes[0].path) == []
    assert model.create_timelines_trainable(scenes[0].path) == []


def test_after_learning_it_predicts_what_it_was_shown(resources, scenes):
    model = model_of(resources)
    version = model.learn([task_of(scene, n) for n, scene in enumerate(scenes[:2])], 1)
    assert version.path.parent == model.get_classifier_path("1.1")
    assert version.manifest["scores"]["measured_on"] == "training videos"
    regions = model.predict_regions(scenes[0].path)
    in_frame = [r for r in regions if r["value"]["timelinelabels"] == ["Ball in frame"]]
    covered = {
        frame
        for region in in_frame
        for item in region["value"]["ranges"]
        for frame in range(item["start"], item["end"] + 1)
    }
    true = {f for start, end in scenes[0].truth["Ball in frame"] for f in range(start, end + 1)}
    assert len(covered & true) / len(covered | true) > 0.7
    assert {r["to_name"] for r in regions} == {"video"}
    assert {r["from_name"] for r in regions} == {"videoLabels"}


@pytest.mark.parametrize("rate", ["5", "12.5"])
def test_a_sampled_control_learns_and_predicts_on_every_tick(resources, scenes, rate):
    xml = TRAINABLE.replace("model_trainable", f'model_sample_fps="{rate}" model_trainable')
    model = model_of(resources, xml)
    version = model.learn([task_of(scene, n) for n, scene in enumerate(scenes[:2])], 1)
    assert version.manifest["learned_from"]["frames"] == 2 * 100 / 25 * float(rate)
    assert version.manifest["parameters"]["sample_fps"] == str(Fraction(rate))
    features = model.features_of(scenes[0].path.name)
    prediction = model.predict(features)
    assert len(features.values) == 4 * float(rate)
    assert prediction.probabilities.shape == (100, 2)
    covered = np.zeros(100, dtype=bool)
    for region in model.predict_regions(scenes[0].path):
        if region["value"]["timelinelabels"] == ["Ball in frame"]:
            (item,) = region["value"]["ranges"]
            covered[item["start"] - 1 : item["end"]] = True
    true = np.zeros(100, dtype=bool)
    for start, end in scenes[0].truth["Ball in frame"]:
        true[start - 1 : end] = True
    assert (covered & true).sum() / (covered | true).sum() > 0.7


def test_sampled_and_whole_features_of_a_video_are_kept_apart(resources, scenes):
    every, some = model_of(resources), model_of(resources, SIMPLE_SAMPLED)
    data = {"video": scenes[0].path.name}
    assert every.source_of(data) != some.source_of(data)
    whole, sampled = (resources.extract(model.source_of(data)) for model in (every, some))
    assert np.array_equal(sampled.pts, whole.pts[::5])
    assert resources.find_features(some.source_of(data)).path == sampled.path
    assert resources.find_features(every.source_of(data)).path == whole.path


def test_sampled_simple_mode_says_between_frames_what_lies_between(resources, scenes):
    model = model_of(resources, SIMPLE_SAMPLED)
    features = model.features_of(scenes[0].path.name)
    at_frames = model.backbone.class_probabilities(features.values)[:, :2].sum(axis=1)
    said = model.predict(features).probabilities[:, 0]
    np.testing.assert_allclose(said[::5], at_frames, atol=1e-6)
    middle = at_frames[:-1] + 0.4 * np.diff(at_frames)
    np.testing.assert_allclose(said[2:-5:5], middle, atol=1e-6)


def test_a_manifest_holds_what_its_page_says(resources, scenes):
    page = Path(__file__).parents[2] / "docs" / "reference" / "manifest.md"
    manifest = json.loads(
        (model_of(resources).learn([task_of(scenes[0], 1)], 1).path / "manifest.json").read_text()
    )
    documented = re.findall(r"^\| `([a-z_0-9.]+)` \|", page.read_text(), re.MULTILINE)
    assert len(documented) > 10
    for name in documented:
        value = manifest
        for key in name.split("."):
            value = value[key]


@pytest.fixture
def hurried(resources):
    """The same resources, and so little time to train that what is learned is far worse."""
    return replace(resources, max_training_seconds=0.001)


def test_a_version_that_is_clearly_worse_is_kept_back(resources, hurried, scenes):
    tasks = [task_of(scene, number) for number, scene in enumerate(scenes)]
    good = ProjectModel.create(LSTM, resources=resources, project="1.1").learn(tasks, 1)
    regions = good.models[0].predict_regions(scenes[0].path)
    worse = replace(good, resources=hurried).learn(tasks, 2)
    (model,) = worse.models
    assert model.predict_regions(scenes[0].path) == regions != []
    assert (model.head_version().number, model.kept_back().number) == (1, 2)
    kept_back = model.kept_back().manifest["kept_back"]
    assert kept_back["instead_of"] == 1
    assert kept_back["videos"] == len(scenes)
    assert kept_back["score"] < kept_back["score_before"]
    # It is told, as another version of the project.
    assert worse.describe() == f"kept back, v1 stays · {good.describe()}"
    assert worse.prediction_fingerprint() != good.prediction_fingerprint()
    # The newest on disk, for those who name no version, is not the one that was kept back.
    assert model_of(resources).head_version().number == 1


@pytest.mark.slow
def test_what_is_kept_back_is_compared_with_and_replaced_by_what_is_good(
    resources, hurried, scenes
):
    tasks = [task_of(scene, number) for number, scene in enumerate(scenes)]
    project = ProjectModel.create(LSTM, resources=hurried, project="1.1")
    project = replace(project, resources=resources).learn(tasks, 1)
    for number in (2, 3):
        project = replace(project, resources=hurried).learn(tasks, number)
        assert project.models[0].head_version().number == 1
    project = replace(project, resources=resources).learn(tasks, 4)
    assert project.models[0].head_version().number == 4
    assert project.models[0].kept_back() is None


@pytest.mark.slow
def test_trainings_that_were_never_published_prune_neither_what_predicts_nor_what_is_published(
    resources, hurried, scenes
):
    tasks = [task_of(scene, number) for number, scene in enumerate(scenes)]
    few = replace(hurried, registry=ModelRegistry(resources.registry.root, keep=2))
    model_of(resources, LSTM).learn(tasks, 1)
    model_of(few, LSTM, head_number=1).learn(tasks, 2)
    published = model_of(few, LSTM, head_number=2)
    for number in (3, 4, 5):
        published.learn(tasks, number)
    assert (published.head_version().number, published.kept_back().number) == (1, 2)


def test_a_person_who_asks_for_a_training_gets_what_comes_of_it(resources, hurried, scenes):
    tasks = [task_of(scene, number) for number, scene in enumerate(scenes)]
    model = model_of(resources)
    model.learn(tasks, 1)
    in_a_hurry = replace(model, resources=hurried)
    assert in_a_hurry.fit("START_TRAINING", {"tasks": tasks})
    assert (model.head_version().number, model.kept_back()) == (2, None)


@pytest.mark.slow
def test_other_parameters_or_labels_are_never_kept_back(resources, hurried, scenes):
    tasks = [task_of(scene, number) for number, scene in enumerate(scenes)]
    model_of(resources).learn(tasks, 1)
    other = TRAINABLE.replace('epochs="60"', 'epochs="61"')
    model_of(hurried, other).learn(tasks, 2)
    assert model_of(resources, other).head_version().number == 2


def test_what_is_new_is_predicted_and_scored_before_it_is_learned(resources, scenes):
    tasks = [task_of(scene, number) for number, scene in enumerate(scenes)]
    model = model_of(resources)
    assert model.learn(tasks[:1], 1).manifest["learning_curve"] == []
    (first,) = model.learn(tasks[:2], 2).manifest["learning_curve"]
    assert (first["version"], first["learned_videos"], first["new_videos"]) == (1, 1, 1)
    again = model.learn(tasks[:2], 3).manifest["learning_curve"]
    assert again == [first]
    curve = model.learn(tasks, 4).manifest["learning_curve"]
    assert curve[0] == first
    assert (curve[1]["version"], curve[1]["new_videos"]) == (3, len(scenes) - 2)
    assert all(0 < point["frame_f1"] <= 1 for point in curve)


def test_simple_mode_adds_up_the_probabilities_of_a_labels_classes(resources, scenes):
    model = model_of(resources, SIMPLE)
    features = resources.features.extract(scenes[0].path, model.backbone)
    expected = model.backbone.class_probabilities(features.values)[:, :2].sum(axis=1)
    prediction = model.predict(features)
    frames = np.zeros(len(expected), dtype=bool)
    for region in prediction.regions:
        assert region["value"]["timelinelabels"] == ["Ball"]
        (item,) = region["value"]["ranges"]
        frames[item["start"] - 1 : item["end"]] = True
    np.testing.assert_array_equal(frames, expected >= 0.001)
    assert model.predict_regions(scenes[0].path) == model.create_timelines_simple(scenes[0].path)


def test_simple_mode_without_any_known_class_says_so(resources, scenes):
    model = model_of(resources, SIMPLE.replace("ball,floor", "submarine"))
    with pytest.raises(ConfigError, match="submarine"):
        model.predict_regions(scenes[0].path)


def test_fit_learns_from_events_and_from_all_of_them(resources, scenes):
    model = model_of(resources)
    assert model.fit("ANNOTATION_CREATED", webhook(scenes[0], 1)) is True
    assert model.fit("ANNOTATION_CREATED", webhook(scenes[1], 2)) is True
    assert model.head_version().manifest["learned_from"]["annotations"] == 2
    assert model.fit("ANNOTATION_UPDATED", webhook(scenes[1], 2, "ANNOTATION_UPDATED")) is True
    assert model.head_version().manifest["learned_from"]["annotations"] == 2
    assert model.head_version().number == 3


def test_fit_gives_false_where_there_is_nothing_to_learn(resources, scenes):
    model = model_of(resources)
    assert model.fit("PROJECT_UPDATED", webhook(scenes[0], 1)) is False
    assert model.fit("ANNOTATION_CREATED", webhook(scenes[0], 1, was_cancelled=True)) is False
    assert model_of(resources, SIMPLE).fit("ANNOTATION_CREATED", webhook(scenes[0], 1)) is False
    assert model.head_version() is None


def test_a_video_that_cannot_be_read_is_left_out_and_named(resources, scenes, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    bad = AnnotatedTask(
        task_id="7", data={"video": str(broken)}, annotations=task_of(scenes[0], 7).annotations
    )
    version = model_of(resources).learn([bad, task_of(scenes[0], 1)], 1)
    (left_out,) = version.manifest["learned_from"]["left_out"]
    assert left_out["task_id"] == "7"
    assert "broken.mp4" in left_out["reason"]
    with pytest.raises(TrainingError):
        model_of(resources).learn([bad], 2)


def test_an_unreadable_video_is_a_typed_error(resources, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"text\.mp4"):
        model_of(resources).predict_regions(tmp_path / "text.mp4")


def test_labels_that_left_the_config_are_not_predicted(resources, scenes):
    model_of(resources).learn([task_of(scenes[0], 1)], 1)
    fewer = TRAINABLE.replace('<Label value="Ball touch"/>', '<Label value="New"/>')
    regions = model_of(resources, fewer).predict_regions(scenes[0].path)
    assert regions
    assert {r["value"]["timelinelabels"][0] for r in regions} == {"Ball in frame"}


def test_an_annotation_from_before_an_alias_is_still_learned(resources, scenes):
    aliased = TRAINABLE.replace('value="Ball in frame"', 'value="Ball in frame" alias="BIF"')
    model = model_of(resources, aliased)
    model.learn([task_of(scenes[0], 1)], 1)
    names = {r["value"]["timelinelabels"][0] for r in model.predict_regions(scenes[0].path)}
    assert "BIF" in names
    assert "Ball in frame" not in names


def test_other_weights_make_a_control_untrained_again(resources, scenes, model_root):
    model = model_of(resources)
    model.learn([task_of(scenes[0], 1)], 1)
    assert model.head_version() is not None
    weights = model_root / "yolov8n-cls.pt"
    from timelinelabels.demo.checkpoint import write_seeded_checkpoint

    rng = np.random.default_rng(5)
    frames = rng.integers(0, 255, (24, 64, 64, 3), dtype=np.uint8)
    replacement = model_root / "other.pt"
    write_seeded_checkpoint(replacement, frames, seed=9, image_size=64)
    shutil.move(replacement, weights)
    assert model.head_version() is None
    assert model.predict_regions(scenes[0].path) == []


def test_deleting_the_folder_resets_the_model(resources, scenes):
    model = model_of(resources)
    model.learn([task_of(scenes[0], 1)], 1)
    shutil.rmtree(model.get_classifier_path("1.1"))
    assert model.head_version() is None


def test_missing_weights_are_named_with_their_folder(tmp_path, resources):
    backbones = Backbones(tmp_path)
    with pytest.raises(WeightsNotFoundError, match=r"yolov8n-cls\.pt") as raised:
        backbones.open(None)
    assert str(tmp_path) in str(raised.value)


@pytest.mark.parametrize(
    ("fps", "late", "frame_rate", "dropped"),
    [
        (Fraction(30000, 1001), 0, 25, lambda index: False),
        (Fraction(50), 0, 25, lambda index: False),
        (Fraction(25), 2, 25, lambda index: False),
        (Fraction(10), 0, 24, lambda index: False),
        (Fraction(60), 1, 30, lambda index: False),
        # Variable frame rates: two of three are missing; long gaps; what a phone records in the dark.
        (Fraction(50), 0, 25, lambda index: index % 3 > 0),
        (Fraction(25), 0, 25, lambda index: 12 < index < 20 or 55 < index < 70),
        (Fraction(30), 1, 25, lambda index: index % 7 in (1, 2, 5)),
    ],
)
def test_a_region_comes_back_at_the_same_time_on_any_file(
    resources, tmp_path, fps, late, frame_rate, dropped
):
    """Drawn on Label Studio's grid, learned on the file's frames, predicted on the grid again."""
    # Label Studio's timeline ends at the container's duration, which does not count a late start.
    bright_from, bright_to, seconds = 1.0, 2.0, 3 + late

    def picture(index):
        bright = bright_from <= index / fps < bright_to
        image = np.full((64, 64, 3), 230 if bright else 20, dtype=np.uint8)
        image[(index * 3) % 60 :: 7, ::5] = 120
        return image

    time_base = Fraction(1, 90000)
    shown = [index for index in range(int(seconds * fps)) if not dropped(index)]
    pts = [round((late + Fraction(index) / fps) / time_base) for index in shown]
    path = write_video(
        tmp_path / "film.mp4",
        lambda number: picture(shown[number]),
        count=len(shown),
        fps=fps,
        pts=pts,
        time_base=time_base,
    )
    start, end = (round((late + second) * frame_rate) for second in (bright_from, bright_to))
    drawn = {
        "type": "timelinelabels",
        "from_name": "videoLabels",
        "value": {"ranges": [{"start": start + 1, "end": end}], "timelinelabels": ["Ball touch"]},
    }
    xml = TRAINABLE.replace("25.0", str(frame_rate)).replace('epochs="12"', 'epochs="60"')
    model = model_of(resources, xml)
    record = AnnotationRecord(id="1", task_id="1", result=[drawn])
    model.learn([AnnotatedTask(task_id="1", data={"video": str(path)}, annotations=(record,))], 1)
    regions = [region["value"] for region in model.predict_regions(path)]
    (found,) = (value for value in regions if value["timelinelabels"] == ["Ball touch"])
    (item,) = found["ranges"]
    one_picture = max(1, round(frame_rate / fps))
    assert abs(item["start"] - (start + 1)) <= one_picture
    assert abs(item["end"] - end) <= one_picture


def test_a_projects_version_text_tells_what_it_learned_from(resources, scenes):
    project = ProjectModel.create(TRAINABLE, resources=resources, project="2")
    assert (project.predicts, project.describe()) == (False, "untrained")
    learned = project.learn([task_of(scene, n) for n, scene in enumerate(scenes)], 3)
    assert learned.predicts
    assert learned.heads == {"videoLabels": 3}
    assert learned.describe().startswith("5 videos · F1 0.")
    simple = ProjectModel.create(SIMPLE, resources=resources, project="2")
    assert simple.describe() == "yolov8n-cls classes"
    skipped = TRAINABLE.replace("model_trainable", 'model_skip="1" model_trainable')
    assert "model_skip" in ProjectModel.create(skipped, resources=resources, project="2").describe()


def test_the_prediction_fingerprint_changes_with_whatever_changes_predictions(resources, scenes):
    def fingerprint(xml, **options):
        return ProjectModel.create(
            xml, resources=resources, project="2", **options
        ).prediction_fingerprint()

    learned = ProjectModel.create(TRAINABLE, resources=resources, project="2").learn(
        [task_of(scenes[0], 0)], 1
    )
    variants = [
        fingerprint(TRAINABLE, heads={}),
        fingerprint(TRAINABLE, heads=learned.heads),
        fingerprint(TRAINABLE.replace("25.0", "50"), heads=learned.heads),
        fingerprint(
            TRAINABLE.replace("model_trainable", 'model_score_threshold="0.7" model_trainable'),
            heads=learned.heads,
        ),
        fingerprint(SIMPLE),
        fingerprint(SIMPLE.replace("ball,floor", "floor")),
    ]
    assert len(set(variants)) == len(variants)
    assert variants[1] == learned.prediction_fingerprint()
    assert (
        fingerprint(TRAINABLE.replace("<View>", '<View style="x">'), heads=learned.heads)
        == variants[1]
    )


def test_two_controls_predict_their_own_regions_in_one_prediction(resources, scenes):
    xml = """<View><Video name="film" value="$video" frameRate="25"/>
      <TimelineLabels name="learned" toName="film" model_trainable="yes" model_classifier_epochs="8">
        <Label value="Ball in frame"/></TimelineLabels>
      <TimelineLabels name="given" toName="film" model_score_threshold="0">
        <Label value="any" predicted_values="ball"/></TimelineLabels>
      <Choices name="choice" toName="film"><Choice value="x"/></Choices></View>"""
    project = ProjectModel.create(xml, resources=resources, project="3")
    result = [
        {**region, "from_name": "learned", "to_name": "film"}
        for region in scenes[0].annotation_result()
    ]
    learned = project.learn([task_of(scenes[0], 0, result)], 1)
    data = {"video": scenes[0].path.name}
    features = {
        source: resources.features.extract(scenes[0].path, learned.models[0].backbone)
        for source in learned.sources(data)
    }
    prediction = learned.predict(data, features)
    by_control = {region["from_name"] for region in prediction["result"]}
    assert by_control == {"learned", "given"}
    assert {region["to_name"] for region in prediction["result"]} == {"film"}
    assert 0 <= prediction["score"] <= 1
    assert len({region["id"] for region in prediction["result"]}) == len(prediction["result"])
