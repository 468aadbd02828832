"""What Label Studio's API tells of, as frozen records, and reading them from its JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from timelinelabels.labelstudio.records import ProjectRef, utc_time


@dataclass(frozen=True, kw_only=True)
class LabelStudioProject:
    """A project as the API tells of it."""

    id: int
    title: str
    created_at: datetime
    label_config: str = field(repr=False)
    tasks: int
    # Those of them that have annotations.
    annotated_tasks: int

    @property
    def ref(self) -> ProjectRef:
        """How /setup, /predict and the store name it."""
        return ProjectRef(str(self.id), int(self.created_at.timestamp()))


@dataclass(frozen=True, kw_only=True)
class StoredPrediction:
    """A prediction that Label Studio keeps."""

    id: int
    task: int
    model_version: str | None
    score: float | None
    created_at: datetime
    result: Sequence[Any] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class PredictedTask:
    """A task as the API tells of it, with all its predictions."""

    id: int
    data: Mapping[str, Any] = field(repr=False)
    predictions: tuple[StoredPrediction, ...]


@dataclass(frozen=True, kw_only=True)
class RegisteredWebhook:
    """A webhook of a project, or of the whole organisation (`project` None)."""

    id: int
    url: str
    project: int | None
    active: bool
    # It is sent for every action, or for these.
    all_actions: bool
    actions: frozenset[str]
    # Without a payload it tells the action only, and nothing can be learned from it.
    with_payload: bool
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ConnectedBackend:
    """A machine-learning backend of a project."""

    id: int
    url: str
    title: str
    # "CO" connected, "DI" disconnected, "ER" error, …
    state: str
    error: str | None
    basic_auth_user: str | None
    interactive: bool


def fields_of(model: Any) -> dict[str, Any]:
    """The fields of a model of the SDK, also those that it does not know."""
    fields: dict[str, Any] = model if isinstance(model, dict) else model.model_dump()
    return fields


def read_created_at(item: Mapping[str, Any]) -> datetime:
    """When Label Studio made something, from the API's JSON; raises as `read_prediction`."""
    created_at = utc_time(item["created_at"])
    if created_at is None:
        raise ValueError("created_at is missing")
    return created_at


def read_prediction(item: Mapping[str, Any]) -> StoredPrediction:
    """From the API's JSON; raises KeyError, TypeError or ValueError where it lacks something."""
    return StoredPrediction(
        id=int(item["id"]),
        task=int(item["task"]),
        model_version=item.get("model_version"),
        score=item.get("score"),
        created_at=read_created_at(item),
        result=item.get("result") or [],
    )


def read_webhook(item: Mapping[str, Any]) -> RegisteredWebhook:
    """From the API's JSON, as `read_prediction`."""
    headers = item.get("headers")
    return RegisteredWebhook(
        id=int(item["id"]),
        url=str(item["url"]),
        project=item.get("project"),
        active=bool(item.get("is_active", True)),
        all_actions=bool(item.get("send_for_all_actions", True)),
        actions=frozenset(str(action) for action in item.get("actions") or ()),
        with_payload=bool(item.get("send_payload", True)),
        headers=headers if isinstance(headers, Mapping) else {},
    )


def read_backend(item: Mapping[str, Any]) -> ConnectedBackend:
    """From the API's JSON, as `read_prediction`."""
    return ConnectedBackend(
        id=int(item["id"]),
        url=str(item["url"]),
        title=str(item.get("title") or ""),
        state=str(item.get("state") or ""),
        error=item.get("error_message") or None,
        basic_auth_user=item.get("basic_auth_user") or None,
        interactive=bool(item.get("is_interactive")),
    )


def read_task(item: Mapping[str, Any]) -> PredictedTask:
    """From the API's JSON, as `read_prediction`."""
    return PredictedTask(
        id=int(item["id"]),
        data=dict(item["data"]),
        predictions=tuple(
            read_prediction({**fields_of(found), "task": item["id"]})
            for found in item.get("predictions") or ()
        ),
    )
