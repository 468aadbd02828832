"""Model versions: their numbers, their texts, and which one predicts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from timelinelabels.store import projects, work
from timelinelabels.store.tables import Project, Version
from timelinelabels.store.work import WorkItem


@dataclass(frozen=True, kw_only=True)
class VersionRecord:
    """A model version as annotators read it."""

    project: str
    number: int
    # Of everything that changes predictions.
    fingerprint: str
    # For example "v7 · 12 videos · F1 0.83".
    text: str
    created_at: datetime


def next_number(session: Session, key: str, *, above: int) -> int:
    """A number that no version of the project ever had or will have, greater than `above`."""
    project = projects.lock(session, key)
    project.last_version = max(project.last_version, above)
    return _next_number(project)


def publish(
    session: Session,
    item: WorkItem | None,
    key: str,
    *,
    number: int,
    heads: Mapping[str, int],
    fingerprint: str,
    text: str,
    then: str | None,
    now: datetime,
) -> bool:
    """Let a version predict, and complete the training that made it; False if its lease was lost."""
    project = projects.lock(session, key)
    if item is not None and not work.complete(session, item, now=now):
        return False
    project.heads = dict(heads)
    if then is not None:
        work.want_again(session, then, key, now=now)
    if _find(session, key, fingerprint) is None:
        session.add(
            Version(
                project_key=key, number=number, fingerprint=fingerprint, text=text, created_at=now
            )
        )
    return True


def heads(session: Session, key: str) -> dict[str, int]:
    """Control name → version that predicts; empty before anything was published."""
    return session.scalar(select(Project.heads).where(Project.key == key)) or {}


def find_text(session: Session, key: str, fingerprint: str) -> str | None:
    """The text of the version with this fingerprint."""
    version = _find(session, key, fingerprint)
    return version.text if version else None


def name(
    session: Session,
    key: str,
    fingerprint: str,
    describe: Callable[[int], str],
    *,
    now: datetime,
) -> str:
    """The text of the version with this fingerprint, made and numbered where there is none."""
    project = projects.lock(session, key)
    text = find_text(session, key, fingerprint)
    if text is None:
        number = _next_number(project)
        text = describe(number)
        session.add(
            Version(
                project_key=key, number=number, fingerprint=fingerprint, text=text, created_at=now
            )
        )
    return text


def listed(session: Session, key: str | None) -> list[VersionRecord]:
    """All versions, or one project's, newest first."""
    statement = select(Version).order_by(Version.created_at.desc(), Version.number.desc())
    if key is not None:
        statement = statement.where(Version.project_key == key)
    return [
        VersionRecord(
            project=version.project_key,
            number=version.number,
            fingerprint=version.fingerprint,
            text=version.text,
            created_at=version.created_at,
        )
        for version in session.scalars(statement)
    ]


def _next_number(project: Project) -> int:
    project.last_version += 1
    return project.last_version


def _find(session: Session, key: str, fingerprint: str) -> Version | None:
    return session.scalars(
        select(Version).where(Version.project_key == key, Version.fingerprint == fingerprint)
    ).one_or_none()
