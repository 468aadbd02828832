"""What is learned for one control: from a video's frames to calibrated probabilities and segments.

frames → steps of time (`time_steps`) → inputs (`inputs`) → temporal networks (`neural_nets`)
→ calibration (`calibration`) → probabilities of frames → segments by rules (`label_rules`).
"""

from timelinelabels.temporal_head.head import TemporalHead
from timelinelabels.temporal_head.inputs import StepInputs, VideoSequence
from timelinelabels.temporal_head.label_rules import LabelRule

__all__ = ["LabelRule", "StepInputs", "TemporalHead", "VideoSequence"]
