"""`doctor` and `connect` against the real Label Studio: what is wrong, and what to do."""

from collections.abc import Iterator
from typing import Any

import pytest

from e2e.backend import Backend
from e2e.commands import run
from e2e.label_studio import TOKEN, Api, LabelStudio
from e2e.story import label_config
from timelinelabels.demo.scene import Scene


@pytest.fixture
def project(api: Api, clips: list[Scene]) -> int:
    """A project with one video."""
    project = api.project("To be examined", label_config())
    api.upload(project, clips[0].path)
    return project


def examine(backend: Backend, project: int, *options: str) -> str:
    """What it prints; where no --backend is given, its usual address."""
    address = () if "--backend" in options else ("--backend", backend.url)
    found = run(backend, "doctor", "--project", str(project), *address, *options)
    assert "Traceback" not in found.stderr, found.stderr
    return found.stdout


def test_several_backends_of_a_project_are_told(api: Api, served: Backend, project: int) -> None:
    first, second = f"http://localhost:{served.port}", served.url
    for url in (first, second):
        api.connect(project, url)
    told = examine(served, project, "--backend", first)
    assert f"warn Other backends are connected as well: {second}" in told
    told = examine(served, project, "--backend", second)
    assert f"warn Label Studio asks {first} for predictions: it was connected first" in told
    assert "Settings → Model" in told


def test_labels_are_compared_with_the_classes_of_the_weights(
    api: Api, served: Backend, project: int
) -> None:
    api.connect(project, served.url)

    def told(labels: str, attributes: str = "") -> str:
        config = (
            f'<View><TimelineLabels name="events" toName="v" {attributes}>{labels}</TimelineLabels>'
            '<Video name="v" value="$video" frameRate="25"/></View>'
        )
        api("PATCH", f"/api/projects/{project}", {"label_config": config})
        return examine(served, project)

    known = '<Label value="Ball" predicted_values="ball,hand"/>'
    assert "ok   events: all labels are classes of yolov8n-cls" in told(known)
    assert "warn events: no class of yolov8n-cls is named Referee" in told(
        f'{known}<Label value="Referee"/>'
    )
    nothing = told('<Label value="Referee"/>')
    assert "fail <TimelineLabels name='events'>: none of its labels is a class" in nothing
    missing = told(known, 'model_path="own/leaf.pt"')
    assert "ok   The labeling config can be used: events (simple)" in missing
    assert "fail There are no weights leaf.pt" in missing
    assert "model_traniable" in told(known, 'model_traniable="true"')


def test_videos_that_cannot_be_had_or_read_are_told(
    api: Api, served: Backend, project: int, tmp_path: Any
) -> None:
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(b"\0" * 1000)
    api.upload(project, torn)
    body = [{"data": {"video": "https://elsewhere.example/a.mp4"}}]
    api("POST", f"/api/projects/{project}/import", body)
    good, damaged, elsewhere = [task["id"] for task in api.tasks(project)]
    told = examine(served, project)
    assert f"ok   The video of task {good} can be read" in told
    assert f"fail The video of task {damaged}" in told
    assert f"fail The video of task {elsewhere}" in told
    assert "ALLOWED_MEDIA_HOSTS" in told


def test_a_host_name_without_a_dot_is_explained(served: Backend, project: int) -> None:
    told = examine(served, project, "--backend", "http://ml-backend:9090", "--fix")
    assert "fail The backend http://ml-backend:9090 is not connected" in told
    assert "Enter a valid URL" in told  # what Label Studio says of the webhook
    assert "accepts no webhook for a host name without a dot" in told


@pytest.fixture
def personal_token(api: Api) -> Iterator[str]:
    """A personal access token, while legacy tokens are switched off."""
    token = api("POST", "/api/token")["token"]
    policy = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": False}
    api("POST", "/api/jwt/settings", policy)
    yield token
    access = api.http.post("/api/token/refresh", json={"refresh": token}).json()["access"]
    answer = api.http.post(
        "/api/jwt/settings",
        json={**policy, "legacy_api_tokens_enabled": True},
        headers={"Authorization": f"Bearer {access}"},
    )
    assert answer.is_success, answer.text


def test_either_kind_of_token_is_named_and_told_when_it_is_refused(
    served: Backend, project: int, personal_token: str
) -> None:
    accepted = examine(served, project, "--api-key", personal_token)
    assert "It accepts the personal access token of annotator@example.com" in accepted
    assert "can be read" in accepted
    refused = examine(served, project, "--api-key", TOKEN)
    assert "fail Label Studio" in refused
    assert "must be a personal access token" in refused


def test_a_label_studio_that_blocks_private_addresses_is_told_how_to_start(
    label_studio: LabelStudio, served: Backend, project: int
) -> None:
    address = ("--project", str(project), "--backend", served.url)
    usual = dict(label_studio.settings)
    try:
        label_studio.stop()
        del label_studio.settings["LABEL_STUDIO_SSRF_PROTECTION_ENABLED"]
        label_studio.start()
        # Label Studio would connect the backend and leave out its webhook, without a word.
        half = run(served, "connect", *address)
        half_told = examine(served, project)
        fixed = examine(served, project, "--fix")
        label_studio.stop()
        del label_studio.settings["LABEL_STUDIO_ML_BLOCK_LOCAL_IP"]
        label_studio.start()
        whole = run(served, "connect", *address)
        whole_told = examine(served, project)
    finally:
        label_studio.stop()
        label_studio.settings.update(usual)
        label_studio.start()
    for refused in (half, whole):
        assert refused.returncode == 1
        assert "reserved network address" in refused.stderr
        assert "LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false" in refused.stderr
    assert "ok   Label Studio reaches the backend" in half_told
    assert "fail There is no webhook" in half_told
    assert "fail There is no webhook" in whole_told
    assert "reserved network address" in fixed
    for told in (half_told, fixed, whole_told):
        assert "LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false" in told
