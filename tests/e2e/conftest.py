"""A real Label Studio, a real backend and a real browser, each started once for all tests here.

Where one of them is not installed, the tests that need it are skipped with the reason.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.backend import Backend
from e2e.browser import WINDOW, Annotator
from e2e.clips import render_clip
from e2e.label_studio import TOKEN, Api, LabelStudio, label_studio_command
from e2e.site import Site
from timelinelabels.demo.scene import Scene

HERE = Path(__file__).parent
PICTURES = HERE.parents[1] / "e2e-output"
CHROMIUM = Path("/usr/bin/chromium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    """A running Label Studio with an empty database."""
    command = label_studio_command()
    if command is None:
        pytest.skip("Label Studio is not installed: run `make label-studio`")
    server = LabelStudio(command, tmp_path_factory.mktemp("label-studio"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def api(label_studio: LabelStudio) -> Iterator[Api]:
    """Its API, with the legacy token of its only user."""
    api = Api(label_studio.url, TOKEN)
    yield api
    api.close()


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Scene]:
    """Five short videos; what is to be seen in them is easily learned from three."""
    folder = tmp_path_factory.mktemp("clips")
    return [render_clip(folder / f"match {n}.mp4", seed=n) for n in range(5)]


@pytest.fixture(scope="session")
def served(
    label_studio: LabelStudio, seeded_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backend]:
    """A running backend that may read this Label Studio."""
    folder = tmp_path_factory.mktemp("backend")
    models = folder / "models"
    models.mkdir()
    shutil.copyfile(seeded_weights, models / "yolov8n-cls.pt")
    backend = Backend(folder, LABEL_STUDIO_URL=label_studio.url, LABEL_STUDIO_API_KEY=TOKEN)
    try:
        backend.start()
        yield backend
    finally:
        backend.stop()


@pytest.fixture
def site(
    label_studio: LabelStudio, api: Api, clips: list[Scene], seeded_weights: Path, tmp_path: Path
) -> Iterator[Site]:
    """A project with four uploaded videos, and a backend that is not started yet."""
    models = tmp_path / "models"
    models.mkdir()
    shutil.copyfile(seeded_weights, models / "yolov8n-cls.pt")
    backend = Backend(tmp_path, LABEL_STUDIO_URL=label_studio.url, LABEL_STUDIO_API_KEY=TOKEN)
    site = Site(api, backend, clips)
    yield site
    backend.stop()
    if site.project not in [project["id"] for project in api("GET", "/api/projects")["results"]]:
        return  # deleted by the test, its backend with it
    for connected in api("GET", f"/api/ml?project={site.project}"):
        api("DELETE", f"/api/ml/{connected['id']}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, without a window."""
    if not CHROMIUM.is_file():
        pytest.skip(f"No {CHROMIUM}: run `apt-get install chromium fonts-dejavu-core`")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def annotator(browser: Any, label_studio: LabelStudio) -> Iterator[Annotator]:
    """A person at a browser of their own, not logged in yet."""
    context = browser.new_context(viewport=WINDOW)
    context.set_default_timeout(90_000)
    person = Annotator(context.new_page(), label_studio.url, PICTURES)
    yield person
    person.picture("last")  # where a test failed, this shows what the person saw
    context.close()
