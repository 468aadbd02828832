"""Clips to measure on: a textured scene under a moving camera, with moving things and sensor noise.

Rendered once into a folder and kept. What decoding costs depends on bits and motion, so a flat test
picture would flatter; this one takes about what a camera's 720p at 25 fps takes (2-4 Mbit/s).
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


def texture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """(H, W, 3) whose spectrum falls as 1/f, as that of photographs does (Field 1987)."""
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    falloff = 1 / np.maximum(np.hypot(rows, columns), 1 / max(height, width))
    shared = np.fft.rfft2(rng.normal(size=(height, width)))
    channels = []
    for _ in range(3):
        own = np.fft.rfft2(rng.normal(size=(height, width)))
        channel = np.fft.irfft2((0.9 * shared + 0.3 * own) * falloff, s=(height, width))
        channels.append(128 + 50 * channel / channel.std())
    return np.stack(channels, axis=-1).clip(0, 255).astype(np.uint8)


def write_clip(
    path: Path,
    *,
    width: int = 1280,
    height: int = 720,
    fps: int = 25,
    frames: int = 500,
    codec: str = "libx264",
    seed: int = 0,
    preset: str = "veryfast",
) -> Path:
    """Render a clip unless it is there already."""
    if path.exists():
        return path
    rng = np.random.default_rng(seed)
    margin = 128
    scene = texture(rng, height + 2 * margin, width + 2 * margin)
    things = [texture(rng, height // 4, width // 6) for _ in range(4)]
    orbits = rng.uniform(0.5, 2.0, size=(4, 2))
    noise = rng.normal(0, 3, size=(height + 64, width + 64, 1)).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".partial{path.suffix}")
    with av.open(str(partial), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": preset, "crf": "26"}
        if codec == "libx265":
            stream.options |= {"x265-params": "log-level=error"}
        for index in range(frames):
            at = index / fps
            top = margin + round(0.8 * margin * np.sin(0.4 * at))
            left = margin + round(0.8 * margin * np.cos(0.3 * at))
            picture = scene[top : top + height, left : left + width].astype(np.int16)
            for thing, (a, b) in zip(things, orbits, strict=True):
                y = round((0.5 + 0.5 * np.sin(a * at)) * (height - thing.shape[0]))
                x = round((0.5 + 0.5 * np.cos(b * at)) * (width - thing.shape[1]))
                picture[y : y + thing.shape[0], x : x + thing.shape[1]] = thing
            dy, dx = rng.integers(0, 64, size=2)
            picture += noise[dy : dy + height, dx : dx + width]
            frame = av.VideoFrame.from_ndarray(
                picture.clip(0, 255).astype(np.uint8), format="rgb24"
            )
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return partial.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--codec", default="libx264")
    print(write_clip(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
