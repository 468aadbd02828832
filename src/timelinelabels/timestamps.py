"""The time axis of one video while it is decoded: raw, strictly increasing PTS, and what is missing.

What may be wrong with the stamps of a stream, and what is done about it:

- A container that stamps packets in decoding order only (AVI): the frames, which come in the order of
  display, take the packets' stamps in ascending order.
- No stamps at all (raw H.264): frames are counted from the stream's start at its nominal rate; a
  packet that cannot be decoded counts as a frame.
- A single frame without one: the previous stamp plus a frame's length.
- A stamp that repeats or runs backwards: the frame is left out (its moment has a frame already).
- A packet that gives an error: the stretch from its own stamp to the next good frame is damaged.
  Decoders answer late (threads, reordering), so the packets whose frame never came are looked up by
  stamp instead of trusting the moment at which the error was reported.
"""

from __future__ import annotations

import bisect
import logging
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from timelinelabels.errors import VideoError

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

logger = logging.getLogger(__name__)

_LOGGED_SPANS = 20  # a badly damaged file must not fill the disk with its log
_MOST_SPANS = 200  # nor the feature file with its spans: from here on the last one grows
_NEAR = 1.0  # seconds; stretches of one kind that lie nearer than this are told as one
_SHORTFALL = Fraction(1, 4)  # seconds missing at the end from which a file counts as cut off

REPAIRED = "the decoder repaired damaged pictures"
BACKWARDS = "time stamps repeat or run backwards; these frames are left out"
CUT_OFF = "the file ends before the video does"


@dataclass(frozen=True, kw_only=True)
class DamagedSpan:
    """A stretch [start, end) of a video whose frames are missing or not to be trusted."""

    start: float | None
    """Seconds; None: from the beginning."""
    end: float | None
    """Seconds; None: to the end."""
    reason: str

    def __str__(self) -> str:
        start = "the start" if self.start is None else f"{self.start:.3f} s"
        end = "the end" if self.end is None else f"{self.end:.3f} s"
        return f"{start} to {end}: {self.reason}"


class StreamClock:
    """Gives each decoded frame its PTS and keeps the account of damaged stretches.

    Args:
        path: the file, for messages.
        stream: the video stream that is decoded.
    """

    def __init__(self, path: Path, stream: VideoStream) -> None:
        self.spans: list[DamagedSpan] = []
        self.last_error: str | None = None
        self._path = path
        assert stream.time_base is not None
        self._time_base = stream.time_base
        rate = stream.guessed_rate or stream.average_rate
        self._frame_length = None if not rate else 1 / (rate * self._time_base)  # in PTS units
        self._start = stream.start_time or 0
        # None: the first frame tells. FFmpeg fills an AVI's missing stamps with guesses.
        self._decoding_order = stream.container.format.name == "avi"
        self._stamped: bool | None = False if self._decoding_order else None
        self._unused: list[int] = []  # ascending: stamps in decoding order that no frame has yet
        self._count = 0  # frames that should have come so far; the clock of unstamped streams
        self._waiting: set[int] = set()  # stamps of packets whose frame has not come yet
        self._failed_at: int | None = None  # stamp of the newest packet that gave an error
        self._failed = False
        self.last: int | None = None
        """PTS of the newest frame that was let through."""
        self.newest: tuple[int, ...] = ()
        """PTS of the last two frames, ascending; frames that were passed over count."""
        self._damaged_from: tuple[int, str] | None = None

    @property
    def awaits_frames(self) -> bool:
        """Whether packets were sent after the newest frame's whose own frames never came."""
        return self._stamped is not False and any(map(self._is_new, self._waiting))

    @property
    def frames_are_stamped(self) -> bool:
        """Whether each frame carries its own PTS, so that frames may be left out undecoded."""
        return bool(self._stamped)

    def sent(self, packet: Packet[VideoStream]) -> None:
        """`packet` is about to be decoded."""
        if self._decoding_order and packet.dts is not None:
            bisect.insort(self._unused, packet.dts)
        elif packet.pts is not None and not packet.is_discard and self._is_new(packet.pts):
            self._waiting.add(packet.pts)

    def passed_over(self, packet: Packet[VideoStream]) -> None:
        """The frame of `packet` is not wanted and may be left undecoded."""
        if packet.pts is not None:
            self._note(packet.pts)

    def failed(self, packet: Packet[VideoStream] | None, error: Exception) -> None:
        """`packet` (None: the end of the stream) gave `error`; it is skipped."""
        at = None if packet is None else packet.pts
        if self._stamped and at is not None and not self._is_new(at):
            return  # met again: what follows the last frame is decoded a second time
        self.last_error = _plain(error)
        self._failed, self._failed_at = True, at
        if packet is not None and packet.dts in self._unused:
            self._unused.remove(packet.dts)
        if self._stamped is False:
            after = self._start if self.last is None else self.last + 1
            self._begin_damage(after, self._undecodable())
        self._count += 1

    def stamp(self, frame: VideoFrame) -> int | None:
        """The PTS of `frame` in stream units, or None if the frame must be left out.

        Raises:
            VideoError: the stream carries neither time stamps nor a frame rate.
        """
        if self._stamped is None:
            self._stamped = frame.pts is not None
        pts = self._pts_of(frame)
        self._count += 1
        if self.last is not None and pts <= self.last:
            self._begin_damage(self.last, BACKWARDS)
            return None
        if self._failed and self._stamped:
            lost = [stamp for stamp in self._waiting if stamp < pts]
            if lost:
                self._begin_damage(min(lost), self._undecodable())
            if lost or (self._failed_at is not None and self._failed_at < pts):
                self._failed = False
        self._waiting = {stamp for stamp in self._waiting if stamp > pts}
        if frame.is_corrupt:
            self._begin_damage(pts, REPAIRED)
        else:
            self._end_damage(pts)
        self.last = pts
        self._note(pts)
        return pts

    def unusable(self, pts: int, error: Exception) -> None:
        """The frame stamped `pts` was decoded and cannot be used because of `error`."""
        self.last_error = _plain(error)
        self._begin_damage(pts, f"the picture cannot be converted to RGB ({self.last_error})")

    def finish(self, *, expected_end: Fraction | None) -> None:
        """The stream has ended; `expected_end` is where its header says so (seconds)."""
        if self._failed and self.awaits_frames:
            self._begin_damage(min(filter(self._is_new, self._waiting)), self._undecodable())
        if self.last is not None and self._damaged_from is None and expected_end is not None:
            reached = self.newest[-1] + round(self._frame_length or 0)
            if expected_end - reached * self._time_base > _SHORTFALL:
                self._begin_damage(reached, CUT_OFF)
        self._end_damage(None)
        for span in self.spans[:_LOGGED_SPANS]:
            logger.warning("%s is damaged: %s", self._path, span)
        if len(self.spans) > _LOGGED_SPANS:
            logger.warning("%s: %d damaged stretches in all", self._path, len(self.spans))

    def _pts_of(self, frame: VideoFrame) -> int:
        if self._stamped and frame.pts is not None:
            return frame.pts
        if self._unused:
            return self._unused.pop(0)
        if self._frame_length is None:
            raise VideoError(
                f"{self._path}: its frames carry no time stamps and the stream no frame rate, so "
                "their times cannot be known; convert it to mp4 or webm"
            )
        if self.last is not None and (self._stamped or self._decoding_order):
            return self.last + max(1, round(self._frame_length))
        return self._counted(self._count)

    def _counted(self, index: int) -> int:
        assert self._frame_length is not None
        return self._start + round(index * self._frame_length)

    def _note(self, pts: int) -> None:
        self.newest = tuple(sorted({*self.newest, pts})[-2:])

    def _is_new(self, stamp: int) -> bool:
        return self.last is None or stamp > self.last

    def _seconds(self, pts: int) -> float:
        return float(pts * self._time_base)

    def _undecodable(self) -> str:
        return f"packets that cannot be decoded ({self.last_error})"

    def _begin_damage(self, pts: int, reason: str) -> None:
        if self._damaged_from is not None and self._damaged_from[1] == REPAIRED != reason:
            self._end_damage(pts)  # from here on it is worse than repaired
        if self._damaged_from is None:
            self._damaged_from = (pts, reason)

    def _end_damage(self, pts: int | None) -> None:
        if self._damaged_from is None:
            return
        start, reason = self._seconds(self._damaged_from[0]), self._damaged_from[1]
        end = None if pts is None else self._seconds(pts)
        self._damaged_from = None
        last = self.spans[-1] if self.spans else None
        if last and last.reason == reason and last.end is not None and start - last.end < _NEAR:
            self.spans[-1] = replace(last, end=end)
        elif last and len(self.spans) == _MOST_SPANS:
            self.spans[-1] = replace(last, end=end, reason="many damaged stretches")
        else:
            self.spans.append(DamagedSpan(start=start, end=end, reason=reason))


def _plain(error: Exception) -> str:
    """FFmpeg's own words, without its error number."""
    return str(getattr(error, "strerror", None) or error)
