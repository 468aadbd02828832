"""What all control models of a process share; a shell constructs it once and passes it down."""

import threading
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from timelinelabels.backbones import (
    PUBLISHED_AT,
    YoloBackbone,
    backbone_fingerprint,
    ensure_weights,
    find_download,
    missing_weights,
    resolve_weights,
)
from timelinelabels.content_hash import known_content_hash
from timelinelabels.feature_making import Progress
from timelinelabels.features import Features, FeatureStore
from timelinelabels.labelstudio.media import MediaResolver
from timelinelabels.model_registry import ModelRegistry


class Backbones:
    """Opens backbones by the labeling config's `model_path`.

    An opened backbone is kept under its content fingerprint, so a replaced weights file is a new
    backbone at once, in every process.

    Args:
        model_root: the only folder that weights are read from.
        allow_custom: whether a config may choose weights.
        download: whether default weights that are missing may be downloaded here.
        memo: folder that remembers the hashes of unchanged weights files.
        published_at: the URL of the folder that default weights are downloaded from.
        device: that networks run on: "auto", "cpu", "cuda" or "cuda:1".
    """

    def __init__(
        self,
        model_root: Path,
        *,
        allow_custom: bool = True,
        download: bool = False,
        memo: Path | None = None,
        published_at: str = PUBLISHED_AT,
        device: str = "cpu",
    ) -> None:
        self.device = device
        self.model_root = model_root
        self.allow_custom = allow_custom
        self.download = download
        self.memo = memo
        self.published_at = published_at
        self._opened: dict[str, YoloBackbone] = {}
        self._lock = threading.Lock()

    def path(self, model_path: str | None) -> Path:
        """The file of the weights that a config names; None is the default one. It need not be there.

        Raises:
            WeightsForbiddenError: the path leads out of MODEL_ROOT, or custom weights are off.
        """
        return resolve_weights(
            model_path, model_root=self.model_root, allow_custom=self.allow_custom
        )

    def open(self, model_path: str | None) -> YoloBackbone:
        """The backbone that a config names; None is the default one.

        Raises:
            WeightsForbiddenError: the path leads out of MODEL_ROOT, or custom weights are off.
            WeightsNotFoundError: there is no such file, and none could be downloaded.
            CheckpointError: the file cannot be used.
        """
        path = self.path(model_path)
        if self.download:
            ensure_weights(path, published_at=self.published_at)
        elif not path.is_file():
            raise missing_weights(path)
        fingerprint = backbone_fingerprint(path, memo=self.memo)
        with self._lock:
            if fingerprint not in self._opened:
                self._opened[fingerprint] = YoloBackbone.open(
                    path, memo=self.memo, device=self.device
                )
            return self._opened[fingerprint]

    def find_download(self, model_path: str | None) -> str:
        """Where weights that are missing can be downloaded from; asked now, nothing is downloaded.

        Raises:
            WeightsForbiddenError: as `open`.
            WeightsNotFoundError: nowhere; says what to put where.
        """
        return find_download(self.path(model_path), published_at=self.published_at)


class FeatureSource(NamedTuple):
    """What features are made of: which frames of which video, seen by which backbone."""

    video: str
    """The video's address as task data give it."""
    model_path: str | None
    """Names the backbone; None: the default one."""
    sample_fps: Fraction | None = None
    """Frames a second to look at; None: every frame."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Everything that a control model needs besides its config."""

    backbones: Backbones
    features: FeatureStore
    registry: ModelRegistry
    media: MediaResolver
    # Default of model_score_threshold, from the environment.
    default_score_threshold: float | None = None
    # Budget of one control's training; None: no limit.
    max_training_seconds: float | None = None

    def find_features(self, source: FeatureSource) -> Features | None:
        """Cached features; None where they must be extracted first.

        Neither downloads nor reads the media file, which may have been dropped meanwhile.

        Raises:
            MediaError: the source is refused or missing.
            CheckpointError: the backbone cannot be used.
        """
        media_hash = self.media.known_hash(source.video)
        if media_hash is None:
            path = self.media.locate(source.video)
            if path is not None:
                media_hash = known_content_hash(path, memo=self.features.hashes)
        if media_hash is None:
            return None
        fingerprint = self.backbones.open(source.model_path).fingerprint
        return self.features.load(media_hash, fingerprint, source.sample_fps)

    def extract(
        self, source: FeatureSource, *, task_id: str | None = None, progress: Progress | None = None
    ) -> Features:
        """Features, the video fetched first; extracted where they are not cached.

        Args:
            source: what to make features of.
            task_id: of a task of Label Studio: a cloud storage gives its files to tasks only.
            progress: called with frames done and expected.

        Raises:
            MediaError: the file cannot be had.
            VideoError: it is not a readable video.
            CheckpointError: the backbone cannot be used.
        """
        path = self.media.fetch(source.video, task_id=task_id)
        backbone = self.backbones.open(source.model_path)
        return self.features.extract(
            path, backbone, sample_fps=source.sample_fps, progress=progress
        )
