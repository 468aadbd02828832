"""Work as facts with leases: what is to do, who is doing it, and what became of it.

A row is to do as long as `wanted > done`. Wanting it again while it is being done just leaves it to do
afterwards, once, however often it was wanted. Whoever claims it holds a lease; a holder that dies
lets the lease run out, and the fact is still there.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from timelinelabels.store.tables import Work

MAX_ATTEMPTS = 5
# Delays after the first four failures: 5 s, 25 s, 125 s, 10 min.
FIRST_DELAY_SECONDS, DELAY_GROWTH, LONGEST_DELAY_SECONDS = 5.0, 5, 600.0
MAX_TEXT = 4000


@dataclass(frozen=True, kw_only=True)
class WorkItem:
    """Work that the caller holds the lease of."""

    kind: str
    key: str
    payload: Mapping[str, Any] = field(repr=False)
    # How often it had been wanted when it was claimed: completing it does that much.
    wanted: int
    # Failures before this attempt.
    attempts: int
    lease_seconds: float
    # Names this claim.
    token: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class WorkState:
    """Where a piece of work stands."""

    kind: str
    key: str
    # It is to do, or being done.
    outstanding: bool
    # Somebody holds its lease.
    running: bool
    # Done and expected; the latter None where nobody knows.
    progress: tuple[int, int | None] | None
    message: str | None
    # Of the last attempt. With `outstanding` False: the work was given up.
    error: str | None
    # Failures since it was last wanted.
    attempts: int
    # When the next attempt is due, if there was a failure.
    not_before: datetime | None

    @property
    def failed(self) -> bool:
        """Whether it was given up."""
        return self.error is not None and not self.outstanding


def want(
    session: Session,
    kind: str,
    wishes: Mapping[str, Mapping[str, Any]],
    *,
    now: datetime,
    retry_after_seconds: float,
) -> None:
    """Let work be to do, if it is not already; a recent failure is left alone.

    Args:
        session: in a writing transaction.
        kind: of the work.
        wishes: key → payload.
        now: the time.
        retry_after_seconds: how long given-up work stays given up.
    """
    long_ago = now - timedelta(seconds=retry_after_seconds)
    for key, payload in sorted(wishes.items()):
        _insert_if_new(session, kind, key, payload, now=now)
        session.execute(
            update(Work)
            .where(Work.kind == kind, Work.key == key, Work.wanted == Work.done)
            .where(or_(Work.error.is_(None), Work.failed_at <= long_ago))
            .values(payload=dict(payload), wanted=Work.wanted + 1, wanted_at=now, **_FRESH),
            execution_options=_UNSEEN,
        )


def want_again(
    session: Session,
    kind: str,
    key: str,
    *,
    now: datetime,
    payload: Mapping[str, Any] | None = None,
) -> None:
    """Let work be to do once more than it is, whatever its state; failures are forgotten.

    A payload takes the place of the one before; without one, what is still to be done keeps its own.
    """
    _insert_if_new(session, kind, key, payload or {}, now=now)
    idle = Work.wanted == Work.done
    since = case((idle, now), else_=Work.wanted_at)
    nothing = literal({}, Work.payload.type)
    session.execute(
        update(Work)
        .where(Work.kind == kind, Work.key == key)
        .values(
            wanted=Work.wanted + 1,
            wanted_at=since,
            payload=dict(payload) if payload else case((idle, nothing), else_=Work.payload),
            **_FRESH,
        ),
        execution_options=_UNSEEN,
    )


def claim(
    session: Session,
    owner: str,
    kinds: Sequence[str],
    *,
    key: str | None,
    lease_seconds: float,
    now: datetime,
) -> WorkItem | None:
    """Take the lease of the most urgent work: by the order of the kinds, then the longest wanted."""
    priority = case({kind: index for index, kind in enumerate(kinds)}, value=Work.kind)
    free = or_(Work.lease_until.is_(None), Work.lease_until <= now)
    due = and_(Work.wanted > Work.done, or_(Work.not_before.is_(None), Work.not_before <= now))
    next_row = (
        select(Work.row_id)
        .where(Work.kind.in_(kinds), due, free)
        .order_by(priority, Work.wanted_at, Work.row_id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if key is not None:
        next_row = next_row.where(Work.key == key)
    statement = (
        update(Work)
        .where(Work.row_id == next_row.scalar_subquery())
        .values(
            # A lease that is still there has run out: its holder died at the work.
            attempts=Work.attempts + case((Work.lease_token.is_not(None), 1), else_=0),
            lease_owner=_printable(owner),
            lease_token=uuid.uuid4().hex,
            lease_until=now + timedelta(seconds=lease_seconds),
            progress_done=None,
            progress_total=None,
            message=None,
        )
        .returning(Work.kind, Work.key, Work.payload, Work.wanted, Work.attempts, Work.lease_token)
    )
    while (row := session.execute(statement, execution_options=_UNSEEN).one_or_none()) is not None:
        item = WorkItem(
            kind=row.kind,
            key=row.key,
            payload=row.payload,
            wanted=row.wanted,
            attempts=row.attempts,
            lease_seconds=lease_seconds,
            token=row.lease_token,
        )
        if item.attempts < MAX_ATTEMPTS:
            return item
        died = f"the process that worked on it ended {MAX_ATTEMPTS} times before it was done"
        _release(session, item, _given_up(item, died, attempts=item.attempts, now=now))
    return None


def heartbeat(
    session: Session,
    item: WorkItem,
    *,
    progress: tuple[int, int | None] | None,
    message: str | None,
    now: datetime,
) -> bool:
    """Prolong the lease; False if somebody else has it."""
    values: dict[str, Any] = {"lease_until": now + timedelta(seconds=item.lease_seconds)}
    if progress is not None:
        values |= {"progress_done": progress[0], "progress_total": progress[1]}
    if message is not None:
        values["message"] = _printable(message)
    return _update_held(session, item, values)


def complete(session: Session, item: WorkItem, *, now: datetime) -> bool:
    """What was wanted at the claim is done; False if the lease was lost."""
    # What was wanted meanwhile queues behind what others have waited for longer.
    return _release(session, item, {"done": item.wanted, "wanted_at": now, **_FRESH})


def give_back(session: Session, item: WorkItem) -> bool:
    """Leave the work to somebody else, as if it had not been begun; False if the lease was lost."""
    return _release(session, item, {})


def put_off(session: Session, item: WorkItem, *, seconds: float, now: datetime) -> bool:
    """Leave the work alone for some seconds; False if the lease was lost."""
    return _release(session, item, {"not_before": now + timedelta(seconds=seconds)})


def hasten(session: Session, kind: str, prefix: str) -> None:
    """Let work whose key begins so, and that was put off, be due."""
    session.execute(
        update(Work)
        .where(Work.kind == kind, Work.key.startswith(prefix, autoescape=True))
        .where(Work.error.is_(None))
        .values(not_before=None),
        execution_options=_UNSEEN,
    )


def fail(
    session: Session,
    item: WorkItem,
    error: str,
    *,
    permanent: bool,
    keep_trying: bool,
    now: datetime,
) -> bool:
    """An attempt failed: try again later, or give up; False if the lease was lost."""
    attempts = session.scalar(select(Work.attempts).where(*_held(item)).with_for_update())
    if attempts is None:
        return False
    attempts += 1
    if keep_trying:  # the longest delay, and no more
        attempts = min(attempts, MAX_ATTEMPTS - 1)
    if permanent or attempts >= MAX_ATTEMPTS:
        return _release(session, item, _given_up(item, error, attempts=attempts, now=now))
    delay = min(FIRST_DELAY_SECONDS * DELAY_GROWTH ** (attempts - 1), LONGEST_DELAY_SECONDS)
    return _release(
        session,
        item,
        {
            "attempts": attempts,
            "not_before": now + timedelta(seconds=delay),
            "error": _printable(error),
            "failed_at": now,
        },
    )


def states(session: Session, *conditions: ColumnElement[bool], now: datetime) -> list[WorkState]:
    """The states of the rows that meet the conditions, the longest wanted first."""
    rows = session.scalars(select(Work).where(*conditions).order_by(Work.wanted_at, Work.row_id))
    return [_state(row, now) for row in rows]


# No row is in the session before it is updated, so there is none to keep up to date.
_UNSEEN = {"synchronize_session": False}
# Nothing went wrong yet.
_FRESH: dict[str, Any] = {"attempts": 0, "not_before": None, "error": None, "failed_at": None}
_NO_LEASE: dict[str, Any] = {
    "lease_owner": None,
    "lease_token": None,
    "lease_until": None,
    "progress_done": None,
    "progress_total": None,
    "message": None,
}


def _given_up(item: WorkItem, error: str, *, attempts: int, now: datetime) -> dict[str, Any]:
    return {
        "done": item.wanted,
        # What was wanted meanwhile starts afresh.
        "attempts": case((Work.wanted > item.wanted, 0), else_=attempts),
        "not_before": None,
        "error": _printable(error),
        "failed_at": now,
    }


def _held(item: WorkItem) -> tuple[ColumnElement[bool], ...]:
    return (Work.kind == item.kind, Work.key == item.key, Work.lease_token == item.token)


def _update_held(session: Session, item: WorkItem, values: Mapping[str, Any]) -> bool:
    statement = update(Work).where(*_held(item)).values(**values).returning(Work.row_id)
    return session.execute(statement, execution_options=_UNSEEN).one_or_none() is not None


def _release(session: Session, item: WorkItem, values: Mapping[str, Any]) -> bool:
    return _update_held(session, item, {**_NO_LEASE, **values})


def _insert_if_new(
    session: Session, kind: str, key: str, payload: Mapping[str, Any], *, now: datetime
) -> None:
    """A row that is not to do yet; an existing one stays as it is, even one being inserted now."""
    dialect = session.connection().dialect.name
    insert_or_ignore = postgresql.insert if dialect == "postgresql" else sqlite.insert
    session.execute(
        insert_or_ignore(Work)
        .values(
            kind=kind, key=key, payload=dict(payload), wanted=0, done=0, wanted_at=now, attempts=0
        )
        .on_conflict_do_nothing(index_elements=["kind", "key"])
    )


def _state(row: Work, now: datetime) -> WorkState:
    progress = None if row.progress_done is None else (row.progress_done, row.progress_total)
    return WorkState(
        kind=row.kind,
        key=row.key,
        outstanding=row.wanted > row.done,
        running=row.lease_until is not None and row.lease_until > now,
        progress=progress,
        message=row.message,
        error=row.error,
        attempts=row.attempts,
        not_before=row.not_before,
    )


def _printable(text: str) -> str:
    """Text that every database stores: file names may hold what is not Unicode."""
    plain = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
    return plain[:MAX_TEXT]
