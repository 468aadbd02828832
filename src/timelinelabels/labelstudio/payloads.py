"""What Label Studio sends: webhooks, /setup, /predict and exported tasks.

Each `parse_…` function takes decoded JSON and gives records (`records.py`), or raises a `PayloadError`
that names the field. Bodies hold tokens and passwords, so no body, and no value out of one, is ever
put into a message or a log line.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from timelinelabels.errors import PayloadError
from timelinelabels.labelstudio.records import (
    ANNOTATIONS_DELETED,
    ANNOTATIONS_WRITTEN,
    KNOWN_ACTIONS,
    TASKS_CREATED,
    TASKS_DELETED,
    AnnotatedTask,
    AnnotationRecord,
    PredictRequest,
    ProjectRef,
    SetupRequest,
    TaskRecord,
    WebhookEvent,
    id_text,
    storable_text,
    utc_time,
)

__all__ = [
    "AnnotatedTask",
    "AnnotationRecord",
    "PredictRequest",
    "ProjectRef",
    "SetupRequest",
    "TaskRecord",
    "WebhookEvent",
    "parse_export",
    "parse_predict",
    "parse_setup",
    "parse_webhook",
]

Model = TypeVar("Model", bound=BaseModel)


def _user_id(value: object) -> object:
    """Exports may name the annotator by an object instead of its id."""
    if isinstance(value, Mapping):
        value = value.get("id")
    return None if value is None else id_text(value)


def _none_is(default: Any) -> BeforeValidator:
    return BeforeValidator(lambda value: default if value is None else value)


def _parameters(value: object) -> object:
    """`extra_params` arrives as an object (API), a JSON string (UI), "" or null."""
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError(
                "must be an object, a JSON string of an object, empty or null"
            ) from None
    return value or {}


Id = Annotated[str, BeforeValidator(id_text)]
UserId = Annotated[str | None, BeforeValidator(_user_id)]
Time = Annotated[datetime | None, BeforeValidator(utc_time)]
Text = Annotated[str, AfterValidator(storable_text)]
Flag = Annotated[bool, _none_is(False)]


class _Payload(BaseModel):
    # Label Studio sends many more fields than are read here, and adds some with every release.
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Project(_Payload):
    label_config: Text | None = None
    updated_at: Time = None


class _Action(_Payload):
    action: Text


class _Numbered(_Payload):
    id: Id


class _Task(_Payload):
    id: Id
    data: dict[str, Any]
    created_at: Time = None
    updated_at: Time = None

    def record(self) -> TaskRecord:
        return TaskRecord(
            id=self.id, data=self.data, created_at=self.created_at, updated_at=self.updated_at
        )


class _Annotation(_Payload):
    id: Id
    unique_id: Annotated[str | None, BeforeValidator(lambda v: id_text(v) if v else None)] = None
    task: Annotated[str | None, BeforeValidator(lambda v: None if v is None else id_text(v))] = None
    result: Annotated[list[Any], _none_is([])] = Field(default_factory=list)
    was_cancelled: Flag = False
    ground_truth: Flag = False
    completed_by: UserId = None
    created_at: Time = None
    updated_at: Time = None

    def record(self, task: TaskRecord) -> AnnotationRecord:
        return AnnotationRecord(
            id=self.id,
            unique_id=self.unique_id,
            task_id=task.id,
            task_created_at=task.created_at,
            task_updated_at=task.updated_at,
            task_data=task.data,
            result=self.result,
            was_cancelled=self.was_cancelled,
            ground_truth=self.ground_truth,
            completed_by=self.completed_by,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


class _Setup(_Payload):
    label_config: Text = Field(alias="schema")
    extra_params: Annotated[dict[str, Any], BeforeValidator(_parameters)] = Field(
        default_factory=dict
    )


class _Predict(_Payload):
    label_config: Text | None = None
    tasks: list[Any]


def _validated(model: type[Model], value: object, *, where: str) -> Model:
    """The value as a model; the error names the fields and never shows what they hold."""
    problem = ""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first, *others = error.errors(include_url=False, include_context=False, include_input=False)
        path = ".".join(str(part) for part in (where, *first["loc"]) if part != "")
        problem = f"{path or 'the body'}: {first['msg'].removeprefix('Value error, ')}"
        problem += f" (and {len(others)} more problems)" if others else ""
    # Raised here, so that the validation error, which quotes the input, is not chained to it.
    raise PayloadError(problem)


def _object(body: object, what: str) -> Mapping[str, Any]:
    if not isinstance(body, Mapping):
        raise PayloadError(f"{what}: a JSON object is expected, not {_json_type(body)}")
    return body


def _listed(body: Mapping[str, Any], *names: str) -> list[tuple[str, Any]]:
    """(Place in the body, value) of each item under the first of these names that is there.

    Where Label Studio sends one item it may leave out the list around it.
    """
    for name in names:
        value = body.get(name)
        if isinstance(value, Mapping):
            return [(name, value)]
        if isinstance(value, list):
            return [(f"{name}.{index}", item) for index, item in enumerate(value)]
        if value is not None:
            raise PayloadError(f"{name}: an object or a list is expected, not {_json_type(value)}")
    raise PayloadError(f"{names[0]}: missing; an object or a list of objects is expected")


def _json_type(value: object) -> str:
    names = {str: "text", bool: "a boolean", int: "a number", float: "a number", list: "a list"}
    return "null" if value is None else names.get(type(value), "an object")


def parse_webhook(body: object) -> WebhookEvent:
    """A webhook's body.

    An action that means nothing to this backend gives an event that holds the action only.

    Raises:
        PayloadError: the action is missing, or the body of a known one is ill-formed.
    """
    fields = _object(body, "the webhook's body")
    action = fields.get("action")
    if not isinstance(action, str):
        raise PayloadError("action: missing; text such as ANNOTATION_CREATED is expected")
    if action not in KNOWN_ACTIONS:
        return WebhookEvent(action=_validated(_Action, fields, where="").action)
    named, project = fields.get("project"), _Project()
    if isinstance(named, Mapping):
        ref = ProjectRef.from_webhook(named)
        project = _validated(_Project, named, where="project")
    elif named is None:
        raise PayloadError("project: missing; Label Studio sends it unless payloads are off")
    else:
        ref = ProjectRef.parse(named)
    annotations: tuple[AnnotationRecord, ...] = ()
    tasks: tuple[TaskRecord, ...] = ()
    deleted_annotations: tuple[str, ...] = ()
    deleted_tasks: tuple[str, ...] = ()
    if action in ANNOTATIONS_WRITTEN:
        tasks = _tasks(fields, "task", "tasks")
        annotations = _annotations(fields, tasks)
    elif action == TASKS_CREATED:
        tasks = _tasks(fields, "tasks", "task")
    elif action in ANNOTATIONS_DELETED:
        deleted_annotations = _ids(fields, "annotations", "annotation")
    elif action == TASKS_DELETED:
        deleted_tasks = _ids(fields, "tasks", "task")
    return WebhookEvent(
        action=action,
        project=ref,
        label_config=project.label_config,
        project_updated_at=project.updated_at,
        annotations=annotations,
        tasks=tasks,
        deleted_annotation_ids=deleted_annotations,
        deleted_task_ids=deleted_tasks,
    )


def _tasks(body: Mapping[str, Any], *names: str) -> tuple[TaskRecord, ...]:
    listed = _listed(body, *names)
    return tuple(_validated(_Task, item, where=place).record() for place, item in listed)


def _ids(body: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    listed = _listed(body, *names)
    return tuple(_validated(_Numbered, item, where=place).id for place, item in listed)


def _annotations(
    body: Mapping[str, Any], tasks: tuple[TaskRecord, ...]
) -> tuple[AnnotationRecord, ...]:
    by_id = {task.id: task for task in tasks}
    records = []
    for place, item in _listed(body, "annotation", "annotations"):
        annotation = _validated(_Annotation, item, where=place)
        if annotation.task is None and len(tasks) == 1:
            task: TaskRecord | None = tasks[0]
        else:
            task = by_id.get(annotation.task or "")
        if task is None:
            raise PayloadError(f"{place}.task: the body holds no task with this id")
        records.append(annotation.record(task))
    return tuple(records)


def parse_setup(body: object) -> SetupRequest:
    """The body of POST /setup.

    Raises:
        PayloadError: it is ill-formed.
    """
    fields = _object(body, "the body of /setup")
    project = _project(fields.get("project"))
    if project is None:
        raise PayloadError('project: missing; text like "1.1795341684" is expected')
    setup = _validated(_Setup, fields, where="")
    return SetupRequest(
        project=project, label_config=setup.label_config, extra_params=setup.extra_params
    )


def parse_predict(body: object) -> PredictRequest:
    """The body of POST /predict; annotations and the interactive context are passed over.

    Raises:
        PayloadError: it is ill-formed.
    """
    fields = _object(body, "the body of /predict")
    request = _validated(_Predict, fields, where="")
    return PredictRequest(
        tasks=tuple(
            _task(item, where=f"tasks.{index}", with_annotations=False)
            for index, item in enumerate(request.tasks)
        ),
        project=_project(fields.get("project")),
        label_config=request.label_config,
    )


def _project(value: object) -> ProjectRef | None:
    return None if value in (None, "") else ProjectRef.parse(value)  # type: ignore[arg-type]


def parse_export(body: object) -> tuple[AnnotatedTask, ...]:
    """Tasks of Label Studio's JSON export, or tasks to import or to predict.

    A task is `{"data": {…}, "annotations": […]}` (old exports: "completions"; neither: a task without
    annotations), or just its data, like `{"video": "a.mp4"}`. A task or an annotation without an id is
    numbered by its place.

    Raises:
        PayloadError: it is ill-formed.
    """
    items = [body] if isinstance(body, Mapping) else body
    if not isinstance(items, list):
        raise PayloadError(f"tasks: a JSON list of tasks is expected, not {_json_type(items)}")
    return tuple(
        _task(item, where=f"tasks.{index}", with_annotations=True)
        for index, item in enumerate(items)
    )


def _task(item: object, *, where: str, with_annotations: bool) -> AnnotatedTask:
    fields = dict(_object(item, where))
    annotated = "completions" if fields.get("annotations") is None else "annotations"
    if "data" not in fields:
        if annotated in fields:
            raise PayloadError(f"{where}.data: missing; the task has annotations but no data")
        fields = {"data": fields, "id": fields.get("id")}
    if fields.get("id") is None:
        fields["id"] = f"#{int(where.rpartition('.')[2]) + 1}"
    task = _validated(_Task, fields, where=where).record()
    records = []
    if with_annotations and fields.get(annotated) is not None:
        for number, (place, value) in enumerate(_listed(fields, annotated), start=1):
            named = dict(_object(value, f"{where}.{place}"))
            if named.get("id") is None:
                named["id"] = f"{task.id}:{number}"
            annotation = _validated(_Annotation, named, where=f"{where}.{place}")
            records.append(annotation.record(task))
    return AnnotatedTask(
        task_id=task.id,
        data=task.data,
        annotations=tuple(record for record in records if not record.was_cancelled),
        cancelled=tuple(record for record in records if record.was_cancelled),
    )
