"""Probabilities that mean what they say: a logistic curve for each label (Platt, 1999).

The training loss weighs rare labels up, so a network says 0.6 where a label holds in 3 cases of 10. On
held-out videos that can be seen, and a curve with a slope and a shift for each label puts it right. The
curve is held to the identity by a prior worth `PRIOR_STEPS` steps, so that a label that was held out a
few times only is not bent by chance.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit

Floats = npt.NDArray[np.floating]

PRIOR_STEPS = 200.0
_SURE = 1e-4  # probabilities are kept this far from 0 and 1


def identity_calibration(labels: int) -> npt.NDArray[np.float64]:
    """(C, 2) slopes and shifts that change nothing."""
    return np.tile([1.0, 0.0], (labels, 1))


def fit_calibration(
    probabilities: Sequence[Floats], targets: Sequence[Floats]
) -> npt.NDArray[np.float64]:
    """(C, 2): slope and shift of each label's logits, from held-out videos.

    Args:
        probabilities: (S, C) of each video.
        targets: (S, C) of each video, 0..1.
    """
    said, true = logits(np.concatenate(list(probabilities))), np.concatenate(list(targets))
    curves = identity_calibration(true.shape[1])
    for label in range(true.shape[1]):
        if true[:, label].any():
            curves[label] = _curve(said[:, label], true[:, label])
    return curves


def calibrated(probabilities: Floats, curves: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Probabilities (S, C) bent by the curves (C, 2)."""
    bent: npt.NDArray[np.float32] = expit(
        logits(probabilities) * curves[:, 0] + curves[:, 1]
    ).astype(np.float32)
    return bent


def logits(probabilities: Floats) -> npt.NDArray[np.float64]:
    """log(p / (1 - p)), finite."""
    values: npt.NDArray[np.float64] = logit(
        np.clip(np.asarray(probabilities, np.float64), _SURE, 1 - _SURE)
    )
    return values


def _curve(said: npt.NDArray[np.float64], true: Floats) -> npt.NDArray[np.float64]:
    def cost(curve: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        bent = said * curve[0] + curve[1]
        loss = np.sum(np.logaddexp(0.0, bent) - true * bent)
        wrong = expit(bent) - true
        off = curve - (1.0, 0.0)
        gradient = np.array([np.sum(wrong * said), np.sum(wrong)]) + PRIOR_STEPS * off
        return float(loss + PRIOR_STEPS / 2 * np.sum(off**2)), gradient

    found = minimize(
        cost, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0.2, 5.0), (-8.0, 8.0)]
    )
    return np.asarray(found.x)
