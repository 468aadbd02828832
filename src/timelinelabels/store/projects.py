"""Projects: which one a payload means, and its newest labeling config."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from timelinelabels.errors import StoreError
from timelinelabels.labelstudio.records import ProjectRef
from timelinelabels.store.engine import serialize
from timelinelabels.store.tables import Project


def find(session: Session, ref: ProjectRef) -> str | None:
    """The key of the project that a payload means, if it is known; reads only.

    A name without a creation time means the newest project with that id.
    """
    return _choose(_same_id(session, ref.id), ref)


def resolve(session: Session, ref: ProjectRef) -> Project:
    """The project that a payload means, made where it is new, locked until the transaction ends.

    A project heard of without its creation time is the one that is later named with it. Another
    creation time is another project: Label Studio on SQLite gives ids out again.
    """
    key = find(session, ref)
    if key is None:
        serialize(session, "resolve a project")
        known = _same_id(session, ref.id)
        key = _choose(known, ref)
        if key is None and known and all(project.created is None for project in known):
            known[0].created = ref.created
            key = known[0].key
        elif key is None:
            key = ref.key
            session.add(Project(key=key, label_studio_id=ref.id, created=ref.created))
        session.flush()
    return lock(session, key)


def lock(session: Session, key: str) -> Project:
    """The project's row, which no other transaction changes until this one ends.

    Raises:
        StoreError: there is no such project.
    """
    statement = select(Project).where(Project.key == key).with_for_update()
    project = session.scalars(statement.execution_options(populate_existing=True)).one_or_none()
    if project is None:
        raise StoreError(
            f"There is no project {key!r} in the database: resolve_project() makes one."
        )
    return project


def take_config(
    project: Project, xml: str, training_fingerprint: str | None, updated_at: datetime | None
) -> None:
    """Store a labeling config unless a newer one is stored.

    Args:
        project: locked.
        xml: the config.
        training_fingerprint: of the config; None where the config is invalid.
        updated_at: when Label Studio last changed the project, as the webhook says; None for /setup,
            which always has the newest config and says no time.
    """
    stored_at = project.label_config_updated_at
    if updated_at is not None:
        if stored_at is not None and updated_at < stored_at:
            return
        project.label_config_updated_at = updated_at
    project.label_config = xml
    project.training_fingerprint = training_fingerprint


def _same_id(session: Session, label_studio_id: str) -> list[Project]:
    """All projects that ever had the id, newest first."""
    projects = session.scalars(select(Project).where(Project.label_studio_id == label_studio_id))
    return sorted(projects, key=lambda project: project.created or 0, reverse=True)


def _choose(projects: Iterable[Project], ref: ProjectRef) -> str | None:
    for project in projects:
        if ref.created is None or project.created == ref.created:
            return project.key
    return None
