"""`connect`, `doctor` and `annotate` as a person types them, against the real Label Studio."""

import time

from e2e.commands import begin, run
from e2e.label_studio import eventually
from e2e.site import Site
from e2e.story import agreement, label_config


def hooks(site: Site) -> list[dict[str, object]]:
    return site.api("GET", f"/api/webhooks/?project={site.project}")


def test_connect_and_doctor_with_basic_auth(site: Site) -> None:
    site.backend.environment.update(BASIC_AUTH_USER="someone", BASIC_AUTH_PASS="a secret")
    site.backend.start()
    options = ("--project", str(site.project), "--backend", site.backend.url)

    before = run(site.backend, "doctor", *options)
    assert before.returncode == 1, before.stderr
    assert "is not connected" in before.stdout
    assert "There is no webhook" in before.stdout

    assert run(site.backend, "connect", *options).returncode == 0
    again = run(site.backend, "connect", *options)
    assert again.returncode == 0, again.stderr
    assert "was connected" in again.stdout
    assert "Webhook: was there" in again.stdout
    (backend,) = site.api("GET", f"/api/ml?project={site.project}")
    assert backend["state"] == "CO"
    (hook,) = hooks(site)
    assert hook["headers"]["Authorization"].startswith("Basic ")
    site.annotate(0)  # learned, though webhooks carry no Basic auth by themselves
    site.learned(1)

    healthy = run(site.backend, "doctor", *options)
    assert healthy.returncode == 0, healthy.stdout
    assert "fail" not in healthy.stdout
    assert "accepts the legacy token" in healthy.stdout
    assert "The webhook tells the backend of annotations" in healthy.stdout

    site.api("PATCH", f"/api/webhooks/{hook['id']}/", {"url": hook["url"], "headers": {}})
    faulty = run(site.backend, "doctor", *options)
    assert faulty.returncode == 1
    assert "lacks the Authorization header" in faulty.stdout
    mended = run(site.backend, "doctor", *options, "--fix")
    assert mended.returncode == 0, mended.stdout
    assert "The webhook was mended" in mended.stdout
    site.api("DELETE", f"/api/webhooks/{hook['id']}/")
    assert "The webhook was created" in run(site.backend, "doctor", *options, "--fix").stdout
    assert len(hooks(site)) == 1

    stray = {"project": site.project, "url": "http://127.0.0.1:9/webhook"}
    site.api("POST", "/api/webhooks/", stray)
    other_rate = label_config(frame_rate="30")
    site.api("PATCH", f"/api/projects/{site.project}", {"label_config": other_rate})
    warned = run(site.backend, "doctor", *options)
    assert warned.returncode == 0, warned.stdout
    assert "no backend of this project" in warned.stdout
    assert "25 frames a second, the timeline 30" in warned.stdout
    assert "a secret" not in warned.stdout + warned.stderr
    somebody = {"project": site.project, "url": f"{site.api.url}/webhook"}
    site.api("POST", "/api/webhooks/", somebody)
    fixed = run(site.backend, "doctor", *options, "--fix")
    assert f"The webhook to {stray['url']} was switched off" in fixed.stdout
    assert f"A webhook leads to {somebody['url']}" in fixed.stdout
    active = {hook["url"]: hook["is_active"] for hook in hooks(site)}
    assert active.pop(stray["url"]) is False
    assert set(active.values()) == {True}
    assert stray["url"] not in run(site.backend, "doctor", *options).stdout


def test_doctor_tells_what_is_away_or_refused(site: Site) -> None:
    nothing = run(
        site.backend, "doctor", "--url", "http://127.0.0.1:9", "--backend", "http://127.0.0.1:9"
    )
    assert nothing.returncode == 1
    assert "The backend does not answer at http://127.0.0.1:9" in nothing.stdout
    assert "LABEL_STUDIO_URL" in nothing.stdout
    refused = run(site.backend, "doctor", "--api-key", "0" * 40)
    assert refused.returncode == 1
    assert "personal access token" in refused.stdout


def test_annotate_predicts_all_tasks_and_goes_on_where_it_was(site: Site) -> None:
    site.backend.environment["PUSH_PREDICTIONS"] = "false"
    untrained = run(site.backend, "annotate", "--project", str(site.project))
    assert untrained.returncode == 1
    assert "no trained model" in untrained.stderr
    site.backend.start()
    site.api.connect(site.project, site.backend.url)
    for number in range(3):
        site.annotate(number)
    site.learned(3)
    eventually(lambda: site.newest() and not site.predictions(3), 20)
    only = run(site.backend, "annotate", "--project", str(site.project), "--only-unlabeled")
    assert only.returncode == 0, only.stderr
    assert "1 predictions written, 0 were there, 0 tasks failed" in only.stderr
    assert [len(site.predictions(number)) for number in range(4)] == [0, 0, 0, 1]
    assert agreement(site.predictions(3)[0]["result"], site.clips[3]) > 0.9
    everything = run(site.backend, "annotate", "--project", str(site.project))
    assert "3 predictions written, 1 were there, 0 tasks failed" in everything.stderr
    assert [len(site.predictions(number)) for number in range(4)] == [1] * 4


def test_annotate_that_is_killed_goes_on_where_it_was(site: Site) -> None:
    site.backend.environment["PUSH_PREDICTIONS"] = "false"
    for _ in range(4):
        for scene in site.clips[:4]:
            site.api.upload(site.project, scene.path)
    site.backend.start()
    site.api.connect(site.project, site.backend.url)
    site.annotate(0)
    site.learned(1)

    def predicted() -> list[int]:
        found = site.api("GET", f"/api/predictions?project={site.project}")
        return [prediction["task"] for prediction in found]

    killed = begin(site.backend, "annotate", "--project", str(site.project))
    try:
        eventually(predicted, every=0.02)
    finally:
        killed.kill()
        killed.wait()
    time.sleep(1)  # what was sent last is stored
    before = predicted()
    assert 0 < len(before) < 20
    again = run(site.backend, "annotate", "--project", str(site.project))
    left = 20 - len(before)
    assert f"{left} predictions written, {len(before)} were there, 0 tasks failed" in again.stderr
    assert len(predicted()) == len(set(predicted())) == 20
