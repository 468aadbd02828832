"""The container of a PyTorch checkpoint: a zip whose members are a pickle and tensors' bytes.

torch.save (since PyTorch 1.6) writes `<name>/data.pkl`, `<name>/data/<key>` for each storage and a
few notes such as `<name>/byteorder`, all of them uncompressed. Nothing else is accepted, so that a
small file cannot unfold into a large one.
"""

from __future__ import annotations

import io
import os
import re
import stat
import zipfile
from pathlib import Path
from types import TracebackType
from typing import Self

from timelinelabels.errors import (
    CheckpointError,
    NotAClassificationCheckpointError,
    WeightsNotFoundError,
)

MAX_PICKLE_BYTES = 8 * 2**20  # that of YOLOv8n-cls has 45 kB, that of YOLO12x 0.4 MB
_MAX_READ = 4 * 2**20  # 90,000 members; a real checkpoint has under 3,000
_CHUNK = 2**20
_READINGS = 4  # how many times its own size may be read from a file
_LEGACY_MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"  # opens torch.save's format before 1.6


class CheckpointArchive:
    """One open checkpoint file; a context manager. Messages leave it to the caller to name the file.

    Raises:
        WeightsNotFoundError: on entering, if there is no such file.
        NotAClassificationCheckpointError: on entering, if it is not a zip that torch.save wrote.
        CheckpointError: on entering, if it is cut off or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        try:
            self._file = _open(self._path)
            self._bytes_left = _READINGS * os.fstat(self._file.fileno()).st_size
            try:
                self._zip = zipfile.ZipFile(self._file)
                self._pickle_name = self._find_pickle()
            except BaseException:
                self._file.close()
                raise
        except FileNotFoundError:
            raise WeightsNotFoundError("there is no such file") from None
        except OSError as error:
            raise CheckpointError(f"the file cannot be read: {error}") from error
        except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, ValueError) as error:
            raise _not_a_zip(self._path, error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._zip.close()
        self._file.close()

    def read_pickle(self) -> bytes:
        """The bytes of `data.pkl`.

        Raises:
            CheckpointError: they are damaged, or more than any real checkpoint has.
        """
        size = self._member(self._pickle_name).file_size
        if size > MAX_PICKLE_BYTES:
            raise CheckpointError(
                f"its data.pkl has {size:,} bytes; no YOLO checkpoint has more than {MAX_PICKLE_BYTES:,}"
            )
        return self._read(self._pickle_name)

    def storage_size(self, key: str) -> int | None:
        """Bytes of the storage `key`; None if there is none."""
        name = self._storage_name(key)
        return self._member(name).file_size if name in self._zip.NameToInfo else None

    def read_storage(self, key: str) -> bytes:
        """The bytes of the storage `key`.

        Raises:
            CheckpointError: they are damaged.
        """
        return self._read(self._storage_name(key))

    def _find_pickle(self) -> str:
        names = set(self._zip.namelist())
        prefixes = {name.split("/", 1)[0] for name in names if name.count("/") == 1}
        pickles = [f"{prefix}/data.pkl" for prefix in prefixes if f"{prefix}/data.pkl" in names]
        if any(name.endswith("/constants.pkl") for name in names):
            raise NotAClassificationCheckpointError(
                "this is a TorchScript program (an export), not a checkpoint. Use the .pt "
                "file that it was exported from."
            )
        if len(pickles) != 1:
            raise NotAClassificationCheckpointError(
                "this is a zip archive that torch.save did not write (it has "
                f"{len(pickles)} data.pkl). An Ultralytics classification checkpoint (*-cls.pt) is "
                "needed."
            )
        order = pickles[0].removesuffix("data.pkl") + "byteorder"
        if order in names and self._read(order).strip() != b"little":
            raise CheckpointError("its numbers are not in little-endian byte order")
        return pickles[0]

    def _storage_name(self, key: str) -> str:
        if not re.fullmatch(r"[0-9]{1,9}", key):
            raise CheckpointError(f"{key[:80]!r} is not the name of a tensor's storage")
        return self._pickle_name.removesuffix("data.pkl") + "data/" + key

    def _member(self, name: str) -> zipfile.ZipInfo:
        member = self._zip.getinfo(name)
        stored = member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & 1
        if not stored or member.file_size != member.compress_size:
            raise CheckpointError(
                f"{name} is compressed or encrypted in it. torch.save stores members as "
                "they are; save the checkpoint again instead of packing it."
            )
        return member

    def _read(self, name: str) -> bytes:
        member = self._member(name)
        # Tensors may share a storage; many that share a huge one would be read for hours.
        self._bytes_left -= member.file_size
        if self._bytes_left < 0:
            raise CheckpointError(f"its members overlap: with {name} they are larger than the file")
        content = bytearray()
        try:
            with self._zip.open(member) as stream:  # checks the CRC when it reaches the end
                while chunk := stream.read(_CHUNK):
                    content += chunk
        except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError) as error:
            raise CheckpointError(
                f"{name} in it is damaged ({error}); copy or download the file again"
            ) from error
        if len(content) != member.file_size:
            raise CheckpointError(f"{name} in it is cut off; copy or download the file again")
        return bytes(content)


class BarePickleError(NotAClassificationCheckpointError):
    """The file is a pickle without a container, which torch.save has not written since 1.6."""


class _BoundedFile(io.FileIO):
    """A file that refuses huge single reads: zipfile reads a member list of any length at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_READ:
            raise zipfile.BadZipFile(f"its list of members has {size:,} bytes")
        return super().read(size) or b""


def _open(path: Path) -> _BoundedFile:
    # Not blocking, so that a named pipe is noticed instead of waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CheckpointError("this is not a file (but a folder, a pipe or a device)")
    return _BoundedFile(descriptor)


def _not_a_zip(path: Path, error: Exception) -> CheckpointError:
    """What the file is instead, as far as its first bytes tell."""
    with path.open("rb") as file:
        head = file.read(512)
    needed = "An Ultralytics classification checkpoint (*-cls.pt) is needed."
    if not head:
        return CheckpointError("the file is empty; its copy or download did not finish")
    if head.startswith(b"PK"):
        return CheckpointError(
            f"the file is cut off or damaged ({error}); copy or download it again"
        )
    if head.startswith(b"version https://git-lfs"):
        return NotAClassificationCheckpointError(
            "this is a Git LFS pointer, not the file itself; run `git lfs pull`"
        )
    if _LEGACY_MAGIC in head:
        return BarePickleError(
            "this is PyTorch's format before 1.6, which is not read. Load it where you trust "
            f"it, and save it again with a current torch.save. {needed}"
        )
    if head.startswith(b"\x80"):
        return BarePickleError(
            f"this is a bare pickle, not a checkpoint that torch.save wrote. {needed}"
        )
    return NotAClassificationCheckpointError(f"this is not a PyTorch checkpoint. {needed}")
