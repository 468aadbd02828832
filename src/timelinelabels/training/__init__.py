"""From annotated videos to a trained temporal head with honest scores: `train_head`.

`lessons` are what is learned; `heads` and `side_by_side` train networks on them, within a budget; `folds`
holds every video out once; `conclusions` are drawn from the held-out predictions. `champion` says whether
a new head may take the place of the one before, `progressive` how well that one did on what is new.
"""

from timelinelabels.training.champion import HeldOutVideo, clear_loss
from timelinelabels.training.lessons import Example, HeadParameters
from timelinelabels.training.progressive import first_sight
from timelinelabels.training.train import HELD_OUT_FROM, TrainedHead, TrainingHook, train_head

__all__ = [
    "HELD_OUT_FROM",
    "Example",
    "HeadParameters",
    "HeldOutVideo",
    "TrainedHead",
    "TrainingHook",
    "clear_loss",
    "first_sight",
    "train_head",
]
