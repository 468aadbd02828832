"""Predictions arrive in Label Studio by themselves: once for a task, and never those of others touched."""

import json

import httpx

from e2e.label_studio import LabelStudio, eventually
from e2e.site import Site
from e2e.story import agreement


def versions_of(site: Site, number: int) -> list[str]:
    return [prediction["model_version"] for prediction in site.predictions(number)]


def test_a_new_version_reaches_the_unlabelled_tasks_in_the_place_of_the_older_one(
    site: Site,
) -> None:
    site.backend.start()
    site.api.connect(site.project, site.backend.url)
    foreign = {"task": site.task(3), "result": [], "score": 0.5, "model_version": "somebody else"}
    site.api("POST", "/api/predictions", foreign)
    site.annotate(0)
    first = site.learned(1)
    eventually(lambda: versions_of(site, 3) == ["somebody else", first], 60)
    ids = [prediction["id"] for prediction in site.predictions(3)]
    site.annotate(1)
    site.annotate(2)
    site.learned(3)
    eventually(lambda: versions_of(site, 3) == ["somebody else", site.newest()], 60)
    assert [prediction["id"] for prediction in site.predictions(3)] == ids
    pushed = site.predictions(3)[1]
    assert agreement(pushed["result"], site.clips[3]) > 0.9
    assert 0.5 <= pushed["score"] <= 1
    # A task that is labelled keeps what its annotator was shown.
    assert site.newest() not in versions_of(site, 0)
    # What an annotator sends who opened the task before; had it been deleted, Submit would fail.
    site.api("DELETE", f"/api/predictions/{ids[0]}/")
    refused = site.api.http.post(
        f"/api/tasks/{site.task(3)}/annotations/", json={"result": [], "parent_prediction": ids[0]}
    )
    assert refused.status_code == 400
    site.api.annotate(site.task(3), site.clips[3].annotation_result(), parent_prediction=ids[1])


def test_tasks_are_ordered_by_score_where_a_version_is_chosen(site: Site) -> None:
    site.backend.start()
    site.api.connect(site.project, site.backend.url)
    site.annotate(0)
    site.learned(1)
    eventually(lambda: versions_of(site, 3) == [site.newest()], 60)

    def scores() -> list[float | None]:
        query = json.dumps({"ordering": ["tasks:predictions_score"]})
        found = site.api("GET", f"/api/tasks?project={site.project}&fields=all&query={query}")
        return [task.get("predictions_score") for task in found["tasks"]]

    # While the model itself is chosen in Settings → Annotation, Label Studio 1.23 shows no score.
    assert scores() == [None] * 4
    site.api("PATCH", f"/api/projects/{site.project}", {"model_version": site.newest()})
    *known, labelled = scores()
    assert labelled is None
    assert known == sorted(known)


def test_what_predict_could_not_answer_in_time_arrives_later(site: Site) -> None:
    site.backend.environment["PREDICT_WAIT_SECONDS"] = "0"
    site.backend.start()
    site.api.connect(site.project, site.backend.url)
    site.annotate(0)
    site.annotate(1)
    site.learned(2)
    site.api.upload(site.project, site.clips[4].path)
    late = site.api.tasks(site.project)[4]["id"]
    site.api.annotate(late, [], was_cancelled=True)  # skipped: asked for all the same
    site.api.retrieve_predictions(site.project)
    eventually(lambda: versions_of(site, 4) == [site.newest()], 60)
    eventually(lambda: versions_of(site, 0) == [site.newest()], 60)


def test_a_push_waits_for_a_label_studio_that_is_away(
    site: Site, label_studio: LabelStudio
) -> None:
    site.backend.start()
    site.api.connect(site.project, site.backend.url)
    site.annotate(0)
    first = site.learned(1)
    eventually(lambda: versions_of(site, 3) == [first], 60)
    hook = {
        "action": "START_TRAINING",
        "project": site.api("GET", f"/api/projects/{site.project}"),
    }
    label_studio.stop()
    try:
        assert httpx.post(f"{site.backend.url}/webhook", json=hook, timeout=20).is_success
        eventually(lambda: site.newest() != first)
        eventually(lambda: "Work failed: push" in site.log(), 60)
    finally:
        label_studio.start()
    eventually(lambda: versions_of(site, 3) == [site.newest()])
