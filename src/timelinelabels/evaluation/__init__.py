"""How well a project's model does on videos that it was not trained on, measured as a person sees it.

`evaluate` holds videos out; `simulate` replays a labelled project in the order it was submitted. Both
train and predict through `ProjectModel`, in a registry of their own, and score with `metrics`.
"""

from timelinelabels.evaluation.held_out import Evaluation, evaluate
from timelinelabels.evaluation.judging import ControlOutcome, JudgedVideo
from timelinelabels.evaluation.simulation import Simulation, simulate

__all__ = [
    "ControlOutcome",
    "Evaluation",
    "JudgedVideo",
    "Simulation",
    "evaluate",
    "simulate",
]
