"""By mouse: two controls in one config, an alias, and files of 50 frames a second on a timeline of 25.

Label Studio 1.23 draws with the first control only: while a label of another one is chosen, its timeline
has no row to draw in. What others have annotated or predicted for the second one is shown.
"""

from fractions import Fraction
from pathlib import Path

import pytest

from e2e.backend import Backend
from e2e.browser import Annotator
from e2e.clips import render_clip
from e2e.label_studio import Api, eventually
from e2e.test_other_configs import CONFIG, FRAME, TOUCH, annotation
from timelinelabels.demo.scene import Scene


@pytest.fixture(scope="module")
def fast_clips(tmp_path_factory: pytest.TempPathFactory) -> list[Scene]:
    """Four videos of 50 frames a second."""
    folder: Path = tmp_path_factory.mktemp("50 fps")
    times = [folder / f"spiel {number}.mp4" for number in range(4)]
    return [
        render_clip(path, seed=90 + number, times=lambda index: Fraction(index, 50))
        for number, path in enumerate(times)
    ]


def test_what_is_drawn_for_each_control_is_learned_and_shown_at_the_same_time(
    annotator: Annotator, api: Api, served: Backend, fast_clips: list[Scene]
) -> None:
    project = api.project("Two controls by mouse", CONFIG)
    for scene in fast_clips:
        api.upload(project, scene.path)
    first, *others, last = [task["id"] for task in api.tasks(project)]
    annotator.log_in()
    annotator.connect_model(project, served.url)
    annotator.page.get_by_text("Connected", exact=True).wait_for()

    annotator.open_task(project, first)
    truth = fast_clips[0].truth
    start, end = truth[FRAME][0]
    annotator.draw(FRAME, start, end)
    annotator.submit()
    (stored,) = api("GET", f"/api/tasks/{first}/annotations/")
    (region,) = stored["result"]
    assert region["from_name"] == "phase"
    assert region["value"]["timelinelabels"] == ["in"]
    assert region["value"]["ranges"] == [{"start": start, "end": end}]

    body = {"result": annotation(fast_clips[0])}
    api("PATCH", f"/api/annotations/{stored['id']}/", body)
    for task, scene in zip(others, fast_clips[1:], strict=False):
        api.annotate(task, annotation(scene))

    def learned() -> bool:
        return any(" 3 videos " in found["model_version"] for found in api.predictions(last))

    eventually(learned)
    annotator.open_task(project, last)
    bars = eventually(annotator.timeline)
    annotator.picture("two-controls")
    assert not annotator.errors()
    shown = {FRAME: [bar for bar in bars if bar[0] == "in"]}
    shown[TOUCH] = [bar for bar in bars if TOUCH in bar[0]]
    for label, found in shown.items():
        start, end = fast_clips[-1].truth[label][0]
        _, begins, ends = max(found, key=lambda bar: bar[2] - bar[1])
        assert abs(begins - start) <= 3, bars
        assert abs(ends - end) <= 3, bars
