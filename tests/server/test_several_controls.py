"""Several controls in one config: they are learned one by one and predict all at once."""

from dataclasses import replace

import pytest

from timelinelabels.control_models import ProjectModel
from timelinelabels.errors import ModelRegistryError

pytestmark = pytest.mark.slow

TWO_CONTROLS = """<View><Video name="film" value="$clip" frameRate="25"/>
  <TimelineLabels name="tl" toName="film" model_trainable="1" model_classifier_epochs="3">
    <Label value="Ball in frame"/></TimelineLabels>
  <TimelineLabels name="touches" toName="film" model_trainable="1" model_classifier_epochs="3">
    <Label value="Ball touch"/></TimelineLabels>
  <Choices name="scene" toName="film"><Choice value="x"/></Choices></View>"""


@pytest.fixture
def two(backend):
    return replace(backend, config=TWO_CONTROLS)


def seen(backend, scene):
    """What Label Studio is told at this moment: the version of /setup, of /predict, the results."""
    answer = backend.predict(scene)
    return backend.setup(), answer["model_version"], answer["results"]


def train_by_hand(backend, on_epoch):
    """A training as the worker does it, up to its publication; and the publication."""
    store = backend.store
    (key,) = {item.key for item in store.outstanding() if item.kind == "train"}
    project = ProjectModel.create(
        backend.config, resources=backend.resources, project=key, heads=store.heads(key)
    )
    number = store.next_version_number(key, above=project.newest_written())
    learned = project.learn(store.annotated_tasks(key), number, on_epoch=on_epoch)

    def publish():
        store.publish(
            None,
            key,
            number=number,
            heads=learned.heads,
            fingerprint=learned.prediction_fingerprint(),
            text=f"v{number} · {learned.describe()}",
        )

    return learned, publish


def test_no_control_predicts_before_all_of_them_are_published(two, scenes):
    two.resources.features.extract(scenes[4].path, two.resources.backbones.open(None))
    during = []
    for training, scene in enumerate(scenes[:2], start=1):
        two.submit(scene, training)
        before = seen(two, scenes[4])
        learned, publish = train_by_hand(
            two, lambda stage, epoch, scores: during.append(seen(two, scenes[4]))
        )
        # Both controls have their files now, and the store does not know yet.
        assert all(model.head_version() for model in learned.models)
        assert during
        assert {repr(answer) for answer in [*during, seen(two, scenes[4])]} == {repr(before)}
        during.clear()
        publish()
        after = seen(two, scenes[4])
        assert after != before
        assert after[0] == after[1]
        assert f" · {training} video" in after[0]
        assert after[2][0]["model_version"] == after[0]


def test_both_controls_learn_from_their_own_regions_under_one_version(two, scenes):
    regions = [{**r, "to_name": "film"} for r in scenes[0].annotation_result()]
    for region in regions:
        touch = region["value"]["timelinelabels"] == ["Ball touch"]
        region["from_name"] = "touches" if touch else "tl"
    for number in (1, 2):
        two.submit(scenes[0], number, result=regions)
    two.work()
    (version,) = two.store.versions()
    assert two.setup() == version.text
    assert two.store.heads(version.project) == {"tl": 1, "touches": 1}


def test_a_database_that_is_new_to_a_model_root_goes_on_counting(make_backend, scenes, tmp_path):
    first = make_backend()
    first.submit(scenes[0], 1)
    first.work()
    moved = make_backend(database_url=f"sqlite:///{tmp_path / 'another.sqlite3'}")
    assert moved.setup() == "untrained"
    moved.submit(scenes[0], 1)
    moved.work()
    assert moved.setup().startswith("v2 · 1 video · ")


def test_a_training_that_is_never_published_takes_no_model_away(two, scenes):
    two.submit(scenes[0], 1)
    two.work()
    before = two.setup()
    two.submit(scenes[1], 2)
    for _ in range(two.settings.keep_model_versions + 1):
        train_by_hand(two, None)
    assert two.setup() == before


def test_a_number_that_is_taken_is_an_error_of_the_registry(two, scenes):
    two.submit(scenes[0], 1)
    two.work()
    two.submit(scenes[1], 2)
    learned, _ = train_by_hand(two, None)
    with pytest.raises(ModelRegistryError):
        learned.learn(two.store.annotated_tasks(learned.project), learned.newest_written())


def test_a_skipped_control_is_neither_learned_nor_predicted(two, scenes):
    skipping = replace(
        two, config=TWO_CONTROLS.replace('name="touches"', 'name="touches" model_skip="1"')
    )
    skipping.submit(scenes[0], 1)
    skipping.work()
    version = skipping.setup()
    assert " · 1 video · " in version
    assert "untrained" not in version
    (prediction,) = skipping.predict(scenes[0])["results"]
    assert {region["from_name"] for region in prediction["result"]} <= {"tl"}
    all_skipped = skipping.config.replace('name="tl"', 'name="tl" model_skip="yes"')
    assert "model_skip" in skipping.setup(all_skipped)
    answer = skipping.predict(scenes[0], config=all_skipped)
    assert answer == {"results": [[]], "model_version": skipping.setup(all_skipped)}
