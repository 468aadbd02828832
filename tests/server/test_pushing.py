"""Which predictions are written to Label Studio, changed and left alone.

Label Studio is a small one of this test; `tests/e2e/test_pushed_predictions.py` tries the real one.
"""

import json
import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from timelinelabels.cli.annotating import annotate_project
from timelinelabels.demo.scene import Scene
from timelinelabels.errors import TrainingError
from timelinelabels.labelstudio.client import LabelStudioClient
from timelinelabels.labelstudio.placing import (
    HELD_HOURS,
    Placed,
    is_placed,
    place_prediction,
)
from timelinelabels.pushing import (
    NO_EXTRACTION,
    Pushed,
    Pusher,
    hasten_task_pushes,
    want_task_pushes,
)
from timelinelabels.worker import Worker

pytestmark = pytest.mark.slow

PREDICTION = {"result": [], "score": 0.7}
OURS = frozenset({"v1", "v2", "v3"})


class LabelStudio:
    """Tasks without annotations, and predictions."""

    def __init__(self, tasks):
        self.tasks = tasks  # id → data
        self.predictions = []
        self.away = False
        self.pages = 0
        self.next_id = 1
        self.label_config = ""
        self.deleted = set()  # tasks that are gone since they were listed

    def client(self, answer=None):
        transport = httpx.MockTransport(answer or self)
        return LabelStudioClient("http://label-studio", "0" * 40, transport=transport)

    def add(self, task, version, *, hours_ago=0.0, **fields):
        created = datetime.now(UTC) - timedelta(hours=hours_ago)
        self.predictions.append(
            {
                "id": self.next_id,
                "task": task,
                "model_version": version,
                "created_at": created.isoformat().replace("+00:00", "Z"),
                **PREDICTION,
                **fields,
            }
        )
        self.next_id += 1
        return self.predictions[-1]

    def of(self, task):
        return [p["model_version"] for p in self.predictions if p["task"] == task]

    def __call__(self, request):
        if self.away:
            raise httpx.ConnectError("refused", request=request)
        path, method = request.url.path, request.method
        body = json.loads(request.content) if request.content else {}
        if path == "/api/projects/1/":
            found = {"id": 1, "title": "p", "created_at": "2026-11-22T10:01:24.639662Z"}
            return httpx.Response(
                200, json={**found, "label_config": self.label_config, "task_number": 9}
            )
        if path == "/api/tasks/":
            return self.page(request.url.params)
        if path == "/api/predictions/" and method == "GET":
            task = int(request.url.params["task"])
            return httpx.Response(200, json=[p for p in self.predictions if p["task"] == task])
        if path == "/api/predictions/" and body["task"] in self.deleted:
            return httpx.Response(404, json={"detail": "Not found."})
        if path == "/api/predictions/":
            return httpx.Response(201, json=self.add(body.pop("task"), **_version(body)))
        number = int(re.fullmatch(r"/api/predictions/(\d+)/", path)[1])
        found = [p for p in self.predictions if p["id"] == number]
        if not found:
            return httpx.Response(404, json={"detail": "Not found."})
        if method == "DELETE":
            self.predictions.remove(found[0])
            return httpx.Response(204)
        found[0].update(body)
        return httpx.Response(200, json=found[0])

    def page(self, params):
        self.pages += 1
        assert params["resolve_uri"] == "false"  # else s3:// addresses come as Label Studio's own
        filters = {item["filter"]: item for item in json.loads(params["query"])["filters"]["items"]}
        wanted = sorted(self.tasks)
        if "filter:tasks:id" in filters:
            item = filters["filter:tasks:id"]
            keep = {"greater": lambda n: n > item["value"], "equal": lambda n: n == item["value"]}
            wanted = [number for number in wanted if keep[item["operator"]](number)]
        size = int(params["page_size"])
        first = size * (int(params["page"]) - 1)
        tasks = [
            {
                "id": number,
                "data": self.tasks[number],
                "predictions": [
                    {key: value for key, value in p.items() if key != "task"}
                    for p in self.predictions
                    if p["task"] == number
                ],
            }
            for number in wanted[first : first + size]
        ]
        total = {"total": len(wanted), "total_annotations": 0, "total_predictions": 0}
        return httpx.Response(200, json={"tasks": tasks, **total})


def _version(body):
    return {"version": body.pop("model_version"), **body}


@pytest.mark.parametrize(
    ("there", "left", "placed"),
    [
        ([], ["v3"], Placed.NEW),
        (["v3"], ["v3"], Placed.THERE),
        (["v3", "v3"], ["v3"], Placed.THERE),
        (["v1", "v2", "v3"], ["v3"], Placed.THERE),
        (["v1", "v3", "v2"], ["v3"], Placed.CHANGED),
        (["v1"], ["v3"], Placed.CHANGED),
        (["v1", "v2"], ["v3"], Placed.CHANGED),
        (["somebody's", None], ["somebody's", None, "v3"], Placed.NEW),
        (["v2", "somebody's", "v1"], ["somebody's", "v3"], Placed.CHANGED),
    ],
)
def test_a_task_has_one_of_ours_and_all_of_others(there, left, placed):
    server = LabelStudio({7: {}})
    for version in there:
        server.add(7, version, hours_ago=HELD_HOURS + 1)
    server.add(8, "v1")
    assert place_prediction(server.client(), 7, PREDICTION, "v3", OURS) is placed
    assert server.of(7) == left
    assert server.of(8) == ["v1"]
    assert is_placed(server.client().predictions(7), "v3", OURS)
    assert not is_placed(server.client().predictions(8), "v3", OURS)


def test_the_prediction_that_an_open_editor_shows_keeps_its_id():
    server = LabelStudio({7: {}})
    server.add(7, "v1", hours_ago=HELD_HOURS + 2)
    shown = server.add(7, "v2", hours_ago=HELD_HOURS + 1)["id"]
    place_prediction(server.client(), 7, {"result": [], "score": 0.9}, "v3", OURS)
    assert [(p["id"], p["score"]) for p in server.predictions] == [(shown, 0.9)]


def test_of_two_that_open_editors_may_show_both_say_the_same_until_the_newer_is_old():
    server = LabelStudio({7: {}})
    first, second = server.add(7, "v1", hours_ago=HELD_HOURS + 1), server.add(7, "v3")
    assert not is_placed(server.client().predictions(7), "v3", OURS)
    assert place_prediction(server.client(), 7, PREDICTION, "v3", OURS) is Placed.THERE
    assert [(p["id"], p["model_version"]) for p in server.predictions] == [(1, "v3"), (2, "v3")]
    assert is_placed(server.client().predictions(7), "v3", OURS)
    second["created_at"] = first["created_at"]
    assert not is_placed(server.client().predictions(7), "v3", OURS)
    place_prediction(server.client(), 7, PREDICTION, "v3", OURS)
    assert [p["id"] for p in server.predictions] == [2]  # the one that an editor shows from now on


def test_what_label_studio_stores_a_little_later_is_not_there_twice_for_ever(project):
    backend, server = project
    pusher = Pusher(backend.store, backend.resources, server.client())
    server.predictions.clear()
    assert pusher.push_project(backend.project) is Pushed.AGAIN
    (version,) = server.of(3)
    shown = server.add(3, version)["id"]  # the answer of a /predict that was under way
    assert pusher.push_project(backend.project) is Pushed.DONE
    assert [server.of(number) for number in (2, 3, 4)] == [[version], [version] * 2, [version]]
    for prediction in server.predictions:
        prediction["created_at"] = "2026-11-22T10:01:24.639662Z"
    assert pusher.push_project(backend.project) is Pushed.DONE
    assert [p["id"] for p in server.predictions if p["task"] == 3] == [shown]
    assert [server.of(number) for number in (2, 4)] == [[version]] * 2


@pytest.fixture
def project(backend, scenes, monkeypatch):
    """A learned project with three unlabelled tasks, its worker and its Label Studio."""
    monkeypatch.setattr("timelinelabels.pushing.SECOND_LOOK_SECONDS", 0.1)
    data = [{"clip": scene.path.name} for scene in scenes]
    server = LabelStudio({number: data[number] for number in (2, 3, 4)})
    backend.setup()
    backend.submit(scenes[0], 1)
    backend.worker = Worker(
        backend.store, backend.resources, label_studio=server.client(), push=True
    )
    # What reconciliation reads is another test's.
    backend.store.take_snapshot(
        backend.project,
        backend.store.annotated_tasks(backend.project),
        started_at=backend.store.now(),
        want_training=False,
    )
    backend.work()
    return backend, server


def test_a_new_version_is_written_to_all_unlabelled_tasks_once(project, scenes):
    backend, server = project
    (version,) = [record.text for record in backend.store.versions()]
    assert [server.of(number) for number in (2, 3, 4)] == [[version]] * 3
    predicted = server.predictions[0]
    assert predicted["result"]
    assert predicted["score"] == backend.predict(scenes[2])["results"][0]["score"]
    before = [dict(p) for p in server.predictions]
    pusher = Pusher(backend.store, backend.resources, server.client())
    assert pusher.push_project(backend.project) is Pushed.DONE
    assert server.predictions == before


def test_one_bad_task_does_not_keep_the_others_waiting(project, scenes):
    backend, server = project
    server.tasks[1] = {"clip": "missing.mp4"}
    server.tasks[5] = {"something": "else"}
    backend.submit(scenes[1], 9)
    backend.work()
    newest = backend.store.versions()[0].text
    assert [server.of(number) for number in range(1, 6)] == [[], [newest], [newest], [newest], []]


def test_a_label_studio_that_is_away_is_tried_again(project, scenes, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between repeated attempts
    backend, server = project
    server.away = True
    backend.submit(scenes[1], 9)
    while backend.worker.run_one():
        pass
    state = backend.store.state("push", backend.project)
    assert state.outstanding
    assert "refused" in state.error
    server.away = False
    pusher = Pusher(backend.store, backend.resources, server.client())
    assert pusher.push_project(backend.project) is Pushed.AGAIN
    assert server.of(2) == [backend.store.versions()[0].text]


def test_a_task_that_waits_is_predicted_when_its_extraction_ends(project):
    backend, server = project
    server.predictions.clear()
    version = backend.store.versions()[0].text
    backend.store.want("extract", "e" * 64, {})
    want_task_pushes(backend.store, backend.project, {3: "e" * 64})
    pusher = Pusher(backend.store, backend.resources, server.client())
    (work,) = [w for w in backend.store.outstanding() if w.kind == "push-task"]
    pages = server.pages
    assert pusher.push_task(work.key) is Pushed.WAITING
    assert server.pages == pages  # Label Studio is left alone meanwhile
    item = backend.store.claim("w", ["push-task"])
    backend.store.put_off(item, 3600)
    assert backend.store.claim("w", ["push-task"]) is None
    backend.store.complete(backend.store.claim("w", ["extract"]))
    hasten_task_pushes(backend.store, "e" * 64)
    assert backend.store.claim("w", ["push-task"]).key == work.key
    assert pusher.push_task(work.key) is Pushed.DONE
    assert server.of(3) == [version]


def test_tasks_in_an_answer_to_label_studio_are_left_until_it_has_stored_them(project):
    backend, server = project
    server.predictions.clear()
    (version,) = [record.text for record in backend.store.versions()]
    pusher = Pusher(backend.store, backend.resources, server.client())
    number = backend.store.begin_answer(backend.project, [3], seconds=100)
    work_key = f"{NO_EXTRACTION}/{backend.project}/3"
    assert pusher.push_task(work_key) is Pushed.AGAIN
    for _ in range(2):
        assert pusher.push_project(backend.project) is Pushed.AGAIN
        assert [server.of(task) for task in (2, 3, 4)] == [[version], [], [version]]
    server.add(3, version)
    backend.store.end_answer(number, [3], seconds=0)
    assert pusher.push_project(backend.project) is Pushed.DONE
    assert pusher.push_task(work_key) is Pushed.DONE
    assert [server.of(task) for task in (2, 3, 4)] == [[version]] * 3


def test_what_predict_answers_is_left_to_label_studio(make_backend, scenes):
    key = {"label_studio_url": "http://label-studio", "label_studio_api_key": "0" * 40}
    backend = make_backend(**key)
    backend.setup()
    backend.submit(scenes[0], 1)
    assert backend.predict(scenes[2])["results"] == [[]]  # untrained: nothing will be stored
    assert backend.store.tasks_being_answered(backend.project) == frozenset()
    backend.worker.run_one()
    results = backend.predict(scenes[2], Scene(path=Path("missing.mp4"), frames=9, truth={}))[
        "results"
    ]
    assert [bool(result) for result in results] == [True, False]
    assert backend.store.tasks_being_answered(backend.project) == {0}


def test_a_project_that_is_gone_is_left_alone(project):
    backend, server = project
    server.predictions.clear()
    pusher = Pusher(backend.store, backend.resources, server.client())
    other = backend.store.project(backend.project).ref
    assert other.created is not None
    backend.store.resolve_project(type(other)(other.id, other.created + 5))
    backend.store.note_label_config(f"1.{other.created + 5}", backend.config, "f")
    assert pusher.push_project(f"1.{other.created + 5}") is Pushed.DONE
    assert server.predictions == []


def test_predict_asks_for_what_it_could_not_answer_only_where_it_is_pushed(
    make_backend, scenes, tmp_path
):
    key = {"label_studio_url": "http://label-studio", "label_studio_api_key": "0" * 40}
    for changes, wanted in ((key, 1), ({}, 0), ({**key, "push_predictions": False}, 0)):
        cold = make_backend(cache_dir=tmp_path / "cold", **changes)
        simple = cold.config.replace('model_trainable="true"', "").replace(
            'value="Ball in frame"', 'value="b" predicted_values="ball"'
        )
        cold.predict(scenes[0], config=simple)
        found = [work for work in cold.store.outstanding() if work.kind == "push-task"]
        assert len(found) == wanted, changes
        for _ in found:
            cold.store.complete(cold.store.claim("w", ["push-task"]))


def test_what_does_not_fit_into_an_answer_is_empty_and_pushed(make_backend, scenes, monkeypatch):
    key = {"label_studio_url": "http://label-studio", "label_studio_api_key": "0" * 40}
    backend = make_backend(**key)
    backend.setup()
    backend.submit(scenes[0], 1)
    backend.worker.run_one()
    monkeypatch.setattr("timelinelabels.server.predictions.STORED_SECONDS", 0.0)
    assert backend.predict(scenes[2])["results"][0]["result"]
    monkeypatch.setattr("timelinelabels.server.predictions.ANSWER_SECONDS", 0.0)
    answer = backend.predict(scenes[2], scenes[3])
    assert answer["results"] == [[], []]
    works = [work.key for work in backend.store.outstanding() if work.kind == "push-task"]
    assert len(works) == 2
    server = LabelStudio({int(key.split("/")[2]): {"clip": scenes[2].path.name} for key in works})
    pusher = Pusher(backend.store, backend.resources, server.client())
    assert [pusher.push_task(key) for key in works] == [Pushed.DONE] * 2
    assert [server.of(number) for number in server.tasks] == [[answer["model_version"]]] * 2


@pytest.fixture
def annotated(project):
    """Runs `annotate` on the learned project."""
    backend, server = project
    server.predictions.clear()
    server.label_config = backend.config

    def run(client):
        console = Console(quiet=True)
        return annotate_project(backend.settings, client, 1, only_unlabeled=True, console=console)

    return backend, server, run


def test_annotate_passes_over_a_task_that_was_deleted_meanwhile(annotated):
    _, server, run = annotated
    server.deleted = {3}
    assert run(server.client()) == 1
    assert [len(server.of(number)) for number in (2, 3, 4)] == [1, 0, 1]
    server.deleted = set()
    assert run(server.client()) == 0
    assert [len(server.of(number)) for number in (2, 3, 4)] == [1, 1, 1]


def test_annotate_stops_where_something_newer_was_published_meanwhile(annotated, scenes):
    backend, server, run = annotated
    published = []

    def answer(request):
        answered = server(request)
        if request.method == "POST" and not published:
            backend.submit(scenes[1], 9)
            published.append(True)
            backend.work()
        return answered

    with pytest.raises(TrainingError, match="newer"):
        run(server.client(answer))
    newest = backend.store.versions()[0].text
    assert [server.of(number) for number in (2, 3, 4)] == [[newest]] * 3


def test_a_worker_that_does_not_push_says_so_once_and_leaves_such_work_alone(backend, caplog):
    backend.store.want("push", backend.project, {})
    caplog.set_level("INFO")
    assert not backend.worker.run_one()
    threading.Timer(0.5, backend.worker.stop).start()
    backend.worker.run()
    assert caplog.text.count("Predictions are not pushed") == 1
    assert backend.store.claim("w", ["push"])
