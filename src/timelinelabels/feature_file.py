"""One video's features as a safetensors file: written row by row, read by memory mapping.

Layout (https://github.com/huggingface/safetensors#format): the header's length, the header (JSON,
padded with spaces to a fixed size so that it can be written last), then four tensors:

==========  ====  ==========  ======================================
features    F16   (T, D)      one row a frame
pts         I64   (T,)        raw PTS, in units of `time_base`
thumbnails  U8    (T, CELLS)  grey levels of the whole frame, tiny
damage      U8    (n,)        JSON list of damaged spans
==========  ====  ==========  ======================================

A file appears under its name only when it is complete and on the disk. One CRC-32 covers the
tensors and everything that the header says, so that a bit that flips later is noticed as well:
checking 90 000 frames of 1280 dimensions (an hour at 25 fps; 240 MB) takes about 0.2 s once they
are in memory.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import zlib
from dataclasses import asdict, dataclass
from fractions import Fraction
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from timelinelabels.feature_folder import PARTIAL_SUFFIX, cache_folder_errors
from timelinelabels.thumbnails import CELLS
from timelinelabels.timestamps import DamagedSpan

FORMAT_VERSION = "2"

_HEADER_BYTES = 1024  # with its length; from 32 frames on a file stays under 2.7 kB a frame
_CRC_KEY = "crc32"
_READ_AT_ONCE = 1 << 20  # bytes


class DamagedFeatureFileError(Exception):
    """A feature file is not what was written; its message says how that shows."""


@dataclass(frozen=True, kw_only=True)
class FeatureArrays:
    """What a feature file holds for each of its T frames."""

    features: NDArray[np.float16]
    """(T, D), memory-mapped."""
    pts: NDArray[np.int64]
    """(T,) raw PTS."""
    thumbnails: NDArray[np.uint8]
    """(T, CELLS) grey levels, memory-mapped."""


@dataclass(frozen=True, kw_only=True)
class FeatureRecord:
    """What a feature file says about its features."""

    media_hash: str
    """SHA-256 of the video's content, hex."""
    backbone_fingerprint: str
    time_base: Fraction
    """Seconds per PTS unit."""
    duration: Fraction
    """Seconds."""
    damage: tuple[DamagedSpan, ...]


class FeatureFileWriter:
    """Writes one feature file; a context manager that leaves nothing behind unless committed.

    Args:
        path: where the finished file is to be.
        dim: D.

    Raises:
        FeatureStoreError: the folder cannot be written (from every method).
    """

    def __init__(self, path: Path, dim: int) -> None:
        self._path = path
        self._dim = dim
        # What follows the features in the file waits for them, as bytes in one piece each: thousands
        # of small arrays among the decoder's and the network's large ones would leave the heap full
        # of holes, 2 kB a frame.
        self._pts = bytearray()
        self._thumbnails = bytearray()
        self._crc = 0
        self._bytes = 0

    def __enter__(self) -> Self:
        with cache_folder_errors(self._path.parent):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._partial = self._path.with_suffix(f".{secrets.token_hex(4)}{PARTIAL_SUFFIX}")
            self._file = self._partial.open("xb")
            self._file.seek(_HEADER_BYTES)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._file.closed:
            # Closing flushes, and on a full disk that fails again: the descriptor is gone anyway,
            # and the error that led here is the one to tell.
            try:
                self._file.close()
            except OSError:
                if exc is None:
                    raise
        self._partial.unlink(missing_ok=True)

    def append(
        self,
        values: NDArray[np.float16],
        pts: NDArray[np.int64],
        thumbnails: NDArray[np.uint8],
    ) -> None:
        """Add the features (N, D) of the next N frames, their PTS (N,) and thumbnails (N, CELLS)."""
        assert values.shape == (len(pts), self._dim)
        assert thumbnails.shape == (len(pts), CELLS)
        self._write(values.astype("<f2", copy=False).tobytes())
        self._pts += pts.astype("<i8", copy=False).tobytes()
        self._thumbnails += thumbnails.tobytes()

    def commit(self, record: FeatureRecord) -> None:
        """Make the file whole, put it on the disk, and give it its name, in one step."""
        count = len(self._pts) // np.dtype("<i8").itemsize
        features_end = self._bytes
        self._write(self._pts)
        pts_end = self._bytes
        self._write(self._thumbnails)
        thumbnails_end = self._bytes
        self._write(json.dumps([asdict(span) for span in record.damage]).encode())
        header: dict[str, Any] = {
            "__metadata__": {
                "format": FORMAT_VERSION,
                "media_hash": record.media_hash,
                "backbone_fingerprint": record.backbone_fingerprint,
                "time_base": str(record.time_base),
                "duration": str(record.duration),
            },
            "features": _tensor("F16", [count, self._dim], 0, features_end),
            "pts": _tensor("I64", [count], features_end, pts_end),
            "thumbnails": _tensor("U8", [count, CELLS], pts_end, thumbnails_end),
            "damage": _tensor("U8", [self._bytes - thumbnails_end], thumbnails_end, self._bytes),
        }
        header["__metadata__"][_CRC_KEY] = f"{zlib.crc32(_canonical(header), self._crc):08x}"
        text = json.dumps(header, separators=(",", ":")).encode()
        room = _HEADER_BYTES - 8
        assert len(text) <= room
        with cache_folder_errors(self._path.parent):
            self._file.seek(0)
            self._file.write(room.to_bytes(8, "little") + text.ljust(room))
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.replace(self._path)
            _sync_folder(self._path.parent)

    def _write(self, data: bytes | bytearray) -> None:
        with cache_folder_errors(self._path.parent):
            self._file.write(data)
        self._crc = zlib.crc32(data, self._crc)
        self._bytes += len(data)


def read_feature_file(path: Path) -> tuple[FeatureArrays, FeatureRecord]:
    """What a feature file holds, and what it says about it.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFeatureFileError: the file is cut off, altered, or not a feature file.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= _HEADER_BYTES:
            raise DamagedFeatureFileError(f"it is cut off after {size} bytes")
        head = file.read(_HEADER_BYTES)
        checksum = _checksum(file)
        data = np.memmap(file, dtype=np.uint8, mode="r", offset=_HEADER_BYTES)
    if int.from_bytes(head[:8], "little") != _HEADER_BYTES - 8:
        raise DamagedFeatureFileError("it does not begin like a feature file")
    try:
        header = json.loads(head[8:])
        expected = header["__metadata__"].pop(_CRC_KEY)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedFeatureFileError(f"its header cannot be read: {error}") from error
    if f"{zlib.crc32(_canonical(header), checksum):08x}" != expected:
        raise DamagedFeatureFileError("its checksum does not fit its content")
    # From here on the header is what commit() wrote.
    metadata = header["__metadata__"]
    if metadata["format"] != FORMAT_VERSION:
        raise DamagedFeatureFileError(f"its format is {metadata['format']}, not {FORMAT_VERSION}")
    values = _slice(data, header["features"]).view("<f2").reshape(header["features"]["shape"])
    pts = np.frombuffer(_slice(data, header["pts"]).tobytes(), "<i8")
    thumbnails = _slice(data, header["thumbnails"]).reshape(header["thumbnails"]["shape"])
    damage = json.loads(_slice(data, header["damage"]).tobytes())
    record = FeatureRecord(
        media_hash=metadata["media_hash"],
        backbone_fingerprint=metadata["backbone_fingerprint"],
        time_base=Fraction(metadata["time_base"]),
        duration=Fraction(metadata["duration"]),
        damage=tuple(DamagedSpan(**span) for span in damage),
    )
    return FeatureArrays(features=values, pts=pts, thumbnails=thumbnails), record


def _checksum(file: BufferedReader) -> int:
    """Of the rest of a file. Read, not mapped: every page that a mapping shows counts as memory in use."""
    checksum, part = 0, memoryview(bytearray(_READ_AT_ONCE))
    while count := file.readinto(part):
        checksum = zlib.crc32(part[:count], checksum)
    return checksum


def _tensor(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    assert math.prod(shape) * {"F16": 2, "I64": 8, "U8": 1}[dtype] == end - begin
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def _slice(data: NDArray[np.uint8], tensor: dict[str, Any]) -> NDArray[np.uint8]:
    begin, end = tensor["data_offsets"]
    return data[begin:end]


def _canonical(header: dict[str, Any]) -> bytes:
    """The header without its checksum, as bytes that depend on nothing but its content."""
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode()


def _sync_folder(folder: Path) -> None:
    """Put the folder's own list of names on the disk, or a power cut forgets the new file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
