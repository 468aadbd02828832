"""When a project is read from Label Studio before a training.

Label Studio is a small one of this test; `tests/e2e/test_api_truth.py` tries the real one.
"""

from types import SimpleNamespace

import httpx
import pytest

from timelinelabels import reconciliation
from timelinelabels.labelstudio.client import LabelStudioClient
from timelinelabels.labelstudio.records import ProjectRef
from timelinelabels.reconciliation import FRESH_SECONDS, PAUSE_SECONDS, Reconciler, Source

CREATED = "2026-11-22T10:01:24.639662Z"


class LabelStudio:
    """A project without tasks; counts how often it is read."""

    def __init__(self):
        self.readings = 0
        self.status = 200

    def __call__(self, request):
        self.readings += request.url.path.startswith("/api/projects/")
        if self.status != 200:
            return httpx.Response(self.status, json={"detail": "no"})
        if request.url.path == "/api/tasks/":
            totals = {"total": 0, "total_annotations": 0, "total_predictions": 0}
            return httpx.Response(200, json={"tasks": [], **totals})
        found = {"id": 1, "title": "p", "created_at": CREATED, "label_config": ""}
        return httpx.Response(200, json={**found, "task_number": 0})


@pytest.fixture
def reading(backend, monkeypatch):
    """A project's reconciler, its Label Studio, and a clock that the test sets."""
    backend.setup()
    server = LabelStudio()
    client = LabelStudioClient(
        "http://label-studio", "0" * 40, transport=httpx.MockTransport(server)
    )
    clock = [1000.0]
    monkeypatch.setattr(reconciliation, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    return backend, Reconciler(backend.store, client), server, clock


def test_a_project_that_was_read_just_now_is_not_read_again(reading):
    backend, reconciler, server, _ = reading
    for _ in range(2):
        found = reconciler.bring_up_to_date(backend.project, max_age_seconds=FRESH_SECONDS)
        assert found is Source.LABEL_STUDIO
    assert server.readings == 1
    reconciler.bring_up_to_date(backend.project, max_age_seconds=0.0)
    assert server.readings == 2


def test_a_label_studio_that_refuses_is_left_alone_for_a_while(reading):
    backend, reconciler, server, clock = reading
    server.status = 403
    for _ in range(2):
        found = reconciler.bring_up_to_date(backend.project, max_age_seconds=FRESH_SECONDS)
        assert found is Source.WEBHOOKS
    assert server.readings == 1
    server.status = 200
    clock[0] += PAUSE_SECONDS
    found = reconciler.bring_up_to_date(backend.project, max_age_seconds=FRESH_SECONDS)
    assert found is Source.LABEL_STUDIO


def test_a_project_of_the_command_line_is_never_asked_for(reading):
    backend, reconciler, server, _ = reading
    key = backend.store.resolve_project(ProjectRef("command line", None))
    assert reconciler.bring_up_to_date(key, max_age_seconds=0.0) is Source.WEBHOOKS
    assert server.readings == 0
