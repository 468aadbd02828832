import copy
import itertools
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_events import (
    KEY,
    PROJECT,
    START,
    annotations_deleted,
    at,
    current,
    recorded_bodies,
    start_training,
    task,
    tasks_created,
    tasks_deleted,
    wanted,
    written,
)

from timelinelabels.labelstudio.payloads import ProjectRef, parse_export, parse_webhook
from timelinelabels.store import events as store_events
from timelinelabels.store.annotations import annotated_tasks
from timelinelabels.store.engine import Database

XML = "<View/>"


def record(store, *events, fingerprint="f"):
    for event in events:
        store.record(event, training_fingerprint=fingerprint)


def test_an_annotation_is_remembered_with_its_task(store):
    event = written(7, "u7", on=task(3, video="b.mp4"))
    assert store.record(event, training_fingerprint="f") == KEY
    (annotated,) = store.annotated_tasks(KEY)
    assert annotated.task_id == "3"
    assert annotated.data == {"video": "b.mp4"}
    assert annotated.annotations == event.annotations


def test_what_was_recorded_is_there_after_the_store_is_opened_anew(store, url):
    record(store, written())
    with type(store)(url) as opened:
        assert current(opened) == [("1", "u1")]


def test_an_unknown_action_leaves_no_trace(store):
    assert store.record(parse_webhook({"action": "OTHER"}), training_fingerprint=None) is None
    assert store.statistics().projects == 0


def test_the_newest_update_wins_whenever_it_arrives(store):
    newest = written(updated=9, result=[{"id": "new"}], action="ANNOTATION_UPDATED")
    record(store, newest, written(result=[{"id": "old"}]))
    (annotated,) = store.annotated_tasks(KEY)
    assert annotated.annotations[0].result == [{"id": "new"}]


def test_newer_task_data_comes_with_any_annotation_of_the_task(store):
    record(store, written(1, "u1", on=task(video="moved.mp4", updated=5)))
    record(store, written(2, "u2", on=task(video="a.mp4", updated=2)))
    (annotated,) = store.annotated_tasks(KEY)
    assert annotated.data == {"video": "moved.mp4"}
    assert len(annotated.annotations) == 2


def test_a_skipped_annotation_is_never_current(store):
    record(store, written(cancelled=True))
    assert current(store) == []
    assert not wanted(store)


def test_an_annotation_that_is_skipped_later_is_no_longer_current(store):
    record(store, written())
    assert wanted(store)
    record(store, written(updated=5, cancelled=True))
    assert current(store) == []
    assert wanted(store)


def test_an_empty_annotation_is_current(store):
    record(store, written(result=[]))
    assert current(store) == [("1", "u1")]


def test_a_deleted_annotation_is_no_longer_current(store):
    record(store, written(1, "u1"), written(2, "u2"), annotations_deleted(1))
    assert current(store) == [("2", "u2")]


def test_a_deletion_may_come_before_the_creation(store):
    record(store, annotations_deleted(1), written(1, "u1"))
    assert current(store) == []
    assert not wanted(store)


def test_a_deletion_in_one_project_leaves_the_others_alone(store):
    other = {"id": 2, "created_at": at(-60)}
    record(store, written(1, "u1"), written(1, "v1", project=other), annotations_deleted(1))
    assert current(store) == []
    assert store.statistics().current_annotations == 1


def test_several_annotators_of_one_task_all_count(store):
    record(store, written(1, "u1"), written(2, "u2"))
    (annotated,) = store.annotated_tasks(KEY)
    assert [annotation.id for annotation in annotated.annotations] == ["1", "2"]


def test_a_reused_annotation_id_is_another_annotation(store):
    events = [written(1, "old"), annotations_deleted(1), written(1, "new", created=5)]
    for number, order in enumerate(itertools.permutations(events)):
        project = {"id": 1, "created_at": at(number)}
        ref = ProjectRef.from_webhook(project)
        for event in order:
            store.record(_in_project(event, ref), training_fingerprint="f")
        assert current(store, ref.key) == [("1", "new")]


def test_a_live_deletion_after_the_id_was_reused_deletes_the_new_annotation(store, clock):
    def at_once(event, minutes):
        clock.time = START + timedelta(minutes=minutes)
        record(store, event)

    at_once(written(1, "old", created=1), 1)
    at_once(annotations_deleted(1), 2)
    at_once(written(1, "new", created=3), 3)
    assert current(store) == [("1", "new")]
    at_once(annotations_deleted(1), 4)
    assert current(store) == []


def test_an_id_reused_live_after_a_stranger_was_deleted_is_kept(store, clock):
    clock.time = START + timedelta(minutes=2)
    record(store, annotations_deleted(1))
    clock.time = START + timedelta(minutes=3)
    record(store, written(1, "new", created=3))
    assert current(store) == [("1", "new")]


def test_deleted_tasks_take_their_annotations_along(store):
    record(store, written(1, "u1", on=task(1)), written(2, "u2", on=task(2)))
    assert wanted(store)
    record(store, tasks_deleted(1))
    assert current(store) == [("2", "u2")]
    assert wanted(store)


def test_a_reused_task_id_is_another_task(store):
    old, new = task(1, created=0, video="old.mp4"), task(1, created=9, video="new.mp4")
    record(store, written(1, "u1", on=old), tasks_deleted(1), tasks_created(new))
    assert current(store) == []
    record(store, written(2, "u2", created=10, on=new))
    (annotated,) = store.annotated_tasks(KEY)
    assert annotated.data == {"video": "new.mp4"}
    assert current(store) == [("2", "u2")]


def test_a_deleted_task_that_was_never_annotated_does_not_bury_its_successor(store):
    old, new = task(1, created=0), task(1, created=9)
    record(store, tasks_created(old), tasks_deleted(1), written(2, "u2", created=10, on=new))
    assert current(store) == [("2", "u2")]


def test_many_tasks_may_be_created_at_once(store):
    record(store, tasks_created(*(task(number) for number in range(1100))))
    record(store, written(1, "u1", on=task(1099)))
    record(store, tasks_deleted(*range(1100)))
    assert current(store) == []


# Trainings wanted


def test_a_submit_wants_one_training(store):
    record(store, written())
    assert wanted(store)
    assert not wanted(store)


def test_an_event_that_changes_nothing_wants_no_training(store):
    record(store, written())
    assert wanted(store)
    record(store, written(), tasks_created(task(5)), annotations_deleted(99))
    record(store, parse_webhook({"action": "PROJECT_UPDATED", "project": PROJECT}))
    assert not wanted(store)


def test_moved_media_want_a_training(store):
    record(store, written(1, "u1"))
    assert wanted(store)
    record(store, tasks_created(task(video="moved.mp4", updated=5)))
    assert wanted(store)


def test_a_wish_to_train_is_always_granted(store):
    record(store, written())
    assert wanted(store)
    record(store, start_training())
    assert wanted(store)


def test_a_wish_to_train_ends_the_wait_after_failures(store):
    record(store, written())
    store.fail(store.claim("w", ["train"]), "no disk")
    assert store.claim("w", ["train"]) is None
    record(store, start_training())
    assert store.claim("w", ["train"]).attempts == 0


def with_config(xml, updated, action="PROJECT_UPDATED"):
    project = PROJECT | {"label_config": xml, "updated_at": at(updated)}
    return parse_webhook({"action": action, "project": project})


def test_the_newest_config_wins_whenever_it_arrives(store):
    record(store, with_config("<new/>", 5), with_config("<old/>", 1))
    assert store.label_config(KEY) == "<new/>"


def test_a_config_from_setup_always_counts(store):
    record(store, with_config("<hook/>", 5))
    assert not store.note_label_config(KEY, "<setup/>", "f2")
    assert store.label_config(KEY) == "<setup/>"
    record(store, with_config("<old/>", 4))
    assert store.label_config(KEY) == "<setup/>"
    record(store, with_config("<newer/>", 6))
    assert store.label_config(KEY) == "<newer/>"


def test_a_config_that_changes_what_is_learned_wants_a_training(store):
    record(store, with_config(XML, 0), fingerprint="f1")
    assert not wanted(store)  # there is nothing to learn from
    record(store, written(), fingerprint=None)
    assert wanted(store)
    assert not store.note_label_config(KEY, "<colours/>", "f1")
    assert store.note_label_config(KEY, "<labels/>", "f2")
    assert wanted(store)
    assert not store.note_label_config(KEY, "<labels/>", "f2")
    record(store, with_config("<more/>", 9), fingerprint="f3")
    assert wanted(store)


def test_an_older_config_does_not_bring_its_fingerprint(store):
    record(store, with_config("<new/>", 5), written(), fingerprint="new")
    assert wanted(store)
    assert not store.note_label_config(KEY, "<old/>", "old", updated_at=START)
    record(store, with_config("<old/>", 1), fingerprint="old")
    assert not wanted(store)


def test_an_invalid_config_is_kept_and_wants_no_training(store):
    record(store, with_config(XML, 0), written())
    assert wanted(store)
    assert not store.note_label_config(KEY, "<broken", None)
    assert store.label_config(KEY) == "<broken"
    assert not store.note_label_config(KEY, XML, "f")
    assert not wanted(store)


def test_what_was_annotated_under_an_invalid_config_is_learned_once_it_is_valid_again(store):
    record(store, with_config(XML, 0), written())
    assert wanted(store)
    store.note_label_config(KEY, "<broken", None)
    record(store, written(2, "u2"), fingerprint=None)
    store.fail(store.claim("w", ["train"]), "the config is invalid", permanent=True)
    assert store.note_label_config(KEY, XML, "f")
    assert wanted(store)


# Imports


def export(result, **fields):
    return parse_export(
        [
            {
                "id": 1,
                "data": {"video": "a.mp4"},
                "annotations": [{"id": 1, "result": result, **fields}],
            }
        ]
    )[0].records


def test_an_export_without_times_may_be_corrected_and_imported_again(store, clock):
    key = store.resolve_project(ProjectRef("room"))
    results = [[{"id": text}] for text in ("b", "a", "c")]
    for result in results:
        clock.advance(1)
        assert store.import_annotations(key, export(result))
        (annotated,) = store.annotated_tasks(key)
        assert annotated.annotations[0].result == result
    assert not store.import_annotations(key, export(results[-1]))
    assert wanted(store, key)


def test_a_skip_in_an_export_counts(store, clock):
    key = store.resolve_project(ProjectRef("room"))
    store.import_annotations(key, export([]))
    clock.advance(1)
    store.import_annotations(key, export([], was_cancelled=True))
    assert current(store, key) == []


def test_tasks_come_in_the_order_of_their_numbers(store):
    record(store, *(written(number, f"u{number}", on=task(number)) for number in (10, 9, 2)))
    assert [annotated.task_id for annotated in store.annotated_tasks(KEY)] == ["2", "9", "10"]


# Any order


def _in_project(event, ref):
    return type(event)(**{**vars(event), "project": ref})


RECORDED = recorded_bodies()
_PROJECT_NUMBERS = itertools.count(1)


def _like_the_recorded(action, **annotation):
    body = copy.deepcopy(next(body for body in RECORDED if body["action"] == action))
    if annotation:
        target = body["annotation"]
        (target[0] if isinstance(target, list) else target).update(annotation)
    return body


def _recorded_events(number):
    """The recorded bodies, and some like them, as events of projects of this example's own."""
    deletion = _like_the_recorded("ANNOTATIONS_DELETED")
    deletion["annotations"] = [{"id": 5}]
    bodies = [
        *copy.deepcopy(RECORDED),
        deletion,
        _like_the_recorded(
            "ANNOTATIONS_CREATED",
            unique_id="reused",
            created_at="2026-11-22T10:07:00Z",
            updated_at="2026-11-22T10:07:00Z",
        ),
        _like_the_recorded(
            "ANNOTATION_UPDATED", was_cancelled=True, updated_at="2026-11-22T10:05:00Z"
        ),
    ]
    for body in bodies:
        body["project"]["id"] += 1000 * number
    return [parse_webhook(body) for body in bodies]


@pytest.mark.slow
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_recorded_events_in_any_order_and_repeated_end_in_the_same_state(store, clock, data):
    number = next(_PROJECT_NUMBERS)
    events = _recorded_events(number)
    order = data.draw(st.permutations([*range(len(events)), *range(len(events))]))
    for index in order:
        clock.advance(1)
        store.record(events[index], training_fingerprint="f")
    first, third = f"{1 + 1000 * number}.1795341684", f"{3 + 1000 * number}.1795342274"
    assert current(store, first) == [
        ("5", "reused"),
        ("6", "ffef468e-db0d-4acf-b667-bf92ca7eac50"),
    ]
    assert current(store, third) == [("134", "ef2705a2-2170-4f1a-b6e7-90c891f63378")]
    assert wanted(store, first)
    assert wanted(store, third)


@st.composite
def histories(draw):
    """Events about few ids: each (id, creation time) is one thing, whatever its events say of it."""
    events = []
    for _ in range(draw(st.integers(1, 7))):
        kind = draw(st.sampled_from(["write", "write", "delete", "task", "delete task"]))
        task_id, minute = draw(st.integers(1, 2)), draw(st.integers(0, 2))
        on = task(task_id, created=minute, updated=draw(st.integers(3, 4)))
        on["data"]["video"] = draw(st.sampled_from(["a.mp4", "b.mp4"]))
        annotation_id = draw(st.integers(1, 2))
        if kind == "write":
            created = draw(st.integers(5, 7))
            events.append(
                written(
                    annotation_id,
                    f"u{annotation_id}-{created}",
                    created=created,
                    updated=draw(st.integers(8, 9)),
                    on=on,
                    result=[{"id": draw(st.sampled_from("ab"))}],
                    cancelled=draw(st.booleans()),
                )
            )
        elif kind == "delete":
            events.append(annotations_deleted(annotation_id))
        elif kind == "task":
            events.append(tasks_created(on))
        else:
            events.append(tasks_deleted(task_id))
    return events


def _state_after(database, events, *, first_receipt, seconds_apart):
    """What is current after the events, in one transaction that is then undone (for speed)."""
    ref = ProjectRef("7", next(_PROJECT_NUMBERS))
    with database.reading() as session:
        for number, event in enumerate(events):
            now = first_receipt + timedelta(seconds=number * seconds_apart)
            store_events.record(session, event, ref, training_fingerprint="f", now=now)
            session.flush()
            session.expunge_all()
        return annotated_tasks(session, ref.key)


@pytest.mark.slow
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # no statement differs by dialect
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=histories(),
    data=st.data(),
    # Replayed days later; or sent within minutes, and received after the last of them was made.
    receipt=st.sampled_from([(timedelta(days=2), 1), (timedelta(minutes=9, seconds=1), 0.01)]),
)
def test_any_events_in_any_order_and_repeated_end_in_the_same_state(url, events, data, receipt):
    delay, seconds_apart = receipt
    order = data.draw(st.permutations([*events, *events]))
    database = Database(url)
    once, again = (
        _state_after(database, given, first_receipt=START + delay, seconds_apart=seconds_apart)
        for given in (events, order)
    )
    assert once == again
