import pytest

from timelinelabels.labelstudio.records import ProjectRef


@pytest.fixture
def key(store):
    return store.resolve_project(ProjectRef("1", 1795341684))


def test_a_task_is_being_answered_until_label_studio_has_stored_the_answer(store, clock, key):
    assert store.tasks_being_answered(key) == frozenset()
    token = store.begin_answer(key, [7, 8], seconds=100)
    assert store.tasks_being_answered(key) == {7, 8}
    clock.advance(99)
    store.end_answer(token, [8], seconds=10)  # there is no prediction of 7
    assert store.tasks_being_answered(key) == {8}
    clock.advance(9.9)
    assert store.tasks_being_answered(key) == {8}
    clock.advance(0.2)
    assert store.tasks_being_answered(key) == frozenset()


def test_an_answer_that_never_ends_is_given_up(store, clock, key):
    token = store.begin_answer(key, [7], seconds=100)
    clock.advance(101)
    assert store.tasks_being_answered(key) == frozenset()
    store.begin_answer(key, [9], seconds=100)  # clears away what is past
    store.end_answer(token, [7], seconds=10)
    assert store.tasks_being_answered(key) == {9}


def test_answers_of_one_project_do_not_concern_another(store, key):
    other = store.resolve_project(ProjectRef("2", 1795341684))
    store.begin_answer(key, [7], seconds=100)
    store.begin_answer(key, [8], seconds=100)
    assert store.tasks_being_answered(key) == {7, 8}
    assert store.tasks_being_answered(other) == frozenset()
