"""From a video file to a feature file: decode, embed, write, overlapping and in bounded memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from timelinelabels.errors import FeatureStoreError, VideoError
from timelinelabels.feature_file import FeatureFileWriter, FeatureRecord
from timelinelabels.feature_folder import remove_partials
from timelinelabels.prefetch import computed_in_order, prefetched

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from timelinelabels.backbones.base import Backbone
    from timelinelabels.video import VideoInfo, VideoReader

logger = logging.getLogger(__name__)

Progress = Callable[[int, int | None], None]
"""Called with frames done and the expected total (None: the file does not say)."""

_BATCHES_AHEAD = 4  # decoded batches that wait for the network: enough that it never waits

_BYTES_AHEAD = 20_000_000
"""Decoded pictures that may wait, where that is more: the first ones do until the network is built."""

_DECODERS_BESIDE = 2
"""Threads that decode, besides one for every two processors. The others scale pictures and run networks, so
these mostly wait; where a video is hard to decode they are what keeps the network busy
(docs/reference/performance.md)."""


_CALLS_ON_GPU = 2  # of the network: one computes while the next one's pictures are copied


_LARGE_PICTURE = 4_000_000
"""Pixels. A decoder holds a dozen pictures and more for each thread, of 4K in 10 bits 25 MB each: two such
videos at a time would take 1.2 GB, and one alone keeps the processors busy."""


@dataclass(frozen=True, kw_only=True)
class FeatureOrder:
    """What to make, of what, and where."""

    path: Path
    """The feature file."""
    video: Path
    media_hash: str
    backbone: Backbone
    sample_fps: Fraction | None
    progress: Progress | None


def make_features(
    order: FeatureOrder,
    *,
    still_hash: Callable[[], str],
    workers: int,
    decode_on_gpu: bool,
    large_turn: AbstractContextManager[object],
) -> None:
    """Write a feature file; no other process may be writing it.

    Where a GPU leaves out anything of a video, the processor decodes again from the beginning: what damage
    looks like must not depend on the machine.

    Args:
        order: what to make.
        still_hash: the hash of the video's content now.
        workers: processors to use.
        decode_on_gpu: whether a backbone on a GPU gets its video decoded there, too.
        large_turn: entered for as long as large pictures are decoded, by one at a time.

    Raises:
        VideoError: the video is missing or cannot be read, or it changes meanwhile.
        FeatureStoreError: the folder cannot be written, or the backbone's features are useless.
    """
    remove_partials(order.path)
    device = order.backbone.device if decode_on_gpu else "cpu"
    if device.startswith("cuda"):
        try:
            _write(order, still_hash, workers, large_turn, gpu=device)
            return
        except (_DamageOnGpuError, VideoError) as error:
            logger.warning("%s is decoded again, by the processor: %s", order.video, error)
            remove_partials(order.path)
    _write(order, still_hash, workers, large_turn, gpu=None)


class _DamageOnGpuError(Exception):
    """The GPU's decoder left something out."""


def _write(
    order: FeatureOrder,
    still_hash: Callable[[], str],
    workers: int,
    large_turn: AbstractContextManager[object],
    *,
    gpu: str | None,
) -> None:
    from timelinelabels.video import VideoReader

    backbone, progress = order.backbone, order.progress
    preparation = backbone.preprocessing
    calls = _CALLS_ON_GPU if backbone.device.startswith("cuda") else workers
    done, anything = 0, False

    def decoder_threads(width: int, height: int) -> int:
        if width * height > _LARGE_PICTURE:
            until_read.enter_context(large_turn)
        return 1 if workers == 1 else workers // 2 + _DECODERS_BESIDE

    with (
        _warming_up(backbone),
        ExitStack() as until_read,
        VideoReader(
            order.video,
            scaled_size=preparation.scaled_size,
            crop_box=preparation.crop_box,
            sample_fps=order.sample_fps,
            batch_size=backbone.batch_frames,
            decoder_threads=decoder_threads,
            gpu=gpu,
        ) as reader,
        FeatureFileWriter(order.path, backbone.feature_dim) as writer,
    ):
        with (
            prefetched(reader, depth=_batches_ahead(backbone)) as batches,
            computed_in_order(
                lambda batch: backbone.embed(batch.frames), batches, workers=calls
            ) as embedded,
        ):
            for batch, embedding in embedded:
                values = _as_float16(backbone, embedding, len(batch.pts))
                writer.append(values, batch.pts, batch.thumbnails)
                anything = anything or bool(values.any())
                done += len(batch.pts)
                if progress is not None:
                    hint = reader.expected_frames
                    progress(done, max(hint, done) if hint else None)
        if not anything:
            raise FeatureStoreError(
                f"The backbone {backbone.name} gives features that are all zero in 16 bits for "
                f"every frame of {order.video}; nothing can be learned from them. Its weights "
                "are damaged or were never trained."
            )
        if still_hash() != order.media_hash:
            raise VideoError(f"{order.video}: the file was replaced while it was read; try again")
        if reader.decoded_on_gpu and reader.damage:
            raise _DamageOnGpuError(f"{gpu} left out {reader.damage[0]}")
        writer.commit(_record(order, reader))
    if progress is not None:
        progress(done, done)


@contextmanager
def _warming_up(backbone: Backbone) -> Iterator[None]:
    """Build the network beside the block, in which the video is opened and its first frames are decoded."""
    with ThreadPoolExecutor(1, thread_name_prefix="warm-up") as pool:
        pool.submit(backbone.warm_up)  # what is wrong with it, `embed` tells
        yield


def _batches_ahead(backbone: Backbone) -> int:
    height, width = backbone.preprocessing.crop
    batch = 3 * height * width * backbone.batch_frames
    return max(_BATCHES_AHEAD, _BYTES_AHEAD // batch)


def _record(order: FeatureOrder, reader: VideoReader) -> FeatureRecord:
    return FeatureRecord(
        media_hash=order.media_hash,
        backbone_fingerprint=order.backbone.fingerprint,
        time_base=reader.info.time_base,
        duration=_duration(reader.info, reader.newest_pts),
        damage=tuple(reader.damage),
    )


def _as_float16(backbone: Backbone, values: NDArray[np.float32], count: int) -> NDArray[np.float16]:
    """The features (N, D) in 16 bits.

    Raises:
        FeatureStoreError: wrong shape, NaN, or a value that 16 bits cannot hold.
    """
    if values.shape != (count, backbone.feature_dim):
        raise FeatureStoreError(
            f"The backbone {backbone.name} gave features of shape {values.shape} for {count} "
            f"frames; ({count}, {backbone.feature_dim}) is needed"
        )
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if not np.isfinite(half).all():
        limit = float(np.finfo(np.float16).max)
        raise FeatureStoreError(
            f"The backbone {backbone.name} gives features that are not numbers or lie outside "
            f"±{limit:.0f}, so they cannot be stored in 16 bits; its weights are damaged"
        )
    return half


def _duration(info: VideoInfo, last_pts: Sequence[int]) -> Fraction:
    """Seconds: the container's, else the end of the last frame (as long as the one before it)."""
    if info.duration is not None:
        return info.duration
    end = last_pts[-1] * info.time_base
    if len(last_pts) == 2:
        return end + (last_pts[1] - last_pts[0]) * info.time_base
    return end + (1 / info.average_fps if info.average_fps else info.time_base)
