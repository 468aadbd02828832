"""Which of the annotations and tasks that were ever heard of still exist: pure rules.

Label Studio's events may arrive late, twice, in any order, or not at all; a deletion carries an id and
nothing else; and ids are given out again after a deletion. So nothing is ever judged by the order of
arrival alone. Whatever was heard is kept, and what is current is worked out from all of it:

1. *Identity.* An annotation is its id and its `unique_id`; a task is its id and its creation time.
2. *Newest content wins.* Of several events about one identity the newest `updated_at` counts; where
   those are equal, the larger content hash, so that every order ends the same (`supersedes`).
3. *One survivor an id.* Of several identities with one id only the newest-created can exist, for Label
   Studio gives an id out again only after it deleted the one before.
4. *Deletions.* `is_deleted` says whether a deletion of that id meant the survivor or an older identity.
5. *Snapshots.* What Label Studio itself says that it has, or has not, at a moment outweighs all that was
   worked out for that moment; only what was heard later counts against it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# Sorts before every time that a payload may carry (`utc_time`).
UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)

# An event that arrives this close to the time written in it was sent just now, by a clock that agrees
# with ours well enough to be compared with times of receipt.
LIVE_WITHIN = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """One thing that had a certain id at some time."""

    # When Label Studio created it; UNKNOWN_TIME where no payload said.
    created_at: datetime
    # Orders identities that were created at the same time; the `unique_id` of an annotation.
    tie_breaker: str = ""
    # Whether it was first heard of by an event that had just been sent.
    live: bool
    # By our clock.
    first_received_at: datetime
    # The moment of the newest snapshot that had it.
    seen_at: datetime | None = None
    # A snapshot should have had it and did not, and nothing was heard of it since.
    absent: bool = False


def is_live(received_at: datetime, updated_at: datetime) -> bool:
    """Whether an event was sent just now, rather than replayed or imported."""
    return abs(received_at - updated_at) < LIVE_WITHIN


def supersedes(
    new_updated_at: datetime, new_hash: str, old_updated_at: datetime, old_hash: str
) -> bool:
    """Whether new content of an identity takes the place of the content that is stored."""
    return (new_updated_at, new_hash) > (old_updated_at, old_hash)


def survivor(identities: Collection[Identity], deleted_at: datetime | None) -> Identity | None:
    """The identity that exists now under an id.

    Args:
        identities: all that ever had the id.
        deleted_at: when the last deletion of the id was received; None if there was none.
    """
    if not identities:
        return None
    newest = max(identities, key=lambda item: (item.created_at, item.tie_breaker))
    if newest.absent:
        return None
    if newest.seen_at is not None:
        return None if deleted_at is not None and deleted_at >= newest.seen_at else newest
    if deleted_at is not None and is_deleted(newest, identities, deleted_at):
        return None
    return newest


def is_deleted(newest: Identity, identities: Collection[Identity], deleted_at: datetime) -> bool:
    """Whether a deletion of the id meant the newest identity.

    Where an older identity had the id, the deletion was that one's, unless the newest arrived live and
    is known to have been there before the deletion came. Where no older one is known, the deletion
    meant the newest, unless that arrived live, created after the deletion and received after it: then
    it follows one that this backend never heard of. Times are compared for live arrivals only; in
    replayed or imported events they say nothing about the time of receipt.

    Args:
        newest: the newest-created identity of the id.
        identities: all that ever had the id.
        deleted_at: when the last deletion of the id was received.
    """
    created_before = newest.created_at < deleted_at
    if _older_is_known(newest, identities):
        return newest.live and created_before
    follows_a_stranger = (
        newest.live and not created_before and newest.first_received_at > deleted_at
    )
    return not follows_a_stranger


def _older_is_known(newest: Identity, identities: Collection[Identity]) -> bool:
    return any(UNKNOWN_TIME < item.created_at < newest.created_at for item in identities)
