"""`timelinelabels serve` as a whole: real processes, real sockets, kill -9."""

import base64
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import torch

from server.conftest import CONFIG
from timelinelabels.errors import AlreadyRunningError, SettingsError
from timelinelabels.settings import Settings
from timelinelabels.supervisor import Supervisor

pytestmark = pytest.mark.slow


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def descendants(pid):
    """Process ids of all descendants, from /proc."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        for child in children.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def eventually(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {condition}")


class Served:
    def __init__(self, model_root, cache, videos, **variables):
        self.environment = {
            **os.environ,
            "MODEL_ROOT": str(model_root),
            "CACHE_DIR": str(cache),
            "MEDIA_ROOTS": str(videos),
            "DATABASE_URL": "",
            **variables,
        }
        self.port = free_port()
        self.log = model_root.parent / "serve.log"
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "timelinelabels", "serve"),
                    *("--host", "127.0.0.1", "--port", str(self.port)),
                ],
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        eventually(self.up)

    def up(self):
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def post(self, path, body):
        answer = httpx.post(f"http://127.0.0.1:{self.port}{path}", json=body, timeout=100)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def version(self):
        return self.post("/setup", {"project": "1.1795341684", "schema": CONFIG})["model_version"]

    def submit(self, scene, number):
        result = [{**r, "from_name": "tl", "to_name": "film"} for r in scene.annotation_result()]
        self.post(
            "/webhook",
            {
                "action": "ANNOTATION_CREATED",
                "annotation": {
                    "id": number,
                    "unique_id": f"u{number}",
                    "task": number,
                    "result": result,
                },
                "task": {"id": number, "data": {"clip": scene.path.name}},
                "project": {"id": 1, "created_at": "2026-11-22T10:01:24Z", "label_config": CONFIG},
            },
        )

    def submitted(self, scene, number):
        try:
            self.submit(scene, number)
        except httpx.TransportError:
            return False
        return True

    def has_published(self, words):
        """Whether the version says so; not while the web process is being started again."""
        try:
            return words in self.version()
        except httpx.TransportError:
            return False

    def child(self, name):
        return next((pid for pid in descendants(self.process.pid) if name in command_of(pid)), None)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(40)


@pytest.fixture
def served(model_root, warm_cache, scenes):
    served = Served(model_root, warm_cache, scenes[0].path.parent)
    served.start()
    yield served
    served.stop()


def test_a_served_backend_learns_and_predicts_and_stops_cleanly(served, scenes):
    assert served.version() == "untrained"
    for number, scene in enumerate(scenes[:3], start=1):
        served.submit(scene, number)
    eventually(lambda: served.has_published(" · 3 videos · "))
    body = {
        "project": "1.1795341684",
        "label_config": CONFIG,
        "tasks": [{"id": 9, "data": {"clip": scenes[4].path.name}}],
    }
    (result,) = served.post("/predict", body)["results"]
    assert result["result"]
    children = descendants(served.process.pid)
    served.stop()
    assert served.process.returncode == 0
    assert not any(command_of(pid) for pid in children)


@pytest.mark.parametrize("victim", ["timelinelabels worker", "gunicorn"])
def test_a_killed_child_is_started_again_and_nothing_is_lost(served, scenes, victim):
    served.submit(scenes[0], 1)
    killed = eventually(lambda: served.child(victim))
    os.kill(killed, signal.SIGKILL)
    # An orphaned web process may answer for a moment yet: what it has not acknowledged is sent again.
    eventually(lambda: served.submitted(scenes[1], 2))
    eventually(lambda: served.has_published(" · 2 videos · "), 90)
    assert served.child(victim) not in (None, killed)
    workers = [
        p for p in descendants(served.process.pid) if "timelinelabels worker" in command_of(p)
    ]
    assert len(workers) == 1


def test_a_killed_supervisor_takes_its_children_along_and_the_next_one_goes_on(served, scenes):
    eventually(lambda: served.child("timelinelabels worker"))
    served.submit(scenes[0], 1)
    children = descendants(served.process.pid)
    os.kill(served.process.pid, signal.SIGKILL)
    served.process.wait()
    eventually(lambda: not any(command_of(pid) for pid in children), 30)
    served.start()
    eventually(lambda: served.has_published(" · 1 video · "), 90)


def test_a_second_serve_on_the_same_folders_says_so_and_is_safe(served):
    second = subprocess.run(
        [sys.executable, "-m", "timelinelabels", "serve", "--port", str(free_port())],
        env=served.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 1
    assert "already runs" in second.stderr
    assert served.up()


def test_an_idle_connection_stays_open_for_the_next_request(served):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    connection.connect()
    opened = connection.sock
    for idle in (5.0, 0.0):
        connection.request("GET", "/health")
        assert connection.getresponse().read()
        time.sleep(idle)
    assert connection.sock is opened  # a closed one is replaced
    connection.close()


def test_the_command_line_and_the_server_predict_identical_regions(served, scenes, tmp_path):
    for number, scene in enumerate(scenes[:3], start=1):
        served.submit(scene, number)
    eventually(lambda: served.has_published(" · 3 videos · "))
    body = {
        "project": "1.1795341684",
        "label_config": CONFIG,
        "tasks": [{"id": 9, "data": {"clip": scenes[4].path.name}}],
    }
    (by_http,) = served.post("/predict", body)["results"]
    export = []
    for number, scene in reversed(list(enumerate(scenes[:3], start=50))):
        result = [{**r, "from_name": "tl", "to_name": "film"} for r in scene.annotation_result()]
        export.append(
            {
                "id": number,
                "data": {"clip": str(scene.path)},
                "annotations": [{"id": number, "result": result}],
            }
        )
    (tmp_path / "export.json").write_text(json.dumps(export))
    (tmp_path / "config.xml").write_text(CONFIG)

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "timelinelabels", *arguments],
            cwd=tmp_path,
            env=served.environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    run("train", "-c", "config.xml", "-t", "export.json")
    (task,) = json.loads(run("predict", "-c", "config.xml", str(scenes[4].path)))
    assert task["predictions"][0]["result"] == by_http["result"]
    assert task["predictions"][0]["score"] == by_http["score"]


def test_real_videos_give_identical_regions_by_http_and_from_the_command_line(
    shared_data, leaf_weights, model_root, tmp_path
):
    shutil.copyfile(leaf_weights, model_root / "yolov8n-cls.pt")
    folder = shared_data / "room_actions"
    config = (folder / "config.xml").read_text()
    config = config.replace("model_trainable", 'model_classifier_epochs="5" model_trainable')
    (tmp_path / "config.xml").write_text(config)

    def shortest(name, count):
        tasks = json.loads((folder / name).read_text())
        for task in tasks:
            task["data"]["video"] = str(folder / task["data"]["video"])
        return sorted(tasks, key=lambda task: Path(task["data"]["video"]).stat().st_size)[:count]

    exported, asked = shortest("train.json", 3), shortest("test.json", 1)
    (tmp_path / "train.json").write_text(json.dumps(exported))
    (tmp_path / "test.json").write_text(json.dumps(asked))
    served = Served(model_root, tmp_path / "cache", folder, PREDICT_WAIT_SECONDS="80")
    served.start()
    try:
        project = {"id": 1, "created_at": "2026-11-22T10:01:24Z", "label_config": config}
        for task in [*reversed(exported), *exported]:  # in another order, and twice
            event = {"action": "ANNOTATION_CREATED", "task": task, "project": project}
            (annotation,) = task["annotations"]
            served.post("/webhook", event | {"annotation": annotation | {"task": task["id"]}})
        setup = {"project": "1.1795341684", "schema": config}
        eventually(lambda: " · 3 videos · " in served.post("/setup", setup)["model_version"], 200)
        body = {"project": setup["project"], "label_config": config, "tasks": asked}
        by_http = eventually(lambda: served.post("/predict", body)["results"][0])
    finally:
        served.stop()

    def run(*arguments):
        command = [sys.executable, "-m", "timelinelabels", *arguments, "-c", "config.xml"]
        subprocess.run(command, cwd=tmp_path, env=served.environment, check=True)

    run("train", "-t", "train.json")
    run("predict", "-t", "test.json", "-o", "predicted.json")
    (task,) = json.loads((tmp_path / "predicted.json").read_text())
    assert task["predictions"][0]["result"] == by_http["result"]
    assert task["predictions"][0]["score"] == by_http["score"]


def test_no_line_of_a_served_backend_holds_a_secret_even_at_debug(
    model_root, warm_cache, scenes, tmp_path
):
    secrets = ["key-of-label-studio", "pass/of/ours", "token-in-a-body", "password-in-a-body"]
    served = Served(
        model_root,
        warm_cache,
        scenes[0].path.parent,
        LOG_LEVEL="DEBUG",
        LABEL_STUDIO_URL="http://127.0.0.1:1",
        LABEL_STUDIO_API_KEY=secrets[0],
        BASIC_AUTH_USER="me",
        BASIC_AUTH_PASS=secrets[1],
        PREDICT_WAIT_SECONDS="3",
    )
    served.start()
    login = ("me", secrets[1])
    project = {"id": 1, "created_at": "2026-11-22T10:01:24Z", "label_config": CONFIG}
    hidden = {"access_token": secrets[2], "task_data_password": secrets[3]}
    tasks = [
        {"id": n, "data": {"clip": source} | hidden}
        for n, source in enumerate(
            (
                scenes[0].path.name,
                "/data/upload/1/missing.mp4",
                f"https://127.0.0.1/signed.mp4?X-Amz-Signature={secrets[2]}",
                f"https://me:{secrets[3]}@127.0.0.1/signed.mp4",
            )
        )
    ]
    simple = CONFIG.replace('model_trainable="true"', "").replace(
        'value="Ball touch"', 'value="Ball touch" predicted_values="ball"'
    )
    bodies = {
        "/setup": [{"project": "1.1795341684", "schema": CONFIG, **hidden}],
        "/predict": [
            {"project": "1.1795341684", "label_config": simple, "tasks": tasks, "params": hidden},
            {"tasks": [hidden], **hidden},
        ],
        "/webhook": [
            {
                "action": "ANNOTATION_CREATED",
                "annotation": {"id": task["id"], "task": task["id"], "result": [hidden]},
                "task": task,
                "project": project | hidden,
            }
            for task in tasks
        ],
    }
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{served.port}", timeout=60) as client:
            for auth in (login, ("me", secrets[2]), None):
                for path, items in bodies.items():
                    for body in items:
                        client.post(path, json=body, auth=auth)
                client.post("/webhook", content=json.dumps(hidden)[:-3], auth=auth)
            eventually(lambda: "Work failed: extract" in served.log.read_text())
            time.sleep(2)  # whatever else the worker has to say
    finally:
        served.stop()
    lines = served.log.read_text()
    assert " DEBUG " in lines
    spelled = [*secrets, "pass%2Fof%2Fours", base64.b64encode(b"me:pass/of/ours").decode()]
    assert [secret for secret in spelled if secret in lines] == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_ends_the_server_at_once_and_in_words(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "timelinelabels", "serve", "--port", str(free_port())],
        env=os.environ
        | {
            "DEVICE": "cuda",
            "HOST": "127.0.0.1",
            "MODEL_ROOT": str(tmp_path / "models"),
            "CACHE_DIR": str(tmp_path / "cache"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "DEVICE=cuda: torch" in done.stderr
    assert "the worker process cannot run so" in done.stderr


def test_a_port_in_use_is_said_at_once_and_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr("timelinelabels.supervisor.PORT_WAIT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = Settings(model_root=tmp_path, host="127.0.0.1", port=port)
        with pytest.raises(AlreadyRunningError, match=f"PORT={port} on HOST=127.0.0.1 is used"):
            Supervisor(settings, {}).run()
    with pytest.raises(SettingsError, match=r"HOST=192\.0\.2\.1"):
        Supervisor(Settings(model_root=tmp_path, host="192.0.2.1"), {}).run()


def test_health_is_answered_soon_after_the_start(model_root, warm_cache, scenes):
    served = Served(model_root, warm_cache, scenes[0].path.parent)
    started = time.monotonic()
    served.start()
    seconds = time.monotonic() - started
    try:
        # 1.5 s on two idle cores; with torch imported before the port opens it was 5.
        assert seconds < 10
        eventually(lambda: "Ready after" in served.log.read_text())
    finally:
        served.stop()
