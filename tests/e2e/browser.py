"""A person at Label Studio in a real browser: where to click, and what is on the screen."""

import re
from pathlib import Path
from typing import Any

from e2e.label_studio import PASSWORD, USER, eventually

# The editor's timeline: width of a frame, and of the column before the first one, in pixels.
FRAME, OFFSET = 16, 150
SELECTED = ".lsf-annotation-button_selected"
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

    def open_model_page(self, project: int) -> None:
        """Settings → Model."""
        self.page.goto(f"{self._url}/projects/{project}/settings/ml")

    def connect_model(self, project: int, backend_url: str) -> None:
        """Settings → Model → Connect Model."""
        self.open_model_page(project)
        self.page.get_by_text("Connect Model").first.click()
        self.page.fill("input[name=title]", "timelinelabels")
        self.page.fill("input[name=url]", backend_url)
        self.page.get_by_text("Validate and Save").click()

    def open_task(self, project: int, task: int) -> None:
        """A task in the editor, its timeline on screen."""
        self.page.goto(f"{self._url}/projects/{project}/data?task={task}")
        self.page.locator(".lsf-timeline-frames__scroll").wait_for()
        # The video's length is known, so that regions can be drawn.
        self.page.get_by_text(re.compile(r"of 7[23]")).wait_for()
        self.page.wait_for_function("document.querySelector('video')?.readyState >= 2")
        self.page.wait_for_timeout(500)  # the editor takes its spinner away

    def open_annotation(self, project: int, task: int) -> None:
        """A task that has an annotation, which is on screen, not a prediction."""
        self.open_task(project, task)
        self._button("Update").wait_for()

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
        row = self.page.locator('[data-id="new"]')

        name = self.page.locator(".lsf-label", has_text=label).first

        def chosen() -> bool:
            # A click that comes while the editor is drawn anew is lost; a second one would undo it.
            if not row.is_visible() and "selected" not in (name.get_attribute("class") or ""):
                name.click()
            return row.is_visible()

        eventually(chosen)
        row.scroll_into_view_if_needed()
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
        self._press("Submit", "POST", r"/api/tasks/\d+/annotations")

    def update(self) -> None:
        """Click Update; Label Studio has changed the annotation when this returns."""
        self._press("Update", "PATCH", r"/api/annotations/\d+")

    def delete_annotation(self) -> None:
        """The menu of the annotation on screen → Delete Annotation → Delete."""
        self.page.locator(f"{SELECTED} .lsf-annotation-button__trigger").click()
        self.page.get_by_text("Delete Annotation", exact=True).click()
        self._press("Delete", "DELETE", r"/api/annotations/\d+")

    def skip_next(self, project: int) -> int:
        """Label All Tasks → Skip; the task that was skipped."""
        self.open_data_manager(project)
        self.page.get_by_text("Label All Tasks").click()
        answer = self._press("Skip", "POST", r"/api/tasks/\d+/annotations")
        return int(answer["task"])

    def add_label(self, project: int, label: str) -> None:
        """Settings → Labeling Interface → Visual: one more label, saved."""
        self.page.goto(f"{self._url}/projects/{project}/settings/labeling")
        self.page.locator("textarea[name=labels]").fill(label)
        self._button("Add").click()
        self._press("Save", "PATCH", rf"/api/projects/{project}")

    def validate_model(self, project: int) -> None:
        """Settings → Model → the menu of the model → Edit → Validate and Save."""
        self.open_model_page(project)
        self.page.get_by_label("Machine learning model options").click()
        self.page.locator(".lsf-main-menu__item", has_text="Edit").click()
        self.page.get_by_text("Validate and Save").click()

    def start_training(self, project: int) -> None:
        """Settings → Model → the menu of the model → Start Training → Start Training."""
        self.open_model_page(project)
        self.page.get_by_label("Machine learning model options").click()
        self.page.locator(".lsf-main-menu__item", has_text="Start Training").click()
        self._press("Start Training", "POST", r"/api/ml/\d+/train")
        self.page.get_by_text("Request Sent!").wait_for()

    def _press(self, button: str, method: str, path: str) -> dict[str, Any]:
        """Click a button; the JSON that Label Studio answers the request with that it sends."""
        with self._answered(method, path) as stored:
            self._button(button).click()
        answer = stored.value
        assert answer.ok, answer.text()
        return answer.json() if answer.text() else {}

    def _button(self, text: str) -> Any:
        """By what a person reads on it; its accessible name is another."""
        return self.page.locator("button", has_text=re.compile(rf"^{text}$")).first

    def _answered(self, method: str, path: str) -> Any:
        pattern = re.compile(rf"{path}/?(\?.*)?$")
        return self.page.expect_response(
            lambda answer: answer.request.method == method and pattern.search(answer.url)
        )

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
