from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from store_events import START

from timelinelabels.store.identity import (
    LIVE_WITHIN,
    UNKNOWN_TIME,
    Identity,
    is_live,
    supersedes,
    survivor,
)

MINUTE = timedelta(minutes=1)
RECEIVED = START + timedelta(days=2)


def replayed(created=0.0, tie_breaker=""):
    return Identity(
        created_at=START + created * MINUTE,
        tie_breaker=tie_breaker,
        live=False,
        first_received_at=RECEIVED,
    )


def live(created=0.0, tie_breaker="", received=None):
    return Identity(
        created_at=START + created * MINUTE,
        tie_breaker=tie_breaker,
        live=True,
        first_received_at=START + (created if received is None else received) * MINUTE,
    )


def test_nothing_survives_where_nothing_was():
    assert survivor([], None) is None


def test_the_newest_created_identity_survives():
    assert survivor([replayed(1), replayed(2), replayed(0)], None) == replayed(2)


def test_a_deletion_means_the_only_identity_known():
    assert survivor([replayed()], RECEIVED) is None
    assert survivor([replayed()], RECEIVED - 10 * timedelta(days=365)) is None


def test_a_replayed_deletion_means_the_older_of_two_identities():
    assert survivor([replayed(0), replayed(5)], RECEIVED) == replayed(5)


def test_a_live_deletion_after_the_id_was_reused_means_the_newer():
    identities = [live(0), live(5)]
    assert survivor(identities, START + 3 * MINUTE) == live(5)
    assert survivor(identities, START + 7 * MINUTE) is None


def test_an_identity_whose_creation_time_is_unknown_explains_no_deletion():
    stranger = Identity(created_at=UNKNOWN_TIME, live=False, first_received_at=RECEIVED)
    assert survivor([stranger, replayed(5)], RECEIVED) is None


def test_an_id_reused_after_the_deletion_of_a_stranger_survives():
    # The backend was attached after the deleted one was made: it never heard of it.
    assert survivor([live(5)], START + 3 * MINUTE) == live(5)


def test_a_deletion_that_overtakes_its_live_creation_counts():
    late = live(2, received=4)
    assert survivor([late], START + 3 * MINUTE) is None


def test_a_clock_that_runs_ahead_does_not_bring_a_deleted_annotation_back():
    ahead = live(2, received=0)
    assert survivor([ahead], START + 1 * MINUTE) is None


def test_only_events_sent_just_now_are_live():
    assert is_live(START, START + LIVE_WITHIN - timedelta(seconds=1))
    assert is_live(START, START - LIVE_WITHIN + timedelta(seconds=1))
    assert not is_live(START, START + LIVE_WITHIN)
    assert not is_live(START, UNKNOWN_TIME)


contents = st.tuples(
    st.sampled_from([UNKNOWN_TIME, START, START + MINUTE]), st.sampled_from(["a", "b", "c"])
)


@given(st.permutations(range(4)), st.lists(contents, min_size=4, max_size=4))
def test_the_same_contents_in_any_order_leave_the_same_one(order, given_contents):
    def last(items):
        kept = items[0]
        for item in items:
            if supersedes(*item, *kept):
                kept = item
        return kept

    assert last([given_contents[index] for index in order]) == max(given_contents)


identities = st.builds(
    Identity,
    created_at=st.integers(0, 3).map(lambda minutes: START + minutes * MINUTE),
    tie_breaker=st.sampled_from(["a", "b"]),
    live=st.booleans(),
    first_received_at=st.integers(0, 6).map(lambda minutes: START + minutes * MINUTE),
)


@given(
    st.lists(identities, unique_by=lambda item: (item.created_at, item.tie_breaker), max_size=4),
    st.none() | st.integers(0, 6).map(lambda minutes: START + minutes * MINUTE),
    st.randoms(),
)
def test_the_survivor_depends_on_no_order(known, deleted_at, random):
    shuffled = list(known)
    random.shuffle(shuffled)
    assert survivor(known, deleted_at) == survivor(shuffled, deleted_at)
