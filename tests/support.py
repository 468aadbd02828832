"""Real video files, rendered in the test: every frame shows which frame it is."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_video(
    path: Path,
    frames: Sequence[np.ndarray] | Callable[[int], np.ndarray],
    *,
    count: int | None = None,
    fps: Fraction | int = 25,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
) -> Path:
    """Encode RGB frames (H, W, 3) uint8; `pts` (in `time_base`) makes a VFR or late-starting file."""
    render = frames if callable(frames) else frames.__getitem__
    total = count if count is not None else len(frames)  # type: ignore[arg-type]
    first = render(0)
    base = time_base or Fraction(1, 1) / Fraction(fps)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps))
        stream.width, stream.height = first.shape[1], first.shape[0]
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = base
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "crf": "18"}
        for index in range(total):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(render(index)), format="rgb24")
            frame.pts = pts[index] if pts is not None else index
            frame.time_base = base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def numbered_frame(index: int, *, width: int = 64, height: int = 48) -> np.ndarray:
    """A frame (H, W, 3) whose grey level tells its index: read it back with `frame_number`."""
    return np.full((height, width, 3), 16 + (index * 4) % 220, dtype=np.uint8)


def frame_number(frame: np.ndarray) -> int:
    """The index (modulo 55) that `numbered_frame` drew."""
    return round((float(frame.mean()) - 16) / 4)
