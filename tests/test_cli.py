"""The command line as a person types it, in a process of its own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CONFIG = """<View>
<TimelineLabels name="tl" toName="film" model_trainable="true" model_classifier_epochs="8">
<Label value="Ball in frame"/><Label value="Ball touch"/></TimelineLabels>
<Video name="film" value="$clip" frameRate="25.0"/></View>"""
SIMPLE = """<View><TimelineLabels name="tl" toName="film"><Label value="b" predicted_values="ball"/>
</TimelineLabels><Video name="film" value="$clip"/></View>"""


@pytest.fixture
def project(tmp_path, model_root, warm_cache, scenes):
    """A folder with config, export and videos, and a way to run commands in it."""
    videos = tmp_path / "work" / "clips"
    videos.mkdir(parents=True)
    tasks = []
    for number, scene in enumerate(scenes, start=1):
        (videos / scene.path.name).symlink_to(scene.path)
        result = [{**r, "from_name": "tl", "to_name": "film"} for r in scene.annotation_result()]
        tasks.append(
            {
                "id": number,
                "data": {"clip": f"clips/{scene.path.name}"},
                "annotations": [{"id": 100 + number, "result": result, "was_cancelled": False}],
            }
        )
    work = videos.parent
    (work / "config.xml").write_text(CONFIG)
    (work / "simple.xml").write_text(SIMPLE)
    (work / "train.json").write_text(json.dumps(tasks[:3]))
    (work / "test.json").write_text(json.dumps(tasks[3:]))

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "timelinelabels", *arguments],
            cwd=work,
            env={
                **{k: v for k, v in os.environ.items() if k not in ("LOG_LEVEL", "MEDIA_ROOTS")},
                "MODEL_ROOT": str(model_root),
                "CACHE_DIR": str(warm_cache),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=120,
        )

    run.folder = work
    return run


def test_train_then_predict_gives_tasks_that_label_studio_imports(project):
    trained = project("train", "--config", "config.xml", "--tasks", "train.json")
    assert trained.returncode == 0, trained.stderr
    assert "Published v1 · 3 videos · F1" in trained.stdout
    assert "on held-out videos" in trained.stdout
    predicted = project("predict", "-c", "config.xml", "-t", "test.json", "-o", "out.json")
    assert predicted.returncode == 0, predicted.stderr
    tasks = json.loads((project.folder / "out.json").read_text())
    assert [task["id"] for task in tasks] == [4, 5]
    for task in tasks:
        assert set(task) == {"id", "data", "predictions"}
        (prediction,) = task["predictions"]
        assert prediction["model_version"].startswith("v1 · 3 videos")
        assert all(r["from_name"] == "tl" and r["to_name"] == "film" for r in prediction["result"])
    videos = project("predict", "-c", "config.xml", "clips/scene 3.mp4")
    (task,) = json.loads(videos.stdout)
    assert task["data"] == {"clip": "clips/scene 3.mp4"}
    assert task["predictions"] == tasks[0]["predictions"]


def test_training_again_on_fewer_tasks_forgets_the_others(project):
    project("train", "-c", "config.xml", "-t", "train.json")
    export = json.loads((project.folder / "train.json").read_text())
    (project.folder / "one.json").write_text(json.dumps(export[:1]))
    again = project("train", "-c", "config.xml", "-t", "one.json")
    assert "Published v2 · 1 video · training F1" in again.stdout


def test_a_video_that_cannot_be_read_is_named_and_the_rest_goes_on(project):
    (project.folder / "clips" / "broken.mp4").write_text("not a video")
    result = project("predict", "-c", "simple.xml", "clips/broken.mp4", "clips/scene 1.mp4")
    assert result.returncode == 1
    assert "broken.mp4" in result.stderr
    tasks = json.loads(result.stdout)
    assert tasks[0]["predictions"] == []
    assert len(tasks[1]["predictions"]) == 1
    export = json.loads((project.folder / "train.json").read_text())
    export[1]["data"]["clip"] = "clips/broken.mp4"
    (project.folder / "mixed.json").write_text(json.dumps(export))
    trained = project("train", "-c", "config.xml", "-t", "mixed.json")
    assert trained.returncode == 0
    assert "· 2 videos · training F1" in trained.stdout
    assert "left out: task 2" in trained.stderr


@pytest.mark.slow
def test_evaluate_prints_tables_or_json_and_publishes_nothing(project, model_root):
    shown = project("evaluate", "-c", "config.xml", "-t", "train.json", "--test", "test.json")
    assert shown.returncode == 0, shown.stderr
    for part in (
        "tl: 2 videos, 200 frames, test tasks",
        "segmental F1@50",
        "Ball touch",
        "relabel",
    ):
        assert part in shown.stdout
    assert "Ball touch" in (project.folder / "evaluation.html").read_text()
    measured = project(
        *("evaluate", "-c", "config.xml", "-t", "train.json", "--folds", "3", "--json"),
        *("--report", "out.html"),
    )
    assert measured.returncode == 0, measured.stderr
    data = json.loads(measured.stdout)
    assert data["measured_on"] == "3 folds by video"
    assert 0 <= data["controls"][0]["scores"]["frame_f1_macro"] <= 1
    assert len(data["controls"][0]["videos"]) == 3
    assert (project.folder / "out.html").read_text().startswith("<!doctype html>")
    assert not list(model_root.glob("timelinelabels-*"))
    assert not (model_root / "store.sqlite3").exists()


@pytest.mark.slow
def test_simulate_shows_scores_and_corrections_by_video_and_writes_a_report(project):
    replayed = project("simulate", "-c", "config.xml", "-t", "train.json", "--report", "sim.html")
    assert replayed.returncode == 0, replayed.stderr
    assert "score on the remaining videos" in replayed.stdout
    assert "1. scene 0.mp4" in replayed.stdout
    assert "2 videos with a model" in replayed.stdout
    assert "Learning curve" in (project.folder / "sim.html").read_text()


@pytest.mark.slow
def test_the_output_s_folder_is_made_and_a_wrong_one_is_said_before_the_work(project):
    arguments = ("predict", "-c", "simple.xml", "clips/scene 1.mp4", "--output")
    made = project(*arguments, "new/folder/out.json")
    assert made.returncode == 0, made.stderr
    (task,) = json.loads((project.folder / "new" / "folder" / "out.json").read_text())
    assert task["predictions"]
    for wrong in ("clips", "config.xml/out.json"):
        refused = project(*arguments, wrong)
        assert refused.returncode == 2
        assert "--output" in refused.stderr
        assert "Traceback" not in refused.stderr
    for command in ("evaluate", "simulate"):
        given = ("-c", "config.xml", "-t", "train.json", "--report", "config.xml/out.html")
        refused = project(command, *given)
        assert refused.returncode == 2
        assert "--report" in refused.stderr
        assert "training" not in refused.stderr


@pytest.mark.slow
def test_paths_may_lead_up_from_the_tasks_file(project):
    (project.folder / "exports").mkdir()
    tasks = [
        {"id": "²", "data": {"clip": "../clips/scene 1.mp4"}},
        {"id": 2, "data": {"clip": "../gone.mp4"}},
    ]
    (project.folder / "exports" / "tasks.json").write_text(json.dumps(tasks))
    result = project("predict", "-c", "simple.xml", "-t", "exports/tasks.json")
    assert result.returncode == 1
    assert f"looked for from {project.folder / 'exports'}" in result.stderr
    first, second = json.loads(result.stdout)
    assert "id" not in first  # Label Studio's ids are numbers
    assert first["predictions"]
    assert second == {"id": 2, "data": {"clip": "../gone.mp4"}, "predictions": []}


@pytest.mark.slow
def test_a_name_that_is_not_unicode_is_said_and_leaves_the_output_json(project):
    arguments = ("predict", "-c", "simple.xml", b"clips/\xff.mp4", "clips/scene 1.mp4")
    printed = project(*arguments)
    written = project(*arguments, "-o", "out.json")
    assert (printed.returncode, written.returncode) == (1, 1)
    assert "Traceback" not in printed.stderr + written.stderr
    for text in (printed.stdout, (project.folder / "out.json").read_text(encoding="utf-8")):
        bad, good = json.loads(text)
        assert bad["data"] == {"clip": "clips/\udcff.mp4"}
        assert (bad["predictions"], len(good["predictions"])) == ([], 1)


def test_extract_prints_frames_speed_and_file_and_goes_on_after_a_bad_one(project):
    (project.folder / "clips" / "broken.mp4").write_text("not a video")
    result = project("extract", "-c", "config.xml", "clips/broken.mp4", "clips/scene 0.mp4")
    assert result.returncode == 1
    assert "broken.mp4" in result.stderr
    match = re.search(r"scene 0\.mp4: 100 frames, (/.*\.safetensors)", result.stdout)
    assert match
    assert Path(match[1]).stat().st_size <= 100 * 2700 + 70_000


def test_predicting_untrained_says_what_to_do(project):
    result = project("predict", "-c", "config.xml", "-t", "test.json")
    assert result.returncode == 1
    assert "timelinelabels train --config" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "-c", "config.xml"),
        ("predict", "-c", "config.xml", "-t", "test.json", "clips/scene 0.mp4"),
        ("predict", "-c", "missing.xml", "-t", "test.json"),
        ("train", "-c", "config.xml"),
        ("evaluate", "-c", "config.xml", "-t", "train.json", "--test", "test.json", "--folds", "2"),
        ("evaluate", "-c", "config.xml", "-t", "train.json", "--folds", "1"),
        ("simulate", "-c", "config.xml", "-t", "train.json", "--steps", "1,zero"),
        ("fly",),
        ("serve", "--port", "99999"),
        ("predict", "-c", "config.xml", "-t", "test.json", "--project", "x/y"),
    ],
)
def test_wrong_usage_ends_with_2(project, arguments):
    result = project(*arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.xml", "<View/>", "TimelineLabels"),
        ("train.json", "{", "train.json is not a JSON file"),
        ("train.json", '[{"annotations": []}]', "data"),
        ("train.json", "[]", "at least one annotated video"),
    ],
)
def test_wrong_files_end_with_1_and_words(project, name, content, words):
    (project.folder / name).write_text(content)
    result = project("train", "-c", "config.xml", "-t", "train.json")
    assert result.returncode == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_setting_ends_with_2_and_its_name(project):
    result = project("predict", "-c", "simple.xml", "clips/scene 0.mp4", CACHE_MAX_GB="lots")
    assert result.returncode == 2
    assert "CACHE_MAX_GB" in result.stderr


def test_missing_weights_are_named(project, tmp_path):
    (tmp_path / "empty").mkdir()
    result = project(
        "predict",
        "-c",
        "simple.xml",
        "clips/scene 0.mp4",
        MODEL_ROOT=str(tmp_path / "empty"),
        HTTPS_PROXY="http://127.0.0.1:1",
        ALL_PROXY="http://127.0.0.1:1",
    )
    assert result.returncode == 1
    for part in ("yolov8n-cls.pt", str(tmp_path / "empty"), "github.com/ultralytics"):
        assert part in result.stderr.replace("\n", "")


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["serve"],
        ["worker"],
        ["train"],
        ["predict"],
        ["evaluate"],
        ["simulate"],
        ["extract"],
        ["demo"],
    ],
)
def test_help_is_a_page_that_names_what_is_taken(project, command):
    result = project(*command, "--help")
    assert result.returncode == 0
    assert "Usage" in result.stdout
    if command in (["train"], ["predict"], ["evaluate"], ["simulate"], ["extract"]):
        assert "--config" in result.stdout
        assert "Example" in result.stdout


HEAVY = "{'torch', 'av', 'numpy', 'sqlalchemy', 'ultralytics', 'label_studio_sdk'}"


@pytest.mark.parametrize("module", ["timelinelabels.cli", "timelinelabels.supervisor"])
def test_help_and_the_supervisor_import_nothing_heavy(module):
    script = f"import sys, {module}; print(sorted({HEAVY} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["connect", "--project", "1"], "LABEL_STUDIO_API_KEY", 2),
        (["doctor"], "--url and --api-key", 2),
        (["annotate", "--project", "1", "--url", "http://127.0.0.1:9"], "--api-key", 2),
        (["doctor", "--fix"], "--project", 2),
        (["doctor", "--url", "localhost:8080", "--api-key", "k"], "http://", 2),
        (["connect"], "--project", 2),
        (["connect", "--project", "0"], "--project", 2),
        (
            ["connect", "-p", "1", "--url", "http://a", "--api-key", "k", "--backend", "b:9090"],
            "--backend",
            2,
        ),
        (
            ["annotate", "-p", "1", "--url", "http://127.0.0.1:9", "--api-key", "k"],
            "Is LABEL_STUDIO_URL its address",
            1,
        ),
    ],
)
def test_commands_for_a_label_studio_say_what_they_need(project, arguments, words, code):
    result = project(*arguments, LABEL_STUDIO_URL="", LABEL_STUDIO_API_KEY="")
    assert result.returncode == code, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr
