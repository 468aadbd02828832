"""Ultralytics' YOLO classification networks as backbones."""

from __future__ import annotations

import hashlib
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from timelinelabels.backbones.base import Preprocessing
from timelinelabels.backbones.checkpoint import open_checkpoint
from timelinelabels.backbones.classifier_record import read_classifier
from timelinelabels.content_hash import content_hash
from timelinelabels.errors import CheckpointError, DeviceMemoryError, WeightsNotFoundError
from timelinelabels.mapped_rows import in_parts

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from timelinelabels.backbones.devices import Batches

logger = logging.getLogger(__name__)

FEATURE_VERSION = 2
"""Counted up when this module computes other features from equal weights and frames."""

_CHUNK = 4096  # rows of features turned into probabilities at once


def backbone_fingerprint(path: Path, *, memo: Path | None = None) -> str:
    """The fingerprint that `YoloBackbone.open(path)` has, without reading the checkpoint.

    Args:
        path: the weights.
        memo: folder where hashes of unchanged files are remembered (`content_hash`).

    Raises:
        WeightsNotFoundError: there is no such file.
        CheckpointError: it cannot be read.
    """
    if not path.is_file():
        raise WeightsNotFoundError(f"{path}: there is no such weights file")
    try:
        digest = content_hash(path, memo=memo)
    except OSError as error:
        raise CheckpointError(f"{path}: the weights cannot be read: {error}") from error
    return hashlib.sha256(f"yolo features {FEATURE_VERSION}, weights {digest}".encode()).hexdigest()


class YoloBackbone:
    """A YOLO classification network without its last linear layer (and, apart from it, that layer).

    Opening reads what the file says of itself and the last layer, some 30 ms. The network is built
    when `embed` is first called. An object may be shared between threads.
    """

    def __init__(
        self,
        *,
        path: Path,
        fingerprint: str,
        preprocessing: Preprocessing,
        class_names: tuple[str, ...],
        weight: NDArray[np.float32],
        bias: NDArray[np.float32],
        device: str = "cpu",
    ) -> None:
        self.name = path.stem
        self.fingerprint = fingerprint
        self.preprocessing = preprocessing
        self.class_names = class_names
        self.feature_dim = int(weight.shape[1])
        self._path = path
        self._weight, self._bias = weight, bias
        self._device = device
        self._network: Batches | None = None
        self._building = threading.Lock()

    @classmethod
    def open(cls, path: Path, *, memo: Path | None = None, device: str = "cpu") -> Self:
        """Read a checkpoint; neither Ultralytics nor torch is imported.

        Args:
            path: a classification checkpoint (.pt) of Ultralytics.
            memo: folder where hashes of unchanged files are remembered (`content_hash`).
            device: "cpu", "cuda", "cuda:1" or "auto", see `devices`; looked for by `embed`.

        Raises:
            WeightsNotFoundError: there is no such file.
            UnsafeCheckpointError: its pickle asks for something that a checkpoint never needs.
            NotAClassificationCheckpointError: it is something else; the message says what.
            CheckpointError: it is damaged, or was replaced while it was read.
        """
        before = _identity(path)
        fingerprint = backbone_fingerprint(path, memo=memo)
        with open_checkpoint(path) as archive:
            record = read_classifier(archive)
            weight, bias = (
                record.tensors[f"{record.head}.linear.{name}"].read(archive)
                for name in ("weight", "bias")
            )
        if _identity(path) != before:
            raise CheckpointError(
                f"{path}: the weights were replaced while they were read; try again"
            )
        return cls(
            path=path,
            fingerprint=fingerprint,
            preprocessing=record.preprocessing,
            class_names=record.class_names,
            weight=weight,
            bias=bias,
            device=device,
        )

    @property
    def batch_frames(self) -> int:
        """Frames that suit one call of `embed`; of a GPU, it is asked."""
        return 8 if self.device == "cpu" else self._built().size

    @property
    def device(self) -> str:
        """What `embed` computes on, as torch names it; for another than a processor, it is asked.

        Raises:
            SettingsError: there is no such device.
        """
        if self._device == "cpu":
            return self._device
        from timelinelabels.backbones.devices import chosen_device

        return str(chosen_device(self._device))

    def warm_up(self) -> None:
        """Build the network; `embed` does if it was not."""
        self._built()

    def embed(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The input of the last linear layer for each frame.

        Args:
            frames: (N, H, W, 3) RGB, scaled and cropped as `preprocessing` says.

        Returns:
            (N, D) float32.

        Raises:
            ValueError: the frames have another size or type.
            CheckpointError: the network cannot be built, or the weights file has changed.
            SettingsError: there is no such device.
            DeviceMemoryError: it has no memory for a single frame.
        """
        height, width = self.preprocessing.crop
        if frames.dtype != np.uint8 or frames.shape[1:] != (height, width, 3):
            raise ValueError(
                f"frames must be uint8 (N, {height}, {width}, 3), not {frames.dtype} {frames.shape}"
            )
        if not len(frames):
            return np.empty((0, self.feature_dim), dtype=np.float32)
        return self._built()(frames)

    def class_probabilities(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Softmax of the last linear layer.

        Args:
            features: (T, D), float16 or wider; may be memory-mapped, it is read in parts.

        Returns:
            (T, n_classes) float32, each row sums to 1.

        Raises:
            ValueError: the features are not (T, D) for this network's D.
        """
        if features.ndim != 2 or features.shape[1] != self.feature_dim:
            raise ValueError(f"features must be (T, {self.feature_dim}), not {features.shape}")
        probabilities = np.empty((len(features), len(self._bias)), dtype=np.float32)
        for part, rows in in_parts(features, _CHUNK):
            logits = rows.astype(np.float32) @ self._weight.T + self._bias
            logits -= logits.max(axis=1, keepdims=True)
            np.exp(logits, out=logits)
            probabilities[part] = logits / logits.sum(axis=1, keepdims=True)
        return probabilities

    def _built(self) -> Batches:
        from timelinelabels.backbones.devices import chosen_device

        with self._building:
            if self._network is None:
                device = chosen_device(self._device)
                try:
                    self._network = self._built_on(device)
                except (RuntimeError, DeviceMemoryError) as error:
                    if self._device != "auto" or device.type == "cpu":
                        raise
                    logger.warning(
                        "%s runs on the processor: %s cannot (%s)", self.name, device, error
                    )
                    self._device = "cpu"
                    self._network = self._built_on(chosen_device("cpu"))
            return self._network

    def _built_on(self, device: torch.device) -> Batches:
        from timelinelabels.backbones.devices import Batches, fitting_batch
        from timelinelabels.backbones.execution import feature_network

        network = feature_network(self._read_layers, self.preprocessing, device)
        blank = np.zeros((1, *self.preprocessing.crop, 3), np.uint8)
        size = fitting_batch(device, lambda count: network(blank.repeat(count, axis=0)))
        logger.info("%s runs on %s, %d frames at a time", self.name, device, size)
        return Batches(network, size)

    def _read_layers(self) -> torch.nn.Sequential:
        from timelinelabels.backbones.architectures import build_network

        if backbone_fingerprint(self._path) != self.fingerprint:
            raise CheckpointError(
                f"{self._path}: the weights were replaced after they were opened; open them again"
            )
        with open_checkpoint(self._path) as archive:
            record = read_classifier(archive)
            tensors = {name: value.read(archive) for name, value in record.tensors.items()}
            return build_network(record, tensors)  # its errors name the file, too


def _identity(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is replaced or written to; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
