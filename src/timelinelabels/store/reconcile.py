"""What Label Studio itself has: the newest snapshot of each project, and projects that are gone."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from timelinelabels.labelstudio.records import AnnotatedTask, ProjectRef
from timelinelabels.store import events, ledger, projects
from timelinelabels.store.tables import Annotation, Project, Task, Tombstone, Work


@dataclass(frozen=True, kw_only=True)
class KnownProject:
    """A project of the store."""

    key: str
    ref: ProjectRef
    # The moment of the newest snapshot, if there is one and none is asked for.
    reconciled_at: datetime | None


def take_snapshot(
    session: Session,
    key: str,
    tasks: Collection[AnnotatedTask],
    *,
    started_at: datetime,
    want_training: bool,
    now: datetime,
) -> bool:
    """Take in all annotated tasks of a project; whether there is something else to learn."""
    project = projects.lock(session, key)
    changed = ledger.take_snapshot(session, key, tasks, started_at=started_at, now=now)
    project.reconciled_at, project.gone_at = started_at, None
    if changed and want_training:
        events.want_training(session, project, now=now)
    return changed


def forget(session: Session, key: str, *, now: datetime) -> None:
    """Forget what was annotated in a project that Label Studio does not have any more.

    Its versions stay: numbers are never given out again.
    """
    project = projects.lock(session, key)
    project.gone_at, project.reconciled_at = now, now
    for table in (Annotation, Task, Tombstone):
        session.execute(delete(table).where(table.project_key == key))
    session.execute(delete(Work).where(Work.key == key, Work.lease_token.is_(None)))


def known(session: Session, key: str) -> KnownProject | None:
    """A project by its key."""
    project = session.get(Project, key)
    return _known(project) if project else None


def due(session: Session, *, older_than_seconds: float, now: datetime) -> list[str]:
    """The keys of the projects whose newest snapshot is older, or that have none."""
    moment = now - timedelta(seconds=older_than_seconds)
    statement = select(Project).where(
        Project.gone_at.is_(None),
        or_(Project.reconciled_at.is_(None), Project.reconciled_at < moment),
    )
    return sorted(project.key for project in session.scalars(statement))


def _known(project: Project) -> KnownProject:
    return KnownProject(
        key=project.key,
        ref=ProjectRef(project.label_studio_id, project.created),
        reconciled_at=project.reconciled_at,
    )
