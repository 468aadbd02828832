"""`Store`: one method a question or a change, one transaction a method."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from timelinelabels.labelstudio.records import (
    AnnotatedTask,
    AnnotationRecord,
    ProjectRef,
    WebhookEvent,
)
from timelinelabels.store import (
    annotations,
    answers,
    events,
    migrate,
    projects,
    reconcile,
    statistics,
    versions,
    work,
)
from timelinelabels.store.engine import Clock, Database
from timelinelabels.store.reconcile import KnownProject
from timelinelabels.store.statistics import Statistics
from timelinelabels.store.tables import Project, Work
from timelinelabels.store.versions import VersionRecord
from timelinelabels.store.work import WorkItem, WorkState

LEASE_SECONDS = 60.0
RETRY_AFTER_SECONDS = 600.0


class Store:
    """Annotations seen, work to do and model versions, in SQLite or PostgreSQL.

    May be used by many threads, processes and, on PostgreSQL, machines at once. Every method may raise
    StoreError: the database cannot be used.

    Args:
        url: SQLAlchemy URL; nothing is opened before the first call.
        clock: the time to reckon by, for tests; None takes the database server's, else this machine's.

    Raises:
        StoreError: the URL is not accepted.
    """

    def __init__(self, url: str, *, clock: Clock | None = None):
        self._database = Database(url, clock=clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self._database.name!r})"

    def migrate(self) -> None:
        """Make the tables, or bring them to this version; safe to call often and at once.

        No connection is open afterwards: the process may fork.
        """
        migrate.upgrade(self._database)
        self._database.close()

    def close(self) -> None:
        """Close what is open; the store may be used again."""
        self._database.close()

    # Projects and annotations

    def resolve_project(self, ref: ProjectRef) -> str:
        """The project's key, which never changes and names its folders; a new project is stored."""
        with self._database.reading() as session:
            key = projects.find(session, ref)
        if key is not None:
            return key
        with self._database.writing() as session:
            return projects.resolve(session, ref).key

    def note_label_config(
        self,
        key: str,
        xml: str,
        training_fingerprint: str | None,
        *,
        updated_at: datetime | None = None,
    ) -> bool:
        """Store a labeling config, and want a training where it changes what is learned.

        Args:
            key: of the project.
            xml: the config.
            training_fingerprint: of the config; None where it is invalid: no training is wanted.
            updated_at: None where the config is surely the newest (/setup); else when the project was
                last changed: an older config than the stored one is passed over.

        Returns:
            Whether a training is wanted for it.
        """
        with self._database.reading() as session:
            project = session.get(Project, key)
            # /setup comes with every page that a person opens: it should not wait for a writer.
            if (
                project is not None
                and updated_at is None
                and project.label_config == xml
                and project.training_fingerprint == training_fingerprint
            ):
                return False
        with self._database.writing() as session:
            return events.note_label_config(
                session,
                key,
                xml,
                training_fingerprint,
                updated_at=updated_at,
                now=self._database.now(session),
            )

    def label_config(self, key: str) -> str | None:
        """The project's newest labeling config, if any was heard of."""
        with self._database.reading() as session:
            project = session.get(Project, key)
            return project.label_config if project else None

    def record(
        self,
        event: WebhookEvent,
        *,
        training_fingerprint: str | None,
        now: datetime | None = None,
    ) -> str | None:
        """Take in a webhook, durably, and want a training where there is something new to learn.

        Args:
            event: the webhook.
            training_fingerprint: of its labeling config; None where that is invalid or missing.
            now: time of receipt; None: now.

        Returns:
            The project's key; None where the event's action is unknown: nothing is stored.
        """
        if event.project is None:
            return None
        with self._database.writing() as session:
            return events.record(
                session,
                event,
                event.project,
                training_fingerprint=training_fingerprint,
                now=now or self._database.now(session),
            )

    def import_annotations(
        self, key: str, records: Iterable[AnnotationRecord], *, now: datetime | None = None
    ) -> bool:
        """Take in annotations of an export; whether a training is wanted for them."""
        with self._database.writing() as session:
            return events.import_annotations(
                session, key, records, now=now or self._database.now(session)
            )

    def annotated_tasks(self, key: str) -> list[AnnotatedTask]:
        """The project's tasks with current annotations, in an order that is always the same."""
        with self._database.reading() as session:
            return annotations.annotated_tasks(session, key)

    def annotated_projects(self) -> list[str]:
        """The keys of the projects that have current annotations."""
        with self._database.reading() as session:
            return annotations.annotated_projects(session)

    def want_training(self, key: str) -> None:
        """Let a project be learned once more than it is."""
        with self._database.writing() as session:
            project = projects.lock(session, key)
            events.want_training(session, project, now=self._database.now(session))

    # Snapshots of Label Studio

    def project(self, key: str) -> KnownProject | None:
        """What is known of a project."""
        with self._database.reading() as session:
            return reconcile.known(session, key)

    def now(self) -> datetime:
        """The time that everything here is reckoned by."""
        with self._database.reading() as session:
            return self._database.now(session)

    def take_snapshot(
        self,
        key: str,
        tasks: Collection[AnnotatedTask],
        *,
        started_at: datetime,
        want_training: bool,
    ) -> bool:
        """Take in all annotated tasks that Label Studio has, and forget what it has not.

        Args:
            key: of the project.
            tasks: all of its tasks that have annotations, with those.
            started_at: `now()` before the first of them was asked for.
            want_training: whether a training is wanted where there is something else to learn.

        Returns:
            Whether there is something else to learn.
        """
        with self._database.writing() as session:
            return reconcile.take_snapshot(
                session,
                key,
                tasks,
                started_at=started_at,
                want_training=want_training,
                now=self._database.now(session),
            )

    def forget_project(self, key: str) -> None:
        """Forget what was annotated in a project that Label Studio does not have any more."""
        with self._database.writing() as session:
            reconcile.forget(session, key, now=self._database.now(session))

    def snapshots_due(self, older_than_seconds: float) -> list[str]:
        """The keys of the projects whose newest snapshot is older, or that have none."""
        with self._database.reading() as session:
            now = self._database.now(session)
            return reconcile.due(session, older_than_seconds=older_than_seconds, now=now)

    # Work

    def want(
        self,
        kind: str,
        key: str,
        payload: Mapping[str, Any],
        *,
        retry_after_seconds: float = RETRY_AFTER_SECONDS,
    ) -> WorkState:
        """Let work be to do if it is not already, and see where it stands.

        Work that failed and waits for its next attempt goes on waiting; work that was given up longer
        ago than `retry_after_seconds` is tried anew.
        """
        return self.want_all(kind, {key: payload}, retry_after_seconds=retry_after_seconds)[key]

    def want_all(
        self,
        kind: str,
        wishes: Mapping[str, Mapping[str, Any]],
        *,
        retry_after_seconds: float = RETRY_AFTER_SECONDS,
    ) -> dict[str, WorkState]:
        """`want` for many keys (key → payload) in one transaction."""
        with self._database.writing() as session:
            now = self._database.now(session)
            work.want(session, kind, wishes, now=now, retry_after_seconds=retry_after_seconds)
            found = work.states(session, Work.kind == kind, Work.key.in_(list(wishes)), now=now)
            return {state.key: state for state in found}

    def claim(
        self,
        owner: str,
        kinds: Sequence[str],
        lease_seconds: float = LEASE_SECONDS,
        *,
        key: str | None = None,
    ) -> WorkItem | None:
        """Take the most urgent work that is due and free, if there is any.

        Args:
            owner: who asks; for people to read.
            kinds: that the caller does, the most urgent first.
            lease_seconds: how long the work is the caller's without a heartbeat.
            key: claim nothing but the work with this key.
        """
        with self._database.writing() as session:
            now = self._database.now(session)
            return work.claim(session, owner, kinds, key=key, lease_seconds=lease_seconds, now=now)

    def heartbeat(
        self,
        item: WorkItem,
        progress: tuple[int, int | None] | None = None,
        message: str | None = None,
    ) -> bool:
        """Prolong the lease and tell how far the work is; False: the lease was lost, stop working."""
        with self._database.writing() as session:
            now = self._database.now(session)
            return work.heartbeat(session, item, progress=progress, message=message, now=now)

    def complete(self, item: WorkItem) -> bool:
        """The work is done; what was wanted meanwhile is still to do. False: the lease was lost."""
        with self._database.writing() as session:
            return work.complete(session, item, now=self._database.now(session))

    def give_back(self, item: WorkItem) -> bool:
        """Leave unfinished work to the next one who claims, without counting it as a failure."""
        with self._database.writing() as session:
            return work.give_back(session, item)

    def put_off(self, item: WorkItem, seconds: float) -> bool:
        """Leave unfinished work alone for a while, without counting it as a failure."""
        with self._database.writing() as session:
            now = self._database.now(session)
            return work.put_off(session, item, seconds=seconds, now=now)

    def hasten(self, kind: str, prefix: str) -> None:
        """Let work whose key begins so, and that was put off, be due now; failures stay put off."""
        with self._database.writing() as session:
            work.hasten(session, kind, prefix)

    def fail(
        self, item: WorkItem, error: str, *, permanent: bool = False, keep_trying: bool = False
    ) -> bool:
        """The attempt failed; after some attempts, or a permanent failure, the work is given up.

        Args:
            item: the work.
            error: for people to read.
            permanent: give it up at once.
            keep_trying: never give it up, but try it at longer and longer intervals.
        """
        with self._database.writing() as session:
            now = self._database.now(session)
            return work.fail(
                session, item, error, permanent=permanent, keep_trying=keep_trying, now=now
            )

    def state(self, kind: str, key: str) -> WorkState | None:
        """Where a piece of work stands; None if it was never wanted."""
        return self.states(kind, [key]).get(key)

    def states(self, kind: str, keys: Iterable[str]) -> dict[str, WorkState]:
        """Where pieces of work of one kind stand, by key."""
        with self._database.reading() as session:
            now = self._database.now(session)
            found = work.states(session, Work.kind == kind, Work.key.in_(list(keys)), now=now)
            return {state.key: state for state in found}

    def outstanding(self) -> list[WorkState]:
        """All that is to do or being done, the longest wanted first."""
        with self._database.reading() as session:
            now = self._database.now(session)
            return work.states(session, Work.wanted > Work.done, now=now)

    # Answers to Label Studio

    def begin_answer(self, key: str, tasks: Collection[int], *, seconds: float) -> str:
        """Note that tasks are being answered to Label Studio; the answer's token.

        Args:
            key: of the project.
            tasks: their ids in Label Studio.
            seconds: how long that is believed, unless `end_answer` says more.
        """
        with self._database.writing() as session:
            now = self._database.now(session)
            return answers.begin(session, key, tasks, seconds=seconds, now=now)

    def end_answer(self, token: str, tasks: Collection[int], *, seconds: float) -> None:
        """Note of which tasks the answer has predictions; Label Studio stores them in `seconds`."""
        with self._database.writing() as session:
            now = self._database.now(session)
            answers.end(session, token, tasks, seconds=seconds, now=now)

    def tasks_being_answered(self, key: str) -> frozenset[int]:
        """Tasks whose prediction Label Studio is about to get, or to store, from an answer."""
        with self._database.reading() as session:
            return answers.tasks(session, key, now=self._database.now(session))

    # Versions

    def next_version_number(self, key: str, *, above: int = 0) -> int:
        """A version number that the project never had and never has again.

        Args:
            key: of the project.
            above: newest number on disk; a new or restored database may not know of it.
        """
        with self._database.writing() as session:
            return versions.next_number(session, key, above=above)

    def publish(
        self,
        item: WorkItem | None,
        key: str,
        *,
        number: int,
        heads: Mapping[str, int],
        fingerprint: str,
        text: str,
        then: str | None = None,
    ) -> bool:
        """Let a version predict and complete the work that made it, in one step.

        Args:
            item: the training; None where it was not claimed from the store.
            key: of the project.
            number: of the version, from `next_version_number`.
            heads: control name → number of the version whose network predicts.
            fingerprint: of everything that changes predictions.
            text: what annotators read.
            then: kind of the work that the project needs next.

        Returns:
            False if the lease was lost: another process trains, and nothing is published.
        """
        with self._database.writing() as session:
            return versions.publish(
                session,
                item,
                key,
                number=number,
                heads=heads,
                fingerprint=fingerprint,
                text=text,
                then=then,
                now=self._database.now(session),
            )

    def heads(self, key: str) -> dict[str, int]:
        """Control name → version that predicts; empty before anything was published."""
        with self._database.reading() as session:
            return versions.heads(session, key)

    def model_version(self, key: str, fingerprint: str, describe: Callable[[int], str]) -> str:
        """What annotators read for this fingerprint; the first to ask fixes it for ever.

        Args:
            key: of the project.
            fingerprint: of everything that changes predictions.
            describe: gives the text to a new number.
        """
        with self._database.reading() as session:
            text = versions.find_text(session, key, fingerprint)
        if text is not None:
            return text
        with self._database.writing() as session:
            now = self._database.now(session)
            return versions.name(session, key, fingerprint, describe, now=now)

    def versions(self, key: str | None = None) -> list[VersionRecord]:
        """All model versions, or one project's, newest first."""
        with self._database.reading() as session:
            return versions.listed(session, key)

    def statistics(self) -> Statistics:
        """Counts for the metrics page."""
        with self._database.reading() as session:
            return statistics.count(session, now=self._database.now(session))
