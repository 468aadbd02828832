"""A person at Label Studio in a real browser: where to click, and what is on the screen."""

import re
from pathlib import Path
from typing import Any

from e2e.label_studio import PASSWORD, USER

# The editor's timeline: width of a frame, and of the column before the first one, in pixels.
FRAME, OFFSET = 16, 150
# Wide enough for the timeline of a clip beside the panels.
WINDOW = {"width": 1920, "height": 900}

# All bars at one moment: the editor draws the timeline anew again and again.
BARS = """() => [...document.querySelectorAll('.lsf-keypoints_timeline:not([data-id=new])')].map(row => {
  const bar = row.querySelector('.lsf-keypoints__lifespan')?.getBoundingClientRect();
  return bar && [row.querySelector('.lsf-keypoints__name').innerText, bar.left, bar.right];
}).filter(Boolean)"""


class Annotator:
    """One user.

    Args:
        page: Playwright's page.
        url: Label Studio's address.
        pictures: folder of the screenshots.
    """

    def __init__(self, page: Any, url: str, pictures: Path) -> None:
        self.page = page
        self._url = url
        self._pictures = pictures

    def log_in(self) -> None:
        self.page.goto(f"{self._url}/user/login/")
        self.page.fill("input[name=email]", USER)
        self.page.fill("input[name=password]", PASSWORD)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(lambda url: "/user/login" not in url, wait_until="domcontentloaded")

    def connect_model(self, project: int, backend_url: str) -> None:
        """Settings → Model → Connect Model."""
        self.page.goto(f"{self._url}/projects/{project}/settings/ml")
        self.page.get_by_text("Connect Model").first.click()
        self.page.fill("input[name=title]", "timelinelabels")
        self.page.fill("input[name=url]", backend_url)
        self.page.get_by_text("Validate and Save").click()

    def open_task(self, project: int, task: int) -> None:
        """A task in the editor, its timeline on screen."""
        self.page.goto(f"{self._url}/projects/{project}/data?task={task}")
        self.page.locator(".lsf-timeline-frames__scroll").wait_for()
        # The video's length is known, so that regions can be drawn.
        self.page.get_by_text("of 72").wait_for()
        self.page.wait_for_function("document.querySelector('video')?.readyState >= 2")
        self.page.wait_for_timeout(500)  # the editor takes its spinner away

    def open_data_manager(self, project: int) -> None:
        """The project's list of tasks."""
        self.page.goto(f"{self._url}/projects/{project}/data")
        self.page.get_by_text("Label All Tasks").wait_for()

    def predict_all(self, project: int) -> None:
        """Select all tasks, then Actions → Retrieve Predictions."""
        self.open_data_manager(project)
        self.page.locator("input[type=checkbox]").first.check(force=True)
        self.page.get_by_text(re.compile(r"^\d+ Tasks?$")).first.click()
        self.page.get_by_text("Retrieve Predictions").first.click()
        self.page.get_by_text("OK", exact=True).last.click()

    def draw(self, label: str, start: int, end: int) -> None:
        """Choose a label and drag over the frames start..end (1-based) in the new row."""
        self.page.locator(".lsf-label", has_text=label).first.click()
        row = self.page.locator('[data-id="new"]')
        row.wait_for()
        box = row.bounding_box()
        y = box["y"] + box["height"] / 2
        mouse = self.page.mouse
        mouse.move(self._x_of(start), y)
        mouse.down()
        for frame in range(start, end):
            mouse.move(self._x_of(frame), y)
        mouse.move(self._x_of(end), y)
        mouse.up()
        row.wait_for(state="detached")

    def submit(self) -> None:
        """Click Submit; Label Studio has stored the annotation when this returns."""
        with self.page.expect_response(
            lambda answer: "/annotations" in answer.url and answer.request.method == "POST"
        ) as stored:
            self.page.get_by_text("Submit", exact=True).click()
        assert stored.value.ok, stored.value.text()

    def timeline(self) -> list[tuple[str, int, int]]:
        """(Label, first frame, last frame) of each bar, from where the bar is on the screen."""
        bars = self.page.evaluate(BARS)
        return sorted(
            (name, self._frame_at(left), self._frame_at(right)) for name, left, right in bars
        )

    def errors(self) -> list[str]:
        """What the page says has gone wrong."""
        said = self.page.get_by_text("error").or_(self.page.get_by_text("went wrong"))
        return [text for text in said.all_inner_texts() if text]

    def picture(self, name: str, part: str | None = None) -> Path:
        """A screenshot of the window, or of one part of it."""
        self._pictures.mkdir(parents=True, exist_ok=True)
        path = self._pictures / f"{name}.png"
        (self.page.locator(part).last if part else self.page).screenshot(path=str(path))
        return path

    def _left(self) -> float:
        return float(self.page.locator(".lsf-timeline-frames__scroll").bounding_box()["x"]) + OFFSET

    def _x_of(self, frame: int) -> float:
        """The middle of a frame."""
        return self._left() + (frame - 0.5) * FRAME

    def _frame_at(self, x: float) -> int:
        return round((x - self._left()) / FRAME + 0.5)
