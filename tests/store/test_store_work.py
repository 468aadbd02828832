import math

import pytest
from store_events import start_training, written

from timelinelabels.store import ASKED
from timelinelabels.store.work import MAX_ATTEMPTS

KINDS = ["extract", "train"]


def test_there_is_nothing_to_claim_at_first(store):
    assert store.claim("w", KINDS) is None
    assert store.outstanding() == []
    assert store.state("extract", "a") is None


def test_wanted_work_is_claimed_once(store):
    state = store.want("extract", "a", {"source": "a.mp4"})
    assert state.outstanding
    assert not state.running
    item = store.claim("w", KINDS)
    assert (item.kind, item.key, item.payload) == ("extract", "a", {"source": "a.mp4"})
    assert store.claim("w", KINDS) is None
    assert store.state("extract", "a").running


def test_completed_work_is_no_longer_to_do(store):
    store.want("extract", "a", {})
    assert store.complete(store.claim("w", KINDS))
    state = store.state("extract", "a")
    assert (state.outstanding, state.running, state.failed) == (False, False, False)
    assert store.claim("w", KINDS) is None


def test_extractions_come_before_trainings_and_the_longest_wanted_first(store, clock):
    store.want("train", "1", {})
    for key in "ba":
        clock.advance(1)
        store.want("extract", key, {})
    claimed = [store.claim("w", KINDS) for _ in range(3)]
    assert [item.key for item in claimed] == ["b", "a", "1"]


def test_a_project_that_is_annotated_all_the_time_does_not_keep_others_waiting(store, clock):
    def annotate(project):
        clock.advance(1)
        annotate.count += 1
        event = written(annotate.count, f"u{annotate.count}", project={"id": project})
        store.record(event, training_fingerprint="f")

    annotate.count = 0
    annotate(1)
    item = store.claim("w", KINDS)
    annotate(2)
    annotate(1)
    clock.advance(1)
    store.complete(item)
    assert store.claim("w", KINDS).key == "2"


def test_a_claim_may_be_for_one_key(store):
    store.want_all("train", {"1": {}, "2": {}})
    assert store.claim("w", ["train"], key="2").key == "2"
    assert store.claim("w", ["train"], key="2") is None


def test_only_the_kinds_asked_for_are_claimed(store):
    store.want("extract", "a", {})
    assert store.claim("w", ["train"]) is None


def test_wanting_outstanding_work_again_changes_nothing(store):
    for _ in range(3):
        store.want("extract", "a", {})
    item = store.claim("w", KINDS)
    assert item.wanted == 1
    store.want("extract", "a", {})
    store.complete(item)
    assert not store.state("extract", "a").outstanding


def test_done_work_may_be_wanted_again(store):
    store.want("extract", "a", {"source": "old"})
    store.complete(store.claim("w", KINDS))
    assert store.want("extract", "a", {"source": "new"}).outstanding
    assert store.claim("w", KINDS).payload == {"source": "new"}


def test_submits_while_a_training_runs_lead_to_one_more_training(store):
    store.record(written(1, "u1"), training_fingerprint="f")
    item = store.claim("w", KINDS)
    for number in range(2, 6):
        store.record(written(number, f"u{number}"), training_fingerprint="f")
    assert store.claim("other", KINDS) is None
    assert store.complete(item)
    assert store.complete(store.claim("w", KINDS))
    assert store.claim("w", KINDS) is None


def test_a_training_that_a_person_asked_for_says_so_until_it_is_done(store):
    store.record(written(1, "u1"), training_fingerprint="f")
    running = store.claim("w", KINDS)
    assert ASKED not in running.payload
    store.record(start_training(), training_fingerprint="f")
    store.record(written(2, "u2"), training_fingerprint="f")
    store.complete(running)
    asked = store.claim("w", KINDS)
    assert asked.payload == {ASKED: True}
    store.complete(asked)
    store.record(written(3, "u3"), training_fingerprint="f")
    assert store.claim("w", KINDS).payload == {}


def test_a_lease_runs_out(store, clock):
    store.want("extract", "a", {})
    store.claim("dead", KINDS, lease_seconds=60)
    clock.advance(59)
    assert store.claim("w", KINDS) is None
    clock.advance(2)
    assert not store.state("extract", "a").running
    item = store.claim("w", KINDS)
    assert item.attempts == 1
    assert store.complete(item)


def test_a_heartbeat_keeps_the_lease_and_tells_the_progress(store, clock):
    store.want("extract", "a", {})
    item = store.claim("w", KINDS)
    for done in range(1, 5):
        clock.advance(50)
        assert store.heartbeat(item, (done, 4), f"frame {done}")
        assert store.claim("other", KINDS) is None
    assert store.heartbeat(item)
    state = store.state("extract", "a")
    assert (state.progress, state.message) == ((4, 4), "frame 4")
    assert store.heartbeat(item, (5, None))
    assert store.state("extract", "a").progress == (5, None)


def test_who_lost_the_lease_is_told_and_changes_nothing(store, clock):
    store.want("extract", "a", {})
    late = store.claim("w", KINDS)
    clock.advance(61)
    item = store.claim("w", KINDS)
    assert not store.heartbeat(late, (1, 2))
    assert not store.complete(late)
    assert not store.fail(late, "late")
    assert not store.give_back(late)
    state = store.state("extract", "a")
    assert (state.running, state.error, state.progress) == (True, None, None)
    assert store.complete(item)
    assert not store.complete(item)


def test_a_late_heartbeat_revives_a_lease_that_nobody_took(store, clock):
    store.want("extract", "a", {})
    item = store.claim("w", KINDS)
    clock.advance(61)
    assert store.heartbeat(item)
    assert store.claim("other", KINDS) is None


def test_work_given_back_is_claimed_at_once_without_a_failure(store):
    store.want("extract", "a", {})
    assert store.give_back(store.claim("w", KINDS))
    assert store.claim("other", KINDS).attempts == 0


def _delay(store, clock):
    """Seconds until the failed work may be claimed again."""
    return (store.state("extract", "a").not_before - clock()).total_seconds()


def test_failures_back_off_and_are_bounded(store, clock):
    store.want("extract", "a", {})
    delays = []
    for number in range(MAX_ATTEMPTS):
        item = store.claim("w", KINDS)
        assert item.attempts == number
        assert store.fail(item, f"failure {number}")
        assert store.claim("w", KINDS) is None
        assert store.state("extract", "a").error == f"failure {number}"
        if number < MAX_ATTEMPTS - 1:
            assert store.want("extract", "a", {}).outstanding
            delays.append(_delay(store, clock))
            clock.advance(delays[-1] - 1)
            assert store.claim("w", KINDS) is None
            clock.advance(1)
    assert delays == [5, 25, 125, 600]
    state = store.state("extract", "a")
    assert state.failed
    assert (state.outstanding, state.attempts) == (False, MAX_ATTEMPTS)
    clock.advance(math.pi * 1e7)
    assert store.claim("w", KINDS) is None


def test_a_permanent_failure_is_not_tried_again_at_once(store, clock):
    store.want("extract", "a", {})
    store.fail(store.claim("w", KINDS), "no video stream", permanent=True)
    assert store.state("extract", "a").failed
    clock.advance(599)
    assert store.want("extract", "a", {}).failed
    assert store.claim("w", KINDS) is None
    clock.advance(2)
    state = store.want("extract", "a", {})
    assert (state.outstanding, state.error, state.attempts) == (True, None, 0)
    assert store.claim("w", KINDS) is not None


def test_wanting_it_anew_forgets_failures_even_while_it_runs(store):
    store.record(written(1, "u1"), training_fingerprint="f")
    item = store.claim("w", KINDS)
    store.record(written(2, "u2"), training_fingerprint="f")
    store.fail(item, "what is wrong with u1", permanent=True)
    again = store.claim("w", KINDS)
    assert again.attempts == 0
    store.fail(again, "still wrong")
    assert store.claim("w", KINDS) is None
    store.record(written(3, "u3"), training_fingerprint="f")
    assert store.claim("w", KINDS).attempts == 0
    assert store.state("train", again.key).error is None


def test_work_that_kills_whoever_does_it_is_given_up(store, clock):
    store.want("extract", "a", {})
    store.want("train", "1", {})
    for number in range(MAX_ATTEMPTS):
        assert store.claim("w", ["extract"]).attempts == number
        clock.advance(61)
    assert store.claim("w", KINDS).kind == "train"
    state = store.state("extract", "a")
    assert state.failed
    assert "ended 5 times" in state.error
    assert not state.running


def test_the_store_tells_what_is_outstanding(store, clock):
    store.want("train", "1", {})
    clock.advance(1)
    store.want_all("extract", {"a": {}, "b": {}})
    store.fail(store.claim("w", ["extract"]), "broken", permanent=True)
    assert [(state.kind, state.key) for state in store.outstanding()] == [
        ("train", "1"),
        ("extract", "b"),
    ]
    statistics = store.statistics()
    assert statistics.outstanding == {"train": 1, "extract": 1}
    assert statistics.failed == {"extract": 1}
    assert set(store.states("extract", ["a", "b", "c"])) == {"a", "b"}


@pytest.mark.parametrize("text", ["\udcff.mp4", "nul\0", "ä" * 10_000])
def test_an_error_of_any_characters_is_kept(store, text):
    store.want("extract", "a", {"source": text})
    item = store.claim(text, KINDS)
    assert item.payload == {"source": text}
    assert store.heartbeat(item, message=text)
    assert store.fail(item, text)
    assert store.state("extract", "a").error


def test_work_that_is_put_off_is_claimed_later_without_a_failure(store, clock):
    store.want("push", "a", {})
    assert store.put_off(store.claim("w", ["push"]), 60)
    assert store.claim("w", ["push"]) is None
    clock.advance(61)
    assert store.claim("w", ["push"]).attempts == 0


def test_work_that_is_put_off_can_be_hastened_by_the_beginning_of_its_key(store):
    for key in ("a/1", "a/2", "b/1", "a_/1"):
        store.want("push", key, {})
    for _ in range(4):
        store.put_off(store.claim("w", ["push"]), 60)
    store.hasten("push", "a/")
    store.hasten("push", "_")
    assert {store.claim("w", ["push"]).key for _ in range(2)} == {"a/1", "a/2"}
    assert store.claim("w", ["push"]) is None


def test_work_that_must_not_be_given_up_is_tried_at_longer_and_longer_intervals(store, clock):
    store.want("push", "a", {})
    delays = []
    for _ in range(7):
        assert store.fail(store.claim("w", ["push"]), "away", keep_trying=True)
        state = store.state("push", "a")
        assert state.outstanding
        delays.append((state.not_before - clock()).total_seconds())
        clock.advance(delays[-1])
    assert delays == [5, 25, 125, 600, 600, 600, 600]
    assert store.complete(store.claim("w", ["push"]))


def test_publishing_wants_the_work_that_comes_next_in_the_same_transaction(store):
    key = store.record(written(1, "u1"), training_fingerprint="f")
    item = store.claim("w", KINDS)
    number = store.next_version_number(key)
    version = {"number": number, "heads": {}, "fingerprint": "f", "text": "v1"}
    assert store.publish(item, key, **version, then="push")
    assert store.state("push", key).outstanding
    assert not store.publish(item, key, **version, then="other")  # its lease is lost
    assert store.state("other", key) is None
