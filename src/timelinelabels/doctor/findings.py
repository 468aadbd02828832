"""What a check says: how bad it is, in words, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis."""

    verdict: Verdict
    text: str
    # What to do about it.
    remedy: str = ""


def ok(text: str) -> Finding:
    """Nothing to do."""
    return Finding(Verdict.OK, text)


def warn(text: str, remedy: str) -> Finding:
    """It works, but not as one may think."""
    return Finding(Verdict.WARN, text, remedy)


def fail(text: str, remedy: str) -> Finding:
    """It does not work before this is put right."""
    return Finding(Verdict.FAIL, text, remedy)


def worst(findings: Sequence[Finding]) -> Verdict:
    """The worst verdict."""
    order = list(Verdict)
    return max((item.verdict for item in findings), key=order.index, default=Verdict.OK)
