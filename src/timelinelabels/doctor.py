"""What keeps a backend and a Label Studio from working together, found one by one.

Each check is a method that yields findings; a check whose basis is missing is left out.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

import httpx

from timelinelabels.control_models.project_model import ProjectModel
from timelinelabels.control_models.resources import Resources
from timelinelabels.errors import (
    CheckpointError,
    ConfigError,
    LabelStudioError,
    MediaError,
    VideoError,
)
from timelinelabels.labelstudio.api_records import LabelStudioProject
from timelinelabels.labelstudio.client import LabelStudioClient
from timelinelabels.labelstudio.connecting import (
    CONNECTED,
    BasicAuth,
    address_help,
    find_backend,
    find_webhooks,
    mend_webhook,
    webhook_fault,
    webhook_url,
)
from timelinelabels.video import probe_video

VIDEOS_LOOKED_AT = 3
LITTLE_DISK, NO_DISK = 5 * 1024**3, 1024**3
CLOCK_SECONDS = 60.0
BACKEND_SECONDS = 5.0


class Verdict(Enum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis."""

    verdict: Verdict
    text: str
    # What to do about it.
    remedy: str = ""


def _ok(text: str) -> Finding:
    return Finding(Verdict.OK, text)


def _warn(text: str, remedy: str) -> Finding:
    return Finding(Verdict.WARN, text, remedy)


def _fail(text: str, remedy: str) -> Finding:
    return Finding(Verdict.FAIL, text, remedy)


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Examines one backend, one Label Studio and, where it is named, one project."""

    client: LabelStudioClient
    resources: Resources
    # The backend's address as Label Studio reaches it.
    backend_url: str
    basic_auth: BasicAuth | None
    folders: tuple[Path, ...]
    project_id: int | None
    # Whether the webhook may be created or mended.
    fix: bool

    def examine(self) -> Iterator[Finding]:
        """All findings, as they are made."""
        yield from self._disk()
        yield from self._weights()
        yield from self._backend()
        try:
            yield _ok(f"Label Studio {self.client.version()} answers at {self.client.url}")
            kind, user = self.client.access.kind, self.client.user()
            yield _ok(f"It accepts the {kind} of {user}")
            yield from self._clock()
            if self.project_id is None:
                return
            project = self.client.project(self.project_id)
        except LabelStudioError as error:
            yield _fail(str(error), "Nothing further can be checked before this is put right")
            return
        yield _ok(f'Project {project.id} "{project.title}" has {project.tasks} tasks')
        for check in (self._connection, self._webhook, self._labels):
            try:
                yield from check(project)
            except LabelStudioError as error:
                yield _fail(str(error), address_help(self.backend_url) or "")

    def _disk(self) -> Iterator[Finding]:
        for folder in self.folders:
            there = next(parent for parent in (folder, *folder.parents) if parent.exists())
            free = shutil.disk_usage(there).free
            text = f"{free / 1024**3:.1f} GB are free in {folder}"
            if free >= LITTLE_DISK:
                yield _ok(text)
                continue
            make = _fail if free < NO_DISK else _warn
            yield make(text, "Make room, or set CACHE_MAX_GB and MEDIA_CACHE_MAX_GB lower")

    def _weights(self) -> Iterator[Finding]:
        try:
            backbone = self.resources.backbones.open(None)
        except CheckpointError as error:
            yield _fail(str(error), "`timelinelabels serve` downloads them if it can")
        else:
            yield _ok(f"The weights {backbone.name} can be used")

    def _backend(self) -> Iterator[Finding]:
        try:
            answer = httpx.get(
                f"{self.backend_url}/health", timeout=BACKEND_SECONDS, trust_env=False
            )
            model_class = answer.json().get("model_class")
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, AttributeError) as error:
            yield _fail(
                f"The backend does not answer at {self.backend_url}: {error}",
                "Start it with `timelinelabels serve`, or name its address by --backend",
            )
            return
        if model_class == "TimelineLabelsModel":
            yield _ok(f"The backend answers at {self.backend_url}")
        else:
            yield _fail(f"Something else answers at {self.backend_url}", "See --backend")

    def _clock(self) -> Iterator[Finding]:
        there = self.client.time()
        if there is None:
            return
        seconds = abs((there - datetime.now(UTC)).total_seconds())
        if seconds <= CLOCK_SECONDS:
            yield _ok("The clocks of both machines agree")
        else:
            yield _warn(
                f"Label Studio's clock differs from this machine's by {seconds:.0f} s",
                "Set both: tokens expire, and events are ordered by time",
            )

    def _connection(self, project: LabelStudioProject) -> Iterator[Finding]:
        backends = self.client.backends(project.id)  # Label Studio asks each for /health now
        found = find_backend(backends, self.backend_url)
        connect = f"timelinelabels connect --project {project.id} --backend {self.backend_url}"
        if found is None:
            others = ", ".join(item.url for item in backends) or "none"
            yield _fail(
                f"The backend {self.backend_url} is not connected (connected: {others})", connect
            )
            return
        if found.state == CONNECTED:
            yield _ok(f'Label Studio reaches the backend "{found.title}"')
        else:
            yield _fail(
                f"Label Studio does not reach the backend: {found.error or found.state}",
                address_help(found.url) or "Is this its address as Label Studio's machine sees it?",
            )
        if backends[0].id != found.id:
            yield _warn(
                f"Label Studio asks {backends[0].url} for predictions: it was connected first",
                "Delete the other backend in Settings → Model",
            )
        if found.interactive:
            yield _warn(
                "Interactive preannotations are on",
                "Switch them off: timelines have no use for them",
            )
        if self.basic_auth and found.basic_auth_user != self.basic_auth[0]:
            yield _fail("Label Studio does not know the backend's BASIC_AUTH_USER", connect)

    def _webhook(self, project: LabelStudioProject) -> Iterator[Finding]:
        if self.fix:
            done = mend_webhook(self.client, project.id, self.backend_url, self.basic_auth)
            if done is not None:
                yield _ok(f"The webhook was {done}")
        hooks = self.client.webhooks(project.id)
        found = find_webhooks(hooks, self.backend_url)
        faults = [webhook_fault(hook, self.basic_auth) for hook in found]
        if not found:
            hint = address_help(self.backend_url)
            yield _fail(
                f"There is no webhook to {webhook_url(self.backend_url)}, so nothing is learned "
                "when annotations are submitted",
                "--fix creates it" + (f". {hint}" if hint else ""),
            )
        elif None in faults:
            yield _ok("The webhook tells the backend of annotations")
        else:
            yield _fail(f"The webhook {faults[0]}", "--fix mends it")
        if faults.count(None) > 1:
            yield _warn("Each event is sent more than once", "Delete all webhooks but one")
        known = [webhook_url(item.url) for item in self.client.backends(project.id)]
        for hook in hooks:
            strays = hook.project and hook.url.endswith("/webhook") and hook not in found
            if strays and hook.url not in known:
                yield _warn(
                    f"A webhook leads to {hook.url}, which is no backend of this project",
                    "Delete it in Settings → Webhooks: each Submit waits for it",
                )

    def _labels(self, project: LabelStudioProject) -> Iterator[Finding]:
        try:
            model = ProjectModel.create(
                project.label_config, resources=self.resources, project=str(project.id)
            )
            model.check()
        except (ConfigError, CheckpointError) as error:
            yield _fail(str(error), "Settings → Labeling Interface")
            return
        modes = ", ".join(
            f"{item.config.name} ({'learns' if item.trainable else 'simple'})"
            for item in model.models
        )
        yield _ok(f"The labeling config can be used: {modes or 'all controls are skipped'}")
        yield from self._videos(project, model)

    def _videos(self, project: LabelStudioProject, model: ProjectModel) -> Iterator[Finding]:
        looked_at = 0
        for task in self.client.tasks(project.id, page_size=VIDEOS_LOOKED_AT):
            if looked_at == VIDEOS_LOOKED_AT or not model.models:
                return
            looked_at += 1
            try:
                config = model.models[0].config.for_task(task.data)
                path = self.resources.media.fetch(
                    config.video_source(task.data), task_id=str(task.id)
                )
                info = probe_video(path)
            except (MediaError, VideoError, ConfigError) as error:
                yield _fail(f"The video of task {task.id}: {error}", "")
                continue
            rate, fps = config.frame_rate, info.average_fps
            if rate is None or fps is None or abs(float(rate) / float(fps) - 1) < 0.01:
                yield _ok(f"The video of task {task.id} can be read")
            else:
                yield _warn(
                    f"The video of task {task.id} has {float(fps):g} frames a second, the timeline "
                    f"{float(rate):g} (frameRate)",
                    "Labels are kept by time, so nothing shifts; but annotators step by frameRate",
                )


def worst(findings: list[Finding]) -> Verdict:
    """The worst verdict."""
    order = list(Verdict)
    return max((item.verdict for item in findings), key=order.index, default=Verdict.OK)
