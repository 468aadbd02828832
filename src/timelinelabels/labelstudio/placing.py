"""Putting a prediction into Label Studio: one of ours for a task, whatever others have put there.

Ours are those whose `model_version` this backend has given out. An older one is changed in place rather
than deleted: an annotator may have the task open, and what they submit names the prediction's id, which
Label Studio refuses if it is gone. Where there are several, the newest stays: the editor shows that first.
"""

from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import Any

from timelinelabels.errors import LabelStudioNotFoundError
from timelinelabels.labelstudio.api_records import StoredPrediction
from timelinelabels.labelstudio.client import LabelStudioClient


class Placed(Enum):
    """What had to be done."""

    THERE = "it was there"
    CHANGED = "an older one of ours was changed"
    NEW = "it is the first"


def is_placed(predictions: Sequence[StoredPrediction], version: str, ours: Collection[str]) -> bool:
    """Whether a task has the prediction of this version, and no other one of ours."""
    found = [item for item in predictions if item.model_version in ours]
    return [item.model_version for item in found] == [version]


def place_prediction(
    client: LabelStudioClient,
    task_id: int,
    prediction: Mapping[str, Any],
    version: str,
    ours: Collection[str],
) -> Placed:
    """Let a task have this prediction of this version, once, in the place of our older ones.

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
    found = _ours(client, task_id, ours)
    current = [item for item in found if item.model_version == version]
    if current:
        _delete_others(client, found, keep=current[-1])
        return Placed.THERE
    while found:
        try:
            client.change_prediction(found[-1].id, **content)
        except LabelStudioNotFoundError:
            found.pop()
            continue
        _delete_others(client, found, keep=found[-1])
        return Placed.CHANGED
    created = client.create_prediction(task_id, **content)
    # Meanwhile Label Studio may have asked /predict for it and stored the answer: somebody has opened
    # the task, and looks at that one.
    found = _ours(client, task_id, ours)
    shown = [item for item in found if item.id != created.id and item.model_version == version]
    _delete_others(client, found, keep=shown[-1] if shown else created)
    return Placed.NEW


def _ours(client: LabelStudioClient, task_id: int, ours: Collection[str]) -> list[StoredPrediction]:
    found = [item for item in client.predictions(task_id) if item.model_version in ours]
    return sorted(found, key=lambda item: item.id)


def _delete_others(
    client: LabelStudioClient, found: Sequence[StoredPrediction], *, keep: StoredPrediction
) -> None:
    for item in found:
        if item.id != keep.id:
            client.delete_prediction(item.id)
