"""Videos and weights that are not there at first: nothing is lost, and nobody has to ask again."""

import threading
from dataclasses import replace

import pytest

from labelstudio.test_media import MediaServer, sends
from timelinelabels.control_models.resources import Backbones
from timelinelabels.worker import Worker

pytestmark = pytest.mark.slow


@pytest.fixture
def server():
    with MediaServer().running() as running:
        yield running


@pytest.fixture
def new_machine(make_backend, model_root, server, seeded_weights):
    """No weights yet, and a place that publishes them."""
    (model_root / "yolov8n-cls.pt").unlink()
    server.serve("/yolov8n-cls.pt", sends(200, seeded_weights.read_bytes()))
    backend = make_backend()
    backbones = Backbones(model_root, download=True, published_at=server.url)
    backend.worker = Worker(backend.store, replace(backend.resources, backbones=backbones))
    return backend


def test_a_video_that_could_not_be_had_is_learned_once_it_is_there(make_backend, server, scenes):
    backend = make_backend(allowed_media_hosts=frozenset({server.host}))
    url = server.serve("/late.mp4", sends(503))
    backend.submit(scenes[0], 1)
    late = backend.event(scenes[1], 2)
    late["task"]["data"]["clip"] = url
    assert backend.post("/webhook", late).status_code == 200
    while backend.setup() == "untrained":
        backend.worker.run_one()
    assert " · 1 video · " in backend.setup()
    server.serve("/late.mp4", sends(200, scenes[1].path.read_bytes()))
    backend.work()  # five seconds after the failure
    assert " · 2 videos · " in backend.setup()


def test_a_cache_that_is_too_small_for_a_project_keeps_no_training_waiting(
    make_backend, scenes, tmp_path, caplog
):
    features = 100 * 1280 * 2 / 2**30  # of one of these videos, in GB
    backend = make_backend(cache_dir=tmp_path / "small", cache_max_gb=2.5 * features)
    for number, scene in enumerate(scenes[:4], start=1):
        backend.submit(scene, number)
    backend.work()
    assert " · 4 videos · " in backend.setup()
    assert "(CACHE_MAX_GB): 2 are read again" in caplog.text


def test_missing_weights_are_said_with_where_they_are_published_and_fetched(new_machine):
    answer = new_machine.post(
        "/setup", {"project": new_machine.project, "schema": new_machine.config}
    )
    assert answer.status_code == 500
    for part in ("yolov8n-cls.pt", str(new_machine.settings.model_root), "github.com/ultralytics"):
        assert part in answer.json["detail"]
    new_machine.work()
    assert new_machine.setup() == "untrained"


def test_a_worker_fetches_the_default_weights_before_anybody_connects(new_machine):
    thread = threading.Thread(target=new_machine.worker.run)
    thread.start()
    weights = new_machine.settings.model_root / "yolov8n-cls.pt"
    for _ in range(300):
        if weights.is_file():
            break
        thread.join(0.1)
    new_machine.worker.stop()
    thread.join()
    assert new_machine.setup() == "untrained"


def test_weights_that_cannot_be_fetched_are_tried_again_and_never_in_the_way(
    new_machine, server, scenes
):
    server.serve("/yolov8n-cls.pt", sends(404))
    for _ in range(2):
        new_machine.post("/setup", {"project": new_machine.project, "schema": new_machine.config})
        new_machine.work()
    assert [path for path, _ in server.requests] == ["/yolov8n-cls.pt"]
    assert new_machine.store.state("weights", "yolov8n-cls.pt").failed
    said = new_machine.post(
        "/setup", {"project": new_machine.project, "schema": new_machine.config}
    )
    assert said.status_code == 500
    assert "could not be downloaded" in said.json["detail"]
    assert "404" in said.json["detail"]
