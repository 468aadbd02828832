"""A real application on a real store, and a real worker beside it."""

import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from timelinelabels.demo.scene import Scene
from timelinelabels.runtime import build_resources, open_store
from timelinelabels.server.app import create_app
from timelinelabels.settings import Settings
from timelinelabels.worker import Worker

CONFIG = """<View>
  <TimelineLabels name="tl" toName="film" model_trainable="true" model_classifier_epochs="8">
    <Label value="Ball in frame"/><Label value="Ball touch"/>
  </TimelineLabels>
  <Video name="film" value="$clip" frameRate="25.0"/>
</View>"""


@dataclass(kw_only=True)
class Backend:
    """What Label Studio would talk to, and the worker that it never sees."""

    client: Any
    worker: Worker
    store: Any
    resources: Any
    settings: Settings
    project: str = "1.1795341684"
    config: str = CONFIG
    annotations: dict[int, dict[str, Any]] = field(default_factory=dict)

    def post(self, path: str, body: Any, **options: Any) -> Any:
        return self.client.post(path, json=body, **options)

    def setup(self, config: str | None = None) -> str:
        answer = self.post("/setup", {"project": self.project, "schema": config or self.config})
        assert answer.status_code == 200, answer.text
        return answer.json["model_version"]

    def predict(self, *scenes: Scene, config: str | None = None) -> Any:
        body = {
            "tasks": [
                {"id": n, "data": {"clip": scene.path.name}} for n, scene in enumerate(scenes)
            ],
            "project": self.project,
            "label_config": config or self.config,
        }
        answer = self.post("/predict", body)
        assert answer.status_code == 200, answer.text
        return answer.json

    def event(
        self, scene: Scene, number: int, action: str = "ANNOTATION_CREATED", **changes: Any
    ) -> Any:
        result = [{**r, "from_name": "tl", "to_name": "film"} for r in scene.annotation_result()]
        annotation = {
            "id": number,
            "unique_id": f"unique-{number}",
            "task": number,
            "result": result,
            "was_cancelled": False,
            "created_at": f"2026-11-22T10:{number:02d}:00Z",
            "updated_at": f"2026-11-22T10:{number:02d}:00Z",
        } | changes
        return {
            "action": action,
            "annotation": annotation,
            "task": {"id": number, "data": {"clip": scene.path.name}},
            "project": self.project_body(),
        }

    def project_body(self, config: str | None = None) -> dict[str, Any]:
        return {
            "id": 1,
            "created_at": "2026-11-22T10:01:24.639662Z",
            "updated_at": "2026-11-22T10:01:24.639696Z",
            "label_config": config or self.config,
            "task_data_password": "hush",
        }

    def submit(self, scene: Scene, number: int, **changes: Any) -> None:
        answer = self.post("/webhook", self.event(scene, number, **changes))
        assert answer.status_code == 200, answer.text

    def work(self) -> None:
        """Let the worker do all that there is to do now."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.worker.run_one():
                continue
            if not self.store.outstanding():
                return
            time.sleep(0.02)  # some work waits for other work


@pytest.fixture
def make_backend(model_root, warm_cache, scenes):
    def make(**changes: Any) -> Backend:
        settings = Settings(
            model_root=model_root,
            media_roots=(scenes[0].path.parent,),
            predict_wait_seconds=0,
            **{"database_url": "", "cache_dir": warm_cache, **changes},
        )
        app = create_app(settings)
        store, resources = open_store(settings), build_resources(settings, download_weights=False)
        return Backend(
            client=app.test_client(),
            worker=Worker(store, resources),
            store=store,
            resources=resources,
            settings=settings,
        )

    return make


@pytest.fixture
def backend(make_backend) -> Backend:
    return make_backend()
