"""Short videos with a known truth: a ball enters, is touched by a foot, and leaves.

So that the task is not trivial, each video has a background, light, noise and camera shake of its own,
and distractors: signs that pass by, a foot that kicks at nothing, flickering light.
"""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT, FPS = 160, 120, 25
LABELS = ("Ball in frame", "Ball touch")
BALL, FOOT, GROUND, SIGN = (240, 240, 235), (150, 30, 40), (70, 120, 70), (200, 200, 60)
RADIUS = 20
TOUCH_FRAMES = 14

Image = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One rendered video and its truth."""

    path: Path
    frames: int
    # Label → closed 1-based frame ranges, as Label Studio writes them.
    truth: dict[str, list[tuple[int, int]]]

    def annotation_result(self) -> list[dict[str, object]]:
        """The truth as the `result` of a Label Studio annotation."""
        return [
            {
                "id": f"truth_{label}_{start}",
                "type": "timelinelabels",
                "from_name": "videoLabels",
                "to_name": "video",
                "origin": "manual",
                "value": {"ranges": [{"start": start, "end": end}], "timelinelabels": [label]},
            }
            for label, ranges in self.truth.items()
            for start, end in ranges
        ]


def render_scene(path: Path, *, seed: int, frames: int = 200) -> Scene:
    """Render a video file; equal seeds give equal pictures."""
    random = np.random.default_rng(seed)
    visible, touched = np.zeros(frames, dtype=bool), np.zeros(frames, dtype=bool)
    passes = _plan_passes(random, frames)
    false_kick = int(random.integers(0, frames - 20))
    background = _background(random)
    squares = [(*random.uniform(0, WIDTH, 1), random.uniform(-1, 1)) for _ in range(3)]
    light, noise = random.uniform(0.94, 1.06), random.uniform(2, 8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "23"}
        for index in range(frames):
            picture = np.roll(background, random.integers(-1, 2, 2), axis=(0, 1)).copy()
            for at, speed in squares:
                _square(picture, (at + speed * index) % WIDTH, HEIGHT * 0.25)
            foot_x: float | None = None
            if false_kick <= index < false_kick + 14:
                foot_x = WIDTH * 0.2 + 2 * (index - false_kick)
            for play in passes:
                x = play.ball_x(index)
                if x is None:
                    continue
                if -RADIUS / 2 <= x <= WIDTH + RADIUS / 2:
                    visible[index] = True
                    touched[index] = play.touches(index)
                _disc(picture, x, play.height, BALL, squash=play.touches(index))
                if play.touches(index):
                    foot_x = x - RADIUS - 3
            if foot_x is not None:
                _foot(picture, foot_x, passes[0].height)
            flicker = light * (1 + 0.06 * np.sin(index / 17 + seed))
            picture = picture * flicker + random.normal(0, noise, picture.shape)
            image = np.clip(picture, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    truth = {LABELS[0]: _ranges(visible), LABELS[1]: _ranges(touched)}
    return Scene(path=path, frames=frames, truth=truth)


@dataclass(frozen=True, kw_only=True)
class _Pass:
    """One way of the ball through the picture: in at `start`, touched at `touch`, out at the far side."""

    start: int
    touch: int
    speed: float
    height: float
    from_left: bool

    def touches(self, index: int) -> bool:
        return self.touch <= index < self.touch + TOUCH_FRAMES

    def ball_x(self, index: int) -> float | None:
        """Horizontal position; it rests while it is touched and then goes on twice as fast."""
        if index < self.start:
            return None
        before = min(index, self.touch) - self.start
        after = max(0, index - self.touch - TOUCH_FRAMES)
        way = -RADIUS + self.speed * (before + 2 * after)
        if way > WIDTH + 2 * RADIUS:
            return None
        return way if self.from_left else WIDTH - way


def _plan_passes(random: np.random.Generator, frames: int) -> list[_Pass]:
    passes, at = [], int(random.integers(5, 40))
    height = float(random.uniform(HEIGHT * 0.5, HEIGHT * 0.8))
    while at < frames - 30:
        speed = float(random.uniform(1.6, 3.2))
        touch = at + int(random.uniform(0.25, 0.6) * WIDTH / speed)
        passes.append(
            _Pass(
                start=at,
                touch=touch,
                speed=speed,
                height=height,
                from_left=bool(random.integers(2)),
            )
        )
        at = touch + TOUCH_FRAMES + int(WIDTH / speed) // 2 + int(random.integers(15, 50))
    return passes


def _background(random: np.random.Generator) -> Image:
    """A smooth coloured field with a few lines, (H, W, 3)."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    field = np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32)
    for channel in range(3):
        a, b, c = random.uniform(-0.06, 0.06, 3)
        field[..., channel] = (
            GROUND[channel]
            + random.uniform(-6, 6)
            + a * rows
            + b * columns
            + 8 * np.sin(c * rows / 6)
        )
    for x in random.integers(0, WIDTH, 3):
        field[:, x : x + 2] *= 0.7
    return field


def _disc(
    picture: Image, x: float, y: float, colour: tuple[int, int, int], *, squash: bool
) -> None:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    wide = RADIUS * (0.75 if squash else 1.0)
    inside = ((columns - x) / wide) ** 2 + ((rows - y) / RADIUS) ** 2 <= 1
    picture[inside] = colour


def _square(picture: Image, x: float, y: float) -> None:
    left, top = int(x), int(y)
    picture[top : top + 12, left : left + 12] = SIGN


def _foot(picture: Image, x: float, y: float) -> None:
    left, bottom = max(0, int(x) - 18), int(y) + RADIUS
    picture[max(0, bottom - 60) : bottom, left : max(left, int(x))] = FOOT


def _ranges(active: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Closed 1-based ranges of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]])))
    return [(int(start) + 1, int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]
