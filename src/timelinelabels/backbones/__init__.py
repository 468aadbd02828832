"""Backbones: frozen networks that describe video frames by features."""

from timelinelabels.backbones.base import Backbone, Preprocessing
from timelinelabels.backbones.weights import (
    DEFAULT_WEIGHTS,
    PUBLISHED_AT,
    ensure_weights,
    find_download,
    missing_weights,
    resolve_weights,
)
from timelinelabels.backbones.yolo import YoloBackbone, backbone_fingerprint

__all__ = [
    "DEFAULT_WEIGHTS",
    "PUBLISHED_AT",
    "Backbone",
    "Preprocessing",
    "YoloBackbone",
    "backbone_fingerprint",
    "ensure_weights",
    "find_download",
    "missing_weights",
    "resolve_weights",
]
