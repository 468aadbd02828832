"""Scores frame by frame: F1, accuracy, average precision.

F1 of a label is 2 · hits / (true + claimed). Macro is the mean over the labels that occur in the truth
(a label that never occurs has no recall; that it was claimed wrongly shows in micro F1 and accuracy),
micro pools the counts of all labels. With nothing to find, F1 is 1 if nothing was claimed, else 0.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class FrameScores:
    """How well binary predictions fit the targets, over all given frames; each 0..1."""

    # Macro F1: mean over the labels that occur in the truth.
    f1: float
    # Share of (frame, label) cells that are right.
    accuracy: float
    # Micro F1: the counts of all labels pooled.
    f1_micro: float = 0.0


def frame_scores(predicted: npt.ArrayLike, targets: npt.ArrayLike) -> FrameScores:
    """Frame-wise scores of bool (N, C) predictions against bool (N, C) targets.

    Takes whatever numpy reads without copying, tensors on the CPU too: training calls it each epoch.

    Raises:
        ValueError: the arrays differ in shape or are not two-dimensional.
    """
    said, true = _pair(predicted, targets)
    hits, true_count, said_count = _counts(said, true)
    occurring = true_count > 0
    f1 = 2 * hits[occurring] / (true_count + said_count)[occurring]
    cells = true.size
    wrong = int((true_count + said_count - 2 * hits).sum())
    nothing_at_all = float(not said_count.any())
    total = int((true_count + said_count).sum())
    return FrameScores(
        f1=float(f1.mean()) if len(f1) else nothing_at_all,
        accuracy=1 - wrong / cells if cells else 0.0,
        f1_micro=2 * int(hits.sum()) / total if total else 1.0,
    )


def label_f1(predicted: npt.ArrayLike, targets: npt.ArrayLike) -> list[float | None]:
    """F1 of each of the C labels; None for one that does not occur in the truth."""
    said, true = _pair(predicted, targets)
    hits, true_count, said_count = _counts(said, true)
    return [
        2 * int(hit) / int(in_truth + claimed) if in_truth else None
        for hit, in_truth, claimed in zip(hits, true_count, said_count, strict=True)
    ]


def average_precision(probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> list[float | None]:
    """Area under the precision-recall steps of each label over all frames, by scikit-learn.

    Args:
        probabilities: (N, C), finite.
        targets: (N, C) bool.

    Returns:
        One value for each label; None for one that does not occur in the truth.
    """
    from sklearn.metrics import average_precision_score

    values, true = _probabilities(probabilities, targets)
    return [
        float(average_precision_score(true[:, column], values[:, column]))
        if true[:, column].any()
        else None
        for column in range(true.shape[1])
    ]


def precision_recall(
    probabilities: npt.ArrayLike, targets: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Precision and recall of one label (N,) at each threshold, by rising recall."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(np.asarray(targets, bool), probabilities)
    return np.asarray(precision[::-1]), np.asarray(recall[::-1])


def _pair(predicted: npt.ArrayLike, targets: npt.ArrayLike) -> tuple[Bools, Bools]:
    said, true = np.asarray(predicted, dtype=bool), np.asarray(targets, dtype=bool)
    if said.shape != true.shape or true.ndim != 2:
        raise ValueError(
            f"predictions and targets must both be (N, C): {said.shape} against {true.shape}"
        )
    return said, true


def _counts(
    said: Bools, true: Bools
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(C,) each: frames where a label was rightly said, is true, was said."""
    # Counting along a contiguous axis is several times faster than down the columns.
    said, true = np.ascontiguousarray(said.T), np.ascontiguousarray(true.T)
    return (
        np.count_nonzero(said & true, axis=1),
        np.count_nonzero(true, axis=1),
        np.count_nonzero(said, axis=1),
    )


def _probabilities(
    probabilities: npt.ArrayLike, targets: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], Bools]:
    values, true = np.asarray(probabilities, np.float64), np.asarray(targets, dtype=bool)
    if values.shape != true.shape or true.ndim != 2:
        raise ValueError(
            f"probabilities and targets must both be (N, C): {values.shape} against {true.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError("probabilities hold a value that is not finite")
    return values, true
