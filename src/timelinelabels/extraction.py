"""Which videos have features, and asking a worker for those that have none.

Shells share this: the web process asks and waits, a worker asks before it trains and does the work.
"""

import hashlib
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from timelinelabels.control_models.resources import FeatureSource, Resources
from timelinelabels.features import Features
from timelinelabels.store import Store, WorkState

KIND = "extract"


def find_features(resources: Resources, source: FeatureSource) -> Features | None:
    """Cached features; None where they must be extracted first.

    Neither downloads nor reads the media file.

    Raises:
        MediaError: the source is refused or missing.
        CheckpointError: the backbone cannot be used.
    """
    return resources.find_features(source)


def want_extraction(
    store: Store,
    resources: Resources,
    source: FeatureSource,
    *,
    task_id: str | None = None,
) -> WorkState:
    """Ask a worker for a video's features, and see where that work stands.

    Where the features are there, the worker only asks the server whether the file has changed.

    Args:
        store: where the work is kept.
        resources: what is cached.
        source: what to make features of.
        task_id: of a task with this source: a cloud storage gives its files to tasks only.

    Raises:
        CheckpointError: the backbone cannot be used.
    """
    key = extraction_key(resources, source)
    payload = {"source": source.video, "model_path": source.model_path, "task_id": task_id}
    if source.sample_fps is not None:
        payload["sample_fps"] = str(source.sample_fps)
    return store.want(KIND, key, payload)


def source_of(payload: Mapping[str, Any]) -> FeatureSource:
    """What the work with this payload makes features of."""
    rate = payload.get("sample_fps")
    return FeatureSource(
        video=payload["source"],
        model_path=payload["model_path"],
        sample_fps=Fraction(rate) if rate is not None else None,
    )


def extraction_key(resources: Resources, source: FeatureSource) -> str:
    """The name of the work that extracts a video's features."""
    parts = [source.video, resources.backbones.open(source.model_path).fingerprint]
    if source.sample_fps is not None:
        parts.append(str(source.sample_fps))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
