"""The training set is what Label Studio has, though webhooks were missed, and though it goes away."""

import time

import httpx

from e2e.label_studio import LabelStudio, eventually
from e2e.site import Site
from e2e.slow_proxy import SlowProxy


def test_what_was_annotated_before_the_backend_was_connected_is_learned(site: Site) -> None:
    site.annotate(0)
    site.annotate(1)
    site.api.annotate(site.task(2), [], was_cancelled=True)
    site.backend.start()
    site.api.connect(site.project, site.backend.url)
    site.learned(2)
    assert "2 annotated tasks, as Label Studio has them" in site.log()


def test_what_happens_while_the_backend_is_down_is_learned_when_it_starts(site: Site) -> None:
    site.backend.start()
    site.api.connect(site.project, site.backend.url)
    annotations = [site.annotate(number) for number in range(3)]
    site.learned(3)
    site.backend.stop()
    site.api("DELETE", f"/api/annotations/{annotations[0]}/")
    site.api("DELETE", f"/api/annotations/{annotations[1]}/")
    site.backend.start()
    site.learned(1)


def test_learning_goes_on_while_label_studio_is_away(site: Site, label_studio: LabelStudio) -> None:
    site.backend.start()
    site.api.connect(site.project, site.backend.url)
    site.annotate(0)
    site.learned(1)
    hook = {
        "action": "START_TRAINING",
        "project": site.api("GET", f"/api/projects/{site.project}"),
    }
    before = site.newest()
    label_studio.stop()
    try:
        answer = httpx.post(f"{site.backend.url}/webhook", json=hook, timeout=20)
        assert answer.status_code == 200
        eventually(lambda: site.newest() != before)
        assert "learning goes on with what is known" in site.log()
    finally:
        label_studio.start()
    site.annotate(1)  # it restarted between two submits
    site.learned(2)


def test_a_label_studio_that_answers_late_is_waited_for(
    site: Site, label_studio: LabelStudio
) -> None:
    slow = SlowProxy(label_studio.url, seconds=3)
    site.backend.environment["LABEL_STUDIO_URL"] = slow.url
    try:
        site.backend.start()
        site.api.connect(site.project, site.backend.url)
        submitted = time.monotonic()
        site.annotate(0)
        assert time.monotonic() - submitted < 3  # who clicks Submit does not wait for any of this
        version = site.learned(1)
        eventually(lambda: [p["model_version"] for p in site.predictions(1)] == [version], 150)
        assert slow.answered > 3
        assert "Work failed" not in site.log()
    finally:
        site.backend.stop()
        slow.stop()


def test_a_deleted_project_is_forgotten(site: Site) -> None:
    site.backend.start()
    site.api.connect(site.project, site.backend.url)
    site.annotate(0)
    site.learned(1)
    site.api("DELETE", f"/api/projects/{site.project}")
    site.backend.stop()  # what it finds when it starts is what it would find within the hour
    site.backend.start()
    eventually(lambda: "does not have it any more" in site.log(), 60)
    metrics = httpx.get(f"{site.backend.url}/metrics", timeout=20).text
    assert "timelinelabels_annotations 0.0" in metrics


def test_without_a_key_what_webhooks_brought_is_learned_and_the_log_says_so(site: Site) -> None:
    site.annotate(0)
    del site.backend.environment["LABEL_STUDIO_API_KEY"]
    site.backend.environment["MEDIA_ROOTS"] = str(site.clips[0].path.parent)
    site.backend.start()
    site.api.connect(site.project, site.backend.url)
    scene = site.clips[1]
    body = [{"data": {"video": str(scene.path)}}]
    site.api("POST", f"/api/projects/{site.project}/import", body)
    task = site.api.tasks(site.project)[-1]["id"]
    site.api.annotate(task, scene.annotation_result())
    site.learned(1)
    assert "as webhooks brought them (LABEL_STUDIO_API_KEY is not set)" in site.log()
    assert site.log().count("Predictions are not pushed") == 1
    assert site.predictions(3) == []
