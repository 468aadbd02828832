"""By mouse: two controls in one config, an alias, and files of 50 frames a second on a timeline of 25."""

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
    for label in (FRAME, TOUCH):
        annotator.draw(label, *truth[label][0])
    annotator.submit()
    (stored,) = api("GET", f"/api/tasks/{first}/annotations/")
    drawn = {
        region["from_name"]: (region["value"]["timelinelabels"], region["value"]["ranges"])
        for region in stored["result"]
    }
    spans = {label: [dict(zip(("start", "end"), truth[label][0], strict=True))] for label in truth}
    assert drawn == {"phase": (["in"], spans[FRAME]), "events": ([TOUCH], spans[TOUCH])}

    for task, scene in zip(others, fast_clips[1:], strict=False):
        api.annotate(task, annotation(scene))

    def learned() -> bool:
        return any(" 3 videos " in found["model_version"] for found in api.predictions(last))

    eventually(learned)
    annotator.open_task(project, last)
    bars = eventually(annotator.timeline)
    annotator.picture("two-controls")
    assert not annotator.errors()
    for label, shown in ((FRAME, "in"), (TOUCH, TOUCH)):
        start, end = fast_clips[-1].truth[label][0]
        found = [bar for bar in bars if shown in bar[0]]
        _, begins, ends = max(found, key=lambda bar: bar[2] - bar[1])
        assert abs(begins - start) <= 3, bars
        assert abs(ends - end) <= 3, bars
