"""The demo: render videos, serve the backend, annotate as Label Studio does, and watch it learn."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from timelinelabels.backbones import DEFAULT_WEIGHTS, YoloBackbone, ensure_weights
from timelinelabels.demo.baselines import constant_prediction, logistic_prediction, macro_f1
from timelinelabels.demo.checkpoint import write_seeded_checkpoint
from timelinelabels.demo.page import Step, VideoTimelines, write_page
from timelinelabels.demo.scene import LABELS, Scene, render_scene
from timelinelabels.errors import TimelineLabelsError, TrainingError, WeightsNotFoundError
from timelinelabels.features import FeatureStore
from timelinelabels.labelstudio.regions import convert_timelinelabels_to_probs

ANNOTATED, UNSEEN = 12, 4
STEPS = (1, 2, 3, 4, 6, 8, 10, 12)  # after so many annotations the model is scored
PROJECT = {"id": 1, "created_at": "2026-01-01T00:00:00Z"}
PROJECT_REF = "1.1767225600"
SEEDED_NAME = "seeded-demo-cls.pt"
MARKER = ".timelinelabels-demo"
LABEL_MAP = {label: column for column, label in enumerate(LABELS)}
TIMEOUT_SECONDS = 120.0


def label_config(weights: str) -> str:
    """The guide's labeling config, with the demo's weights."""
    labels = "".join(f'<Label value="{label}"/>' for label in LABELS)
    path = "" if weights == DEFAULT_WEIGHTS else f' model_path="{weights}"'
    return (
        f'<View><TimelineLabels name="videoLabels" toName="video" model_trainable="true"{path}>'
        f'{labels}</TimelineLabels><Video name="video" value="$video" frameRate="25.0"/></View>'
    )


def run_demo(output: Path, console: Console, *, weights_folder: Path) -> Path:
    """Run the whole demo in `output`; the HTML page's path.

    Args:
        output: is emptied first; must be new, empty or an earlier demo's.
        console: shows progress and tables.
        weights_folder: where default weights may already be.

    Raises:
        TimelineLabelsError: the folder is somebody else's, or the server does not come up.
    """
    _empty(output)
    videos, models = output / "videos", output / "models"
    videos.mkdir()
    models.mkdir()
    scenes = [
        render_scene(
            videos / f"{'train' if number < ANNOTATED else 'unseen'}-{number:02d}.mp4", seed=number
        )
        for number in track(
            range(ANNOTATED + UNSEEN), description="Rendering videos", console=console
        )
    ]
    weights = _weights(models, weights_folder, scenes, console)
    demo = _Demo(
        output=output,
        config=label_config(weights.name),
        scenes=scenes,
        backbone=YoloBackbone.open(weights),
        console=console,
    )
    with _server(output) as client:
        demo.client = client
        steps = demo.learn_step_by_step()
        predicted = demo.predict(demo.unseen)
    page = output / "index.html"
    timelines = [
        VideoTimelines(
            name=scene.path.name,
            frames=scene.frames,
            truth=scene.truth,
            predicted=_by_label(regions),
        )
        for scene, regions in zip(demo.unseen, predicted, strict=True)
    ]
    write_page(page, steps=steps, videos=timelines, labels=LABELS, backbone=weights.name)
    return page


@dataclass(kw_only=True)
class _Demo:
    output: Path
    config: str
    scenes: Sequence[Scene]
    backbone: YoloBackbone
    console: Console
    client: httpx.Client | None = None

    @property
    def unseen(self) -> Sequence[Scene]:
        return self.scenes[ANNOTATED:]

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        assert self.client is not None
        response = self.client.post(path, json=body)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def version(self) -> str:
        answer = self.post("/setup", {"project": PROJECT_REF, "schema": self.config})
        return str(answer["model_version"])

    def predict(self, scenes: Sequence[Scene]) -> list[list[dict[str, Any]]]:
        """The regions that the server predicts; asked again while it still extracts features."""
        body = {
            "project": PROJECT_REF,
            "label_config": self.config,
            "tasks": [_task(self.scenes.index(scene), scene) for scene in scenes],
        }
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            results = self.post("/predict", body)["results"]
            if all(isinstance(result, dict) for result in results):
                return [result["result"] for result in results]
            time.sleep(0.5)
        raise TrainingError(f"No predictions in time; see {self.output / 'serve.log'}")

    def submit(self, number: int) -> None:
        """What Label Studio sends when an annotator clicks Submit."""
        scene = self.scenes[number]
        stamp = f"2026-01-02T00:{number:02d}:00Z"
        annotation = {
            "id": number + 1,
            "unique_id": f"demo-{number}",
            "task": number + 1,
            "result": scene.annotation_result(),
            "was_cancelled": False,
            "created_at": stamp,
            "updated_at": stamp,
        }
        body = {
            "action": "ANNOTATION_CREATED",
            "annotation": annotation,
            "task": _task(number, scene),
            "project": {**PROJECT, "label_config": self.config},
        }
        self.post("/webhook", body)

    def learn_step_by_step(self) -> list[Step]:
        """Annotate one video after another; the scores on the way."""
        self.console.print(f"Model version before the first Submit: [b]{self.version()}[/b]")
        table = Table("annotated", "model version", "timelinelabels", "logistic regr.", "constant")
        steps = []
        with self.console.status("") as status:
            for annotated in range(1, ANNOTATED + 1):
                self.submit(annotated - 1)
                if annotated not in STEPS:
                    continue
                status.update(f"{annotated} of {ANNOTATED} videos annotated, the model learns …")
                version = self._wait_for(annotated)
                step = self._score(annotated, version)
                steps.append(step)
                row = (step.ours, step.logistic_regression, step.constant)
                table.add_row(str(annotated), version, *(f"{score:.2f}" for score in row))
                self.console.print(
                    f"  {annotated:2d} annotated → {version}: F1 {step.ours:.2f} unseen"
                )
        self.console.print(table)
        self.console.print("Frame F1 (mean over labels) on 4 videos that no model has seen.")
        return steps

    def _wait_for(self, annotated: int) -> str:
        """The first version that learned from so many videos."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            version = self.version()
            if f" {annotated} video" in version:
                return version
            time.sleep(0.3)
        raise TrainingError(f"No new model version in time; see {self.output / 'serve.log'}")

    def _score(self, annotated: int, version: str) -> Step:
        truth = np.concatenate(
            [_targets(scene.annotation_result(), scene) for scene in self.unseen]
        )
        predicted = np.concatenate(
            [
                _targets(regions, scene)
                for regions, scene in zip(self.predict(self.unseen), self.unseen, strict=True)
            ]
        )
        known = self.scenes[:annotated]
        known_targets = [_targets(scene.annotation_result(), scene) for scene in known]
        store = FeatureStore(self.output / "cache_dir")
        features = [
            store.extract(scene.path, self.backbone).values for scene in (*known, *self.unseen)
        ]
        logistic = logistic_prediction(features[:annotated], known_targets, features[annotated:])
        constant = constant_prediction(np.concatenate(known_targets), len(truth))
        return Step(
            annotated=annotated,
            model_version=version,
            ours=macro_f1(truth, predicted),
            logistic_regression=macro_f1(truth, logistic),
            constant=macro_f1(truth, constant),
        )


def _task(number: int, scene: Scene) -> dict[str, Any]:
    return {
        "id": number + 1,
        "data": {"video": scene.path.name},
        "created_at": "2026-01-01T00:00:00Z",
    }


def _targets(regions: Sequence[dict[str, Any]], scene: Scene) -> "np.ndarray[Any, Any]":
    return convert_timelinelabels_to_probs(regions, LABEL_MAP, scene.frames)


def _by_label(regions: Sequence[dict[str, Any]]) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {label: [] for label in LABELS}
    for region in regions:
        for item in region["value"]["ranges"]:
            found[region["value"]["timelinelabels"][0]].append((item["start"], item["end"]))
    return found


def _empty(output: Path) -> None:
    """Make the folder new; never one that is not the demo's."""
    if output.exists() and any(output.iterdir()) and not (output / MARKER).exists():
        raise TimelineLabelsError(
            f"{output} holds files that are not the demo's. Name another folder with --output."
        )
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    (output / MARKER).touch()


def _weights(models: Path, known: Path, scenes: Sequence[Scene], console: Console) -> Path:
    """Pretrained weights if there are any or they can be downloaded, else seeded ones."""
    target = models / DEFAULT_WEIGHTS
    if (known / DEFAULT_WEIGHTS).is_file():
        shutil.copyfile(known / DEFAULT_WEIGHTS, target)
        return target
    try:
        with console.status(f"Downloading {DEFAULT_WEIGHTS}"):
            ensure_weights(known / DEFAULT_WEIGHTS)
        shutil.copyfile(known / DEFAULT_WEIGHTS, target)
        return target
    except WeightsNotFoundError as error:
        console.print(f"[yellow]{error}[/yellow]")
    console.print(
        "[bold yellow]NO PRETRAINED WEIGHTS: the demo goes on with a YOLO network of random, seeded "
        "weights. With the real ones it sees far more.[/bold yellow]"
    )
    seeded = models / SEEDED_NAME
    write_seeded_checkpoint(seeded, _sample_frames(scenes), image_size=96)
    return seeded


def _sample_frames(scenes: Sequence[Scene]) -> "np.ndarray[Any, Any]":
    """Some frames (N, H, W, 3) of the videos to annotate."""
    frames = []
    for scene in scenes[:4]:
        with av.open(str(scene.path)) as container:
            decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        frames.extend(decoded[:: max(1, len(decoded) // 16)])
    return np.stack(frames)


@contextmanager
def _server(output: Path) -> Iterator[httpx.Client]:
    """`timelinelabels serve` on a free port, with folders of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "MODEL_ROOT": str(output / "models"),
        "CACHE_DIR": str(output / "cache_dir"),
        "MEDIA_ROOTS": str(output / "videos"),
        "DATABASE_URL": "",
    }
    command = [
        sys.executable,
        "-m",
        "timelinelabels",
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with (output / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}", timeout=100, trust_env=False
            ) as client:
                _wait_until_up(client, process, output)
                yield client
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _wait_until_up(client: httpx.Client, process: "subprocess.Popen[bytes]", output: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/health").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise TimelineLabelsError(f"The server did not come up; see {output / 'serve.log'}")
