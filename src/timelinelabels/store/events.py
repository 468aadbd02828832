"""What an event, an import or a labeling config changes, and whether that is worth a training."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.orm import Session

from timelinelabels.labelstudio.records import (
    START_TRAINING,
    AnnotationRecord,
    ProjectRef,
    WebhookEvent,
)
from timelinelabels.store import ledger, projects, work
from timelinelabels.store.annotations import has_current
from timelinelabels.store.tables import Project

TRAIN = "train"
ASKED = "asked"  # in the payload of a training: a person wants it, whatever comes of it


def record(
    session: Session,
    event: WebhookEvent,
    ref: ProjectRef,
    *,
    training_fingerprint: str | None,
    now: datetime,
) -> str:
    """Take in a webhook; the project's key."""
    project = projects.resolve(session, ref)
    if event.label_config is not None and (
        event.project_updated_at is not None or project.label_config is None
    ):
        projects.take_config(
            project, event.label_config, training_fingerprint, event.project_updated_at
        )
    changed = ledger.apply(session, project.key, event, now=now)
    project.gone_at = None
    if event.action == START_TRAINING:
        project.reconciled_at = None  # who asks for a training means what Label Studio has now
    if event.action == START_TRAINING:
        want_training(session, project, now=now, asked=True)
    elif changed:
        want_training(session, project, now=now)
    else:
        _want_training_of_new_config(session, project, now=now)
    return project.key


def import_annotations(
    session: Session, key: str, records: Iterable[AnnotationRecord], *, now: datetime
) -> bool:
    """Take in annotations of an export; whether a training is wanted for them."""
    project = projects.lock(session, key)
    news = WebhookEvent(action="import", annotations=tuple(records))
    changed = ledger.apply(session, key, news, now=now, imported=True)
    if changed:
        want_training(session, project, now=now)
    return changed


def note_label_config(
    session: Session,
    key: str,
    xml: str,
    training_fingerprint: str | None,
    *,
    updated_at: datetime | None,
    now: datetime,
) -> bool:
    """Take in a labeling config; whether a training is wanted for it."""
    project = projects.lock(session, key)
    projects.take_config(project, xml, training_fingerprint, updated_at)
    return _want_training_of_new_config(session, project, now=now)


def _want_training_of_new_config(session: Session, project: Project, *, now: datetime) -> bool:
    fingerprint = project.training_fingerprint
    if fingerprint is None or fingerprint == project.wanted_fingerprint:
        return False
    if not has_current(session, project.key):
        return False
    want_training(session, project, now=now)
    return True


def want_training(
    session: Session, project: Project, *, now: datetime, asked: bool = False
) -> None:
    """Let the project be learned once more than it is; `asked`: because a person said so."""
    payload = {ASKED: True} if asked else None
    work.want_again(session, TRAIN, project.key, now=now, payload=payload)
    # None while the config is invalid: the next valid one, even the same as before, is then new.
    project.wanted_fingerprint = project.training_fingerprint
