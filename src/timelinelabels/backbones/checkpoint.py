"""Reading a PyTorch checkpoint without calling anything that it names.

`torch.load` is not used, not even with `weights_only=True`: with Ultralytics' classes allowed, a
pickle that calls `ClassificationModel` with a hostile `activation` reaches `eval` inside
Ultralytics. Here every class stays a name and every object a `Record` (`pickle_records.py`), and a
tensor is a `StoredTensor`: a checked description of bytes in the file, read when it is wanted.

Which names a checkpoint may hold at all is decided in `admitted_names.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from timelinelabels.backbones.admitted_names import STORAGES, admit, admit_call
from timelinelabels.backbones.archive import MAX_PICKLE_BYTES, BarePickleError, CheckpointArchive
from timelinelabels.backbones.pickle_records import Name, Policy, describe, read_pickle
from timelinelabels.errors import (
    CheckpointError,
    NotAClassificationCheckpointError,
    UnsafeCheckpointError,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BFLOAT16 = "BFloat16Storage"


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """A tensor in the file: where its numbers lie, checked to be inside its storage."""

    key: str
    item_type: str
    bfloat16: bool
    # All three in items, not bytes.
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def is_floating(self) -> bool:
        """Whether it holds real numbers (not counters)."""
        return self.bfloat16 or np.dtype(self.item_type).kind == "f"

    def read(self, archive: CheckpointArchive) -> NDArray[Any]:
        """Its numbers: float32 if they are real numbers, else as stored; an array of its own."""
        items = np.frombuffer(archive.read_storage(self.key), dtype=self.item_type)
        if self.bfloat16:
            items = (items.astype(np.uint32) << 16).view(np.float32)
        view = np.lib.stride_tricks.as_strided(
            items[self.offset :],
            shape=self.shape,
            strides=[stride * items.itemsize for stride in self.strides],
            writeable=False,
        )
        return np.array(view, dtype=np.float32 if self.is_floating else items.dtype, order="C")


@contextmanager
def open_checkpoint(path: Path) -> Iterator[CheckpointArchive]:
    """Open a checkpoint; every CheckpointError raised inside then names the file.

    Raises:
        WeightsNotFoundError: there is no such file.
        UnsafeCheckpointError: it is a bare pickle that asks for something hostile.
        NotAClassificationCheckpointError: it is something else than a checkpoint.
        CheckpointError: it is cut off or damaged.
    """
    try:
        with CheckpointArchive(path) as archive:
            yield archive
    except BarePickleError as error:
        with path.open("rb") as file:
            hostile = _refusal(file.read(MAX_PICKLE_BYTES))
        kind = UnsafeCheckpointError if hostile else NotAClassificationCheckpointError
        raise kind(f"{path}: {hostile or error}") from error
    except CheckpointError as error:
        raise type(error)(f"{path}: {error}") from error


def read_checkpoint(archive: CheckpointArchive) -> Any:
    """What a checkpoint holds, as plain containers, scalars, `Record`s and `StoredTensor`s.

    Raises:
        UnsafeCheckpointError: its pickle asks for something that a checkpoint never needs.
        CheckpointError: it is damaged.
    """
    try:
        return _read(archive.read_pickle(), lambda reference: _storage(reference, archive))
    except UnsafeCheckpointError as error:
        raise UnsafeCheckpointError(_refused(error)) from None


def _read(data: bytes, persistent: Callable[[Any], Any]) -> Any:
    policy = Policy(admit=admit, admit_call=admit_call, builders=_builders(), persistent=persistent)
    return read_pickle(data, policy)


def _refusal(bare_pickle: bytes) -> str | None:
    """Why a pickle outside any container would be refused; None if it only is of another kind."""
    try:
        _read(bare_pickle, lambda reference: None)
    except UnsafeCheckpointError as error:
        return _refused(error)
    except CheckpointError:
        return None
    return None


def _refused(error: UnsafeCheckpointError) -> str:
    return (
        f"refused: {error}. No checkpoint that Ultralytics writes does this: the file may be an attack, "
        "so do not open it with other programs either. Nothing of it was run."
    )


@dataclass(frozen=True, kw_only=True)
class _Storage:
    key: str
    item_type: str
    bfloat16: bool
    items: int


def _storage(reference: Any, archive: CheckpointArchive) -> _Storage:
    """Check ('storage', type, key, location, items), as torch.save refers to a tensor's bytes."""
    if not isinstance(reference, tuple) or len(reference) != 5 or reference[0] != "storage":
        raise CheckpointError("it refers to something outside that is not a tensor's storage")
    _, kind, key, _, items = reference
    if not isinstance(kind, Name) or kind.name not in STORAGES or not _is_count(items):
        raise CheckpointError(f"it holds numbers of an unknown type ({describe(kind)})")
    item_type = STORAGES[kind.name]
    size = archive.storage_size(key) if isinstance(key, str) else None
    if size != items * np.dtype(item_type).itemsize:
        raise CheckpointError(
            f"the storage {describe(key)} of a tensor is missing or has a wrong size"
        )
    return _Storage(key=key, item_type=item_type, bfloat16=kind.name == _BFLOAT16, items=items)


def _tensor(*arguments: Any) -> StoredTensor:
    """Stands for torch._utils._rebuild_tensor_v2(storage, offset, size, stride, …)."""
    if len(arguments) < 4 or not isinstance(arguments[0], _Storage):
        raise CheckpointError("it describes a tensor without a storage")
    storage, offset, shape, strides = arguments[:4]
    few = _are_tuples(shape, strides) and len(shape) == len(strides) <= 8
    if not few or not all(map(_is_count, (offset, *shape, *strides))):
        raise CheckpointError("it describes a tensor by something other than counts")
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    numbers = math.prod(shape)
    # No parameter is an expanded view, so a tensor has no more numbers than its storage.
    if numbers > storage.items or (numbers and last >= storage.items):
        raise CheckpointError(f"it describes a tensor of shape {shape} outside its storage")
    return StoredTensor(
        key=storage.key,
        item_type=storage.item_type,
        bfloat16=storage.bfloat16,
        offset=offset,
        shape=shape,
        strides=strides,
    )


def _parameter(*arguments: Any) -> Any:
    """Stands for torch._utils._rebuild_parameter(data, requires_grad, hooks, …)."""
    if not arguments or not isinstance(arguments[0], StoredTensor):
        raise CheckpointError("it describes a parameter without a tensor")
    return arguments[0]


def _ordered_dict(*arguments: Any) -> dict[Any, Any]:
    """Stands for collections.OrderedDict(), which the file fills afterwards."""
    if arguments:
        raise CheckpointError("it fills an ordered dictionary in a way that torch.save does not")
    return {}


def _builders() -> dict[Name, Callable[..., Any]]:
    return {
        Name("collections", "OrderedDict"): _ordered_dict,
        Name("torch._utils", "_rebuild_tensor"): _tensor,
        Name("torch._utils", "_rebuild_tensor_v2"): _tensor,
        Name("torch._utils", "_rebuild_parameter"): _parameter,
        Name("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    }


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40


def _are_tuples(*values: Any) -> bool:
    return all(isinstance(value, tuple) for value in values)
