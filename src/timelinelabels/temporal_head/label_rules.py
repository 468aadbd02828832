"""From probabilities to segments: a rule for each label, fitted on held-out videos.

What a rule is measured by is what a person sees: the mean of a label's frame F1 and of its segmental F1
at an overlap of one half. Rules are searched on a grid; durations are shares of the label's own usual
duration, so that labels can learn from each other: where a label was held out `FEW_SEGMENTS` times, its
own score counts as much as the mean over all labels, and less where it is rarer.
"""

from collections.abc import Iterator, Sequence
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
CLEAR_GAIN = 1.0  # over videos squared: the gain in score for which a plain threshold is left
THRESHOLDS = tuple(round(0.1 + 0.05 * index, 2) for index in range(14))
KEEPS = (1.0, 0.6)  # of the threshold
SHORTEST = (0.0, 0.2, 0.4)  # of the usual duration: shorter segments go, shorter gaps are closed


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
    """A candidate: durations as shares of a label's usual one."""

    threshold: float
    keep: float
    shortest: float

    def of(self, usual: float) -> LabelRule:
        return LabelRule(
            threshold=self.threshold,
            keep=self.threshold * self.keep,
            shortest=self.shortest * usual,
            longest_gap=self.shortest * usual,
        )


def fit_rules(
    probabilities: Sequence[Floats], targets: Sequence[Floats], halves: Floats
) -> list[LabelRule]:
    """The rule of each label that would have served best on held-out videos.

    Args:
        probabilities: (S, C) of each video's steps, calibrated.
        targets: (S, C) of each video's steps.
        halves: (C,) what the networks' own 0.5 has become by calibration. A plain threshold there is
            left for a clear gain only: few videos say little about which rule is better.
    """
    said, true = _joined(probabilities), _joined(targets) >= 0.5
    labels = true.shape[1]
    spans = spans_of(true)
    seen = [label for label in range(labels) if spans[label]]
    if not seen:
        return [_plain(half) for half in halves]
    usual = {
        label: float(np.median([end - start for start, end in spans[label]])) * STEP_SECONDS
        for label in seen
    }
    shapes = list(_shapes())

    def rule_of(shape: _Shape | None, label: int, duration: float) -> LabelRule:
        return _plain(halves[label]) if shape is None else shape.of(duration)

    scores = np.array(
        [
            [
                _score(said[:, label], true[:, label], rule_of(shape, label, usual[label]))
                for label in seen
            ]
            for shape in shapes
        ]
    )
    scores[0] += CLEAR_GAIN / len(probabilities) ** 2
    together = scores.mean(axis=1)
    everywhere = shapes[int(together.argmax())]
    overall = float(np.median(list(usual.values())))
    # Labels that were never held out have the rule that is best for all.
    rules = [rule_of(everywhere, label, overall) for label in range(labels)]
    for column, label in enumerate(seen):
        own = len(spans[label]) / (len(spans[label]) + FEW_SEGMENTS)
        best = int((own * scores[:, column] + (1 - own) * together).argmax())
        rules[label] = rule_of(shapes[best], label, usual[label])
    return rules


def _plain(half: float) -> LabelRule:
    return LabelRule(threshold=float(half), keep=float(half))


def _shapes() -> Iterator[_Shape | None]:
    # The plainest come first: of equals, the first is taken. None is the plain threshold.
    yield None
    for shortest, keep, threshold in product(SHORTEST, KEEPS, THRESHOLDS):
        yield _Shape(threshold=threshold, keep=keep, shortest=shortest)


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
