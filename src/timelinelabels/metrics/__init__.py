"""Scores of predictions against the truth; what each means is in docs/reference/scores.md.

Contents (the tests follow it):

- `frames`: frame F1 (micro, macro), accuracy, average precision: arrays (T, C)
- `segments`: segmental F1, edit score, temporal IoU: spans `[start, end)` by label
- `calibration`: whether a probability means what it says
- `corrections`: what a person still has to do
- `summary`: all of them for a set of videos

A video is never mixed with another before its segments are cut. Nothing here knows of networks or of
Label Studio; importing it costs numpy alone.
"""

from timelinelabels.metrics.calibration import (
    ReliabilityBin,
    expected_calibration_error,
    reliability_table,
)
from timelinelabels.metrics.corrections import Corrections, count_corrections
from timelinelabels.metrics.frames import (
    FrameScores,
    average_precision,
    frame_scores,
    label_f1,
    precision_recall,
)
from timelinelabels.metrics.segments import (
    edit_score,
    merge_spans,
    segment_counts,
    segmental_f1,
    spans_of,
    temporal_iou,
)
from timelinelabels.metrics.summary import LabelScores, Scores, VideoOutcome, score_videos

__all__ = [
    "Corrections",
    "FrameScores",
    "LabelScores",
    "ReliabilityBin",
    "Scores",
    "VideoOutcome",
    "average_precision",
    "count_corrections",
    "edit_score",
    "expected_calibration_error",
    "frame_scores",
    "label_f1",
    "merge_spans",
    "precision_recall",
    "reliability_table",
    "score_videos",
    "segment_counts",
    "segmental_f1",
    "spans_of",
    "temporal_iou",
]
