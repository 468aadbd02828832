"""Taking in events: everything ever heard of annotations and tasks, and what of it is current.

`identity.py` has the rules; here they meet the tables. Only the rows that share an id with the news
are looked at, so that a webhook costs the same in a project of ten annotations and of ten thousand.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from timelinelabels.labelstudio.records import (
    AnnotatedTask,
    AnnotationRecord,
    TaskRecord,
    WebhookEvent,
)
from timelinelabels.store.annotations import Row, rows_with
from timelinelabels.store.identity import (
    UNKNOWN_TIME,
    Identity,
    is_live,
    supersedes,
    survivor,
)
from timelinelabels.store.tables import Annotation, Task, Tombstone

ANNOTATION, TASK = "annotation", "task"


def apply(
    session: Session, project_key: str, news: WebhookEvent, *, now: datetime, imported: bool = False
) -> bool:
    """Take in what an event tells of annotations and tasks.

    Args:
        session: in a writing transaction that holds the project's lock.
        project_key: the project.
        news: the event.
        now: time of receipt.
        imported: it comes from a file: its times say nothing about the time of receipt.

    Returns:
        Whether there is now something else to learn: another set of current annotations, another
        result of one of them, other data of its task.
    """
    ids = {record.id for record in news.annotations} | {*news.deleted_annotation_ids}
    task_ids = {task.id for task in news.tasks} | {*news.deleted_task_ids}
    task_ids |= {record.task_id for record in news.annotations}
    ledger = _Ledger(session, project_key, ids, task_ids)
    before = ledger.content()
    for task in (*news.tasks, *(record.task for record in news.annotations)):
        ledger.put_task(task, now=now, imported=imported)
    for record in news.annotations:
        ledger.put_annotation(record, now=now, imported=imported)
    for kind, deleted in (
        (ANNOTATION, news.deleted_annotation_ids),
        (TASK, news.deleted_task_ids),
    ):
        for item_id in deleted:
            ledger.bury(kind, item_id, now=now)
    ledger.work_out_what_is_current()
    return ledger.content() != before


def take_snapshot(
    session: Session,
    project_key: str,
    tasks: Collection[AnnotatedTask],
    *,
    started_at: datetime,
    now: datetime,
) -> bool:
    """Take in all annotated tasks that Label Studio has.

    What is current here, was heard of before the snapshot and is not in it does not exist any more. What
    was heard of while the snapshot was taken is left as it is: the page it belongs on may have been
    read before.

    Args:
        session: in a writing transaction that holds the project's lock.
        project_key: the project.
        tasks: all of its annotated tasks.
        started_at: when the first of them was asked for.
        now: the time.

    Returns:
        Whether there is now something else to learn, as of `apply`.
    """
    known = session.execute(
        select(Annotation.annotation_id, Annotation.task_id).where(
            Annotation.project_key == project_key, Annotation.current
        )
    ).all()
    records = [record for task in tasks for record in task.records]
    ledger = _Ledger(
        session,
        project_key,
        {row.annotation_id for row in known} | {record.id for record in records},
        {row.task_id for row in known} | {task.task_id for task in tasks},
    )
    before = ledger.content()
    seen = set()
    for record in records:
        ledger.put_task(record.task, now=now, imported=True, seen_at=started_at)
        seen.add(ledger.put_annotation(record, now=now, imported=True, seen_at=started_at))
    ledger.miss_all_but(seen, started_at)
    ledger.work_out_what_is_current()
    return ledger.content() != before


class _Ledger:
    """All rows that an event or a snapshot can have to do with.

    Args:
        session: in a writing transaction.
        project_key: the project.
        ids: of annotations.
        task_ids: of tasks; their annotations belong to it.
    """

    def __init__(self, session: Session, project_key: str, ids: set[str], task_ids: set[str]):
        self._session, self._project_key = session, project_key
        for row in self._load(Annotation, Annotation.task_id, task_ids):
            ids.add(row.annotation_id)
        self._annotations = {
            (row.annotation_id, row.unique_id): row
            for row in self._load(Annotation, Annotation.annotation_id, ids)
        }
        task_ids |= {row.task_id for row in self._annotations.values()}
        self._tasks: dict[str, dict[datetime, Task]] = defaultdict(dict)
        for task in self._load(Task, Task.task_id, task_ids):
            self._tasks[task.task_id][task.created_at] = task
        self._tombstones = {
            (row.kind, row.item_id): row
            for row in self._load(Tombstone, Tombstone.item_id, ids | task_ids)
        }

    def put_task(
        self,
        task: TaskRecord,
        *,
        now: datetime,
        imported: bool,
        seen_at: datetime | None = None,
    ) -> None:
        created_at = task.created_at or UNKNOWN_TIME
        updated_at = task.updated_at or (now if imported else UNKNOWN_TIME)
        digest = _digest(task.data)
        row = self._tasks[task.id].get(created_at)
        if row is None:
            row = Task(
                project_key=self._project_key,
                task_id=task.id,
                created_at=created_at,
                live=not imported and is_live(now, updated_at),
                first_received_at=now,
            )
            self._session.add(row)
            self._tasks[task.id][created_at] = row
        elif not supersedes(updated_at, digest, row.updated_at, row.content_hash):
            row.seen_at = seen_at or row.seen_at
            return
        row.seen_at = seen_at or row.seen_at
        row.data, row.updated_at, row.content_hash = task.data, updated_at, digest

    def put_annotation(
        self,
        record: AnnotationRecord,
        *,
        now: datetime,
        imported: bool,
        seen_at: datetime | None = None,
    ) -> tuple[str, str]:
        """Take in one annotation; its identity."""
        identity = self._identity_of(record)
        # An export without times is as new as its import, so that a corrected one takes its place.
        updated_at = record.updated_at or (now if imported else UNKNOWN_TIME)
        content = {
            "task_id": record.task_id,
            "task_created_at": record.task_created_at or UNKNOWN_TIME,
            "created_at": record.created_at or UNKNOWN_TIME,
            "result": record.result,
            "was_cancelled": record.was_cancelled,
            "ground_truth": record.ground_truth,
            "completed_by": record.completed_by,
        }
        digest = _digest(content)
        row = self._annotations.get(identity)
        if row is None:
            row = Annotation(
                project_key=self._project_key,
                annotation_id=record.id,
                unique_id=identity[1],
                live=not imported and is_live(now, updated_at),
                first_received_at=now,
                current=False,
            )
            self._session.add(row)
            self._annotations[identity] = row
        elif not supersedes(updated_at, digest, row.updated_at, row.content_hash):
            if seen_at is not None:
                row.seen_at, row.absent_at = seen_at, None
            return identity
        row.updated_at, row.content_hash = updated_at, digest
        for name, value in content.items():
            setattr(row, name, value)
        row.last_received_at, row.absent_at = now, None
        row.seen_at = seen_at or row.seen_at
        return identity

    def miss_all_but(self, seen: set[tuple[str, str]], started_at: datetime) -> None:
        """What was not in a snapshot, and had been heard of before, is absent."""
        for identity, row in self._annotations.items():
            heard_at = row.last_received_at or row.first_received_at
            if identity not in seen and row.current and heard_at < started_at:
                row.absent_at = started_at

    def _identity_of(self, record: AnnotationRecord) -> tuple[str, str]:
        """The row's name: where one source gives no `unique_id`, the time of creation tells the same.

        Label Studio's list of tasks gives none; its webhooks and exports do.
        """
        identity = (record.id, record.unique_id or "")
        if identity in self._annotations or record.created_at is None:
            return identity
        for other, row in self._annotations.items():
            if other[0] != record.id or row.created_at != record.created_at:
                continue
            if not record.unique_id:
                return other
            if not other[1]:
                row.unique_id = record.unique_id
                self._annotations[identity] = self._annotations.pop(other)
                return identity
        return identity

    def bury(self, kind: str, item_id: str, *, now: datetime) -> None:
        row = self._tombstones.get((kind, item_id))
        if row is None:
            row = Tombstone(
                project_key=self._project_key, kind=kind, item_id=item_id, deleted_at=now
            )
            self._session.add(row)
            self._tombstones[kind, item_id] = row
        row.deleted_at = max(row.deleted_at, now)

    def work_out_what_is_current(self) -> None:
        by_id: dict[str, dict[Identity, Annotation]] = defaultdict(dict)
        for row in self._annotations.values():
            by_id[row.annotation_id][_identity(row, row.unique_id)] = row
        for item_id, rows in by_id.items():
            exists = survivor(rows, self._deleted_at(ANNOTATION, item_id))
            for identity, row in rows.items():
                row.current = (
                    identity is exists and not row.was_cancelled and self._task_of(row) is not None
                )

    def content(self) -> dict[tuple[str, str], tuple[Any, Any]]:
        """What is to be learned: (id, unique_id) → (task data, result)."""
        found = {}
        for identity, row in self._annotations.items():
            if row.current and (task := self._task_of(row)) is not None:
                found[identity] = (task.data, row.result)
        return found

    def _task_of(self, row: Annotation) -> Task | None:
        """The task that an annotation belongs to, if it still exists."""
        identities = {_identity(task): task for task in self._tasks[row.task_id].values()}
        exists = survivor(identities, self._deleted_at(TASK, row.task_id))
        if exists is None or row.task_created_at not in (UNKNOWN_TIME, exists.created_at):
            return None
        return identities[exists]

    def _deleted_at(self, kind: str, item_id: str) -> datetime | None:
        tombstone = self._tombstones.get((kind, item_id))
        return tombstone.deleted_at if tombstone else None

    def _load(
        self, table: type[Row], column: InstrumentedAttribute[str], values: Collection[str]
    ) -> Iterator[Row]:
        return rows_with(self._session, self._project_key, table, column, values)


def _identity(row: Annotation | Task, tie_breaker: str = "") -> Identity:
    return Identity(
        created_at=row.created_at,
        tie_breaker=tie_breaker,
        live=row.live,
        first_received_at=row.first_received_at,
        seen_at=row.seen_at,
        absent=isinstance(row, Annotation) and row.absent_at is not None,
    )


def _digest(content: object) -> str:
    """A hash of JSON-like content that the order of its keys does not change."""
    text = json.dumps(content, sort_keys=True, default=datetime.isoformat)
    return hashlib.sha256(text.encode()).hexdigest()
