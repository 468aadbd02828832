"""What extraction is measured against: a loop frame by frame, and the limits of its two halves.

Imports nothing of the product. Each prints frames per second and processor seconds per frame:

    python benchmarks/reference.py loop VIDEO      decode, Pillow resize and crop, batch of 1, float32
    python benchmarks/reference.py decode VIDEO    decoding alone: frame threads, nothing converted
    python benchmarks/reference.py network         the network alone: batches of 8, channels last

The network is Ultralytics' YOLOv8n-cls at 224 pixels, without its last linear layer. `network` runs
in bfloat16 where the processor computes it, in float32 elsewhere (`--precision` chooses). On a busy
machine give `--threads 1` and compare processor time: a call of several threads waits for the slowest at
every layer, busily, and where other processes have the cores that costs a factor of ten.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image

SIZE = 224  # pixels
BATCH = 8
WARM_UP = 2  # batches that are not measured


def yolov8n_cls() -> torch.nn.Sequential:
    """The layers, seeded; normalisations take the statistics of noise so that no number vanishes."""
    for name, value in {"AUTOINSTALL": "false", "OFFLINE": "true", "VERBOSE": "false"}.items():
        os.environ.setdefault(f"YOLO_{name}", value)
    from ultralytics.nn.tasks import ClassificationModel

    torch.manual_seed(0)
    layers: torch.nn.Sequential = ClassificationModel("yolov8n-cls.yaml", ch=3, verbose=False).model
    for module in layers.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        features(layers.train(), torch.rand(8, 3, SIZE, SIZE))
    return layers.eval()


def fused(layers: torch.nn.Sequential) -> torch.nn.Sequential:
    """Normalisations folded into their convolutions, as Ultralytics' `predict` runs them."""
    for module in layers.modules():
        if hasattr(module, "bn"):
            module.conv = torch.nn.utils.fuse_conv_bn_eval(module.conv, module.bn)
            del module.bn
            module.forward = module.forward_fuse
    return layers


def features(layers: torch.nn.Sequential, pixels: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) → (N, 1280)."""
    *body, head = layers
    for layer in body:
        pixels = layer(pixels)
    return head.pool(head.conv(pixels)).flatten(1)


def loop(video: Path, limit: int) -> dict[str, float]:
    """Frame by frame: PyAV's own iteration, Pillow, a batch of one."""
    layers = fused(yolov8n_cls())
    with torch.inference_mode():
        for _ in range(WARM_UP):
            features(layers, torch.rand(1, 3, SIZE, SIZE))

    def work() -> int:
        done = 0
        with av.open(str(video)) as container, torch.inference_mode():
            for frame in container.decode(video=0):
                picture = frame.to_image()
                short = min(picture.size)
                width, height = (int(SIZE * side / short) for side in picture.size)
                picture = picture.resize((width, height), Image.Resampling.BILINEAR)
                left, top = round((width - SIZE) / 2), round((height - SIZE) / 2)
                picture = picture.crop((left, top, left + SIZE, top + SIZE))
                pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
                features(layers, pixels[None]).numpy()
                done += 1
                if done == limit:
                    break
        return done

    return measured(work)


def decode(video: Path, limit: int) -> dict[str, float]:
    """Decoding with frame threads, nothing converted."""

    def work() -> int:
        done = 0
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for _ in container.decode(stream):
                done += 1
                if done == limit:
                    break
        return done

    return measured(work)


def network(precision: str, limit: int) -> dict[str, float]:
    """The network on ready input, torch's own number of threads."""
    if precision == "auto":
        precision = "bfloat16" if computes_bfloat16() else "float32"
    dtype = getattr(torch, precision)
    layers = fused(yolov8n_cls()).to(dtype=dtype, memory_format=torch.channels_last)
    pixels = torch.rand(BATCH, 3, SIZE, SIZE, dtype=dtype)
    pixels = pixels.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        for _ in range(WARM_UP):
            features(layers, pixels)

        def work() -> int:
            for _ in range(limit // BATCH):
                features(layers, pixels)
            return limit // BATCH * BATCH

        return measured(work)


def computes_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16 (Linux)."""
    flags = Path("/proc/cpuinfo")
    return flags.exists() and bool(
        {"avx512_bf16", "amx_bf16"} & set(flags.read_text().split("flags")[-1].split())
    )


def measured(work: Callable[[], int]) -> dict[str, float]:
    """Frames per second and processor seconds per frame of `work`, which returns its frames."""
    wall, processor = time.perf_counter(), time.process_time()
    frames = work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {"frames": frames, "fps": frames / wall, "cpu_per_frame": processor / frames}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["loop", "decode", "network"])
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--frames", type=int, default=10**9, help="stop after so many")
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--threads", type=int, help="of torch; default: its own choice")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    if given.what == "network":
        result = network(given.precision, min(given.frames, 256))
    elif given.video is None:
        parser.error(f"{given.what} needs a VIDEO")
    else:
        result = {"loop": loop, "decode": decode}[given.what](given.video, given.frames)
    if given.json:
        print(json.dumps(result))
    else:
        print(
            f"{given.what}: {result['fps']:.0f} frames/s, "
            f"{1000 * result['cpu_per_frame']:.2f} ms of processor time a frame"
        )


if __name__ == "__main__":
    main()
