"""How long people wait for the server: start, cached predictions, and answers while it works.

    python benchmarks/serving.py

Starts the real `timelinelabels serve` in a temporary folder and speaks to it as Label Studio does.
Each figure stands beside its target. The start is also a ratio to the import of torch alone, measured
in the same run, because a machine's speed cancels out of it.

What is not real here: the features of the one-hour video and of the 50 short ones are random numbers
(how long a cached prediction takes does not depend on what is in them), so that no hour is spent on
extracting them. The extraction and the training that run during the load are real.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
from results import write_section

from timelinelabels.backbones import DEFAULT_WEIGHTS, YoloBackbone
from timelinelabels.backbones.base import Preprocessing
from timelinelabels.demo.checkpoint import write_seeded_checkpoint
from timelinelabels.demo.scene import LABELS, Scene, render_scene
from timelinelabels.features import FeatureStore

PROJECT = {"id": 1, "created_at": "2026-01-01T00:00:00Z"}
PROJECT_REF = "1.1767225600"
CONFIG = (
    '<View><TimelineLabels name="videoLabels" toName="video" model_trainable="true">'
    + "".join(f'<Label value="{label}"/>' for label in LABELS)
    + '</TimelineLabels><Video name="video" value="$video" frameRate="25"/></View>'
)
HOUR = 90_000  # frames at 25 a second
SHORT, SHORT_FRAMES = 50, 500
REQUESTS_PER_SECOND = 20


@dataclass(frozen=True, kw_only=True)
class RandomFeatures:
    """Stands in the place of a backbone, under its fingerprint, to fill the cache quickly."""

    real: YoloBackbone
    batch_frames = 64
    device = "cpu"
    preprocessing = Preprocessing(resize=32, crop=(32, 32), mean=(0, 0, 0), std=(1, 1, 1))

    @property
    def name(self) -> str:
        return self.real.name

    @property
    def fingerprint(self) -> str:
        return self.real.fingerprint

    @property
    def feature_dim(self) -> int:
        return self.real.feature_dim

    def warm_up(self) -> None:
        """There is nothing to build."""

    def embed(self, frames: np.ndarray) -> np.ndarray:
        random = np.random.default_rng(int(frames.sum()))
        return random.standard_normal((len(frames), self.feature_dim), dtype=np.float32)


def tiny_video(path: Path, frames: int, seed: int) -> Path:
    """A real file of 32 by 32 pixels: quick to write, and different from every other seed's."""
    random = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
        picture = random.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        for index in range(frames):
            if index % 25 == 0:
                picture = np.roll(picture, 1, axis=0)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


class Server:
    """`timelinelabels serve` on a free port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", timeout=200, trust_env=False
        )

    @contextmanager
    def running(self) -> Iterator[float]:
        """The server; gives the seconds from its start to the first answered /health."""
        environment = {
            **os.environ,
            "MODEL_ROOT": str(self.folder / "models"),
            "CACHE_DIR": str(self.folder / "cache_dir"),
            "MEDIA_ROOTS": str(self.folder / "videos"),
            "DATABASE_URL": "",
        }
        command = [sys.executable, "-m", "timelinelabels", "serve", "--host", "127.0.0.1"]
        with (self.folder / "serve.log").open("ab") as log:
            started = time.perf_counter()
            process = subprocess.Popen(
                [*command, "--port", str(self.port)], env=environment, stdout=log, stderr=log
            )
            try:
                while not self._up():
                    if process.poll() is not None:
                        raise SystemExit((self.folder / "serve.log").read_text())
                    time.sleep(0.02)
                yield time.perf_counter() - started
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)

    def _up(self) -> bool:
        try:
            return self.client.get("/health").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = self.client.post(path, json=body)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def version(self) -> str:
        return str(self.post("/setup", {"project": PROJECT_REF, "schema": CONFIG})["model_version"])

    def predict(self, names: list[str]) -> list[Any]:
        tasks = [
            {"id": 10_000 + n, "data": {"video": name}, "created_at": PROJECT["created_at"]}
            for n, name in enumerate(names)
        ]
        body = {"project": PROJECT_REF, "label_config": CONFIG, "tasks": tasks}
        return list(self.post("/predict", body)["results"])


def submit_body(number: int, name: str, result: list[dict[str, Any]]) -> dict[str, Any]:
    """What Label Studio sends on Submit."""
    stamp = f"2026-01-02T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z"
    return {
        "action": "ANNOTATION_CREATED",
        "annotation": {
            "id": number,
            "unique_id": f"bench-{number}",
            "task": number,
            "result": result,
            "created_at": stamp,
            "updated_at": stamp,
        },
        "task": {"id": number, "data": {"video": name}, "created_at": PROJECT["created_at"]},
        "project": {**PROJECT, "label_config": CONFIG},
    }


def seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


class Table:
    """What was measured, beside its target and as a ratio to it."""

    def __init__(self) -> None:
        self.rows = ["| | measured | target | of the target |", "|---|---|---|---|"]

    def show(self, name: str, value: float, unit: str, target: float | None) -> None:
        goal = "" if target is None else f"≤ {target:g} {unit}"
        ratio = "" if target is None else f"{value / target:.0%}"
        self.rows.append(f"| {name} | {value:.3f} {unit} | {goal} | {ratio} |")
        print(self.rows[-1], flush=True)


def prepare(folder: Path) -> list[Scene]:
    """Videos, weights and cached features."""
    for name in ("videos", "models"):
        (folder / name).mkdir()
    videos = folder / "videos"
    scenes = [render_scene(videos / f"scene-{n}.mp4", seed=n, frames=150) for n in range(4)]
    frames = []
    for scene in scenes:
        with av.open(str(scene.path)) as container:
            frames += [f.to_ndarray(format="rgb24") for f in container.decode(video=0)][::8]
    weights = folder / "models" / DEFAULT_WEIGHTS
    write_seeded_checkpoint(weights, np.stack(frames), image_size=64)
    store = FeatureStore(folder / "cache_dir")
    quick = RandomFeatures(real=YoloBackbone.open(weights, memo=store.hashes))
    store.extract(tiny_video(videos / "hour.mp4", HOUR, 0), quick)  # type: ignore[arg-type]
    for number in range(SHORT):
        path = tiny_video(videos / f"short-{number}.mp4", SHORT_FRAMES, 1 + number)
        store.extract(path, quick)  # type: ignore[arg-type]
    return scenes


def measure_start(table: Table, server: Server, rounds: int) -> None:
    helps, torches, starts = [], [], []
    for _ in range(rounds):
        helps.append(seconds(lambda: _python("-m", "timelinelabels", "--help")))
        torches.append(seconds(lambda: _python("-c", "import torch")))
        with server.running() as start:
            starts.append(start)
    table.show("timelinelabels --help", float(np.median(helps)), "s", 0.5)
    table.show("serve → /health answers", float(np.median(starts)), "s", 3.0)
    table.show("import torch alone", float(np.median(torches)), "s", None)
    table.show("serve / import torch", float(np.median(starts) / np.median(torches)), "×", None)


def measure_predictions(table: Table, server: Server, scenes: list[Scene], rounds: int) -> None:
    for number, scene in enumerate(scenes, start=1):
        server.post("/webhook", submit_body(number, scene.path.name, scene.annotation_result()))
    wait_for(lambda: f" {len(scenes)} videos" in server.version())
    hour = [seconds(lambda: check(server.predict(["hour.mp4"]))) for _ in range(rounds)]
    names = [f"short-{number}.mp4" for number in range(SHORT)]
    batch = [seconds(lambda: check(server.predict(names))) for _ in range(rounds)]
    table.show("one hour at 25 fps (90,000 frames)", float(np.median(hour)), "s", 1.5)
    table.show("… first", hour[0], "s", None)
    table.show(f"{SHORT} videos of {SHORT_FRAMES} frames", float(np.median(batch)), "s", 2.0)
    size = max(path.stat().st_size for path in (server.folder / "cache_dir/features").iterdir())
    table.show("feature file of one hour", size / 1e6, "MB", 245)


def measure_load(table: Table, server: Server, duration: float) -> None:
    """20 requests a second while a worker trains and then extracts."""
    for working in (False, True):
        if working:
            scene = render_scene(server.folder / "videos" / "long.mp4", seed=77, frames=1500)
            for number in range(SHORT):
                regions = [
                    {
                        "id": "a",
                        "type": "timelinelabels",
                        "from_name": "videoLabels",
                        "to_name": "video",
                        "value": {
                            "ranges": [{"start": 10 + number, "end": 200 + number}],
                            "timelinelabels": [LABELS[number % 2]],
                        },
                    }
                ]
                server.post("/webhook", submit_body(100 + number, f"short-{number}.mp4", regions))
            body = submit_body(500, scene.path.name, scene.annotation_result())
            server.post("/webhook", body)
        times = load(server, duration)
        state = "while it trains and extracts" if working else "idle"
        for path, values in times.items():
            target = {"/webhook": 0.1, "/health": 0.2}[path]
            table.show(f"{path} p99, {state}", float(np.quantile(values, 0.99)), "s", target)
            table.show(f"{path} p50, {state}", float(np.median(values)), "s", None)


def load(server: Server, duration: float) -> dict[str, list[float]]:
    """Seconds of each request; they are sent on time however slow the answers are."""
    times: dict[str, list[float]] = {"/webhook": [], "/health": []}
    threads = []
    started = time.perf_counter()

    def send(number: int) -> None:
        # A connection of its own each, as Label Studio's webhooks have; a failure must be seen.
        with httpx.Client(base_url=server.client.base_url, timeout=60, trust_env=False) as client:
            if number % 2:
                times["/health"].append(seconds(lambda: client.get("/health").raise_for_status()))
                return
            body = submit_body(1, "scene-0.mp4", [])
            body["action"] = "ANNOTATION_UPDATED"
            body["annotation"]["updated_at"] = f"2026-02-01T00:00:{number % 60:02d}Z"
            times["/webhook"].append(
                seconds(lambda: client.post("/webhook", json=body).raise_for_status())
            )

    for number in range(int(duration * REQUESTS_PER_SECOND)):
        time.sleep(max(0.0, started + number / REQUESTS_PER_SECOND - time.perf_counter()))
        thread = threading.Thread(target=send, args=(number,))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    return times


def check(results: list[Any]) -> None:
    if not all(isinstance(result, dict) for result in results):
        raise SystemExit(f"not all of {len(results)} videos were predicted")


def wait_for(condition: Callable[[], bool], limit: float = 300) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the server did not learn in time")
        time.sleep(0.2)


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30, help="of load in each state")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes = prepare(folder)
        server, table = Server(folder), Table()
        measure_start(table, server, options.rounds)
        with server.running():
            measure_predictions(table, server, scenes, options.rounds)
            measure_load(table, server, options.seconds)
    write_section(
        "Serving",
        f"python benchmarks/serving.py --rounds {options.rounds} --seconds {options.seconds:g}",
        f"Medians of {options.rounds} rounds; {REQUESTS_PER_SECOND} requests/s for "
        f"{options.seconds:g} s in each state; cached predictions from request to regions, of a just "
        "started server first.\n\n" + "\n".join(table.rows),
    )


if __name__ == "__main__":
    main()
