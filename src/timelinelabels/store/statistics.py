"""Counts for the metrics page."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from timelinelabels.store.tables import Annotation, Project, Version, Work


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """How much of what the store holds."""

    projects: int
    current_annotations: int
    # Kind of work → pieces that are to do or being done.
    outstanding: dict[str, int]
    # Kind of work → pieces that are being done.
    running: dict[str, int]
    # Kind of work → pieces that were given up.
    failed: dict[str, int]
    versions: int


def count(session: Session, *, now: datetime) -> Statistics:
    """Count everything."""

    def rows(table: type[Project | Version]) -> int:
        return session.scalar(select(func.count()).select_from(table)) or 0

    def by_kind(*conditions: ColumnElement[bool]) -> dict[str, int]:
        statement = select(Work.kind, func.count()).where(*conditions).group_by(Work.kind)
        return {row[0]: row[1] for row in session.execute(statement)}

    return Statistics(
        projects=rows(Project),
        current_annotations=session.scalar(
            select(func.count()).select_from(Annotation).where(Annotation.current)
        )
        or 0,
        outstanding=by_kind(Work.wanted > Work.done),
        running=by_kind(Work.lease_until > now),
        failed=by_kind(Work.wanted == Work.done, Work.error.is_not(None)),
        versions=rows(Version),
    )
