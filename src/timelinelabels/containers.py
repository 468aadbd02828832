"""Opening a video file: what is admitted, which stream is the video, and clear reasons if none is."""

from __future__ import annotations

import logging
import stat
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.codec.hwaccel import HWAccel
from av.stream import Disposition

from timelinelabels.errors import NoVideoStreamError, VideoError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

logger = logging.getLogger(__name__)

_DEMUXERS = (
    # Containers that hold video
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,asf,flv,live_flv,ogg,gif,mxf,"
    "nut,rm,dv,ivf,h264,hevc,m4v,obu,av1,mjpeg,yuv4mpegpipe,apng,webp_pipe,png_pipe,jpeg_pipe,"
    # Audio only: opened so that they get their own, clearer error
    "mp3,wav,w64,flac,aac,aiff,ac3,eac3,amr,caf,au,ape,wv,tta,dts,truehd"
)
"""The containers that are opened. FFmpeg knows 400, and some are not wanted: it renders any text
file as a video of its letters, and playlists (HLS, concat) make it open other files and URLs."""


_GPU_FORMATS = frozenset({"nv12", "p010le", "p016le", "yuv444p", "yuv444p10msble", "yuv444p16le"})


def check_is_file(path: Path) -> None:
    """Tell at once, and more clearly than FFmpeg, what cannot be a video; reads no content.

    Raises:
        VideoError: `path` is missing, a folder, a pipe or device (which could block), or empty.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise VideoError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise VideoError(f"{path}: the file cannot be reached: {error}") from error
    if stat.S_ISDIR(status.st_mode):
        raise VideoError(f"{path}: this is a folder, not a video file")
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(f"{path}: this is not a regular file")
    if status.st_size == 0:
        raise VideoError(f"{path}: the file is empty; its copy or download did not finish")


def open_container(path: Path) -> InputContainer:
    """Open a video (or audio) file; nothing but this one file is ever opened by FFmpeg.

    Raises:
        VideoError: it is not a file that can be a video, or its container cannot be opened.
    """
    check_is_file(path)
    try:
        return _opened(path, None)
    except av.ArgumentError as error:
        raise VideoError(
            f"{path}: this is not a video file of a kind that is read here (mp4, mov, webm, mkv, "
            "avi, mpeg, ts, gif, …)"
        ) from error
    except av.FFmpegError as error:
        raise VideoError(
            f"{path}: the file cannot be opened as a video ({error.strerror}); it is damaged, was "
            "cut off before its index was written, or is not a video"
        ) from error


def open_container_on_gpu(path: Path, device: str) -> InputContainer | None:
    """Open a video file whose frames a GPU decodes (FFmpeg's NVDEC); None where it cannot.

    A file that cannot be opened at all also gives None: `open_container` says what is wrong with it.

    Args:
        path: the file.
        device: as torch names it: "cuda" or "cuda:1".
    """
    check_is_file(path)
    _, _, index = device.partition(":")
    # Where the GPU's decoder does not know a codec or a profile, FFmpeg takes the processor's.
    gpu = HWAccel(device_type="cuda", device=index or "0", allow_software_fallback=True)
    try:
        return _opened(path, gpu)
    except (av.FFmpegError, RuntimeError) as error:
        logger.warning("%s is decoded by the processor: %s cannot (%s)", path, device, error)
        return None


def is_decoded_on_gpu(stream: VideoStream) -> bool:
    """Whether a GPU has a decoder for the stream's codec and was asked for it."""
    return stream.codec_context.is_hwaccel


def is_gpu_picture(frame: VideoFrame) -> bool:
    """Whether a picture has a format that a GPU's decoder gives; a processor's mostly gives others."""
    return frame.format.name in _GPU_FORMATS


def _opened(path: Path, gpu: HWAccel | None) -> InputContainer:
    container: InputContainer = av.open(
        # Absolute, so that no name can be taken for one of FFmpeg's protocols ("concat:…").
        str(path.absolute()),
        metadata_errors="replace",
        container_options={"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"},
        hwaccel=gpu,
    )
    return container


def video_stream(path: Path, container: InputContainer) -> VideoStream:
    """The stream that a player would show, ready to be decoded by one thread.

    Args:
        path: for messages.
        container: of the file.

    Raises:
        NoVideoStreamError: there is none; a cover picture or chapter thumbnails do not count.
        VideoError: FFmpeg was built without a decoder for it.
    """
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    moving = [stream for stream in container.streams.video if not stream.disposition & still]
    if not moving:
        others = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise NoVideoStreamError(
            f"{path}: the file has no video stream (it holds: {others}; a cover picture is not a "
            "video)"
        )
    best = container.streams.best("video")
    stream = next((stream for stream in moving if stream is best), moving[0])
    if stream.codec_context is None:
        raise VideoError(
            f"{path}: no decoder for its video stream is built in; convert it to H.264 mp4"
        )
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = 1
    return stream


def expected_end(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Where the header says that the video ends, seconds; None where only other streams may."""
    if stream.duration is not None and stream.time_base is not None:
        return ((stream.start_time or 0) + stream.duration) * stream.time_base
    if len(container.streams) == 1 and container.duration is not None:
        return Fraction(container.duration, av.time_base)
    return None
