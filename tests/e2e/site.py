"""A project of its own and a backend of its own, for a test that starts and stops them."""

from typing import Any

from e2e.backend import Backend
from e2e.label_studio import Api, eventually
from e2e.story import label_config
from timelinelabels.demo.scene import Scene


class Site:
    """A project, and a backend that is started when the test says so."""

    def __init__(self, api: Api, backend: Backend, clips: list[Scene]) -> None:
        self.api, self.backend, self.clips = api, backend, clips
        self.project = api.project("Truth", label_config())
        for scene in clips[:4]:
            api.upload(self.project, scene.path)

    def task(self, number: int) -> int:
        return self.api.tasks(self.project)[number]["id"]

    def annotate(self, number: int) -> int:
        return self.api.annotate(self.task(number), self.clips[number].annotation_result())

    def newest(self) -> str:
        return next(iter(self.backend.versions()), "")

    def predictions(self, number: int) -> list[dict[str, Any]]:
        """What Label Studio keeps for a task; nothing is predicted by asking."""
        return self.api.predictions(self.task(number))

    def learned(self, videos: int) -> str:
        """The newest version, once it is one of so many videos."""
        text = f" {videos} video"
        return eventually(lambda: self.newest() if text in self.newest() else "", 180)

    def log(self) -> str:
        return self.backend.log.read_text()
