"""What a training is given: annotated videos, and the parameters of the labeling config."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from timelinelabels.temporal_head import VideoSequence
from timelinelabels.temporal_head.time_steps import TimeSteps


@dataclass(frozen=True, kw_only=True)
class Example:
    """One annotated video, on the frames of the file."""

    # Content hash of the video: equal videos are never split between training and held out.
    media_hash: str
    video: VideoSequence
    # (T, C) in 0..1: the share of the annotators who gave a frame a label.
    targets: npt.NDArray[np.float32]
    # (T,) bool: frames that say something about labels; None: all.
    judged: npt.NDArray[np.bool_] | None = None
    # Annotations that the targets are made of.
    annotations: int = 1


@dataclass(frozen=True, kw_only=True)
class HeadParameters:
    """How the temporal networks are built and trained: the guide's parameters, and which network."""

    type: str = "auto"
    epochs: int = 1000
    sequence_size: int = 16
    hidden_size: int = 32
    num_layers: int = 1
    f1_threshold: float = 0.95
    accuracy_threshold: float = 1.0


@dataclass(frozen=True)
class Lesson:
    """An example as the networks learn it: on the steps of time."""

    example: Example
    targets: npt.NDArray[np.float32]  # (S, C)
    judged: npt.NDArray[np.bool_]  # (S,)

    @classmethod
    def of(cls, example: Example) -> "Lesson":
        """The shares of each step; a step counts where at least half of it was judged."""
        steps = TimeSteps.of(example.video.times)
        judged = np.ones(len(example.targets)) if example.judged is None else example.judged
        return cls(example, steps.pool(example.targets), steps.pool(judged[:, None])[:, 0] >= 0.5)

    @property
    def truth(self) -> str:
        """A hash of what is taken as true."""
        return hashlib.sha256(self.targets.tobytes() + self.judged.tobytes()).hexdigest()[:16]


OVERLAP = 0.02  # of the labelled steps may hold two labels: boundaries are not sure


def labels_exclude_each_other(items: Sequence[Lesson]) -> bool:
    """Whether there are several labels, and people practically never gave two to one moment.

    Two labels that share a step because one ends in it, or because annotators differ, are not given at
    once: their shares add up to one.
    """
    targets = np.concatenate([item.targets[item.judged] for item in items])
    several = int((targets >= 0.5).any(axis=0).sum()) > 1
    labels_at_once = targets.sum(axis=1)
    labelled, twice = int((labels_at_once >= 0.5).sum()), int((labels_at_once >= 1.5).sum())
    return several and twice <= OVERLAP * labelled
