import json
import traceback
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timelinelabels.errors import PayloadError
from timelinelabels.labelstudio.payloads import (
    ProjectRef,
    parse_export,
    parse_predict,
    parse_setup,
    parse_webhook,
)

REQUESTS = Path(__file__).parents[1] / "requests"


def recorded(name):
    return json.loads((REQUESTS / f"{name}.json").read_text())["body"]


RECORDED_WEBHOOKS = sorted(path.stem for path in REQUESTS.glob("webhook_*.json"))


@pytest.mark.parametrize("name", RECORDED_WEBHOOKS)
def test_every_recorded_webhook_is_read(name):
    event = parse_webhook(recorded(name))
    assert event.known
    assert event.project.created is not None
    assert event.label_config.startswith("<View>")
    assert event.project_updated_at.tzinfo is UTC


def test_a_webhook_and_setup_name_the_same_project():
    webhook = parse_webhook(recorded("webhook_START_TRAINING")).project
    setup = parse_setup(recorded("setup")).project
    predict = parse_predict(recorded("predict_one_task")).project
    assert webhook == setup == predict == ProjectRef("1", 1795341684)
    assert webhook.key == "1.1795341684"


def test_a_submitted_annotation_comes_with_its_task():
    event = parse_webhook(recorded("webhook_ANNOTATION_CREATED"))
    (annotation,) = event.annotations
    assert (annotation.id, annotation.task_id, annotation.completed_by) == ("134", "260", "1")
    assert annotation.unique_id == "ef2705a2-2170-4f1a-b6e7-90c891f63378"
    assert annotation.task_data == {"video": "/data/upload/3/92160445-opossum_snow_short.mp4"}
    assert [region["id"] for region in annotation.result][-1] == "UmMx5TVTKe"
    assert annotation.updated_at == datetime(2026, 11, 22, 10, 12, 43, 925875, UTC)
    assert annotation.task_created_at == datetime(2026, 11, 22, 10, 11, 15, 711286, UTC)
    assert event.tasks == (annotation.task,)
    assert not annotation.was_cancelled


def test_a_skipped_task_is_a_cancelled_annotation():
    (annotation,) = parse_webhook(recorded("webhook_ANNOTATION_CREATED_skipped")).annotations
    assert annotation.was_cancelled
    assert annotation.result == []


def test_annotations_made_from_predictions_arrive_as_lists():
    event = parse_webhook(recorded("webhook_ANNOTATIONS_CREATED"))
    assert [(record.id, record.task_id) for record in event.annotations] == [("5", "1"), ("6", "2")]
    assert event.annotations[1].task_data == {"video": "http://127.0.0.1:8765/cfr25.mp4"}


def test_deletions_carry_ids_only():
    assert parse_webhook(recorded("webhook_ANNOTATIONS_DELETED")).deleted_annotation_ids == (
        "2",
        "3",
    )
    assert parse_webhook(recorded("webhook_TASKS_DELETED")).deleted_task_ids == ("3",)


def test_a_single_deletion_is_understood_too():
    body = {"action": "ANNOTATION_DELETED", "annotation": {"id": 9}, "project": {"id": 1}}
    assert parse_webhook(body).deleted_annotation_ids == ("9",)


def test_created_tasks_are_read():
    (task,) = parse_webhook(recorded("webhook_TASKS_CREATED")).tasks
    assert task.id == "1"
    assert "video" in task.data


@pytest.mark.parametrize("body", [{"action": "REVIEW_CREATED"}, {"action": "", "project": 5}])
def test_an_unknown_action_is_ignored_politely(body):
    event = parse_webhook(body)
    assert event.action == body["action"]
    assert not event.known
    assert event.project is None


def _without(body, *path):
    owner = body
    for name in path[:-1]:
        owner = owner[name]
    del owner[path[-1]]
    return body


def _with(body, value, *path):
    owner = body
    for name in path[:-1]:
        owner = owner[name]
    owner[path[-1]] = value
    return body


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda body: _without(body, "action"), "action"),
        (lambda body: _without(body, "project"), "project"),
        (lambda body: _without(body, "project", "id"), "project.id"),
        (lambda body: _with(body, True, "project", "id"), "project.id"),
        (lambda body: _with(body, "a/../b", "project", "id"), "project.id"),
        (lambda body: _with(body, "yesterday", "project", "created_at"), "project.created_at"),
        (lambda body: _with(body, 7, "project", "label_config"), "project.label_config"),
        (lambda body: _with(body, "<View>\0", "project", "label_config"), "project.label_config"),
        (lambda body: _with(body, "\ud800", "project", "label_config"), "project.label_config"),
        (lambda body: _without(body, "annotation"), "annotation"),
        (lambda body: _with(body, "text", "annotation"), "annotation"),
        (lambda body: _without(body, "annotation", "id"), "annotation.id"),
        (lambda body: _with(body, "", "annotation", "id"), "annotation.id"),
        (lambda body: _with(body, "x" * 201, "annotation", "id"), "annotation.id"),
        (lambda body: _with(body, {}, "annotation", "result"), "annotation.result"),
        (lambda body: _with(body, "maybe", "annotation", "was_cancelled"), "was_cancelled"),
        (lambda body: _with(body, "soon", "annotation", "updated_at"), "annotation.updated_at"),
        (
            lambda body: _with(body, "9999-12-31T23:59:59-23:00", "annotation", "updated_at"),
            "annotation.updated_at",
        ),
        (lambda body: _with(body, 1e300, "annotation", "created_at"), "annotation.created_at"),
        (lambda body: _with(body, 999, "annotation", "task"), "annotation.task"),
        (lambda body: _without(body, "task"), "task"),
        (lambda body: _with(body, None, "task", "data"), "task.data"),
        (lambda body: _with(body, ["a.mp4"], "task", "data"), "task.data"),
    ],
)
def test_an_ill_formed_webhook_is_an_error_that_names_the_field(change, field):
    with pytest.raises(PayloadError) as caught:
        parse_webhook(change(recorded("webhook_ANNOTATION_CREATED")))
    assert field in str(caught.value).partition(":")[0]


def test_errors_show_nothing_of_what_the_body_holds():
    secret = "hunter2-secret-token"
    body = recorded("webhook_ANNOTATION_CREATED")
    body["project"]["task_data_password"] = secret
    body["annotation"]["result"] = secret
    body["annotation"]["id"] = [secret]
    body["task"]["data"] = secret
    setup = recorded("setup") | {"access_token": secret, "schema": [secret]}
    params = recorded("setup") | {"extra_params": secret}
    predict = {"tasks": secret, "project": [secret]}
    for parse, value in (
        (parse_webhook, body),
        (parse_setup, setup),
        (parse_setup, params),
        (parse_predict, predict),
        (parse_predict, {"tasks": [], "project": secret + "!"}),
        (parse_export, [{"data": secret}]),
        (parse_export, secret),
    ):
        with pytest.raises(PayloadError) as caught:
            parse(value)
        assert secret not in "".join(traceback.format_exception(caught.value))


def test_parameters_nested_without_end_are_an_error_in_words():
    with pytest.raises(PayloadError, match="extra_params"):
        parse_setup(recorded("setup") | {"extra_params": "[" * 100_000})


def test_records_do_not_show_bodies_in_their_repr():
    event = parse_webhook(recorded("webhook_ANNOTATION_CREATED"))
    assert "opossum" not in repr(event)
    assert "TimelineLabels" not in repr(event)


@pytest.mark.parametrize(
    ("value", "ref"),
    [
        ("1.1795341684", ProjectRef("1", 1795341684)),
        ("1", ProjectRef("1")),
        (1, ProjectRef("1")),
        (" demo ", ProjectRef("demo")),
    ],
)
def test_a_project_is_named_by_id_and_creation_time(value, ref):
    assert ProjectRef.parse(value) == ref
    assert ProjectRef.parse(ref.key) == ref


@pytest.mark.parametrize("value", ["", "1.2.3", "../1", "a b", True, None, 1.5, -1.5, "1.", ".5"])
def test_another_name_of_a_project_is_refused(value):
    with pytest.raises(PayloadError, match="whole seconds"):
        ProjectRef.parse(value)


def test_times_without_a_zone_are_utc_and_others_are_converted():
    project = {"id": 1, "created_at": "2026-11-22T10:01:24.639662"}
    there = {"id": 1, "created_at": "2026-11-22T12:01:24.9+02:00"}
    assert ProjectRef.from_webhook(project) == ProjectRef.from_webhook(there)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("setup", {}),
        ("setup_extra_params_empty", {}),
        ("setup_extra_params_object", {"a": 1}),
        ("setup_extra_params_string", {"k": 1}),
    ],
)
def test_every_recorded_setup_is_read(name, expected):
    request = parse_setup(recorded(name))
    assert request.extra_params == expected
    assert request.label_config.startswith("<View>")


@pytest.mark.parametrize("value", ["{", "[1]", [1], 5])
def test_extra_params_that_are_no_object_are_refused(value):
    with pytest.raises(PayloadError, match="extra_params"):
        parse_setup(recorded("setup") | {"extra_params": value})


@pytest.mark.parametrize(
    ("name", "ids"),
    [("predict_one_task", ["1"]), ("predict_batch", ["2", "3"])],
)
def test_every_recorded_predict_is_read_in_order(name, ids):
    request = parse_predict(recorded(name))
    assert [task.task_id for task in request.tasks] == ids
    assert request.project == ProjectRef("1", 1795341684)
    assert request.label_config.startswith("<View>")


def test_the_context_and_annotations_of_an_interactive_predict_are_passed_over():
    body = recorded("predict_interactive_context")
    body["tasks"][0]["annotations"] = ["not even an annotation"]
    (task,) = parse_predict(body).tasks
    assert task.data["fps"] == 50
    assert task.records == ()


def test_a_predict_needs_neither_project_nor_config():
    request = parse_predict({"tasks": [{"video": "a.mp4"}]})
    assert (request.project, request.label_config) == (None, None)
    assert request.tasks[0].data == {"video": "a.mp4"}


def test_skipped_annotations_of_an_export_are_kept_apart():
    (task,) = parse_export(
        [
            {
                "id": 1,
                "data": {"video": "a.mp4"},
                "annotations": [
                    {"id": 7, "result": [], "completed_by": {"id": 3, "email": "a@example.com"}},
                    {"id": 8, "result": None, "was_cancelled": True},
                ],
            }
        ]
    )
    assert [record.id for record in task.annotations] == ["7"]
    assert [record.id for record in task.cancelled] == ["8"]
    assert [record.id for record in task.records] == ["7", "8"]
    assert task.annotations[0].completed_by == "3"
    assert task.annotations[0].updated_at is None


def test_old_exports_call_annotations_completions():
    (task,) = parse_export(
        {"id": 1, "data": {"video": "a.mp4"}, "completions": [{"created_at": 1700000000}]}
    )
    (annotation,) = task.annotations
    assert annotation.id == "1:1"
    assert annotation.created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def test_tasks_may_be_bare_data():
    tasks = parse_export([{"video": "a.mp4"}, {"data": {"video": "b.mp4"}}, {"id": 9, "data": {}}])
    assert [task.task_id for task in tasks] == ["#1", "#2", "9"]
    assert [task.data for task in tasks] == [{"video": "a.mp4"}, {"video": "b.mp4"}, {}]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("text", "tasks"),
        (None, "tasks"),
        ([["a"]], "tasks.0"),
        ([{"data": {}}, {"annotations": []}], "tasks.1.data"),
        ([{"data": {}, "annotations": [5]}], "tasks.0.annotations.0"),
        ([{"data": {}, "annotations": 5}], "annotations"),
        ([{"data": {}, "annotations": [{"id": 1, "result": 5}]}], "tasks.0.annotations.0.result"),
    ],
)
def test_an_ill_formed_export_is_an_error_that_names_the_field(body, field):
    with pytest.raises(PayloadError) as caught:
        parse_export(body)
    assert str(caught.value).partition(":")[0] == field


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    name=st.sampled_from(RECORDED_WEBHOOKS),
    data=st.data(),
    value=json_values,
)
def test_whatever_stands_in_a_field_is_read_or_refused(name, data, value):
    body = recorded(name)
    owner = body
    while True:
        key = data.draw(st.sampled_from(sorted(owner)))
        if not isinstance(owner[key], dict) or not owner[key] or data.draw(st.booleans()):
            break
        owner = owner[key]
    owner[key] = value
    try:
        parse_webhook(body)
    except PayloadError as error:
        assert str(error)
