"""Scores of predictions against the truth, frame by frame.

Frame F1 is defined once, here: for each label that occurs in the truth F1 = 2·hits / (true + claimed),
and the mean over those labels (macro). A label that never occurs has no recall and is left out; that
it was claimed wrongly shows in the accuracy.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class FrameScores:
    """How well binary predictions fit the targets, over all given frames."""

    # Mean over the labels that occur in the truth of each label's F1, 0..1; 0 if none occurs.
    f1: float
    # Share of (frame, label) cells that are right, 0..1.
    accuracy: float


def frame_scores(predicted: torch.Tensor, targets: torch.Tensor) -> FrameScores:
    """Frame-wise scores of bool (N, C) predictions against bool (N, C) targets."""
    hits = (predicted & targets).sum(0).double()
    true, claimed = targets.sum(0).double(), predicted.sum(0).double()
    occurring = true > 0
    f1 = (2 * hits / (true + claimed).clamp(min=1))[occurring]
    return FrameScores(
        f1=float(f1.mean()) if len(f1) else 0.0,
        accuracy=float((predicted == targets).double().mean()) if targets.numel() else 0.0,
    )
