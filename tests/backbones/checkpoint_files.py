"""Checkpoint files of all kinds, made by torch.save or byte by byte."""

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from timelinelabels.backbones.architectures import bundled_architecture, load_ultralytics


def write_archive(
    path: Path,
    pickled: bytes,
    *,
    members: dict[str, bytes] | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """A zip as torch.save lays it out, around any bytes as its data.pkl."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("made/data.pkl", pickled)
        archive.writestr("made/byteorder", b"little")
        for name, content in (members or {}).items():
            archive.writestr(f"made/{name}", content)
    return path


def repacked(source: Path, target: Path, **changes: bytes) -> Path:
    """A copy of an archive with other content for some members, checksums made right."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            short = name.split("/", 1)[1]
            new.writestr(name, changes.get(short.replace(".", "_"), old.read(name)))
    return target


def pickle_of(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(next(n for n in archive.namelist() if n.endswith("/data.pkl")))


def trusted_load(path: Path) -> dict[str, Any]:
    """torch.load with everything switched on, for files that the test itself wrote."""
    load_ultralytics()
    return torch.load(path, weights_only=False)


def changed_checkpoint(source: Path, target: Path, **values: Any) -> Path:
    """A copy of a checkpoint with other values at its top level."""
    torch.save(trusted_load(source) | values, target)
    return target


def save_classifier(
    path: Path, *, architecture: str = "v8/yolov8-cls", scale: str = "n", **yaml: Any
) -> torch.nn.Module:
    """Save a network of Ultralytics' as its trainer does (half precision); returns it in float32."""
    tasks = load_ultralytics()
    torch.manual_seed(0)
    description = bundled_architecture(architecture, classes=3) | {"scale": scale} | yaml
    model = tasks.ClassificationModel(description, ch=3, verbose=False)
    model.names = {0: "ball", 1: "floor", 2: "hand"}
    settle(model)
    torch.save({"model": model.half(), "ema": None, "train_args": {"imgsz": 64}}, path)
    return model.float().eval()


def settle(model: torch.nn.Module) -> None:
    """Give batch normalisations the statistics of noise, so that features are not all zero."""
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.rand(16, 3, 64, 64))
    for norm in norms:
        norm.momentum = 0.1
    model.eval()


def noise(count: int, side: int = 64, *, seed: int = 0) -> np.ndarray:
    """Random frames (count, side, side, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


# Opcodes by hand, for what no pickler would write


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def call(module: str, attribute: str, *arguments: bytes) -> bytes:
    return name(module, attribute) + b"(" + b"".join(arguments) + b"tR"


def dictionary(**values: bytes) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in values.items()) + b"u"


def protocol_2(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


class Runs:
    """Pickles to a call of os.system that writes a marker file."""

    def __init__(self, marker: Path) -> None:
        self.command = f"touch '{marker}'"

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, (self.command,)


def malicious_pickle(marker: Path, protocol: int = 2) -> bytes:
    return pickle.dumps(Runs(marker), protocol=protocol)
