"""Several videos at once: in order, each with its own outcome, and nothing goes on when nobody waits."""

import logging
import threading
import time

import pytest

from timelinelabels import extraction
from timelinelabels.cli.console import make_console, progress_bars
from timelinelabels.cli.side_by_side import Wanted, extracted
from timelinelabels.control_models import FeatureSource
from timelinelabels.errors import MediaError, VideoError
from timelinelabels.runtime import build_resources, open_store, videos_at_once
from timelinelabels.settings import Settings
from timelinelabels.worker import Worker


@pytest.fixture
def settings(model_root, tmp_path, scenes):
    return Settings(
        model_root=model_root,
        cache_dir=tmp_path / "cache",
        media_roots=(scenes[0].path.parent, tmp_path),
        database_url="",
    )


@pytest.fixture
def resources(settings):
    return build_resources(settings, download_weights=False)


def wanted(paths):
    for number, path in enumerate(paths):
        yield Wanted(item=number, name=path.name, sources=[FeatureSource(str(path), None)])


def test_each_video_comes_in_its_turn_with_its_features_or_its_own_error(
    resources, scenes, tmp_path
):
    broken = tmp_path / "broken.mp4"
    broken.write_text("not a video")
    paths = [scenes[0].path, broken, scenes[1].path, tmp_path / "absent.mp4", scenes[2].path]
    with (
        progress_bars(make_console()) as progress,
        extracted(resources, wanted(paths), progress) as results,
    ):
        found = [(want.item, outcome) for want, outcome in results]
    assert [number for number, _ in found] == [0, 1, 2, 3, 4]
    assert isinstance(found[1][1], VideoError)
    assert isinstance(found[3][1], MediaError)
    for number in (0, 2, 4):
        (features,) = found[number][1].values()
        assert len(features.values) == 100


def test_no_more_videos_are_asked_for_than_are_extracted_at_once(resources, scenes):
    asked = []

    def watched():
        for want in wanted([scene.path for scene in scenes]):
            asked.append(want.item)
            yield want

    with (
        progress_bars(make_console()) as progress,
        extracted(resources, watched(), progress) as results,
    ):
        next(results)
        assert len(asked) <= videos_at_once() + 1


def test_what_is_under_way_ends_soon_when_nobody_waits_for_it(resources, scenes):
    with (
        pytest.raises(KeyboardInterrupt),
        progress_bars(make_console()) as progress,
        extracted(resources, wanted([s.path for s in scenes]), progress) as results,
    ):
        next(results)
        started = time.monotonic()
        raise KeyboardInterrupt
    assert time.monotonic() - started < 5
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("embed", "prefetch"))]
    finished = list((resources.features.folder / "features").glob("*.safetensors"))
    assert len(finished) < len(scenes)
    assert not list((resources.features.folder / "features").glob("*.partial"))


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_worker_extracts_as_many_videos_at_once_as_it_is_told(
    settings, resources, scenes, caplog, at_once
):
    store = open_store(settings)
    for scene in scenes[:3]:
        extraction.want_extraction(store, resources, FeatureSource(str(scene.path), None))
    worker = Worker(store, resources, videos_at_once=at_once)
    running = threading.Thread(target=worker.run)
    with caplog.at_level(logging.INFO, logger="timelinelabels.worker"):
        running.start()
        deadline = time.monotonic() + 60
        while store.outstanding() and time.monotonic() < deadline:
            time.sleep(0.05)
        worker.stop()
        running.join(10)
    assert not running.is_alive()
    assert not store.outstanding()
    under_way = most = 0
    for record in caplog.records:
        under_way += record.message.startswith("Extracting features")
        under_way -= record.message.startswith("Work ends: extract")
        most = max(most, under_way)
    assert most == at_once
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("extract-")]
