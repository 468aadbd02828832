"""How a labeling config's attributes are read: what is accepted, in words, and the value of a text.

The first half are the types of the `model_*` attributes; the second half are the values that a config
may leave to task data: `$field` references and the frame rate.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol, TypeVar

ValueT_co = TypeVar("ValueT_co", covariant=True)

_TRUE, _FALSE = frozenset({"1", "true", "yes"}), frozenset({"0", "false", "no"})
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_SHOWN_CHARACTERS = 80

# Label Studio's editor falls back to this where the Video tag gives no frame rate.
DEFAULT_FRAME_RATE = Fraction(24)
MAX_FRAME_RATE = 1000
FRAME_RATE_ACCEPTED = (
    f"a number of frames a second above 0 and up to {MAX_FRAME_RATE} (29.97), "
    "or below 1 the seconds of one frame (0.04)"
)

# Braces are the index of a <Repeater>, which has one name for many videos.
_REFERENCE = re.compile(r"\$([^\s,$<>{}]+)")
_STEP = re.compile(r"[^.\[\]]+")
# The exponent is short because the exact fraction of 1e999999999 has a gigabyte of digits.
_DECIMAL = re.compile(r"\+?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,2})?")


def shown(value: object) -> str:
    """A value in quotes for a message: one line, not too long."""
    text = str(value)
    if len(text) > _SHOWN_CHARACTERS:
        text = text[: _SHOWN_CHARACTERS - 1] + "…"
    escaped = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return f'"{escaped}"'


class Values(Protocol[ValueT_co]):
    """What an attribute accepts: how it is said to a person, and how a text is read."""

    @property
    def accepted(self) -> str:
        """The accepted values in words."""

    def read(self, text: str) -> ValueT_co:
        """The value of a text without surrounding blanks; ValueError where it is not accepted."""


@dataclass(frozen=True)
class Boolean:
    """1, true, yes; 0, false, no; in any case."""

    @property
    def accepted(self) -> str:
        """The accepted values in words."""
        return "true or false (also 1, yes, 0, no)"

    def read(self, text: str) -> bool:
        """The truth value of a text."""
        word = text.lower()
        if word not in _TRUE | _FALSE:
            raise ValueError
        return word in _TRUE


@dataclass(frozen=True)
class Whole:
    """A whole number within limits, both included."""

    minimum: int
    maximum: int

    @property
    def accepted(self) -> str:
        """The accepted values in words."""
        return f"a whole number from {self.minimum} to {self.maximum}"

    def read(self, text: str) -> int:
        """The number of a text of ASCII digits."""
        if not _WHOLE.fullmatch(text) or not self.minimum <= int(text) <= self.maximum:
            raise ValueError
        return int(text)


@dataclass(frozen=True)
class Number:
    """A finite number within limits, both included, with a decimal point."""

    minimum: float
    maximum: float

    @property
    def accepted(self) -> str:
        """The accepted values in words."""
        return f"a number from {self.minimum:g} to {self.maximum:g}"

    def read(self, text: str) -> float:
        """The number of a text; NaN and the infinities are no numbers here."""
        if not _NUMBER.fullmatch(text):
            raise ValueError
        number = float(text)
        if not math.isfinite(number) or not self.minimum <= number <= self.maximum:
            raise ValueError
        return number + 0.0  # -0.0 and 0.0 are the same threshold and the same fingerprint


@dataclass(frozen=True)
class Rate:
    """Frames a second within limits, both included; an exact fraction (12.5 → 25/2)."""

    minimum: int
    maximum: int

    @property
    def accepted(self) -> str:
        """The accepted values in words."""
        return f"a number of frames a second from {self.minimum} to {self.maximum}"

    def read(self, text: str) -> Fraction:
        """The rate of a decimal text."""
        if not _DECIMAL.fullmatch(text):
            raise ValueError
        rate = Fraction(text)
        if not self.minimum <= rate <= self.maximum:
            raise ValueError
        return rate


@dataclass(frozen=True, init=False)
class Choice:
    """One of a few words, in any case."""

    words: tuple[str, ...]

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", words)

    @property
    def accepted(self) -> str:
        """The accepted values in words."""
        return " or ".join((", ".join(self.words[:-1]), self.words[-1]))

    def read(self, text: str) -> str:
        """The word of a text."""
        word = text.lower()
        if word not in self.words:
            raise ValueError
        return word


@dataclass(frozen=True)
class Text:
    """Any text that is not blank."""

    @property
    def accepted(self) -> str:
        """The accepted values in words."""
        return "a text"

    def read(self, text: str) -> str:
        """The text itself."""
        return text


def referenced_field(value: str) -> str | None:
    """The field that `$field` names, or None where the text is not such a reference."""
    match = _REFERENCE.fullmatch(value.strip())
    return match.group(1) if match else None


def find_field(data: Mapping[str, Any], field: str) -> Any:
    """The value of a task's field.

    As in Label Studio's editor a key of exactly that name comes first; otherwise `a.b` and `a[0]`
    lead into objects and lists.

    Raises:
        KeyError: the data has no such field.
    """
    if field in data:
        return data[field]
    value: Any = data
    for step in _STEP.findall(field):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif _is_list(value) and step.isdecimal() and len(step) < 10 and int(step) < len(value):
            value = value[int(step)]
        else:
            raise KeyError(field)
    return value


def read_frame_rate(value: Any) -> Fraction:
    """A frame rate as the Video tag or task data gives it, exactly.

    Args:
        value: a decimal text or a JSON number; below 1 it is the duration of a frame in seconds and
            is inverted, as Label Studio does (0.04 → 25).

    Returns:
        Frames a second; 29.97 is 2997/100.

    Raises:
        ValueError: not a number, not above 0, or above `MAX_FRAME_RATE`; the message says which value
            and what is accepted.
    """
    refusal = ValueError(f"{shown(value)} is not accepted; give {FRAME_RATE_ACCEPTED}")
    if isinstance(value, float) and math.isfinite(value):
        value = repr(value)  # the shortest text of the float: 29.97, not its binary neighbour
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_FRAME_RATE:
        value = str(value)
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value.strip()):
        raise refusal
    rate = Fraction(value.strip())
    if 0 < rate < 1:
        rate = 1 / rate
    if not 0 < rate <= MAX_FRAME_RATE:
        raise refusal
    return rate


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
