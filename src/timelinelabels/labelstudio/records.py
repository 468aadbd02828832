"""What Label Studio's payloads become inside: frozen records, ids as text, times in UTC.

`payloads.py` reads the JSON and makes these; the store keeps them and gives them back.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from timelinelabels.errors import PayloadError

MAX_ID_LENGTH = 200
_PROJECT = re.compile(r"(?P<id>[A-Za-z0-9_-]{1,64})(?:\.(?P<created>[0-9]{1,12}))?")

ANNOTATIONS_WRITTEN = frozenset({"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED"})
# Label Studio sends the plural only; the singular is what its own example backends listen to.
ANNOTATIONS_DELETED = frozenset({"ANNOTATION_DELETED", "ANNOTATIONS_DELETED"})
TASKS_CREATED = "TASKS_CREATED"
TASKS_DELETED = "TASKS_DELETED"
PROJECT_UPDATED = "PROJECT_UPDATED"
START_TRAINING = "START_TRAINING"
KNOWN_ACTIONS = (
    ANNOTATIONS_WRITTEN
    | ANNOTATIONS_DELETED
    | {TASKS_CREATED, TASKS_DELETED, PROJECT_UPDATED, START_TRAINING}
)


def id_text(value: object) -> str:
    """An id as text, whether it came as a number or as text: 5 and "5" are the same.

    Raises:
        ValueError: it is neither, is empty, too long, or holds what no database stores.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("an id must be a whole number or text")
    text = str(value)
    if not 0 < len(text) <= MAX_ID_LENGTH:
        raise ValueError(f"an id must have 1 to {MAX_ID_LENGTH} characters")
    return storable_text(text)


def storable_text(value: str) -> str:
    """The text itself, if every database can store it.

    Raises:
        ValueError: it holds a NUL character or half of a surrogate pair.
    """
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("text must hold neither NUL characters nor unpaired surrogates")
    return value


def utc_time(value: object) -> datetime | None:
    """A time in UTC from ISO 8601 text (UTC where it names no zone) or from epoch seconds.

    Raises:
        ValueError: it is not a time, or lies outside the years 1970 to 9998 (the range that every
            database and time zone can represent).
    """
    if value is None:
        return None
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            time = datetime.fromtimestamp(value, UTC)
        elif isinstance(value, datetime):
            time = value
        else:
            raise TypeError
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise ValueError("a time must be ISO 8601 text, like 2026-11-22T10:01:24Z") from None
    if not 1970 <= time.year <= 9998:
        raise ValueError("a time must lie in the years 1970 to 9998")
    return time


@dataclass(frozen=True)
class ProjectRef:
    """How a payload names a project.

    Label Studio on SQLite gives the id of a deleted project to the next one, so the creation time
    belongs to the name wherever it is known.
    """

    id: str
    # Whole seconds since the epoch; None where the payload does not say.
    created: int | None = None

    @classmethod
    def parse(cls, value: str | int) -> Self:
        """From "1.1795341684" (/setup, /predict), "1" or 1.

        Raises:
            PayloadError: it is something else.
        """
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        match = _PROJECT.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise PayloadError(
                'project: must be an id, like 1 or "1", or an id and a creation time in whole '
                'seconds, like "1.1795341684". An id has letters, digits, "_" and "-".'
            )
        created = match["created"]
        return cls(match["id"], None if created is None else int(created))

    @classmethod
    def from_webhook(cls, project: Mapping[str, Any]) -> Self:
        """From the project object of a webhook.

        Raises:
            PayloadError: its `id` or `created_at` is ill-formed.
        """
        try:
            named = cls.parse(id_text(project.get("id")))
        except (ValueError, PayloadError):
            raise PayloadError("project.id: must be a whole number or text") from None
        try:
            created_at = utc_time(project.get("created_at"))
        except ValueError as error:
            raise PayloadError(f"project.created_at: {error}") from None
        if created_at is None:
            return named
        return cls(named.id, int(created_at.timestamp()))

    @property
    def key(self) -> str:
        """The name as /setup and /predict write it: "1.1795341684", or "1"."""
        return self.id if self.created is None else f"{self.id}.{self.created}"


@dataclass(frozen=True, kw_only=True)
class TaskRecord:
    """A task as an event tells of it."""

    id: str
    # Field name → value, for example {"video": "/data/upload/1/a.mp4"}.
    data: dict[str, Any] = field(repr=False)
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class AnnotationRecord:
    """One annotation together with the task that it belongs to."""

    id: str
    # Label Studio reuses ids after a deletion, never a unique_id; older exports have none.
    unique_id: str | None = None
    task_id: str
    task_created_at: datetime | None = None
    task_updated_at: datetime | None = None
    task_data: dict[str, Any] = field(default_factory=dict, repr=False)
    # The regions, exactly as Label Studio wrote them.
    result: list[Any] = field(default_factory=list, repr=False)
    # True: the annotator skipped the task. Never learned from.
    was_cancelled: bool = False
    ground_truth: bool = False
    # The annotator's id.
    completed_by: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def task(self) -> TaskRecord:
        """The task as this annotation's payload tells of it."""
        return TaskRecord(
            id=self.task_id,
            data=self.task_data,
            created_at=self.task_created_at,
            updated_at=self.task_updated_at,
        )


@dataclass(frozen=True, kw_only=True)
class AnnotatedTask:
    """A task with the annotations to learn from."""

    task_id: str
    data: dict[str, Any] = field(repr=False)
    annotations: tuple[AnnotationRecord, ...] = ()
    # Skipped ones (exports list them too): kept apart, so that nobody learns from them by mistake.
    cancelled: tuple[AnnotationRecord, ...] = ()

    @property
    def records(self) -> tuple[AnnotationRecord, ...]:
        """All annotations, the skipped ones too."""
        return self.annotations + self.cancelled


@dataclass(frozen=True, kw_only=True)
class WebhookEvent:
    """A webhook; every field but the action is empty where the action is unknown."""

    action: str
    project: ProjectRef | None = None
    label_config: str | None = field(default=None, repr=False)
    project_updated_at: datetime | None = None
    # Created or updated.
    annotations: tuple[AnnotationRecord, ...] = ()
    # Created, or those that the annotations belong to.
    tasks: tuple[TaskRecord, ...] = ()
    deleted_annotation_ids: tuple[str, ...] = ()
    deleted_task_ids: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether the action means something to this backend."""
        return self.action in KNOWN_ACTIONS


@dataclass(frozen=True, kw_only=True)
class SetupRequest:
    """The body of POST /setup, without its access token, which is never kept."""

    project: ProjectRef
    label_config: str = field(repr=False)
    extra_params: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class PredictRequest:
    """The body of POST /predict; the tasks keep their order and carry no annotations."""

    tasks: tuple[AnnotatedTask, ...]
    project: ProjectRef | None = None
    label_config: str | None = field(default=None, repr=False)
