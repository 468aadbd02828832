"""Putting a prediction into Label Studio: one of ours for a task, whatever others have put there.

Ours are those whose `model_version` this backend has given out. An older one is changed in place rather
than deleted: an annotator may have the task open, and what they submit names the prediction's id, which
Label Studio refuses if it is gone.

Label Studio stores the answer of every /predict without looking for another one, so a page that is loaded
twice while its video is still being read, or a push at the same moment, leaves two. The editor shows the
newest, but one that was opened between the two shows the older. So both say the same for HELD_HOURS,
then the older goes.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from timelinelabels.errors import LabelStudioNotFoundError
from timelinelabels.labelstudio.api_records import StoredPrediction
from timelinelabels.labelstudio.client import LabelStudioClient

# An editor that was opened longer ago has been submitted, or is opened anew.
HELD_HOURS = 12


class Placed(Enum):
    """What had to be done."""

    THERE = "it was there"
    CHANGED = "an older one of ours was changed"
    NEW = "it is the first"


def is_placed(predictions: Sequence[StoredPrediction], version: str, ours: Collection[str]) -> bool:
    """Whether a task has the prediction of this version, and no other one of ours that should go."""
    found = _ours(predictions, ours)
    return (
        bool(found)
        and all(item.model_version == version for item in found)
        and not _not_held(found)
    )


def place_prediction(
    client: LabelStudioClient,
    task_id: int,
    prediction: Mapping[str, Any],
    version: str,
    ours: Collection[str],
) -> Placed:
    """Let a task have this prediction of this version, in the place of our older ones.

    Args:
        client: of Label Studio.
        task_id: of the task.
        prediction: {"result": regions, "score": certainty}.
        version: what annotators read.
        ours: all versions that this backend has given out for the project, `version` among them.

    Raises:
        LabelStudioError: it cannot be put there.
    """
    content = {**prediction, "model_version": version}
    found = _ours(client.predictions(task_id), ours)
    for item in _not_held(found):
        client.delete_prediction(item.id)
        found.remove(item)
    outcomes = [
        Placed.THERE if item.model_version == version else _change(client, item, content)
        for item in found
    ]
    placed = next((outcome for outcome in outcomes[::-1] if outcome is not None), None)
    if placed is not None:
        return placed
    client.create_prediction(task_id, **content)
    return Placed.NEW


def _ours(predictions: Sequence[StoredPrediction], ours: Collection[str]) -> list[StoredPrediction]:
    """Those of ours, the newest last."""
    found = (item for item in predictions if item.model_version in ours)
    return sorted(found, key=lambda item: item.id)


def _not_held(found: Sequence[StoredPrediction]) -> list[StoredPrediction]:
    """Those that no open editor shows: a newer one of ours has long been there."""
    long_ago = datetime.now(UTC) - timedelta(hours=HELD_HOURS)
    there = [number for number, item in enumerate(found) if item.created_at < long_ago]
    return list(found[: there[-1]]) if there else []


def _change(
    client: LabelStudioClient, item: StoredPrediction, content: Mapping[str, Any]
) -> Placed | None:
    try:
        client.change_prediction(item.id, **content)
    except LabelStudioNotFoundError:
        return None  # deleted meanwhile
    return Placed.CHANGED
