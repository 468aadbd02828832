"""Which tasks are being answered to Label Studio, which stores the answers without looking for others."""

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from timelinelabels.store.tables import Answer


def begin(
    session: Session, key: str, tasks: Collection[int], *, seconds: float, now: datetime
) -> str:
    """Note an answer in the making, for so long at most; its token."""
    session.execute(delete(Answer).where(Answer.until <= now))
    token, until = uuid.uuid4().hex, now + timedelta(seconds=seconds)
    session.add(Answer(token=token, project_key=key, tasks=sorted(tasks), until=until))
    return token


def end(
    session: Session, token: str, tasks: Collection[int], *, seconds: float, now: datetime
) -> None:
    """Note which tasks the answer has predictions of, and within what time they are stored."""
    answer = session.get(Answer, token)
    if answer is not None:
        answer.tasks, answer.until = sorted(tasks), now + timedelta(seconds=seconds)


def tasks(session: Session, key: str, *, now: datetime) -> frozenset[int]:
    """The tasks in answers that are being made or stored."""
    found = session.scalars(
        select(Answer.tasks).where(Answer.project_key == key, Answer.until > now)
    )
    return frozenset(task for tasks in found for task in tasks)
