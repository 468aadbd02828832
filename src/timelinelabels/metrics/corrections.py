"""What a person still has to do to make a predicted timeline the true one."""

from dataclasses import dataclass
from itertools import chain

import numpy as np

from timelinelabels.metrics.segments import Labelled, Span, merge_spans, span_iou

TOLERANCE_SECONDS = 0.5
_RELABEL, _MOVE = "relabel", "move"
# Costs are small integers; among plans of equal cost the one whose spans overlap most is taken.
_TIE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Corrections:
    """Counts of regions to change in a labelling tool."""

    # Draw a region that is missing.
    add: int = 0
    # Remove a region that should not be there.
    delete: int = 0
    # Drag one or both boundaries of a region.
    move: int = 0
    # Give a region another label.
    relabel: int = 0

    @property
    def total(self) -> int:
        """All of them: one action each."""
        return self.add + self.delete + self.move + self.relabel

    def __add__(self, other: "Corrections") -> "Corrections":
        return Corrections(
            add=self.add + other.add,
            delete=self.delete + other.delete,
            move=self.move + other.move,
            relabel=self.relabel + other.relabel,
        )


def count_corrections(
    predicted: Labelled, truth: Labelled, *, tolerance: float = TOLERANCE_SECONDS
) -> Corrections:
    """The fewest corrections that make one video's predicted segments the true ones.

    Segments are paired one to one. A pair of the same label that overlaps costs nothing where both
    boundaries are at most `tolerance` off, else one move. A pair of different labels whose boundaries
    both are within the tolerance, and which overlaps, costs one relabel. Every other predicted segment
    is deleted, every other true one added. (A wrong label with wrong boundaries would be two actions,
    as deleting and drawing are.) Among plans of equal cost, that of the largest overlaps is counted.

    Args:
        predicted: label → spans, in the unit of the tolerance.
        truth: the same.
        tolerance: how far off a boundary may be and still count as right.
    """
    from scipy.optimize import linear_sum_assignment

    said, true = _listed(predicted), _listed(truth)
    # Leaving a pair apart costs a deletion and an addition, 2; so does a pair that no action joins.
    cost = np.full((len(said), len(true)), 2.0)
    actions: dict[tuple[int, int], str] = {}
    for row, (label, span) in enumerate(said):
        for column, (wanted, target) in enumerate(true):
            action = _action(label == wanted, span, target, tolerance)
            if action is not None:
                actions[row, column] = action
                cost[row, column] = bool(action) - _TIE * span_iou(span, target)
    pairs = zip(*linear_sum_assignment(cost), strict=True)
    done = [actions[pair] for pair in pairs if pair in actions]
    return Corrections(
        add=len(true) - len(done),
        delete=len(said) - len(done),
        move=done.count(_MOVE),
        relabel=done.count(_RELABEL),
    )


def _listed(video: Labelled) -> list[tuple[object, Span]]:
    return list(
        chain.from_iterable(
            ((label, span) for span in merge_spans(spans)) for label, spans in video.items()
        )
    )


def _action(same_label: bool, span: Span, target: Span, tolerance: float) -> str | None:
    """What turns the segment into the target: nothing (""), a move, a relabel; None: no one action."""
    if span_iou(span, target) == 0:
        return None
    near = abs(span[0] - target[0]) <= tolerance and abs(span[1] - target[1]) <= tolerance
    if same_label:
        return "" if near else _MOVE
    return _RELABEL if near else None
