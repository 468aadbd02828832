"""What the store knows of annotated tasks, as records to learn from."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from timelinelabels.labelstudio.records import AnnotatedTask, AnnotationRecord
from timelinelabels.store.identity import UNKNOWN_TIME
from timelinelabels.store.tables import Annotation, Task, Tombstone

Row = TypeVar("Row", Annotation, Task, Tombstone)
# Values of one IN (…): well below the number of parameters that either database takes.
CHUNK = 1000


def has_current(session: Session, project_key: str) -> bool:
    """Whether there is anything to learn from."""
    statement = select(Annotation.row_id).where(
        Annotation.project_key == project_key, Annotation.current
    )
    return session.scalar(statement.limit(1)) is not None


def annotated_projects(session: Session) -> list[str]:
    """The keys of the projects that have anything to learn from."""
    statement = select(Annotation.project_key).where(Annotation.current).distinct()
    return sorted(session.scalars(statement))


def annotated_tasks(session: Session, project_key: str) -> list[AnnotatedTask]:
    """The tasks that have current annotations, with those; in an order that arrival cannot change."""
    current = list(
        session.scalars(
            select(Annotation).where(Annotation.project_key == project_key, Annotation.current)
        )
    )
    tasks: dict[str, list[Task]] = defaultdict(list)
    for task in rows_with(
        session, project_key, Task, Task.task_id, {row.task_id for row in current}
    ):
        tasks[task.task_id].append(task)
    by_task: dict[int, tuple[Task, list[Annotation]]] = {}
    for row in current:
        # What is current belongs to the newest task of its id: see `_Ledger._task_of`.
        newest = max(tasks[row.task_id], key=lambda task: task.created_at)
        by_task.setdefault(newest.row_id, (newest, []))[1].append(row)
    return [
        AnnotatedTask(
            task_id=task.task_id,
            data=task.data,
            annotations=tuple(_record(row, task) for row in sorted(rows, key=_annotation_order)),
        )
        for task, rows in sorted(by_task.values(), key=lambda item: _task_order(item[0]))
    ]


def rows_with(
    session: Session,
    project_key: str,
    table: type[Row],
    column: InstrumentedAttribute[str],
    values: Iterable[str],
) -> Iterator[Row]:
    """The project's rows with one of these values in a column."""
    ordered = sorted(values)
    for start in range(0, len(ordered), CHUNK):
        yield from session.scalars(
            select(table).where(
                table.project_key == project_key, column.in_(ordered[start : start + CHUNK])
            )
        )


def _record(row: Annotation, task: Task) -> AnnotationRecord:
    return AnnotationRecord(
        id=row.annotation_id,
        unique_id=row.unique_id or None,
        task_id=task.task_id,
        task_created_at=_known(task.created_at),
        task_updated_at=_known(task.updated_at),
        task_data=task.data,
        result=row.result,
        was_cancelled=row.was_cancelled,
        ground_truth=row.ground_truth,
        completed_by=row.completed_by,
        created_at=_known(row.created_at),
        updated_at=_known(row.updated_at),
    )


def _known(time: datetime) -> datetime | None:
    return None if time == UNKNOWN_TIME else time


def _number_order(text: str) -> tuple[int, int, str]:
    """Numbers in their order, then texts in theirs."""
    return (0, int(text), "") if text.isdecimal() else (1, 0, text)


def _task_order(task: Task) -> tuple[Any, ...]:
    return (*_number_order(task.task_id), task.created_at)


def _annotation_order(row: Annotation) -> tuple[Any, ...]:
    return (*_number_order(row.annotation_id), row.unique_id)
