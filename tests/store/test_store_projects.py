from concurrent.futures import ThreadPoolExecutor

import pytest
from store_events import KEY, PROJECT, at, current, parse_webhook, written

from timelinelabels.errors import StoreError
from timelinelabels.labelstudio.payloads import ProjectRef
from timelinelabels.store import Store


def test_a_project_is_known_by_id_and_creation_time(store):
    first = store.resolve_project(ProjectRef("1", 100))
    assert first == "1.100"
    assert store.resolve_project(ProjectRef("1", 100)) == first
    assert store.resolve_project(ProjectRef("2", 100)) != first


def test_a_reused_project_id_is_another_project(store):
    record = written(1, "old"), written(1, "new", project=PROJECT | {"created_at": at(0)})
    keys = [store.record(event, training_fingerprint="f") for event in record]
    assert keys[0] == KEY != keys[1]
    assert [current(store, key) for key in keys] == [[("1", "old")], [("1", "new")]]


def test_a_bare_id_means_the_newest_project_with_it(store):
    store.resolve_project(ProjectRef("1", 300))
    store.resolve_project(ProjectRef("1", 200))
    assert store.resolve_project(ProjectRef("1")) == "1.300"


def test_a_project_first_named_by_its_id_keeps_its_key_when_its_creation_time_is_heard(store):
    key = store.resolve_project(ProjectRef("1"))
    assert key == "1"
    assert store.resolve_project(ProjectRef("1", 100)) == key
    assert store.resolve_project(ProjectRef("1")) == key
    assert store.resolve_project(ProjectRef("1", 200)) == "1.200"
    assert store.resolve_project(ProjectRef("1", 100)) == key


def test_a_webhook_adopts_what_was_imported_for_the_bare_id(store):
    key = store.resolve_project(ProjectRef("1"))
    assert store.record(written(), training_fingerprint="f") == key
    assert current(store, key) == [("1", "u1")]


def test_many_threads_that_meet_a_new_project_agree(url):
    with Store(url) as store, ThreadPoolExecutor(8) as pool:
        refs = [ProjectRef("1"), ProjectRef("1", 100)] * 8
        assert len(set(pool.map(store.resolve_project, refs))) == 1
        assert store.statistics().projects == 1


def test_an_unknown_project_has_nothing(store):
    assert store.annotated_tasks("9") == []
    assert store.label_config("9") is None
    assert store.heads("9") == {}
    assert store.versions("9") == []


@pytest.mark.parametrize(
    "change",
    [
        lambda store: store.note_label_config("9", "<View/>", "f"),
        lambda store: store.import_annotations("9", []),
        lambda store: store.next_version_number("9"),
        lambda store: store.model_version("9", "f", str),
    ],
)
def test_an_unknown_project_cannot_be_changed(store, change):
    with pytest.raises(StoreError, match="no project '9'"):
        change(store)


def test_a_webhook_may_name_its_project_by_the_id_alone(store):
    key = store.resolve_project(ProjectRef("1", 100))
    event = parse_webhook({"action": "START_TRAINING", "project": 1})
    assert store.record(event, training_fingerprint=None) == key
