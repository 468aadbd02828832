"""The tables, as SQLAlchemy classes; `migrations/` makes them in a database.

Times are stored in UTC and come back aware. JSON is stored as text: nothing is ever searched inside
it, and SQLite and PostgreSQL then agree on what may be stored (NaN, NUL, unpaired surrogates).
"""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    MetaData,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from timelinelabels.store.identity import UNKNOWN_TIME


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime; SQLite, which knows no zones, keeps it as UTC without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive datetimes: nobody can know what they mean."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a time zone cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """A JSON value as ASCII text; None is NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Encode."""
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Decode."""
        return None if value is None else json.loads(value)


class Base(DeclarativeBase):
    """Common to all tables: constraints have names, so that migrations can alter them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: Text(), datetime: UtcDateTime()}  # noqa: RUF012  # SQLAlchemy's name


class Project(Base):
    """A project of Label Studio, its newest labeling config and its published model."""

    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("label_studio_id", "created"),)

    # Never changes; names the project's folders.
    key: Mapped[str] = mapped_column(primary_key=True)
    label_studio_id: Mapped[str]
    # Epoch seconds; NULL until a payload says.
    created: Mapped[int | None] = mapped_column(BigInteger)
    label_config: Mapped[str | None]
    # The project's `updated_at` in the webhook that brought the config.
    label_config_updated_at: Mapped[datetime | None]
    # Of the config above; NULL: it is invalid.
    training_fingerprint: Mapped[str | None]
    # The training fingerprint when a training was last wanted.
    wanted_fingerprint: Mapped[str | None]
    # Control name → number of the version that predicts.
    heads: Mapped[dict[str, int] | None] = mapped_column(Json)
    # The moment of the newest snapshot of Label Studio; NULL: none, or one is asked for.
    reconciled_at: Mapped[datetime | None]
    # Since when Label Studio does not have the project any more.
    gone_at: Mapped[datetime | None]
    # Newest version number given out; only ever grows.
    last_version: Mapped[int] = mapped_column(default=0)


class Task(Base):
    """One identity of a task: SQLite gives the id of a deleted task to a later one."""

    __tablename__ = "tasks"
    __table_args__ = (UniqueConstraint("project_key", "task_id", "created_at"),)

    row_id: Mapped[int] = mapped_column(primary_key=True)
    project_key: Mapped[str] = mapped_column(ForeignKey("projects.key"))
    task_id: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=UNKNOWN_TIME)
    updated_at: Mapped[datetime] = mapped_column(default=UNKNOWN_TIME)
    data: Mapped[dict[str, Any]] = mapped_column(Json)
    content_hash: Mapped[str]
    live: Mapped[bool]
    first_received_at: Mapped[datetime]
    # The moment of the newest snapshot that had it.
    seen_at: Mapped[datetime | None]


class Annotation(Base):
    """One identity of an annotation, skipped and deleted ones too."""

    __tablename__ = "annotations"
    __table_args__ = (
        UniqueConstraint("project_key", "annotation_id", "unique_id"),
        Index(None, "project_key", "task_id"),
        Index(None, "project_key", "current"),
    )

    row_id: Mapped[int] = mapped_column(primary_key=True)
    project_key: Mapped[str] = mapped_column(ForeignKey("projects.key"))
    annotation_id: Mapped[str]
    # "" where the payload had none: NULLs would all be different.
    unique_id: Mapped[str] = mapped_column(default="")
    task_id: Mapped[str]
    # UNKNOWN_TIME: it belongs to the newest task with this id.
    task_created_at: Mapped[datetime] = mapped_column(default=UNKNOWN_TIME)
    created_at: Mapped[datetime] = mapped_column(default=UNKNOWN_TIME)
    updated_at: Mapped[datetime] = mapped_column(default=UNKNOWN_TIME)
    result: Mapped[list[Any]] = mapped_column(Json)
    was_cancelled: Mapped[bool]
    ground_truth: Mapped[bool]
    completed_by: Mapped[str | None]
    content_hash: Mapped[str]
    live: Mapped[bool]
    first_received_at: Mapped[datetime]
    # Of the newest content.
    last_received_at: Mapped[datetime | None]
    # The moment of the newest snapshot that had it, and of one that should have had it and did not.
    seen_at: Mapped[datetime | None]
    absent_at: Mapped[datetime | None]
    # Worked out by identity.py: exists, is not skipped, and so does its task.
    current: Mapped[bool] = mapped_column(default=False)


class Tombstone(Base):
    """An id of which a deletion was received, perhaps before the thing itself."""

    __tablename__ = "tombstones"

    project_key: Mapped[str] = mapped_column(ForeignKey("projects.key"), primary_key=True)
    # "annotation" or "task".
    kind: Mapped[str] = mapped_column(primary_key=True)
    item_id: Mapped[str] = mapped_column(primary_key=True)
    # Receipt of the last such deletion: the event itself carries no time.
    deleted_at: Mapped[datetime]


class Work(Base):
    """Something to be done, as a fact: it is to do as long as `wanted` is more than `done`."""

    __tablename__ = "work"
    __table_args__ = (UniqueConstraint("kind", "key"),)

    row_id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    key: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(Json)
    wanted: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    # Since when it is to do.
    wanted_at: Mapped[datetime]
    # Failures since it was last wanted.
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime | None]
    lease_owner: Mapped[str | None]
    # Different for each claim, so that a holder that lost the lease knows it.
    lease_token: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    progress_done: Mapped[int | None] = mapped_column(BigInteger)
    progress_total: Mapped[int | None] = mapped_column(BigInteger)
    message: Mapped[str | None]
    # Of the last attempt; stays after giving up.
    error: Mapped[str | None]
    failed_at: Mapped[datetime | None]


class Answer(Base):
    """An answer to /predict, as long as Label Studio may not have stored it yet."""

    __tablename__ = "answers"

    # Never given out again: an answer may end after it was given up.
    token: Mapped[str] = mapped_column(primary_key=True)
    project_key: Mapped[str] = mapped_column(ForeignKey("projects.key"))
    # Their ids in Label Studio.
    tasks: Mapped[list[int]] = mapped_column(Json)
    until: Mapped[datetime]


class Version(Base):
    """A model version's name as annotators read it, fixed when it is first needed."""

    __tablename__ = "model_versions"
    __table_args__ = (
        UniqueConstraint("project_key", "fingerprint"),
        UniqueConstraint("project_key", "number"),
    )

    row_id: Mapped[int] = mapped_column(primary_key=True)
    project_key: Mapped[str] = mapped_column(ForeignKey("projects.key"))
    number: Mapped[int]
    # Of everything that changes predictions.
    fingerprint: Mapped[str]
    text: Mapped[str]
    created_at: Mapped[datetime]
