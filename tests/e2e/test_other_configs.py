"""Configs and videos off the beaten track: several controls, aliases, several labels a region and
rectangles beside in one project; labels that come with each task in another; 50 frames a second and a
variable rate under a timeline of 25.
"""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from e2e.backend import Backend
from e2e.clips import render_clip
from e2e.label_studio import Api, eventually
from e2e.story import agreement, label_config
from timelinelabels.demo.scene import LABELS, Scene

FRAME, TOUCH = LABELS
CONFIG = f"""<View>
  <TimelineLabels name="phase" toName="film" model_trainable="true" model_classifier_epochs="60">
    <Label value="{FRAME}" alias="in"/>
  </TimelineLabels>
  <TimelineLabels name="events" toName="film" choice="multiple" model_trainable="true"
                  model_classifier_epochs="60">
    <Label value="{TOUCH}"/><Label value="{FRAME}"/>
  </TimelineLabels>
  <VideoRectangle name="box" toName="film"/>
  <Labels name="who" toName="film"><Label value="Player"/></Labels>
  <Video name="film" value="$video" frameRate="25" timelineHeight="120" height="240"/>
</View>"""
TIMES = {
    "50 fps.mp4": lambda index: Fraction(index, 50),
    "Größe: variabel & 自由.mp4": lambda index: Fraction(index * 40 + 13 * (index % 3), 1000),
}


def region(number: int, control: str, labels: list[str], span: dict[str, int]) -> dict[str, Any]:
    value = {"ranges": [span], "timelinelabels": labels}
    kind = {"type": "timelinelabels", "from_name": control, "to_name": "film"}
    return {"id": f"r{number}", "value": value, **kind}


def annotation(scene: Scene) -> list[dict[str, Any]]:
    """What a person draws: the alias stands for its label, a touch is labelled with both."""
    found = []
    for number, (label, spans) in enumerate(sorted(scene.truth.items())):
        for start, end in spans:
            span = {"start": start, "end": end}
            if label == FRAME:
                found.append(region(2 * number, "phase", ["in"], span))
                found.append(region(2 * number + 1, "events", [FRAME], span))
            else:
                found.append(region(2 * number, "events", [TOUCH, FRAME], span))
    sequence = [{"frame": 1, "enabled": True, "x": 10, "y": 10, "width": 5, "height": 5, "time": 0}]
    box = {"framesCount": 72, "duration": 2.88, "sequence": sequence, "labels": ["Player"]}
    kind = {"type": "videorectangle", "from_name": "box", "to_name": "film"}
    return [*found, {"id": "box", "value": box, **kind}]


@pytest.fixture(scope="module")
def odd_clips(tmp_path_factory: pytest.TempPathFactory) -> list[Scene]:
    folder: Path = tmp_path_factory.mktemp("odd clips")
    return [
        render_clip(folder / f"{number}.mp4", seed=70 + number, times=times)
        for number, times in enumerate(TIMES.values())
    ]


def test_every_control_is_learned_and_predicted_at_the_right_time(
    api: Api, served: Backend, clips: list[Scene], odd_clips: list[Scene]
) -> None:
    project = api.project("Several controls", CONFIG)
    for scene in clips[:3]:
        api.upload(project, scene.path)
    for scene, name in zip(odd_clips, TIMES, strict=True):
        api.upload(project, scene.path, name)
    api.connect(project, served.url)
    tasks = [task["id"] for task in api.tasks(project)]
    for task, scene in zip(tasks, clips[:3], strict=False):
        api.annotate(task, annotation(scene))

    def pushed(task: int) -> list[dict[str, Any]]:
        found = [p for p in api.predictions(task) if " 3 videos " in p["model_version"]]
        return found[0]["result"] if found else []

    for task, scene in zip(tasks[3:], odd_clips, strict=True):
        result = eventually(lambda task=task: pushed(task))
        phases = [item for item in result if item["from_name"] == "phase"]
        events = [item for item in result if item["from_name"] == "events"]
        assert len(phases) + len(events) == len(result)
        assert {item["to_name"] for item in result} == {"film"}
        assert len({item["id"] for item in result}) == len(result)
        assert agreement(phases, scene, FRAME, written="in") > 0.9, scene.path
        assert agreement(events, scene, TOUCH) > 0.7, scene.path


def test_labels_that_come_with_a_task_are_predicted_for_that_task(
    api: Api, served: Backend, clips: list[Scene]
) -> None:
    dynamic = (
        '<View><TimelineLabels name="events" toName="v" value="$labels" model_score_threshold="0"/>'
        '<Video name="v" value="$video" frameRate="25"/></View>'
    )
    films = api.project("Films", label_config())
    api.upload(films, clips[0].path)
    video = api.tasks(films)[0]["data"]["video"]
    wanted = (["ball"], ["hand", "floor"], ["nobody knows this"])
    body = [{"video": video, "labels": [{"value": name} for name in names]} for names in wanted]
    # Label Studio 1.23 refuses tasks with lists of labels once the config asks for them.
    project = api.project("Labels of tasks", label_config())
    api("POST", f"/api/projects/{project}/import", body)
    api("PATCH", f"/api/projects/{project}", {"label_config": dynamic})
    api.connect(project, served.url)
    *good, unknown = [task["id"] for task in api.tasks(project)]
    for task, names in zip(good, wanted, strict=False):
        (prediction,) = eventually(lambda task=task: api.open_task(task)["predictions"], 60)
        said = {name for item in prediction["result"] for name in item["value"]["timelinelabels"]}
        assert said == set(names)
        assert {item["from_name"] for item in prediction["result"]} == {"events"}
    assert api.open_task(unknown)["predictions"] == []

    learned = dynamic.replace(
        "model_score_threshold", 'model_trainable="true" model_score_threshold'
    )
    other = api.project("Labels of tasks, learned", learned)
    answer = api.http.post(
        "/api/ml", json={"project": other, "url": served.url, "title": "timelinelabels"}
    )
    assert "events" in answer.text, answer.text
    assert "model_trainable" in answer.text
