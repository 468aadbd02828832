"""Which frames of a video are looked at, where fewer are wanted than there are.

Time is cut into slots of 1/rate seconds, the first one beginning with the first frame; of each slot the
first frame is taken. So every frame lies less than 1/rate seconds after one that is taken, whatever the
frame rate does (a slot without frames, where the picture stands still, gives none), and a rate above the
file's own takes every frame. A slot begins a little early: containers round stamps (Matroska to whole
milliseconds), and a frame that belongs to a slot must not fall into the one before it.

What is not taken need not be scaled, and much of it need not even be decoded: frames that no other frame
refers to (B-frames of H.264 and H.265, mostly), and in codecs where no frame refers to another (MJPEG,
ProRes), all. Decoders that cannot leave out frames (VP9, AV1) decode them, and so are all frames of an
AVI, whose stamps tell the order of decoding only; nothing else changes. Where the frame that a slot would
give is damaged, the others of that slot may not have been decoded: the slot then gives none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

SAMPLING_VERSION = "1"
"""Part of the key of sampled features: changes when other frames are chosen."""

_ROUNDING = Fraction(1, 1000)  # seconds: two stamps, each half a millisecond off
_LOOKED_BACK = 64
"""Packets: those of a slot and those that the order of decoding puts between them; what is missed is
decoded for nothing."""


class FrameSampling:
    """Chooses frames of one video by their PTS.

    Args:
        rate: frames a second, above 0.
        time_base: seconds per PTS unit.
        first: PTS of the video's first frame.
    """

    def __init__(self, rate: Fraction, *, time_base: Fraction, first: int) -> None:
        self._first = first
        # slot = floor((pts - first + early) * time_base * rate), in whole numbers
        self._per_unit = time_base * rate
        early = min(time_base, _ROUNDING) / time_base
        self._early = early.numerator
        self._early_units = early.denominator
        self._taken: int | None = None

    def slot(self, pts: int) -> int:
        """The number of the slot that a frame lies in."""
        units = (pts - self._first) * self._early_units + self._early
        per_unit = self._per_unit
        return units * per_unit.numerator // (self._early_units * per_unit.denominator)

    def takes(self, pts: int) -> bool:
        """Whether this frame is wanted; asked once for each frame, in the order of display."""
        slot = self.slot(pts)
        if slot == self._taken:
            return False
        self._taken = slot
        return True


def with_need(
    packets: Iterator[Packet[VideoStream]], sampling: FrameSampling
) -> Iterator[tuple[Packet[VideoStream], bool]]:
    """Packets in the order of decoding, and whether the frame of each may be wanted for itself.

    It is not where another packet's frame comes before it in its slot. Whatever the order of packets,
    no frame is lost by that; and frames that nothing refers to, which alone can be left out, come after
    those that they refer to and nearly always in the order of display, so looking back is enough.
    """
    near: deque[tuple[int, int]] = deque(maxlen=_LOOKED_BACK)  # PTS and slots
    for packet in packets:
        if packet.pts is None or packet.is_discard:
            yield packet, True
            continue
        slot = sampling.slot(packet.pts)
        yield packet, not any(other == slot and pts < packet.pts for pts, other in near)
        near.append((packet.pts, slot))
