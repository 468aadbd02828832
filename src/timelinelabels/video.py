"""Video files as batches of RGB frames, each frame with its raw PTS.

Times are the file's own: a frame's time is `pts * time_base` seconds, and the start time is never
subtracted, because that is what a browser shows (of a file that starts at 2 s it shows the first
frame until then). What is damaged is left out and named by its time; nothing after it shifts.

One pass, streaming: whatever the length of the video, a reader holds one batch of scaled frames
besides what the decoder itself needs. The pixel aspect ratio is ignored (pictures are taken as
stored, as OpenCV and Ultralytics take them); rotation and mirroring are applied.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import av
import numpy as np

from timelinelabels.containers import (
    expected_end,
    is_decoded_on_gpu,
    is_gpu_picture,
    open_container,
    open_container_on_gpu,
    video_stream,
)
from timelinelabels.errors import VideoError
from timelinelabels.frame_sampling import FrameSampling, with_need
from timelinelabels.pictures import BoxRule, Orientation, PictureConverter, SizeRule
from timelinelabels.thumbnails import CELLS, ThumbnailMaker
from timelinelabels.timestamps import DamagedSpan, StreamClock

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

__all__ = ["DamagedSpan", "FrameBatch", "VideoInfo", "VideoReader", "probe_video"]

_LONGEST_SIDE = 32768  # pixels; a strip of 4000×2 scaled to a short side of 224 needs 450 000
_READ_ATTEMPTS = 16  # consecutive failures to read on after which the rest is given up


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a video file is, as found in its header and its first decoded frame."""

    path: Path
    codec: str
    width: int
    """Pixels, as displayed: after rotation."""
    height: int
    """Pixels, as displayed: after rotation."""
    rotation: int
    """Degrees clockwise by which the stored picture is turned for display: 0, 90, 180 or 270."""
    time_base: Fraction
    """Seconds per PTS unit."""
    average_fps: Fraction | None
    duration: Fraction | None
    """Seconds, as the container says (None: it does not). Frames may go on after it."""
    frame_count_hint: int | None
    """For progress only: headers lie."""


@dataclass(frozen=True, kw_only=True)
class FrameBatch:
    """Consecutive frames."""

    frames: NDArray[np.uint8]
    """(N, H, W, 3) RGB."""
    pts: NDArray[np.int64]
    """(N,) raw PTS in `VideoInfo.time_base` units, strictly increasing over the whole video."""
    thumbnails: NDArray[np.uint8]
    """(N, CELLS) grey levels of the whole frames, made very small; see `thumbnails`."""


def probe_video(path: Path) -> VideoInfo:
    """Open `path`, decode its first frame, and say what it is.

    Raises:
        VideoError: the file is missing, empty, not a video, or nothing in it can be decoded.
        NoVideoStreamError: it holds audio only (cover art is not a video).
    """
    with VideoReader(path) as reader:
        return reader.info


class VideoReader:
    """Reads one video once, from beginning to end.

    ::

        with VideoReader(path, scaled_size=p.scaled_size, crop_box=p.crop_box) as reader:
            for batch in reader:
                ...  # batch.frames (N, H, W, 3), batch.pts (N,)
            print(reader.info, reader.damage)

    Args:
        path: the file.
        scaled_size: displayed (width, height) → size to scale to; None keeps the size.
        crop_box: scaled (width, height) → (left, top, right, bottom); None keeps everything.
        sample_fps: frames a second to give, see `frame_sampling`; None gives every frame.
        batch_size: frames per batch (the last one may hold fewer).
        decoder_threads: threads that decode; or, called with the width and height that the header tells
            before anything is decoded, gives them. It may wait.
        gpu: "cuda" or "cuda:1": what decodes, where it can; None: the processor.

    Raises:
        VideoError: on entering, if the file cannot be opened or nothing in it can be decoded.
        NoVideoStreamError: on entering, if there is no video stream.
    """

    info: VideoInfo
    """Known from entering on."""
    decoded_on_gpu: bool
    """Whether a GPU decodes what it can of this video; known from entering on."""

    def __init__(
        self,
        path: Path,
        *,
        scaled_size: SizeRule | None = None,
        crop_box: BoxRule | None = None,
        sample_fps: Fraction | None = None,
        batch_size: int = 8,
        decoder_threads: int | Callable[[int, int], int] = 1,
        gpu: str | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        self._path = Path(path)
        self._scaled_size = scaled_size
        self._crop_box = crop_box
        self._sample_fps = sample_fps
        self._sampling: FrameSampling | None = None  # from the first frame on
        self._batch_size = batch_size
        self._decoder_threads = decoder_threads
        self._gpu = gpu
        self._batches: Iterator[FrameBatch] | None = None

    def __enter__(self) -> Self:
        on_gpu = open_container_on_gpu(self._path, self._gpu) if self._gpu else None
        self._container = on_gpu or open_container(self._path)
        try:
            self._stream = video_stream(self._path, self._container)
            self._stream.codec_context.thread_count = self._threads(self._stream)
            self.decoded_on_gpu = on_gpu is not None and is_decoded_on_gpu(self._stream)
            if on_gpu is not None and not self.decoded_on_gpu:
                logger.warning(
                    "%s is decoded by the processor: %s has no decoder for %s",
                    self._path,
                    self._gpu,
                    self._stream.codec_context.name,
                )
            self._clock = StreamClock(self._path, self._stream)
            frames = self._decode()
            first = next(frames, None)
            if first is None:
                raise self._nothing_decoded()
            if self.decoded_on_gpu and not is_gpu_picture(first):
                # FFmpeg went over to the processor by itself: only in the codec's name was it a match.
                self.decoded_on_gpu = False
                logger.warning(
                    "%s is decoded by the processor: %s does not know this kind of %s (%s)",
                    self._path,
                    self._gpu,
                    self._stream.codec_context.name,
                    first.format.name,
                )
            orientation = Orientation.of(first)
            self.info = _describe(self._path, self._container, self._stream, first, orientation)
            converter = PictureConverter(
                first,
                orientation=orientation,
                scaled_size=self._scaled_size,
                crop_box=self._crop_box,
            )
            if max(converter.scaled_size) > _LONGEST_SIDE:
                raise VideoError(
                    f"{self._path}: its pictures of {self.info.width}×{self.info.height} pixels "
                    f"would have to be scaled to {'×'.join(map(str, converter.scaled_size))}; "
                    "so elongated a video cannot be used"
                )
            self._batches = self._batched(first, frames, converter, ThumbnailMaker(orientation))
        except BaseException:
            self._container.close()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[FrameBatch]:
        """The batches; once, and only inside the `with` block."""
        if self._batches is None:
            raise RuntimeError("a VideoReader is read once, inside its with block; open another")
        batches, self._batches = self._batches, None
        return batches

    @property
    def damage(self) -> list[DamagedSpan]:
        """The damaged stretches met so far; complete once the iteration has ended."""
        return list(self._clock.spans)

    @property
    def newest_pts(self) -> tuple[int, ...]:
        """PTS of the last two frames met so far, whether they are given or not; ascending."""
        return self._clock.newest

    @property
    def expected_frames(self) -> int | None:
        """About how many frames will be given, for progress only; None: the file does not say."""
        hint, info = self.info.frame_count_hint, self.info
        if hint is None or self._sample_fps is None:
            return hint
        seconds = info.duration or (hint / info.average_fps if info.average_fps else None)
        return hint if seconds is None else min(hint, max(1, round(seconds * self._sample_fps)))

    def _threads(self, stream: VideoStream) -> int:
        if isinstance(self._decoder_threads, int):
            return self._decoder_threads
        return self._decoder_threads(stream.width, stream.height)

    def _takes(self, pts: int) -> bool:
        """Whether to give the frame that was just decoded; the first one begins the sampling."""
        if self._sample_fps is None:
            return True
        if self._sampling is None:
            self._sampling = FrameSampling(
                self._sample_fps, time_base=self.info.time_base, first=pts
            )
        return self._sampling.takes(pts)

    def _batched(
        self,
        first: VideoFrame,
        rest: Iterator[VideoFrame],
        converter: PictureConverter,
        miniature: ThumbnailMaker,
    ) -> Iterator[FrameBatch]:
        width, height = converter.size
        frame: VideoFrame | None = first
        stamps: list[int] = []
        pictures = np.empty((self._batch_size, height, width, 3), np.uint8)
        thumbnails = np.empty((self._batch_size, CELLS), np.uint8)
        delivered = False
        while frame is not None:
            pts = self._clock.stamp(frame)
            if pts is not None and self._takes(pts):
                try:
                    converter.convert(frame, into=pictures[len(stamps)])
                    thumbnails[len(stamps)] = miniature.make(frame)
                except av.FFmpegError as error:  # a pixel format that cannot become RGB
                    self._clock.unusable(pts, error)
                else:
                    stamps.append(pts)
            frame = next(rest, None)
            if stamps and (len(stamps) == self._batch_size or frame is None):
                delivered = True
                yield FrameBatch(
                    frames=pictures[: len(stamps)],
                    pts=np.array(stamps, np.int64),
                    thumbnails=thumbnails[: len(stamps)],
                )
                stamps, pictures = [], np.empty_like(pictures)
                thumbnails = np.empty_like(thumbnails)
        self._clock.finish(expected_end=expected_end(self._container, self._stream))
        if not delivered:
            raise self._nothing_decoded()

    def _decode(self) -> Iterator[VideoFrame]:
        """Every frame that can be had, in the order of display."""
        yield from self._decode_once(self._container, self._stream)
        if self._clock.awaits_frames:
            # FFmpeg decodes several frames at a time, and where an error meets the end of the
            # stream it also gives up the good ones in its hands. Fetch those one by one.
            with open_container(self._path) as container:
                stream = video_stream(self._path, container)
                stream.thread_type = "SLICE"
                last = self._clock.last
                if last is not None:
                    try:
                        container.seek(last, stream=stream)
                    except av.FFmpegError as error:
                        self._clock.failed(None, error)
                        return
                yield from self._decode_once(container, stream, after=last)

    def _decode_once(
        self, container: InputContainer, stream: VideoStream, *, after: int | None = None
    ) -> Iterator[VideoFrame]:
        """The frames whose PTS is greater than `after`; what gives an error is passed over."""
        for packet in self._wanted_packets(container, stream):
            try:
                frames = stream.decode(packet)
            except av.EOFError:
                return
            except av.FFmpegError as error:
                self._clock.failed(packet, error)
                continue
            for frame in frames:
                if after is None or (frame.pts is not None and frame.pts > after):
                    yield frame

    def _wanted_packets(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[Packet[VideoStream]]:
        """The packets to decode now, the decoder told how much of each is wanted, the clock told of it."""
        packets = self._packets(container, stream)
        for packet in packets:
            self._clock.sent(packet)
            yield packet
            if self._sampling is not None and self._clock.frames_are_stamped:
                break
        else:
            return
        decoder, alone = stream.codec_context, stream.codec_context.codec.intra_only
        for packet, needed in with_need(packets, self._sampling):
            if needed:
                decoder.skip_frame = "DEFAULT"
                self._clock.sent(packet)
                yield packet
            else:
                self._clock.passed_over(packet)
                decoder.skip_frame = "NONREF"
                if not alone:
                    yield packet

    def _packets(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[Packet[VideoStream]]:
        """The stream's packets and, last, the empty one that flushes the decoder."""
        failures = 0
        while True:
            try:
                for packet in container.demux(stream):
                    failures = 0
                    yield packet
                return
            except av.FFmpegError as error:
                # Some containers find their way again after damage: ask for what follows.
                self._clock.failed(None, error)
                failures += 1
                if failures == _READ_ATTEMPTS:
                    break
        yield av.Packet()

    def _nothing_decoded(self) -> VideoError:
        return VideoError(
            f"{self._path}: not one frame could be decoded "
            f"({self._clock.last_error or 'the video stream is empty'}); the file is damaged or "
            "incomplete: copy, download or export it again"
        )


def _describe(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    first: VideoFrame,
    orientation: Orientation,
) -> VideoInfo:
    width, height = orientation.displayed_size(first.width, first.height)
    fps = stream.average_rate or None
    duration = (
        Fraction(container.duration, av.time_base)
        if container.duration is not None and container.duration > 0
        else None
    )
    estimate = round(duration * fps) if duration is not None and fps is not None else 0
    assert stream.time_base is not None
    return VideoInfo(
        path=path,
        codec=stream.codec_context.codec.canonical_name,
        width=width,
        height=height,
        rotation=orientation.rotation,
        time_base=stream.time_base,
        average_fps=fps,
        duration=duration,
        frame_count_hint=stream.frames or estimate or None,
    )
