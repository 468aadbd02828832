"""Events like Label Studio's, made to measure; and the recorded ones."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from timelinelabels.labelstudio.payloads import WebhookEvent, parse_webhook
from timelinelabels.store import Store

REQUESTS = Path(__file__).parents[1] / "requests"
START = datetime(2026, 11, 22, 10, tzinfo=UTC)
PROJECT = {"id": 1, "created_at": "2026-11-22T09:00:00Z"}
KEY = "1.1795338000"


def at(minutes: float) -> str:
    return (START + timedelta(minutes=minutes)).isoformat()


def task(task_id: int = 1, *, created: float = 0, updated: float | None = None, video="a.mp4"):
    return {
        "id": task_id,
        "data": {"video": video},
        "created_at": at(created),
        "updated_at": at(created if updated is None else updated),
    }


def written(
    annotation_id: int = 1,
    unique_id: str | None = "u1",
    *,
    created: float = 1,
    updated: float | None = None,
    on: dict | None = None,
    result: list | None = None,
    cancelled: bool = False,
    action: str = "ANNOTATION_CREATED",
    project: dict | None = None,
) -> WebhookEvent:
    on = on or task()
    return parse_webhook(
        {
            "action": action,
            "project": project or PROJECT,
            "annotation": {
                "id": annotation_id,
                "unique_id": unique_id,
                "task": on["id"],
                "result": [{"id": unique_id}] if result is None else result,
                "was_cancelled": cancelled,
                "created_at": at(created),
                "updated_at": at(created if updated is None else updated),
            },
            "task": on,
        }
    )


def annotations_deleted(*ids: int, project: dict | None = None) -> WebhookEvent:
    return parse_webhook(
        {
            "action": "ANNOTATIONS_DELETED",
            "annotations": [{"id": one} for one in ids],
            "project": project or PROJECT,
        }
    )


def tasks_created(*tasks: dict, project: dict | None = None) -> WebhookEvent:
    return parse_webhook(
        {"action": "TASKS_CREATED", "tasks": list(tasks), "project": project or PROJECT}
    )


def tasks_deleted(*ids: int, project: dict | None = None) -> WebhookEvent:
    return parse_webhook(
        {
            "action": "TASKS_DELETED",
            "tasks": [{"id": one} for one in ids],
            "project": project or PROJECT,
        }
    )


def start_training() -> WebhookEvent:
    return parse_webhook({"action": "START_TRAINING", "project": PROJECT})


def recorded_bodies() -> list[dict]:
    return [
        json.loads(path.read_text())["body"] for path in sorted(REQUESTS.glob("webhook_*.json"))
    ]


def current(store: Store, key: str = KEY) -> list[tuple[str, str | None]]:
    """(id, unique_id) of every current annotation, sorted."""
    return sorted(
        (record.id, record.unique_id)
        for annotated in store.annotated_tasks(key)
        for record in annotated.annotations
    )


def wanted(store: Store, key: str = KEY) -> bool:
    """Whether a training is to do; it is then done, so that the next call tells what is new."""
    item = store.claim("test", ["train"], key=key)
    return item is not None and store.complete(item)
