"""A pickle read as data: nothing that it names is ever imported, looked up or called.

Python's own unpickler builds whatever a file asks for by calling whatever it names, and a class
that only absorbs calls is no protection, because a file can also reach that class's attributes.
So this is a machine of its own for the pickle opcodes (described in CPython's `pickletools`),
where a name stays a `Name`, and a call (`REDUCE`, `NEWOBJ`) makes a `Record` that writes down what
was asked for. Exceptions to that are the caller's `builders`: functions of ours that stand for a
few names, such as an ordered dictionary or a tensor.

Bounded in time and memory: one pass, no recursion, a limited number of instructions, dictionary
keys that cannot be made to collide. What the result shares by reference (a list that holds itself,
the same list twice at each of 60 levels) is for its reader to bound.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from timelinelabels.errors import CheckpointError, UnsafeCheckpointError

MAX_INSTRUCTIONS = 1_000_000
"""A large real checkpoint (YOLO12x with its training curves) has some 150,000."""
MAX_ARGUMENTS = 32
"""Of a call that a builder stands for; handing them over takes time in proportion."""


class Name(NamedTuple):
    """A class or function as the file names it; never resolved."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False, repr=False)
class Record:
    """An object that the file asks for, written down instead of made."""

    type: Name
    # What its constructor would have been given.
    arguments: tuple[Any, ...]
    # What its constructor would have been given by name.
    options: Any = None
    # What its __setstate__ or __dict__ would have been given.
    state: Any = None
    # What would have been appended to it.
    items: list[Any] = field(default_factory=list)
    # What would have been set by key.
    entries: list[tuple[Any, Any]] = field(default_factory=list)

    def __repr__(self) -> str:  # short: a record may contain itself
        return f"<Record {self.type}>"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the reader of one kind of file decides about names."""

    # Raises UnsafeCheckpointError for a name that such a file never needs.
    admit: Callable[[Name], None]
    # Raises UnsafeCheckpointError for a call, name(*arguments), that it never needs.
    admit_call: Callable[[Name, tuple[Any, ...]], None]
    # Our own functions for what a call of these names means.
    builders: Mapping[Name, Callable[..., Any]]
    # What a persistent id stands for (in a checkpoint: the storage of a tensor).
    persistent: Callable[[Any], Any]


def read_pickle(data: bytes, policy: Policy) -> Any:
    """The object that `data` describes, made of plain containers, scalars and `Record`s.

    Raises:
        UnsafeCheckpointError: it asks for something that `policy` does not admit, or uses an
            instruction that is not needed to describe data.
        CheckpointError: it is damaged, or larger than any real checkpoint.
    """
    return _Machine(data, policy).run()


_MARK = object()
_NOTHING = object()


class _Machine:
    def __init__(self, data: bytes, policy: Policy) -> None:
        self._data = data
        self._policy = policy
        self._position = 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        instructions = _INSTRUCTIONS
        for _ in range(MAX_INSTRUCTIONS):
            code = self._take(1)[0]
            if code == _STOP:
                return self._pop()
            instruction = instructions[code]
            if instruction is None:
                raise UnsafeCheckpointError(
                    f"its pickle has instruction {bytes([code])!r} at byte {self._position - 1}, "
                    "which torch.save never writes"
                )
            instruction(self)
        raise CheckpointError(f"its pickle has more than {MAX_INSTRUCTIONS:,} instructions")

    # Reading bytes

    def _take(self, count: int) -> bytes:
        end = self._position + count
        if count < 0 or end > len(self._data):
            raise CheckpointError("its pickle ends too early: the file is damaged")
        chunk = self._data[self._position : end]
        self._position = end
        return chunk

    def _integer(self, layout: str) -> int:
        value: int = struct.unpack(layout, self._take(struct.calcsize(layout)))[0]
        return value

    def _text(self, length_layout: str) -> None:
        try:
            self._push(self._take(self._integer(length_layout)).decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError as error:
            raise CheckpointError("its pickle holds text that is not UTF-8") from error

    def _line(self) -> str:
        end = self._data.find(b"\n", self._position, self._position + 1000)
        if end < 0:
            raise CheckpointError("its pickle ends within a name: the file is damaged")
        line = self._data[self._position : end]
        self._position = end + 1
        return line.decode("utf-8", "replace")

    # The stack

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise CheckpointError("its pickle takes from an empty stack: the file is damaged")
        return self._stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        stack = self._stack
        for index in range(len(stack) - 1, -1, -1):
            if stack[index] is _MARK:
                values = stack[index + 1 :]
                del stack[index:]
                return values
        raise CheckpointError("its pickle lacks a mark: the file is damaged")

    def _top(self) -> Any:
        value = self._pop()
        self._stack.append(value)
        return value

    def _remember(self, index: int) -> None:
        self._memo[index] = self._top()

    def _recall(self, index: int) -> None:
        value = self._memo.get(index, _NOTHING)
        if value is _NOTHING:
            raise CheckpointError("its pickle recalls what it never remembered: it is damaged")
        self._stack.append(value)

    def _tuple(self, count: int) -> None:
        values = tuple(self._stack[-count:])
        if len(values) < count or any(value is _MARK for value in values):
            raise CheckpointError("its pickle takes from an empty stack: the file is damaged")
        self._stack[-count:] = [values]

    # Names and what would be done with them

    def _name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise UnsafeCheckpointError("its pickle computes the name of something to call")
        found = Name(module, name)
        self._policy.admit(found)
        self._push(found)

    def _name_from_stack(self) -> None:
        name, module = self._pop(), self._pop()
        self._name(module, name)

    def _old_instance(self) -> None:
        self._name(self._line(), self._line())  # first of all, say which name it was
        raise UnsafeCheckpointError(f"its pickle makes a {self._pop()} in a way of protocol 0")

    def _called(self) -> None:
        arguments, name = self._pop(), self._pop()
        if not isinstance(name, Name) or not isinstance(arguments, tuple):
            raise UnsafeCheckpointError(
                f"its pickle calls {describe(name)}, which is not a class or function by name"
            )
        self._policy.admit_call(name, arguments)
        builder = self._policy.builders.get(name)
        if builder is None:
            self._push(Record(name, arguments))
        elif len(arguments) > MAX_ARGUMENTS:
            raise CheckpointError(f"its pickle calls {name} with {len(arguments):,} arguments")
        else:
            self._push(builder(*arguments))

    def _made(self, *, keywords: bool) -> None:
        options = self._pop() if keywords else None
        arguments, name = self._pop(), self._pop()
        if not isinstance(name, Name) or not isinstance(arguments, tuple):
            raise UnsafeCheckpointError(f"its pickle makes an object of {describe(name)}")
        self._push(Record(name, arguments, options=options))

    def _set_state(self) -> None:
        state, target = self._pop(), self._top()
        if isinstance(target, Record):
            target.state = state
        elif not isinstance(
            target, dict
        ):  # a state_dict's own attributes (_metadata) are not needed
            raise UnsafeCheckpointError(f"its pickle changes the attributes of {describe(target)}")

    def _add(self, values: list[Any]) -> None:
        target = self._top()
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Record):
            target.items.extend(values)
        else:
            raise UnsafeCheckpointError(f"its pickle appends to {describe(target)}")

    def _set_items(self, values: list[Any]) -> None:
        target = self._top()
        if len(values) % 2:
            raise CheckpointError("its pickle has a key without a value: the file is damaged")
        pairs = zip(values[::2], values[1::2], strict=True)
        if isinstance(target, dict):
            for key, value in pairs:
                target[_checked_key(key)] = value
        elif isinstance(target, Record):
            target.entries.extend(pairs)
        else:
            raise UnsafeCheckpointError(f"its pickle sets items of {describe(target)}")

    def _frozen_set(self) -> None:
        self._push(Record(Name("builtins", "frozenset"), (self._pop_to_mark(),)))

    def _one_item(self) -> list[Any]:
        value, key = self._pop(), self._pop()
        return [key, value]


def _checked_key(key: Any) -> str | int | None:
    """Text, small integers and None hash in constant time, and cannot be chosen to collide."""
    if key is None or isinstance(key, str) or (isinstance(key, int) and abs(key) < 2**31):
        return key
    raise CheckpointError(f"its pickle uses {describe(key)} as the key of a dictionary")


def describe(value: Any) -> str:
    """A few words for a message; never the whole, which may be huge or contain itself."""
    if isinstance(value, Name | Record):
        return str(value)[:200]
    if value is None or isinstance(value, str | int | float):
        return repr(value)[:80]
    return f"a {type(value).__name__}"


_STOP = ord(".")
_Instruction = Callable[[_Machine], object]


def _table() -> list[_Instruction | None]:
    """Opcode → what it does.

    Left out: text forms of protocol 0, strings of Python 2, extension codes, out-of-band buffers.
    """
    m = _Machine
    known: dict[bytes, _Instruction] = {
        b"\x80": lambda s: s._take(1),  # protocol: its opcodes are known or refused
        b"\x95": lambda s: s._take(8),  # frame: a hint for buffered reading
        b"(": lambda s: s._push(_MARK),
        b"0": m._pop,
        b"1": m._pop_to_mark,
        b"2": lambda s: s._push(s._top()),
        # Scalars
        b"N": lambda s: s._push(None),
        b"\x88": lambda s: s._push(True),
        b"\x89": lambda s: s._push(False),
        b"J": lambda s: s._push(s._integer("<i")),
        b"K": lambda s: s._push(s._integer("<B")),
        b"M": lambda s: s._push(s._integer("<H")),
        b"\x8a": lambda s: s._push(
            int.from_bytes(s._take(s._integer("<B")), "little", signed=True)
        ),
        b"G": lambda s: s._push(struct.unpack(">d", s._take(8))[0]),
        b"X": lambda s: s._text("<I"),
        b"\x8c": lambda s: s._text("<B"),
        b"\x8d": lambda s: s._text("<Q"),
        b"B": lambda s: s._push(s._take(s._integer("<I"))),
        b"C": lambda s: s._push(s._take(s._integer("<B"))),
        b"\x8e": lambda s: s._push(s._take(s._integer("<Q"))),
        b"\x96": lambda s: s._push(s._take(s._integer("<Q"))),
        # Containers
        b")": lambda s: s._push(()),
        b"]": lambda s: s._push([]),
        b"}": lambda s: s._push({}),
        b"\x8f": lambda s: s._push(Record(Name("builtins", "set"), ())),
        b"t": lambda s: s._push(tuple(s._pop_to_mark())),
        b"\x85": lambda s: s._tuple(1),
        b"\x86": lambda s: s._tuple(2),
        b"\x87": lambda s: s._tuple(3),
        b"a": lambda s: s._add([s._pop()]),
        b"e": lambda s: s._add(s._pop_to_mark()),
        b"s": lambda s: s._set_items(s._one_item()),
        b"u": lambda s: s._set_items(s._pop_to_mark()),
        b"\x90": lambda s: s._add(s._pop_to_mark()),
        b"\x91": m._frozen_set,
        # Memory of what was made before
        b"q": lambda s: s._remember(s._integer("<B")),
        b"r": lambda s: s._remember(s._integer("<I")),
        b"\x94": lambda s: s._remember(len(s._memo)),
        b"h": lambda s: s._recall(s._integer("<B")),
        b"j": lambda s: s._recall(s._integer("<I")),
        # Names and objects
        b"c": lambda s: s._name(s._line(), s._line()),
        b"\x93": m._name_from_stack,
        b"i": m._old_instance,
        b"R": m._called,
        b"\x81": lambda s: s._made(keywords=False),
        b"\x92": lambda s: s._made(keywords=True),
        b"b": m._set_state,
        b"Q": lambda s: s._push(s._policy.persistent(s._pop())),
    }
    return [known.get(bytes([code])) for code in range(256)]


_INSTRUCTIONS = _table()
