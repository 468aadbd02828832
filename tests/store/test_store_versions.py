from concurrent.futures import ThreadPoolExecutor

import pytest
from store_events import KEY, written

from timelinelabels.labelstudio.payloads import ProjectRef
from timelinelabels.store import Store


@pytest.fixture
def key(store):
    return store.resolve_project(ProjectRef("1", 1795338000))


def publish(store, key, item=None, *, number=None, fingerprint="p1", text="v1 · 3 videos"):
    return store.publish(
        item,
        key,
        number=store.next_version_number(key) if number is None else number,
        heads={"actions": number or 1},
        fingerprint=fingerprint,
        text=text,
    )


def test_numbers_grow_and_are_counted_for_each_project(store, key):
    other = store.resolve_project(ProjectRef("2"))
    assert [store.next_version_number(key) for _ in range(3)] == [1, 2, 3]
    assert store.next_version_number(other) == 1


def test_a_number_is_above_those_that_were_written_before_the_store_was_new(store, key):
    assert store.next_version_number(key, above=7) == 8
    assert store.next_version_number(key, above=3) == 9


def test_nothing_is_published_at_first(store, key):
    assert store.heads(key) == {}
    assert store.versions() == []


def test_publishing_moves_the_heads_and_completes_the_training(store):
    store.record(written(), training_fingerprint="f")
    item = store.claim("w", ["train"])
    assert publish(store, KEY, item)
    assert store.heads(KEY) == {"actions": 1}
    assert not store.state("train", KEY).outstanding
    (version,) = store.versions(KEY)
    assert (version.project, version.number, version.text) == (KEY, 1, "v1 · 3 videos")
    assert version.created_at.tzinfo is not None


def test_who_lost_the_lease_publishes_nothing(store, clock):
    store.record(written(), training_fingerprint="f")
    late = store.claim("w", ["train"])
    clock.advance(61)
    item = store.claim("other", ["train"])
    assert not publish(store, KEY, late)
    assert store.heads(KEY) == {}
    assert store.versions(KEY) == []
    assert publish(store, KEY, item)


def test_what_is_annotated_during_a_training_is_learned_after_its_publication(store):
    store.record(written(1, "u1"), training_fingerprint="f")
    item = store.claim("w", ["train"])
    store.record(written(2, "u2"), training_fingerprint="f")
    assert publish(store, KEY, item)
    assert store.state("train", KEY).outstanding


def test_a_version_is_described_once_and_for_ever(store, key):
    first = store.model_version(key, "simple", lambda number: f"v{number} · classes")
    assert first == "v1 · classes"
    assert store.model_version(key, "simple", lambda _: "something else") == first
    assert store.model_version(key, "other", lambda number: f"v{number}") == "v2"
    assert store.next_version_number(key) == 3
    assert [version.text for version in store.versions(key)] == ["v2", "v1 · classes"]


def test_the_text_of_a_published_version_is_its_model_version(store, key):
    publish(store, key, fingerprint="p1", text="v1 · 3 videos")
    assert store.model_version(key, "p1", lambda _: "another") == "v1 · 3 videos"


def test_publishing_an_old_version_again_keeps_its_text(store, key):
    publish(store, key, fingerprint="p1", text="first")
    publish(store, key, number=2, fingerprint="p2", text="second")
    assert publish(store, key, number=3, fingerprint="p1", text="third")
    assert store.model_version(key, "p1", lambda _: "another") == "first"
    assert len(store.versions(key)) == 2


def test_equal_fingerprints_of_two_projects_are_two_versions(store, key):
    other = store.resolve_project(ProjectRef("2"))
    assert store.model_version(key, "same", lambda number: f"v{number} of 1") == "v1 of 1"
    assert store.model_version(other, "same", lambda number: f"v{number} of 2") == "v1 of 2"
    assert len(store.versions()) == 2


def test_versions_are_listed_newest_first(store, key, clock):
    for number in range(1, 4):
        clock.advance(1)
        publish(store, key, fingerprint=f"p{number}", text=f"v{number}")
    assert [version.text for version in store.versions()] == ["v3", "v2", "v1"]


def test_many_threads_that_ask_for_a_version_get_the_same(url):
    with Store(url) as store, ThreadPoolExecutor(8) as pool:
        key = store.resolve_project(ProjectRef("1"))
        asked = [
            pool.submit(store.model_version, key, f"p{number % 2}", lambda number: f"v{number}")
            for number in range(24)
        ]
        texts = [future.result() for future in asked]
        assert len(set(texts[::2])) == len(set(texts[1::2])) == 1
        assert {*texts} == {"v1", "v2"}
