"""How long people wait from Submit to a new published version, features cached.

    python benchmarks/live.py [--rounds 5]

Starts the real `timelinelabels serve`, lets it learn a project of 20 videos of 500 frames and one of 10
videos of 3500 frames with default attributes (`auto`), then changes an annotation again and again as Label
Studio tells of it, and waits each time for the next version.

What is not real here: the videos are 32 by 32 pixels with four fields of changing brightness, and their
features are noise in which those brightnesses are hidden, so that no time goes into extracting them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from results import write_section
from serving import RandomFeatures, Server, Table, wait_for

from timelinelabels.backbones import DEFAULT_WEIGHTS, YoloBackbone
from timelinelabels.demo.checkpoint import write_seeded_checkpoint
from timelinelabels.features import FeatureStore

LABELS = ("north-west", "north-east", "south-west", "south-east")
FPS, SIDE, HALF = 25, 32, 16
SPAN = 50  # frames between changes
FIELDS = [(row, column) for row in (0, HALF) for column in (0, HALF)]
# Of a bright field in each number, whose noise has a standard deviation of 1. Thumbnails show the fields as
# well, so the long videos are learned so well that their training ends early.
SIGNAL = 0.05
CONFIG = (
    '<View><TimelineLabels name="videoLabels" toName="video" model_trainable="true">'
    + "".join(f'<Label value="{label}"/>' for label in LABELS)
    + f'</TimelineLabels><Video name="video" value="$video" frameRate="{FPS}"/></View>'
)


class HiddenFields(RandomFeatures):
    """Noise in which the brightness of the four fields is hidden."""

    def embed(self, frames: np.ndarray) -> np.ndarray:
        fields = np.stack(
            [frames[:, r : r + HALF, c : c + HALF].mean(axis=(1, 2, 3)) > 128 for r, c in FIELDS]
        )
        directions = np.random.default_rng(0).standard_normal((len(FIELDS), self.feature_dim))
        return super().embed(frames) + SIGNAL * (fields.T @ directions).astype(np.float32)


def write_video(path: Path, bright: np.ndarray) -> None:
    """A real file, of whose fields those are bright that `bright` (frames, 4) says."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
        for index, row in enumerate(bright):
            picture = np.full((SIDE, SIDE, 3), 40, np.uint8)
            for (top, left), on in zip(FIELDS, row, strict=True):
                picture[top : top + HALF, left : left + HALF] = 210 if on else 40
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def regions(bright: np.ndarray) -> list[dict[str, Any]]:
    """What a person would have drawn: 1-based frames, both ends inside."""
    drawn = []
    for column, label in enumerate(LABELS):
        padded = np.pad(bright[:, column].astype(np.int8), 1)
        begins, ends = (np.flatnonzero(np.diff(padded) == step) for step in (1, -1))
        for begin, end in zip(begins, ends, strict=True):
            value = {
                "ranges": [{"start": int(begin) + 1, "end": int(end)}],
                "timelinelabels": [label],
            }
            drawn.append(
                {
                    "id": f"{column}-{begin}",
                    "type": "timelinelabels",
                    "from_name": "videoLabels",
                    "to_name": "video",
                    "value": value,
                }
            )
    return drawn


class Project:
    """A project of annotated videos, as a server hears of it."""

    def __init__(self, server: Server, number: int, videos: int, frames: int) -> None:
        self.server, self.number, self.frames = server, number, frames
        self.created_at = f"2026-01-0{number}T00:00:00Z"
        random = np.random.default_rng(number)
        spans = -(-frames // SPAN)
        self.bright = [
            (random.random((spans, len(LABELS))) < 0.25).repeat(SPAN, axis=0)[:frames]
            for _ in range(videos)
        ]
        self.changes = 0

    def name(self, video: int) -> str:
        return f"project-{self.number}-{video}.mp4"

    def submit(self, video: int, action: str = "ANNOTATION_CREATED") -> None:
        self.changes += 1
        stamp = f"2026-02-01T00:{self.changes // 60:02d}:{self.changes % 60:02d}Z"
        task = 1000 * self.number + video
        drawn = regions(self.bright[video])
        # An update must change something: the first region ends a frame earlier each time.
        drawn[0]["value"]["ranges"][0]["end"] -= self.changes % 7
        annotation = {
            "id": task,
            "unique_id": f"live-{task}",
            "task": task,
            "result": drawn,
            "created_at": self.created_at,
            "updated_at": stamp,
        }
        self.server.post(
            "/webhook",
            {
                "action": action,
                "annotation": annotation,
                "task": {
                    "id": task,
                    "data": {"video": self.name(video)},
                    "created_at": self.created_at,
                },
                "project": {
                    "id": self.number,
                    "created_at": self.created_at,
                    "label_config": CONFIG,
                },
            },
        )

    def version(self) -> str:
        stamp = int(np.datetime64(self.created_at[:-1], "s").astype(int))
        body = {"project": f"{self.number}.{stamp}", "schema": CONFIG}
        return str(self.server.post("/setup", body)["model_version"])


def prepare(folder: Path, projects: list[Project]) -> None:
    """Videos, weights and cached features."""
    for name in ("videos", "models"):
        (folder / name).mkdir()
    weights = folder / "models" / DEFAULT_WEIGHTS
    pictures = np.random.default_rng(0).integers(0, 255, (32, 64, 64, 3), dtype=np.uint8)
    write_seeded_checkpoint(weights, pictures, image_size=64)
    store = FeatureStore(folder / "cache_dir")
    quick = HiddenFields(real=YoloBackbone.open(weights, memo=store.hashes))
    for project in projects:
        for video, bright in enumerate(project.bright):
            path = folder / "videos" / project.name(video)
            write_video(path, bright)
            store.extract(path, quick)  # type: ignore[arg-type]


def measure(table: Table, project: Project, rounds: int, target: float) -> None:
    for video in range(len(project.bright)):
        project.submit(video)
    wait_for(lambda: f" {len(project.bright)} videos" in project.version())
    time.sleep(2)  # so that nothing is left of the first trainings
    waited = []
    for number in range(rounds):
        before = project.version()
        started = time.perf_counter()
        project.submit(number, "ANNOTATION_UPDATED")
        wait_for(lambda before=before: project.version() != before)
        waited.append(time.perf_counter() - started)
        print(f"{waited[-1]:.1f} s: {project.version()}", flush=True)
    name = f"{len(project.bright)} videos of {project.frames} frames"
    table.show(name, float(np.median(waited)), "s", target)
    table.show(f"{name}, slowest", max(waited), "s", None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, table = Path(name), Table()
        server = Server(folder)
        small, large = Project(server, 1, 20, 500), Project(server, 2, 10, 3500)
        prepare(folder, [small, large])
        with server.running():
            measure(table, small, given.rounds, 15.0)
            measure(table, large, given.rounds, 60.0)
    write_section(
        "From Submit to a new version",
        f"python benchmarks/live.py --rounds {given.rounds}",
        f"Features cached, `auto`, {len(LABELS)} labels; medians of {given.rounds} changes of an "
        "annotation.\n\n" + "\n".join(table.rows),
    )


if __name__ == "__main__":
    main()
