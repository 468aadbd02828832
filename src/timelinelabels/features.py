"""The feature store: one file a video and backbone, made once, found by content.

A file's key is made of the hash of the video's content, the backbone's fingerprint (weights and the
code that runs them), and how frames are chosen, decoded and scaled. A replaced video or another backbone
therefore has other features by construction, and equal videos under two names share theirs.

Any number of processes may share a store. While one extracts a video, the others that want the same
one wait for it; if it dies, the next in line takes over. Files are read-only once they have their
name, so whoever has one mapped keeps it even when it is evicted.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from timelinelabels.content_hash import content_hash
from timelinelabels.errors import FeatureStoreError, VideoError
from timelinelabels.feature_file import (
    FORMAT_VERSION,
    DamagedFeatureFileError,
    read_feature_file,
)
from timelinelabels.feature_folder import (
    SUFFIX,
    cache_folder_errors,
    sole_maker,
    tidy,
    unless_in_the_making,
)
from timelinelabels.feature_making import FeatureOrder, Progress, make_features
from timelinelabels.frame_sampling import SAMPLING_VERSION
from timelinelabels.processors import usable_processors
from timelinelabels.timestamps import DamagedSpan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from timelinelabels.backbones.base import Backbone

logger = logging.getLogger(__name__)


_DECODING = "every frame, 3"
"""Part of the key: how frames are decoded and scaled. Change it when `video` or `pictures` change what a
backbone sees."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """What a backbone saw in one video."""

    values: NDArray[np.float16]
    """(T, D), memory-mapped and read-only."""
    thumbnails: NDArray[np.uint8]
    """(T, CELLS) grey levels of the whole frames, very small; memory-mapped and read-only."""
    pts: NDArray[np.int64]
    """(T,) raw PTS, strictly increasing."""
    time_base: Fraction
    """Seconds per PTS unit."""
    duration: Fraction
    """Seconds: the container's; where it has none, the end of the last frame."""
    media_hash: str
    path: Path
    """The feature file."""
    damage: tuple[DamagedSpan, ...]
    sample_fps: Fraction | None = None
    """Frames a second that were looked at (`frame_sampling`); None: every frame."""

    @property
    def times(self) -> NDArray[np.float64]:
        """(T,) raw PTS in seconds."""
        return self.pts * float(self.time_base.numerator) / self.time_base.denominator


MOST_WORKERS = 8
"""Processors for one video. Its thread that reads and scales gives some 1,500 frames of 720p a second, and
about so many processors embed those (an estimate: two were measured). Larger machines take more videos."""


@dataclass(frozen=True, kw_only=True)
class CacheParams:
    """Where and how the two cached functions below keep features."""

    folder: Path
    max_bytes: int | None = None
    progress: Progress | None = None
    sample_fps: Fraction | None = None
    """Frames a second to look at; None: every frame."""


class FeatureStore:
    """Features in a folder that may be shared by processes.

    Args:
        folder: made on first use: `features/` (one file a video) and `hashes/`.
        max_bytes: where a new file makes `features/` larger than this, the least recently used
            files are removed, never the new one; None: no limit.
        workers: processors that one extraction may use; None: all that this process may, but no more than
            `MOST_WORKERS`.
        decode_on_gpu: whether a backbone on a GPU gets its videos decoded there, too.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int | None = None,
        workers: int | None = None,
        decode_on_gpu: bool = False,
    ) -> None:
        self.folder = folder
        self.decode_on_gpu = decode_on_gpu
        self.workers = min(usable_processors(), MOST_WORKERS) if workers is None else workers
        self.max_bytes = max_bytes
        self._large_turn = threading.Lock()

    @property
    def hashes(self) -> Path:
        """The memo folder for `content_hash` and `known_content_hash`."""
        return self.folder / "hashes"

    def load(
        self, media_hash: str, backbone_fingerprint: str, sample_fps: Fraction | None = None
    ) -> Features | None:
        """The features if they are there; never extracts. Marks them as recently used.

        A damaged file is removed with a warning, and None is returned.

        Raises:
            FeatureStoreError: the folder cannot be read.
        """
        path = self._path(media_hash, backbone_fingerprint, sample_fps)
        with cache_folder_errors(path.parent):
            try:
                arrays, record = read_feature_file(path)
            except FileNotFoundError:
                return None
            except DamagedFeatureFileError as error:
                logger.warning("The features in %s will be made again: %s", path, error)
                self._remove_damaged(path)
                return None
            # What "recently used" means here; the system's own reading times are often not kept.
            with suppress(FileNotFoundError):  # evicted just now; what is mapped stays usable
                os.utime(path)
        return Features(
            values=arrays.features,
            thumbnails=arrays.thumbnails,
            pts=arrays.pts,
            time_base=record.time_base,
            duration=record.duration,
            media_hash=record.media_hash,
            path=path,
            damage=record.damage,
            sample_fps=sample_fps,
        )

    def extract(
        self,
        video_path: Path,
        backbone: Backbone,
        *,
        sample_fps: Fraction | None = None,
        progress: Progress | None = None,
    ) -> Features:
        """The features of a video: loaded, or made now.

        Where another process is making them, this one waits for it and then loads them.

        Args:
            video_path: the file.
            backbone: that describes its frames.
            sample_fps: frames a second to look at; None: every frame.
            progress: called as frames are done.

        Raises:
            VideoError: the video is missing or cannot be read, or it changes meanwhile.
            FeatureStoreError: the folder cannot be written, or the backbone's features are useless.
        """
        media_hash = self._hash(video_path)
        features = self.load(media_hash, backbone.fingerprint, sample_fps)
        if features is not None:
            return features
        path = self._path(media_hash, backbone.fingerprint, sample_fps)
        with sole_maker(path):
            features = self.load(media_hash, backbone.fingerprint, sample_fps)
            if features is None:
                make_features(
                    FeatureOrder(
                        path=path,
                        video=video_path,
                        media_hash=media_hash,
                        backbone=backbone,
                        sample_fps=sample_fps,
                        progress=progress,
                    ),
                    still_hash=lambda: self._hash(video_path),
                    workers=self.workers,
                    decode_on_gpu=self.decode_on_gpu,
                    large_turn=self._large_turn,
                )
                features = self.load(media_hash, backbone.fingerprint, sample_fps)
                if features is None:
                    raise FeatureStoreError(f"{path} was removed or altered as soon as it was made")
        tidy(path.parent, keep=path, max_bytes=self.max_bytes)
        return features

    def _remove_damaged(self, path: Path) -> None:
        with unless_in_the_making(path) as idle, suppress(FileNotFoundError):
            if idle:
                try:
                    read_feature_file(path)  # its maker may have replaced it meanwhile
                except DamagedFeatureFileError:
                    path.unlink()

    def _path(
        self, media_hash: str, backbone_fingerprint: str, sample_fps: Fraction | None
    ) -> Path:
        """The video's hash first, for people; then what makes the key exact."""
        parts = [FORMAT_VERSION, _DECODING, media_hash, backbone_fingerprint]
        if sample_fps is not None:
            parts.append(f"{sample_fps} frames a second, {SAMPLING_VERSION}")
        key = "\0".join(parts)
        digest = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / "features" / f"{media_hash[:16]}-{digest[:32]}{SUFFIX}"

    def _hash(self, video_path: Path) -> str:
        from timelinelabels.containers import check_is_file

        check_is_file(video_path)
        try:
            return content_hash(video_path, memo=self.hashes)
        except OSError as error:
            raise VideoError(f"{video_path}: the file cannot be read: {error}") from error


def cached_feature_extraction(
    yolo_model: Backbone, video_path: Path | str, cache_params: CacheParams
) -> Features:
    """The features of a video, from the cache if they are there; see `FeatureStore.extract`."""
    store = FeatureStore(cache_params.folder, max_bytes=cache_params.max_bytes)
    return store.extract(
        Path(video_path),
        yolo_model,
        sample_fps=cache_params.sample_fps,
        progress=cache_params.progress,
    )


def cached_yolo_predict(
    yolo_model: Backbone, video_path: Path | str, cache_params: CacheParams
) -> NDArray[np.float32]:
    """Class probabilities (T, n_classes) of every frame: one matrix product on cached features.

    Columns are in the order of `yolo_model.class_names`; each row sums to 1.
    """
    features = cached_feature_extraction(yolo_model, video_path, cache_params)
    return yolo_model.class_probabilities(features.values)
