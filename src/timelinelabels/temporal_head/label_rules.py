"""From probabilities to segments: a rule for each label, fitted on held-out videos.

A label's threshold is what the networks' own one half has become by its calibration, so it comes from
held-out videos, too; searching for another one there was worse on unseen videos (docs/decisions/0010).
What is searched, on a grid, is how far a segment may sink below the threshold, and how short segments and
gaps may be. What a rule is measured by is what a person sees: the mean of a label's frame F1 and of its
segmental F1 at an overlap of one half. Durations are shares of the label's own usual duration, so that
labels can learn from each other: where a label was held out `FEW_SEGMENTS` times, its own score counts as
much as the mean over all labels, and less where it is rarer. Without anything held out, `ASSUMED_SHAPE` is
assumed.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np
import numpy.typing as npt

from timelinelabels.metrics import label_f1, segmental_f1, spans_of
from timelinelabels.segments import SegmentRule, segments_of
from timelinelabels.temporal_head.time_steps import STEP_SECONDS

Floats = npt.NDArray[np.floating]

FEW_SEGMENTS = 8
KEEPS = (1.0, 0.6)  # of the threshold
# Of the usual duration: shorter segments go, shorter gaps are closed.
SHORTEST = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True, kw_only=True)
class LabelRule:
    """How one label's probabilities become segments."""

    # A segment reaches this probability somewhere,
    threshold: float = 0.5
    # and stays at or above this one;
    keep: float = 0.5
    # seconds: shorter segments are dropped,
    shortest: float = 0.0
    # and shorter gaps between two segments are closed before.
    longest_gap: float = 0.0

    def with_threshold(self, threshold: float) -> "LabelRule":
        """The same rule with a person's threshold, which also ends segments."""
        return LabelRule(
            threshold=threshold,
            keep=threshold,
            shortest=self.shortest,
            longest_gap=self.longest_gap,
        )

    def at(self, rate: float) -> SegmentRule:
        """The rule for arrays with `rate` rows a second."""
        return SegmentRule(
            threshold=self.threshold,
            keep=self.keep,
            shortest=round(self.shortest * rate),
            longest_gap=round(self.longest_gap * rate),
        )

    def as_json(self) -> dict[str, Any]:
        """For a manifest."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class _Durations:
    """How long a label lasts, and how long it pauses, where people drew it; seconds."""

    # The median.
    usual: float
    # Nine of ten spans last at least as long, and nine of ten gaps longer.
    short_span: float = math.inf
    short_gap: float = math.inf


@dataclass(frozen=True)
class _Shape:
    """A candidate: shares of a label's threshold and of its usual duration."""

    keep: float
    shortest: float

    def of(self, threshold: float, durations: _Durations) -> LabelRule:
        """The rule; what people drew is neither dropped nor joined by it, but for one in ten."""
        length = self.shortest * durations.usual
        return LabelRule(
            threshold=threshold,
            keep=threshold * self.keep,
            shortest=min(length, durations.short_span),
            longest_gap=min(length, durations.short_gap),
        )


# The plainest come first: of equals, the first is taken.
_SHAPES = tuple(_Shape(keep, shortest) for shortest, keep in product(SHORTEST, KEEPS))
ASSUMED_SHAPE = _Shape(keep=1.0, shortest=0.5)


def fit_rules(
    probabilities: Sequence[Floats], targets: Sequence[Floats], halves: Floats
) -> list[LabelRule]:
    """The rule of each label that would have served best on held-out videos.

    Args:
        probabilities: (S, C) of each video's steps, calibrated.
        targets: (S, C) of each video's steps.
        halves: (C,) thresholds: what the networks' own 0.5 has become by calibration.
    """
    said, true = _joined(probabilities), _joined(targets) >= 0.5
    counts = {label: len(found) for label, found in spans_of(true).items() if found}
    durations = _durations(targets)
    scores = {
        label: np.array(
            [
                _score(
                    said[:, label],
                    true[:, label],
                    shape.of(float(halves[label]), durations[label]),
                )
                for shape in _SHAPES
            ]
        )
        for label in counts
    }
    nowhere = np.zeros(len(_SHAPES))
    together = np.mean(list(scores.values()) or [nowhere], axis=0)
    rules = []
    for label, half in enumerate(halves):
        # Labels that were never held out have the rule that is best for all.
        count = counts.get(label, 0)
        own = count / (count + FEW_SEGMENTS)
        judged = own * scores.get(label, nowhere) + (1 - own) * together
        shape = _SHAPES[int(judged.argmax())]
        rules.append(shape.of(float(half), durations[label]))
    return rules


def assumed_rules(targets: Sequence[Floats]) -> list[LabelRule]:
    """The rule of each label where no video is held out yet.

    Args:
        targets: (S, C) of the steps of each video that is learned.
    """
    return [ASSUMED_SHAPE.of(0.5, durations) for durations in _durations(targets)]


def _durations(targets: Sequence[Floats]) -> list[_Durations]:
    """Of each label; one that was never drawn lasts as long as the others usually do.

    A span that begins or ends with its video was cut off there and says nothing.
    """
    lengths: dict[int, list[int]] = {}
    gaps: dict[int, list[int]] = {}
    for array in targets:
        for label, spans in spans_of(array >= 0.5).items():
            whole = [end - start for start, end in spans if start > 0 and end < len(array)]
            lengths.setdefault(label, []).extend(whole)
            apart = [after[0] - before[1] for before, after in pairwise(spans)]
            gaps.setdefault(label, []).extend(apart)
    known = {
        label: _Durations(
            usual=float(np.median(found)) * STEP_SECONDS,
            short_span=_tenth(found) * STEP_SECONDS,
            short_gap=(_tenth(gaps[label]) - 1) * STEP_SECONDS if gaps[label] else math.inf,
        )
        for label, found in lengths.items()
        if found
    }
    usual = [durations.usual for durations in known.values()]
    of_others = _Durations(usual=float(np.median(usual)) if usual else 0.0)
    return [known.get(label, of_others) for label in range(targets[0].shape[1])]


def _tenth(values: Sequence[int]) -> float:
    """At most a tenth of the values are smaller."""
    return float(np.quantile(values, 0.1, method="lower"))


def _score(said: Floats, true: npt.NDArray[np.bool_], rule: LabelRule) -> float:
    spans = segments_of(said, rule.at(1 / STEP_SECONDS))
    claimed = np.zeros((len(true), 1), dtype=bool)
    for start, end in spans:
        claimed[start:end] = True
    frames = label_f1(claimed, true[:, None])[0] or 0.0
    return 0.5 * frames + 0.5 * segmental_f1([{0: spans}], [spans_of(true[:, None])], 0.5)


def _joined(arrays: Sequence[Floats]) -> Floats:
    """All videos one after the other, so far apart that no rule can join two of them."""
    longest = max(len(array) for array in arrays)
    apart = np.zeros((longest + 1, arrays[0].shape[1]), dtype=np.float32)
    return np.concatenate([part for array in arrays for part in (array, apart)])
