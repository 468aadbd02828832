"""What Label Studio itself says that it has, against what was heard of it."""

from datetime import timedelta

import pytest
from store_events import (
    KEY,
    START,
    annotations_deleted,
    at,
    current,
    start_training,
    task,
    tasks_deleted,
    wanted,
    written,
)

from timelinelabels.labelstudio.payloads import parse_export
from timelinelabels.reconciliation import KIND, want_reconciliations


@pytest.fixture
def hear(store, clock):
    """Take in a webhook as it comes; a second passes."""
    clock.time = START + timedelta(minutes=100)

    def heard(event):
        store.record(event, training_fingerprint="f")
        clock.advance(1)

    return heard


def listed(*annotations, on=None):
    """A task as the API lists it: annotations without `unique_id`."""
    body = {**(on or task()), "annotations": [{**item} for item in annotations]}
    return parse_export([body])[0]


def annotation(annotation_id=1, *, created=1.0, updated=None, result=None, cancelled=False):
    return {
        "id": annotation_id,
        "result": [{"id": f"u{annotation_id}"}] if result is None else result,
        "was_cancelled": cancelled,
        "created_at": at(created),
        "updated_at": at(created if updated is None else updated),
    }


def snapshot(store, *tasks, started_at=None, want_training=True):
    return store.take_snapshot(
        KEY, tasks, started_at=started_at or store.now(), want_training=want_training
    )


def test_what_was_never_heard_of_is_learned(store, hear):
    hear(written(1, "u1"))
    wanted(store)
    assert snapshot(store, listed(annotation(1), annotation(2, created=2)))
    assert current(store) == [("1", "u1"), ("2", None)]
    assert wanted(store)


def test_what_is_known_already_teaches_nothing_and_keeps_its_unique_id(store, hear):
    hear(written(1, "u1"))
    wanted(store)
    assert not snapshot(store, listed(annotation(1)))
    assert current(store) == [("1", "u1")]
    assert not wanted(store)


def test_the_webhook_of_an_annotation_that_a_snapshot_had_first_is_the_same_annotation(store, hear):
    hear(start_training())
    snapshot(store, listed(annotation(1)))
    assert current(store) == [("1", None)]
    hear(written(1, "u1"))
    assert current(store) == [("1", "u1")]


def test_what_label_studio_does_not_have_any_more_is_forgotten(store, hear):
    hear(written(1, "u1"))
    hear(written(2, "u2", created=2, on=task(2)))
    wanted(store)
    assert snapshot(store, listed(annotation(1)))
    assert current(store) == [("1", "u1")]
    assert wanted(store)


def test_what_was_heard_while_the_snapshot_was_taken_stays(store, hear):
    hear(written(1, "u1"))
    started_at = store.now()
    hear(written(2, "u2", created=2))
    snapshot(store, listed(annotation(1)), started_at=started_at)
    assert current(store) == [("1", "u1"), ("2", "u2")]
    snapshot(store, listed(annotation(1)))
    assert current(store) == [("1", "u1")]


def test_a_deletion_heard_while_the_snapshot_was_taken_counts(store, hear):
    hear(written(1, "u1"))
    started_at = store.now()
    hear(annotations_deleted(1))
    snapshot(store, listed(annotation(1)), started_at=started_at)
    assert current(store) == []


def test_a_snapshot_undoes_a_deletion_that_meant_another(store, hear):
    hear(annotations_deleted(1))
    hear(tasks_deleted(1))
    hear(written(1, "u1"))
    assert current(store) == []
    snapshot(store, listed(annotation(1)))
    assert current(store) == [("1", "u1")]
    hear(tasks_deleted(1))
    assert current(store) == []


def test_a_skip_is_no_annotation_and_an_unskipped_one_comes_back_without_any_event(store, hear):
    hear(written(1, "u1"))
    snapshot(store, listed(annotation(1, updated=3, cancelled=True)))
    assert current(store) == []
    snapshot(store)  # a task with nothing but skips is not listed
    assert current(store) == []
    snapshot(store, listed(annotation(1, updated=4)))
    assert current(store) == [("1", "u1")]


def test_an_update_heard_after_a_snapshot_that_lacked_it_brings_it_back(store, hear):
    hear(written(1, "u1"))
    snapshot(store)
    assert current(store) == []
    hear(written(1, "u1"))  # the same again: an old webhook that was late
    assert current(store) == []
    hear(written(1, "u1", updated=200, result=[{"id": "new"}]))
    assert current(store) == [("1", "u1")]


def test_edited_task_data_are_learned_without_any_event(store, hear):
    hear(written(1, "u1"))
    wanted(store)
    assert snapshot(store, listed(annotation(1), on=task(updated=5, video="b.mp4")))
    (found,) = store.annotated_tasks(KEY)
    assert found.data == {"video": "b.mp4"}


def test_a_training_under_way_is_not_wanted_again_by_its_own_snapshot(store, hear):
    hear(written(1, "u1"))
    wanted(store)
    assert snapshot(store, listed(annotation(1), annotation(2, created=2)), want_training=False)
    assert not wanted(store)


def test_a_person_who_asks_for_a_training_asks_for_a_snapshot(store, hear):
    hear(written(1, "u1"))
    snapshot(store, listed(annotation(1)))
    assert store.project(KEY).reconciled_at is not None
    hear(start_training())
    assert store.project(KEY).reconciled_at is None
    assert store.snapshots_due(3600) == [KEY]


def test_projects_are_read_when_they_never_were_and_when_that_is_long_ago(store, hear, clock):
    hear(written(1, "u1"))
    assert store.snapshots_due(3600) == [KEY]
    snapshot(store, listed(annotation(1)))
    assert store.snapshots_due(3600) == []
    clock.advance(3601)
    want_reconciliations(store, older_than_seconds=3600)
    assert store.claim("test", [KIND]).key == KEY


def test_a_project_that_is_gone_is_forgotten_and_comes_back_when_it_is_heard_of(store, hear):
    hear(written(1, "u1"))
    store.forget_project(KEY)
    assert current(store) == []
    assert store.outstanding() == []
    assert store.snapshots_due(0) == []
    hear(written(1, "u1"))
    assert current(store) == [("1", "u1")]
    assert store.snapshots_due(3600) == []
    hear(start_training())
    assert store.snapshots_due(3600) == [KEY]
