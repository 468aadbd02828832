"""What the demo's model must beat: a constant, and a logistic regression on each frame alone."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]


def macro_f1(truth: Array, predicted: Array) -> float:
    """Mean over the labels that occur of the frame F1, arrays (T, C) of 0 and 1."""
    from sklearn.metrics import f1_score

    occurring = np.flatnonzero(np.sum(truth, axis=0))
    scores = f1_score(
        truth[:, occurring], predicted[:, occurring], average="macro", zero_division=0
    )
    return float(scores)


def constant_prediction(truth_in_training: Array, frames: int) -> Array:
    """The better of the two constants for F1: every label met in training is always present."""
    always = np.max(truth_in_training, axis=0).astype(np.float32)
    return np.tile(always, (frames, 1))


def logistic_prediction(
    features: Sequence[Array], targets: Sequence[Array], unseen: Sequence[Array]
) -> Array:
    """A balanced, standardised logistic regression for each label on each frame of its own."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = np.concatenate(features).astype(np.float32)
    wanted = np.concatenate(targets)
    asked = np.concatenate(unseen).astype(np.float32)
    columns = []
    for label in range(wanted.shape[1]):
        column = wanted[:, label]
        if column.min() == column.max():
            columns.append(np.full(len(asked), column[0]))
            continue
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=300)
        )
        columns.append(model.fit(known, column).predict(asked))
    return np.stack(columns, axis=1).astype(np.float32)
