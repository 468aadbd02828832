"""From probabilities to segments: a rule for each label, fitted on held-out videos.

A label's threshold is what the networks' own one half has become by its calibration, so it comes from
held-out videos, too; searching for another one there was worse on unseen videos (docs/decisions/0010).
What is searched, on a grid, is how far a segment may sink below the threshold, and how short segments and
gaps may be. What a rule is measured by is what a person sees: the mean of a label's frame F1 and of its
segmental F1 at an overlap of one half. Durations are shares of the label's own usual duration, so that
labels can learn from each other: where a label was held out `FEW_SEGMENTS` times, its own score counts as
much as the mean over all labels, and less where it is rarer. The shape of a rule that usually serves best,
`USUAL`, is left for a clear gain only; without anything held out, it is what is assumed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from timelinelabels.metrics import label_f1, segmental_f1, spans_of
from timelinelabels.segments import SegmentRule, segments_of
from timelinelabels.temporal_head.time_steps import STEP_SECONDS

Floats = npt.NDArray[np.floating]

FEW_SEGMENTS = 8
CLEAR_GAIN = 0.2  # over √(times held out), for which the usual shape of a rule is left
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


@dataclass(frozen=True)
class _Shape:
    """A candidate: shares of a label's threshold and of its usual duration."""

    keep: float
    shortest: float

    def of(self, threshold: float, usual: float) -> LabelRule:
        return LabelRule(
            threshold=threshold,
            keep=threshold * self.keep,
            shortest=self.shortest * usual,
            longest_gap=self.shortest * usual,
        )


# The plainest come first: of equals, the first is taken, unless it is no clear gain over the usual one.
_SHAPES = tuple(_Shape(keep, shortest) for shortest, keep in product(SHORTEST, KEEPS))
USUAL = _Shape(keep=0.6, shortest=0.5)


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
    spans = spans_of(true)
    usual = _usual_seconds(spans)
    if not usual:
        return [USUAL.of(float(half), 0.0) for half in halves]
    scores = {
        label: np.array(
            [
                _score(said[:, label], true[:, label], shape.of(float(halves[label]), duration))
                for shape in _SHAPES
            ]
        )
        for label, duration in usual.items()
    }
    together = np.mean(list(scores.values()), axis=0)
    overall = float(np.median(list(usual.values())))
    rules = []
    for label, half in enumerate(halves):
        # Labels that were never held out have the rule that is best for all.
        count = len(spans[label])
        own = count / (count + FEW_SEGMENTS)
        judged = own * scores[label] + (1 - own) * together if count else together
        best = int(judged.argmax())
        gain = judged[best] - judged[_SHAPES.index(USUAL)]
        shape = _SHAPES[best] if gain > CLEAR_GAIN / max(1, count) ** 0.5 else USUAL
        rules.append(shape.of(float(half), usual.get(label, overall)))
    return rules


def assumed_rules(targets: Sequence[Floats]) -> list[LabelRule]:
    """The rule of each label where no video is held out yet: of the usual shape.

    Args:
        targets: (S, C) of the steps of each video that is learned.
    """
    usual = _usual_seconds(spans_of(_joined(targets) >= 0.5))
    overall = float(np.median(list(usual.values()))) if usual else 0.0
    return [USUAL.of(0.5, usual.get(label, overall)) for label in range(targets[0].shape[1])]


def _usual_seconds(spans: Mapping[int, Sequence[tuple[int, int]]]) -> dict[int, float]:
    """Label → the median duration of its spans of steps; labels without one are left out."""
    return {
        label: float(np.median([end - start for start, end in found])) * STEP_SECONDS
        for label, found in spans.items()
        if found
    }


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
