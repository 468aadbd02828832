"""The HTTP contract that Label Studio speaks, on a real application, store and worker."""

import base64
import json
import re
import shutil
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import pytest

from support import numbered_frame, write_video
from timelinelabels.runtime import build_resources
from timelinelabels.server.app import create_app, reason_phrase
from timelinelabels.server.predictions import SingleFlight
from timelinelabels.worker import Worker

REPOSITORY = Path(__file__).parents[2]
SIMPLE = """<View><TimelineLabels name="tl" toName="film" model_score_threshold="0.0">
  <Label value="Ball" predicted_values="ball"/></TimelineLabels>
  <Video name="film" value="$clip" frameRate="25"/></View>"""


def test_health_answers_without_any_project(backend):
    for path in ("/", "/health"):
        answer = backend.client.get(path)
        assert answer.status_code == 200
        assert answer.json["status"] == "UP"


def test_untrained_says_so_and_stores_nothing_in_label_studio(backend, scenes):
    assert backend.setup() == "untrained"
    answer = backend.predict(*scenes[:2])
    assert answer == {"results": [[], []], "model_version": "untrained"}


def test_submits_are_learned_and_new_tasks_are_predicted(backend, scenes):
    backend.setup()
    for number, scene in enumerate(scenes[:3], start=1):
        backend.submit(scene, number)
    backend.work()
    version = backend.setup()
    assert version.startswith("v")
    assert " · 3 videos · F1 0." in version
    backend.predict(scenes[4])
    backend.work()
    answer = backend.predict(scenes[4])
    assert answer["model_version"] == version
    (prediction,) = answer["results"]
    assert prediction["model_version"] == version
    assert 0 <= prediction["score"] <= 1
    assert prediction["result"]
    for region in prediction["result"]:
        assert (region["from_name"], region["to_name"]) == ("tl", "film")
        (item,) = region["value"]["ranges"]
        assert 1 <= item["start"] <= item["end"] <= scenes[4].frames


def test_the_version_is_the_same_in_every_process_and_on_every_call(backend, make_backend, scenes):
    backend.submit(scenes[0], 1)
    backend.work()
    version = backend.setup()
    assert backend.setup() == version
    assert make_backend().setup() == version
    assert backend.predict(scenes[0])["model_version"] == version


def test_any_number_of_submits_during_a_training_lead_to_one_more(backend, scenes):
    for number, scene in enumerate(scenes, start=1):
        backend.submit(scene, number)
    backend.work()
    assert len(backend.store.versions()) == 1


def test_an_event_that_changes_nothing_teaches_nothing(backend, scenes):
    backend.submit(scenes[0], 1)
    backend.work()
    version = backend.setup()
    backend.submit(scenes[0], 1)
    backend.work()
    assert backend.setup() == version


def test_start_training_trains_again(backend, scenes):
    backend.submit(scenes[0], 1)
    backend.work()
    version = backend.setup()
    backend.post("/webhook", {"action": "START_TRAINING", "project": backend.project_body()})
    backend.work()
    assert backend.setup() != version


def test_skipped_cancelled_and_deleted_annotations_are_not_trained_on(backend, scenes):
    backend.submit(scenes[0], 1)
    backend.submit(scenes[1], 2, was_cancelled=True)
    backend.submit(scenes[2], 3)
    backend.work()
    assert " · 2 videos · " in backend.setup()
    body = {
        "action": "ANNOTATIONS_DELETED",
        "annotations": [{"id": 3}],
        "project": backend.project_body(),
    }
    backend.post("/webhook", body)
    backend.submit(scenes[0], 1, was_cancelled=True, updated_at="2026-11-23T00:00:00Z")
    backend.work()
    assert backend.setup() == "untrained"
    assert backend.predict(scenes[0])["results"] == [[]]


def test_a_changed_label_set_is_learned_next_and_numbers_are_never_reused(backend, scenes):
    backend.submit(scenes[0], 1)
    backend.work()
    first = backend.setup()
    fewer = backend.config.replace('<Label value="Ball touch"/>', "")
    body = {"action": "PROJECT_UPDATED", "project": backend.project_body(fewer)}
    assert backend.post("/webhook", body).status_code == 200
    backend.work()
    second = backend.setup(fewer)
    assert second.split(" ")[0] != first.split(" ")[0]
    regions = backend.predict(scenes[0], config=fewer)["results"][0]["result"]
    assert {r["value"]["timelinelabels"][0] for r in regions} <= {"Ball in frame"}


def test_a_changed_threshold_is_a_new_version_without_training_and_going_back_an_old_one(
    backend, scenes
):
    backend.submit(scenes[0], 1)
    backend.work()
    first = backend.setup()
    strict = backend.config.replace(
        "model_trainable", 'model_score_threshold="0.9" model_trainable'
    )
    second = backend.setup(strict)
    assert second != first
    assert not backend.worker.run_one()
    assert backend.setup() == first


def test_a_reset_by_deleting_the_folder_never_reuses_a_number(backend, scenes):
    backend.submit(scenes[0], 1)
    backend.work()
    first = backend.setup()
    for folder in backend.settings.model_root.glob("timelinelabels-*"):
        shutil.rmtree(folder)
    assert backend.setup() == "untrained"
    backend.submit(scenes[1], 2)
    backend.work()
    second = backend.setup()
    assert int(second.split(" ")[0][1:]) > int(first.split(" ")[0][1:])


def test_simple_mode_predicts_at_once_with_a_version_of_its_own(backend, scenes):
    version = backend.setup(SIMPLE)
    assert version.endswith("yolov8n-cls classes")
    backend.predict(scenes[0], config=SIMPLE)
    backend.work()
    answer = backend.predict(scenes[0], config=SIMPLE)
    assert answer["model_version"] == version
    (region,) = answer["results"][0]["result"]
    assert region["value"]["ranges"] == [{"start": 1, "end": scenes[0].frames}]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (SIMPLE.replace("model_score_threshold", "model_score_treshold"), "model_score_threshold"),
        (SIMPLE.replace('"0.0"', '"high"'), "model_score_threshold"),
        (SIMPLE.replace("ball", "zeppelin"), "zeppelin"),
        (SIMPLE.replace('toName="film"', 'toName="nothing"'), "nothing"),
        (SIMPLE.replace("model_score", 'model_path="../../x.pt" model_score'), "x.pt"),
        (SIMPLE.replace("model_score", 'model_path="own.pt" model_score'), "correct model_path"),
        ("", "empty"),
        ("<View></View>", "TimelineLabels"),
        ("not xml", "XML"),
    ],
)
def test_a_wrong_config_is_a_422_in_words_of_setup_and_predict(backend, scenes, config, words):
    setup = {"project": backend.project, "schema": config}
    task = {"id": 1, "data": {"clip": scenes[0].path.name}}
    predict = {"project": backend.project, "label_config": config, "tasks": [task]}
    for path, body in (("/setup", setup), ("/predict", predict)):
        answer = backend.post(path, body)
        assert answer.status_code == 422
        assert words in answer.json["detail"]
        assert answer.status.startswith("422 ")
        assert len(answer.status) > 10
        assert answer.status.isascii()


def test_a_task_that_lacks_a_field_gets_an_empty_answer_beside_good_ones(backend, scenes):
    config = SIMPLE.replace('frameRate="25"', 'frameRate="$fps"')
    good = {"id": 1, "data": {"clip": scenes[0].path.name, "fps": 25}}
    bad = {"id": 2, "data": {"clip": scenes[0].path.name}}
    body = {"project": backend.project, "label_config": config, "tasks": [good, bad]}
    backend.post("/predict", body)
    backend.work()
    results = backend.post("/predict", body).json["results"]
    assert results[0]["result"]
    assert results[1] == []
    alone = backend.post("/predict", {**body, "tasks": [bad]})
    assert alone.status_code == 422
    assert "fps" in alone.json["detail"]


@pytest.mark.parametrize(
    "source", ["missing.mp4", "/etc/passwd", "http://127.0.0.1:1/x.mp4", "s3://b/x", 7, None]
)
def test_a_video_that_cannot_be_had_never_spoils_the_others(backend, scenes, source):
    backend.predict(scenes[0], config=SIMPLE)
    backend.work()
    tasks = [{"id": 1, "data": {"clip": source}}, {"id": 2, "data": {"clip": scenes[0].path.name}}]
    body = {"project": backend.project, "label_config": SIMPLE, "tasks": tasks}
    results = backend.post("/predict", body).json["results"]
    assert results[0] == []
    assert results[1]["result"]


def test_predict_waits_for_an_extraction_that_is_under_way(make_backend, scenes, tmp_path):
    patient = make_backend()
    settings = patient.settings.model_copy(
        update={"predict_wait_seconds": 20, "cache_dir": tmp_path / "cold"}
    )
    patient.client = create_app(settings).test_client()
    worker = Worker(patient.store, build_resources(settings, download_weights=False))
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    answer = patient.predict(*scenes[:2], config=SIMPLE)
    worker.stop()
    thread.join(30)
    assert all(result["result"] for result in answer["results"])


def test_predict_gives_up_waiting_and_answers_empty(make_backend, scenes, tmp_path):
    backend = make_backend()
    settings = backend.settings.model_copy(
        update={"predict_wait_seconds": 0.5, "cache_dir": tmp_path / "cold"}
    )
    backend.client = create_app(settings).test_client()
    started = time.monotonic()
    assert backend.predict(scenes[0], config=SIMPLE)["results"] == [[]]
    assert 0.4 < time.monotonic() - started < 5


def test_equal_requests_in_flight_are_done_once():
    flight, calls, gate = SingleFlight(), [], threading.Event()

    def slow():
        calls.append(1)
        gate.wait(5)
        return len(calls)

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(flight.do, "same", slow) for _ in range(8)]
        time.sleep(0.2)
        gate.set()
        assert {answer.result() for answer in answers} == {1}
    assert flight.do("same", slow) == 2
    with pytest.raises(ZeroDivisionError):
        flight.do("bad", lambda: 1 / 0)
    assert flight.do("bad", lambda: "fine") == "fine"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/setup", b"{"),
        ("/setup", b"[]"),
        ("/setup", b'{"schema": "<View/>"}'),
        ("/predict", b'{"tasks": 7}'),
        ("/predict", b'{"tasks": [7]}'),
        ("/webhook", b"null"),
        ("/webhook", b"{}"),
        ("/webhook", b'{"action": "ANNOTATION_CREATED"}'),
        ("/webhook", b"[" * 100_000),
        ("/webhook", b'{"action": "\xff"}'),
    ],
)
def test_an_ill_formed_body_is_a_400_in_words(backend, path, body):
    answer = backend.client.post(path, data=body, content_type="application/json")
    assert answer.status_code == 400, answer.text
    assert answer.json["detail"]


def test_a_body_that_is_not_json_is_said_to_be_none(backend):
    answer = backend.client.post("/setup", data=b"name=value")
    assert answer.json == {
        "error": "PayloadError",
        "detail": "/setup: the request body is not JSON.",
    }


def test_an_unknown_action_is_accepted_and_ignored(backend):
    answer = backend.post(
        "/webhook", {"action": "LABEL_LINK_CREATED", "project": backend.project_body()}
    )
    assert answer.status_code == 200


def test_a_webhook_with_a_wrong_config_is_kept_all_the_same(backend, scenes):
    event = backend.event(scenes[0], 1)
    event["project"]["label_config"] = "<View><broken"
    assert backend.post("/webhook", event).status_code == 200
    backend.setup()
    backend.work()
    assert " · 1 video · " in backend.setup()


def test_versions_lists_what_was_published(backend, scenes):
    backend.submit(scenes[0], 1)
    backend.work()
    assert backend.client.get("/versions").json == {"versions": [backend.setup()]}


def test_metrics_tell_requests_and_the_stores_content(backend, scenes):
    backend.setup()
    backend.submit(scenes[0], 1)
    text = backend.client.get("/metrics").text
    assert "timelinelabels_annotations 1.0" in text
    assert 'timelinelabels_work_outstanding{kind="train"} 1.0' in text
    assert 'timelinelabels_work_running{kind="train"} 0.0' in text
    assert 'route="/setup"' in text
    assert backend.store.claim("w", ["train"])
    assert 'timelinelabels_work_running{kind="train"} 1.0' in backend.client.get("/metrics").text


def test_the_documentation_names_every_metric(backend):
    backend.setup()
    there = re.findall(r"^# HELP (timelinelabels_\w+)", backend.client.get("/metrics").text, re.M)
    written = (REPOSITORY / "docs/how-to/monitor.md").read_text()
    documented = set(re.findall(r"^\| `(timelinelabels_\w+)", written, re.M))
    assert documented == {name for name in there if not name.endswith("_created")}


def test_basic_auth_guards_all_but_health(make_backend, scenes, caplog):
    backend = make_backend(basic_auth_user="me", basic_auth_pass="pässword")
    good = {"Authorization": "Basic " + base64.b64encode("me:pässword".encode()).decode()}
    body = {"project": backend.project, "schema": backend.config}
    assert backend.client.get("/health").status_code == 200
    for headers in (
        {},
        {"Authorization": "Basic bm8="},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic " + base64.b64encode(b"me:wrong").decode()},
    ):
        assert backend.post("/setup", body, headers=headers).status_code == 401
        assert backend.client.get("/metrics", headers=headers).status_code == 401
    assert backend.post("/setup", body, headers=good).status_code == 200
    assert backend.post("/webhook", backend.event(scenes[0], 1)).status_code == 401
    assert "webhook without valid credentials was REFUSED" in caplog.text
    assert backend.post("/webhook", backend.event(scenes[0], 1), headers=good).status_code == 200


def test_no_body_reaches_the_log(backend, scenes, caplog):
    caplog.set_level("DEBUG")
    event = backend.event(scenes[0], 1)
    event["project"]["access_token"] = "token-abc"
    backend.post("/webhook", event)
    backend.post("/setup", {"project": 1, "schema": "<View/>", "access_token": "token-abc"})
    backend.post("/webhook", {**event, "annotation": {"id": []}})
    assert "token-abc" not in caplog.text
    assert "hush" not in caplog.text


def test_a_reason_phrase_is_one_short_line_of_printable_ascii():
    phrase = reason_phrase("bad “frameRate”\r\nSet-Cookie: x\0 é" + "x" * 500)
    assert phrase.isascii()
    assert phrase.isprintable()
    assert len(phrase) <= 200
    assert "\\u201cframeRate" in phrase


def test_unknown_paths_and_methods_are_json_errors(backend):
    assert backend.client.get("/nothing").status_code == 404
    assert backend.client.get("/predict").status_code == 405
    assert json.loads(backend.client.get("/nothing").text)["error"] == "NotFound"


def test_text_that_no_database_takes_is_a_400_even_where_nothing_is_kept(backend):
    answer = backend.client.post(
        "/webhook", data=b'{"action": "\\ud800"}', content_type="application/json"
    )
    assert answer.status_code == 400
    assert "surrogates" in answer.json["detail"]


def test_a_video_whose_header_claims_years_never_spoils_the_others(backend, scenes):
    """A damaged WebM header may claim 31 years: 25 billion frames, more than any memory holds."""
    folder = scenes[0].path.parent
    write_video(
        folder / "years.webm", numbered_frame, count=5, codec="libvpx", time_base=Fraction(1, 1000)
    )
    content = bytearray((folder / "years.webm").read_bytes())
    at = content.index(b"\x44\x89\x88") + 3  # Duration, 8 bytes, in milliseconds
    content[at : at + 8] = struct.pack(">d", 1e12)
    (folder / "years.webm").write_bytes(content)
    tasks = [
        {"id": number, "data": {"clip": name}}
        for number, name in enumerate(["years.webm", scenes[0].path.name])
    ]
    body = {"project": backend.project, "label_config": SIMPLE, "tasks": tasks}
    backend.post("/predict", body)
    backend.work()
    results = backend.post("/predict", body).json["results"]
    assert results[0] == []
    assert results[1]["result"]
    event = backend.event(scenes[0], 1)
    event["task"]["data"]["clip"] = "years.webm"
    backend.post("/webhook", event)
    backend.submit(scenes[1], 2)
    backend.work()
    assert " · 1 video · " in backend.setup()
