"""Whether a probability means what it says: reliability table and expected calibration error."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BINS = 10


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """The predictions whose probability lies in `[low, high)`; the last bin includes 1."""

    low: float
    high: float
    count: int
    # Mean of what was said; None in an empty bin.
    mean_probability: float | None
    # Mean of what was true; None in an empty bin.
    frequency: float | None


def reliability_table(
    probabilities: npt.ArrayLike, outcomes: npt.ArrayLike, *, bins: int = BINS
) -> list[ReliabilityBin]:
    """Predictions grouped by their probability into bins of equal width.

    Args:
        probabilities: of any shape, each in 0..1.
        outcomes: of the same shape: whether it was true, or which share of it was, 0..1.
        bins: how many.

    Raises:
        ValueError: the shapes differ, or a value lies outside 0..1.
    """
    said = np.asarray(probabilities, dtype=np.float64).ravel()
    true = np.asarray(outcomes, dtype=np.float64).ravel()
    if np.shape(probabilities) != np.shape(outcomes):
        raise ValueError(f"{np.shape(probabilities)} probabilities, {np.shape(outcomes)} outcomes")
    for values in (said, true):
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError("probabilities and outcomes must lie in 0..1")
    place = np.minimum((said * bins).astype(np.int64), bins - 1)
    counts = np.bincount(place, minlength=bins)
    said_sum = np.bincount(place, weights=said, minlength=bins)
    true_sum = np.bincount(place, weights=true, minlength=bins)
    return [
        ReliabilityBin(
            low=index / bins,
            high=(index + 1) / bins,
            count=int(count),
            mean_probability=float(said_sum[index] / count) if count else None,
            frequency=float(true_sum[index] / count) if count else None,
        )
        for index, count in enumerate(counts)
    ]


def expected_calibration_error(
    probabilities: npt.ArrayLike, outcomes: npt.ArrayLike, *, bins: int = BINS
) -> float:
    """Mean over predictions of |what was said - what was true| of their bin (Guo et al., 2017).

    0 is perfect; 0 also where there is no prediction. Arguments as of `reliability_table`.
    """
    table = reliability_table(probabilities, outcomes, bins=bins)
    total = sum(item.count for item in table)
    error = sum(
        item.count * abs(item.mean_probability - item.frequency)
        for item in table
        if item.mean_probability is not None and item.frequency is not None
    )
    return error / total if total else 0.0
