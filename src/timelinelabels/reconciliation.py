"""Bringing the store up to date with Label Studio itself, where there is an API key.

Webhooks are hints: Label Studio sends each once, waits a second, and sends none for some changes. So
before a training, when a person asks for one, and now and then, all annotated tasks are read from its
API. Where Label Studio is away, or there is no key, what webhooks brought is all that is known.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from timelinelabels.errors import LabelStudioError, LabelStudioNotFoundError
from timelinelabels.labelstudio.client import LabelStudioClient
from timelinelabels.labelstudio.records import AnnotatedTask, ProjectRef
from timelinelabels.store import Store

logger = logging.getLogger(__name__)

KIND = "reconcile"
# Before a training, a snapshot this old is still good.
FRESH_SECONDS = 180.0
# Without any event, a project is read again this often.
SWEEP_SECONDS = 3600.0
# After a failure, Label Studio is left alone for a while.
PAUSE_SECONDS = 60.0


class Source(Enum):
    """Where a project's annotations, as they are known now, come from."""

    LABEL_STUDIO = "as Label Studio has them"
    WEBHOOKS_WITHOUT_KEY = "as webhooks brought them (LABEL_STUDIO_API_KEY is not set)"
    WEBHOOKS = "as webhooks and earlier readings brought them (Label Studio could not be asked)"
    GONE = "none: Label Studio does not have the project"


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """All annotated tasks of a project, or None where it is gone."""

    tasks: list[AnnotatedTask] | None


class Reconciler:
    """Reads projects from Label Studio into the store.

    Args:
        store: what is known.
        client: None where no API key is set.
    """

    def __init__(self, store: Store, client: LabelStudioClient | None) -> None:
        self._store = store
        self._client = client
        self._paused_until: dict[str, float] = {}

    def bring_up_to_date(
        self, key: str, *, max_age_seconds: float, check: Callable[[], None] = lambda: None
    ) -> Source:
        """Before a training: read the project, if that was not done just now.

        Label Studio being away is no reason not to learn: it is logged, and what is known counts.

        Args:
            key: of the project.
            max_age_seconds: a reading this old is good enough.
            check: called between pages; what it raises passes through.
        """
        project = self._store.project(key)
        if self._client is None:
            return Source.WEBHOOKS_WITHOUT_KEY
        if project is None or not project.ref.id.isdecimal():
            return Source.WEBHOOKS  # a project of the command line
        if project.reconciled_at is not None:
            age = (self._store.now() - project.reconciled_at).total_seconds()
            if age < max_age_seconds:
                return Source.LABEL_STUDIO
        if time.monotonic() < self._paused_until.get(key, 0.0):
            return Source.WEBHOOKS
        try:
            return self.reconcile(key, want_training=False, check=check)
        except LabelStudioError as error:
            logger.warning("Project %s: learning goes on with what is known: %s", key, error)
            self._paused_until[key] = time.monotonic() + PAUSE_SECONDS
            return Source.WEBHOOKS

    def reconcile(
        self, key: str, *, want_training: bool, check: Callable[[], None] = lambda: None
    ) -> Source:
        """Read a project, and store what it has.

        Args:
            key: of the project.
            want_training: whether a training is wanted where there is something else to learn.
            check: called between pages; what it raises passes through.

        Raises:
            LabelStudioError: it cannot be read.
        """
        project = self._store.project(key)
        if self._client is None:
            return Source.WEBHOOKS_WITHOUT_KEY
        if project is None or not project.ref.id.isdecimal():
            return Source.WEBHOOKS
        started_at = self._store.now()
        reading = _read(self._client, project.ref, check)
        if reading.tasks is None:
            self._store.forget_project(key)
            logger.warning(
                "Project %s: Label Studio does not have it any more, or the user of the token in "
                "LABEL_STUDIO_API_KEY may not see it; what was annotated in it is forgotten",
                key,
            )
            return Source.GONE
        changed = self._store.take_snapshot(
            key, reading.tasks, started_at=started_at, want_training=want_training
        )
        logger.info(
            "Project %s: read %d annotated tasks from Label Studio; %s",
            key,
            len(reading.tasks),
            "there is something else to learn" if changed else "nothing has changed",
        )
        return Source.LABEL_STUDIO


def want_reconciliations(store: Store, *, older_than_seconds: float) -> None:
    """Let a worker read the projects that were not read for so long."""
    keys = [key for key in store.snapshots_due(older_than_seconds) if key[0].isdecimal()]
    if keys:
        store.want_all(KIND, {key: {} for key in keys})


def _read(client: LabelStudioClient, ref: ProjectRef, check: Callable[[], None]) -> _Reading:
    project_id = int(ref.id)
    try:
        project = client.project(project_id)
    except LabelStudioNotFoundError:
        return _Reading(tasks=None)
    if ref.created is not None and project.ref.created != ref.created:
        return _Reading(tasks=None)  # the id belongs to another project now
    tasks = []
    for task in client.annotated_tasks(project_id):
        check()
        tasks.append(task)
    return _Reading(tasks=tasks)
