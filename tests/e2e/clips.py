"""Short videos that leave no doubt: when the ball is there and when a foot touches it.

Predictions for them must be right to the frame or two, so a shift of the timeline is seen.
"""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from support import write_video
from timelinelabels.demo.scene import LABELS, Scene

WIDTH, HEIGHT = 160, 120
TICKS, RATE = 72, 25  # length and frame rate of Label Studio's timeline
TOUCH_TICKS = 16


def render_clip(path: Path, *, seed: int, times: Callable[[int], Fraction] | None = None) -> Scene:
    """A video of 2.9 s.

    Args:
        path: of the file.
        seed: equal seeds have the same truth.
        times: file frame → seconds, strictly rising; the default is 25 frames a second.
    """
    random = np.random.default_rng(seed)
    start = int(random.integers(8, 19))
    end = int(random.integers(54, 66))
    touch = int(random.integers(start + 8, start + 14))
    truth = {LABELS[0]: [(start, end)], LABELS[1]: [(touch, touch + TOUCH_TICKS - 1)]}
    field = 110 + 14 * random.random((HEIGHT // 8, WIDTH // 8, 3)).repeat(8, 0).repeat(8, 1)
    field[..., 0] -= 50
    field[..., 2] -= 40

    def picture(seconds: Fraction) -> npt.NDArray[np.uint8]:
        tick = int(seconds * RATE) + 1
        image = field + random.normal(0, 3, field.shape)
        if start <= tick <= end:
            _ball(image, 60 + 0.5 * tick)
        if touch <= tick < touch + TOUCH_TICKS:
            image[30:95, 10:45] = (170, 30, 40)
        return np.clip(image, 0, 255).astype(np.uint8)

    time_of = times or (lambda index: Fraction(index, RATE))
    count = 0
    while time_of(count) < Fraction(TICKS, RATE):
        count += 1
    ticks = [round(time_of(index) * 1000) for index in range(count)]
    write_video(
        path,
        lambda index: picture(time_of(index)),
        count=count,
        fps=RATE,
        pts=ticks,
        time_base=Fraction(1, 1000),
    )
    return Scene(path=path, frames=TICKS, truth=truth)


def _ball(image: npt.NDArray[np.float64], x: float) -> None:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    image[((columns - x) ** 2 + (rows - 65) ** 2) <= 34**2] = (240, 240, 235)
