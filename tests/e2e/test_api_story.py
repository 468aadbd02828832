"""The story of a project by Label Studio's API, each step a check; the steps build on each other."""

import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from e2e.backend import Backend
from e2e.clips import render_clip
from e2e.label_studio import Api, LabelStudio, eventually
from e2e.story import agreement, frames_of, label_config, outstanding, requests_answered, running
from timelinelabels.demo.scene import Scene

LOCAL_NAMES = ("Fußball – 1. Halbzeit.mp4", "試合 100% & more (2)+.mp4")


@dataclass
class Story:
    """A project on its way."""

    api: Api
    backend: Backend
    project: int
    clips: list[Scene]
    local_clips: list[Scene]
    ml: int = 0
    annotations: dict[int, int] = field(default_factory=dict)

    def tasks(self) -> list[dict[str, Any]]:
        return self.api.tasks(self.project)

    def version(self) -> str:
        """What Label Studio learns from /setup: the version that it asks predictions of."""
        project = self.api("GET", f"/api/projects/{self.project}")
        body = {
            "project": f"{project['id']}.{_timestamp(project['created_at'])}",
            "schema": project["label_config"],
        }
        answer = httpx.post(f"{self.backend.url}/setup", json=body, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()["model_version"]

    def wait_for(self, text: str, seconds: float = 180) -> str:
        """The first version that says so, once no more training is due."""

        def fits() -> str:
            version = self.version()
            return version if text in version and not outstanding(self.backend.url) else ""

        return eventually(fits, seconds)

    def submit(self, number: int) -> None:
        """Annotate the task of a scene with its truth."""
        task = self.tasks()[number]["id"]
        self.annotations[number] = self.api.annotate(task, self.clips[number].annotation_result())


def _timestamp(created_at: str) -> int:
    from datetime import datetime

    return int(datetime.fromisoformat(created_at).timestamp())


@pytest.fixture(scope="module")
def story(label_studio: LabelStudio, api: Api, served: Backend, clips: list[Scene]) -> Story:
    folder = label_studio.local_files / "Spiele & mehr"
    folder.mkdir()
    local = [render_clip(folder / name, seed=50 + n) for n, name in enumerate(LOCAL_NAMES)]
    project = api.project("The story", label_config())
    return Story(api=api, backend=served, project=project, clips=clips, local_clips=local)


def test_connecting_the_backend_registers_its_webhook(story: Story) -> None:
    story.ml = story.api.connect(story.project, story.backend.url)
    (backend,) = story.api("GET", f"/api/ml?project={story.project}")
    assert (backend["state"], backend["error_message"]) == ("CO", None)
    (webhook,) = story.api("GET", f"/api/webhooks/?project={story.project}")
    assert webhook["url"] == f"{story.backend.url}/webhook"
    assert webhook["is_active"]
    assert webhook["send_for_all_actions"]


def test_videos_are_uploaded_and_synchronised_from_a_storage(story: Story) -> None:
    for scene in story.clips:
        story.api.upload(story.project, scene.path)
    story.api.add_local_files(story.project, story.local_clips[0].path.parent)
    tasks = story.tasks()
    assert len(tasks) == 7
    assert all("/data/local-files/?d=" in task["data"]["video"] for task in tasks[5:])


def test_an_untrained_task_opens_without_error_and_nothing_is_stored(story: Story) -> None:
    before = requests_answered(story.backend.url, "/predict")["total"]
    task = story.tasks()[0]["id"]
    assert story.api.open_task(task)["predictions"] == []
    assert requests_answered(story.backend.url, "/predict")["total"] > before
    assert story.api.predictions(task) == []
    assert "untrained" in story.version()


def test_label_studio_is_answered_in_time_while_a_training_runs(story: Story) -> None:
    for number in range(3):
        story.submit(number)

    def answered_during_a_training() -> bool:
        eventually(lambda: running(story.backend.url), 20, every=0.02)
        story.api("POST", f"/api/ml/{story.ml}/train", {})  # Label Studio sends START_TRAINING
        assert story.version()  # asks /setup
        assert httpx.get(f"{story.backend.url}/health", timeout=20).is_success
        return running(story.backend.url) > 0

    assert eventually(lambda: [answered_during_a_training() for _ in range(3)].count(True) >= 2)
    # As long as Label Studio waits for each; 2.5 is the nearest that is counted below its 3 s.
    for route, seconds in (("/webhook", 1.0), ("/health", 1.0), ("/setup", 2.5)):
        answered = requests_answered(story.backend.url, route, within=seconds)
        assert answered["total"] >= 2, route
        assert answered["in time"] == answered["total"], route


def test_a_new_version_appears(story: Story) -> None:
    version = story.wait_for(" 3 videos ")
    assert version in story.api("GET", f"/api/ml/{story.ml}/versions")["versions"]


@pytest.mark.parametrize("which", ["uploaded", "from the storage"])
def test_an_unlabelled_task_opens_with_regions_at_the_right_frames(
    story: Story, which: str
) -> None:
    uploaded = which == "uploaded"
    tasks = story.tasks()
    task = tasks[3] if uploaded else next(t for t in tasks[5:] if "%25" in t["data"]["video"])
    scene = story.clips[3] if uploaded else next(s for s in story.local_clips if "%" in s.path.name)
    version = story.version()
    eventually(lambda: story.api.open_task(task["id"])["predictions"], 60)
    # Rarely two: the worker wrote one after Label Studio had seen that there was none.
    for prediction in story.api.predictions(task["id"]):
        assert prediction["model_version"] == version
        assert agreement(prediction["result"], scene) > 0.95, prediction["result"]


def test_predictions_are_retrieved_for_many_tasks_once(story: Story) -> None:
    version = story.version()

    def predicted() -> list[list[str]]:
        story.api.retrieve_predictions(story.project)
        return [[p["model_version"] for p in task["predictions"]] for task in story.tasks()]

    found = eventually(lambda: all(now := predicted()) and now, 60)
    assert {text for texts in found for text in texts} == {version}
    assert predicted() == found


def test_an_updated_annotation_is_learned(story: Story) -> None:
    before = story.version()
    wrong = [r for r in story.clips[0].annotation_result() if "Ball touch" not in r["id"]]
    story.api("PATCH", f"/api/annotations/{story.annotations[0]}/", {"result": wrong})
    eventually(lambda: story.version() != before)
    assert " 3 videos " in story.wait_for(" 3 videos ")


def test_a_deleted_annotation_is_forgotten(story: Story) -> None:
    story.api("DELETE", f"/api/annotations/{story.annotations.pop(0)}/")
    story.wait_for(" 2 videos ")


def test_a_skipped_task_teaches_nothing(story: Story) -> None:
    before = story.version()
    story.api.annotate(story.tasks()[4]["id"], [], was_cancelled=True)
    time.sleep(2)
    assert story.wait_for("") == before


def test_start_training_trains_again(story: Story) -> None:
    before = story.version()
    story.api("POST", f"/api/ml/{story.ml}/train")
    eventually(lambda: story.version() != before)
    story.wait_for(" 2 videos ")


def test_changed_labels_are_learned_and_predicted(story: Story) -> None:
    config = label_config(["Ball in frame"])
    story.api("PATCH", f"/api/projects/{story.project}", {"label_config": config})
    eventually(lambda: not outstanding(story.backend.url) and " 2 videos " in story.version())
    task = story.tasks()[3]["id"]
    version = story.version()

    def newest() -> Any:
        story.api.retrieve_predictions(story.project)
        found = [p for p in story.api.predictions(task) if p["model_version"] == version]
        return found and found[0]

    prediction = eventually(newest, 60)
    assert agreement(prediction["result"], story.clips[3]) > 0.95
    assert not frames_of(prediction["result"], "Ball touch")


def test_a_wrong_config_is_refused_in_our_words_on_connecting(story: Story) -> None:
    wrong = label_config(attributes='model_trainable="true" model_clasifier_epochs="3"')
    project = story.api.project("A wrong config", wrong)
    response = story.api.http.post(
        "/api/ml", json={"project": project, "url": story.backend.url, "title": "timelinelabels"}
    )
    assert "model_classifier_epochs" in response.text, (response.status_code, response.text)
