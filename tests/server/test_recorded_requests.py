"""What Label Studio 1.23.2 really sent, replayed: in any order, and twice."""

import json
import random
from pathlib import Path

import pytest

from timelinelabels.labelstudio.payloads import parse_webhook

FOLDER = Path(__file__).parent.parent / "requests"
WEBHOOKS = sorted(FOLDER.glob("webhook_*.json"))


def body_of(path):
    return json.loads(path.read_text())["body"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_every_recorded_request_is_answered(backend, path):
    recorded = json.loads(path.read_text())
    answer = backend.client.open(recorded["path"], method=recorded["method"], json=recorded["body"])
    if path.stem == "predict_interactive_context":
        # A simple control whose labels are no classes of the backbone: an error, in words.
        assert answer.status_code == 422
        assert "predicted_values" in answer.json["detail"]
        return
    assert answer.status_code == 200, answer.text
    if recorded["path"] == "/setup":
        assert isinstance(answer.json["model_version"], str)
    if recorded["path"] == "/predict":
        assert answer.json["results"] == [[]] * len(recorded["body"]["tasks"])


def state_after(backend, bodies):
    """Everything that is trained on, after these webhooks."""
    for body in bodies:
        assert backend.post("/webhook", body).status_code == 200
    keys = sorted(
        {
            backend.store.resolve_project(event.project)
            for event in map(parse_webhook, bodies)
            if event.project is not None
        }
    )
    return {
        key: [
            (task.task_id, [(a.id, a.unique_id, a.result) for a in task.annotations])
            for task in backend.store.annotated_tasks(key)
        ]
        for key in keys
    }


@pytest.mark.parametrize("seed", range(4))
def test_webhooks_in_any_order_and_twice_end_in_the_same_state(make_backend, tmp_path, seed):
    bodies = [body_of(path) for path in WEBHOOKS]
    once = make_backend(database_url=f"sqlite:///{tmp_path / 'once.sqlite3'}")
    other = make_backend(database_url=f"sqlite:///{tmp_path / 'other.sqlite3'}")
    shuffled = random.Random(seed).sample(bodies * 2, len(bodies) * 2)
    assert state_after(once, bodies) == state_after(other, shuffled)
    assert any(state_after(once, bodies).values())


def test_the_projects_id_in_webhooks_and_in_setup_is_one_project(backend):
    event = body_of(FOLDER / "webhook_ANNOTATION_UPDATED.json")
    assert isinstance(event["project"]["id"], int)
    backend.post("/webhook", event)
    backend.post("/setup", body_of(FOLDER / "setup.json"))
    assert backend.store.statistics().projects == 1
