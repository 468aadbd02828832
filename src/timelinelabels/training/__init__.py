"""From annotated videos to a trained temporal head with honest scores: `train_head`.

`lessons` are what is learned; `heads` and `side_by_side` train networks on them, within a budget; `folds`
holds every video out once; `conclusions` are drawn from the held-out predictions.
"""

from timelinelabels.training.lessons import Example, HeadParameters
from timelinelabels.training.train import HELD_OUT_FROM, TrainedHead, TrainingHook, train_head

__all__ = [
    "HELD_OUT_FROM",
    "Example",
    "HeadParameters",
    "TrainedHead",
    "TrainingHook",
    "train_head",
]
