"""The feature store: made once, found by content, whole or not at all."""

import json
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file

from support import numbered_frame, write_video
from timelinelabels.content_hash import content_hash, known_content_hash
from timelinelabels.errors import FeatureStoreError, NoVideoStreamError, VideoError
from timelinelabels.feature_file import (
    DamagedFeatureFileError,
    FeatureFileWriter,
    FeatureRecord,
    read_feature_file,
)
from timelinelabels.features import (
    CacheParams,
    Features,
    FeatureStore,
    cached_feature_extraction,
    cached_yolo_predict,
)
from timelinelabels.prefetch import prefetched
from timelinelabels.thumbnails import CELLS
from timelinelabels.video import DamagedSpan, VideoReader
from tiny_backbone import TinyBackbone

FRAMES = 50


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "video.mp4", numbered_frame, count=FRAMES, pts=range(10, 60))


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "cache")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "embedded"
    path.touch()
    return path


def embedded(log: Path) -> int:
    """How many frames were embedded by all processes that share `log`."""
    return sum(map(int, log.read_text().split()))


def files(store: FeatureStore) -> set[str]:
    """What lies in the feature folder, locks left aside."""
    folder = store.folder / "features"
    return {path.name for path in folder.glob("*") if path.suffix != ".lock"}


# ------------------------------------------------------------------------------------------- content


def test_features_are_what_the_backbone_saw_at_the_raw_times(video: Path, store: FeatureStore):
    backbone = TinyBackbone()
    preparation = backbone.preprocessing
    with VideoReader(
        video, scaled_size=preparation.scaled_size, crop_box=preparation.crop_box
    ) as reader:
        frames, pts = zip(*((batch.frames, batch.pts) for batch in reader), strict=True)

    features = store.extract(video, backbone)

    expected = backbone.embed(np.concatenate(frames)).astype(np.float16)
    assert np.array_equal(features.values, expected)
    assert np.array_equal(features.pts, np.concatenate(pts))
    assert features.values.shape == (FRAMES, backbone.feature_dim)
    assert (features.values.dtype, features.pts.dtype) == (np.float16, np.int64)
    assert features.times == pytest.approx([(10 + i) / 25 for i in range(FRAMES)])
    assert features.duration == 2
    assert features.media_hash == content_hash(video)
    assert features.damage == ()


def test_features_are_mapped_and_cannot_be_changed(video: Path, store: FeatureStore):
    features = store.extract(video, TinyBackbone())

    assert isinstance(features.values, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        features.values[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        features.pts[0] = 1


def test_the_file_is_plain_safetensors(video: Path, store: FeatureStore):
    features = store.extract(video, TinyBackbone())

    tensors = load_file(features.path)
    with safe_open(features.path, "np") as file:
        metadata = file.metadata()

    assert np.array_equal(tensors["features"], features.values)
    assert np.array_equal(tensors["pts"], features.pts)
    assert json.loads(tensors["damage"].tobytes()) == []
    assert metadata["media_hash"] == features.media_hash
    assert metadata["backbone_fingerprint"] == TinyBackbone().fingerprint
    assert Fraction(metadata["time_base"]) == features.time_base
    assert Fraction(metadata["duration"]) == features.duration


@pytest.mark.parametrize("frames", [40, 100, 1000])
def test_a_frame_of_1280_dimensions_takes_at_most_2700_bytes(tmp_path: Path, frames: int):
    path = tmp_path / "x.safetensors"

    with FeatureFileWriter(path, 1280) as writer:
        writer.append(
            np.ones((frames, 1280), np.float16),
            np.arange(frames),
            np.ones((frames, CELLS), np.uint8),
        )
        writer.commit(record())

    assert path.stat().st_size / frames <= 2700


@given(
    batches=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    dim=st.integers(1, 7),
    spans=st.lists(
        st.builds(
            DamagedSpan,
            start=st.none() | st.floats(-1e6, 1e6),
            end=st.none() | st.floats(-1e6, 1e6),
            reason=st.text(max_size=20),
        ),
        max_size=40,
    ),
)
def test_a_feature_file_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[int],
    dim: int,
    spans: list[DamagedSpan],
):
    path = tmp_path_factory.mktemp("file") / "x.safetensors"
    total = sum(batches)
    values = np.random.default_rng(total).normal(size=(total, dim)).astype(np.float16)
    pts = np.arange(total) * 3 - 5
    thumbnails = np.random.default_rng(total).integers(0, 256, (total, CELLS)).astype(np.uint8)
    written = record(damage=tuple(spans))

    with FeatureFileWriter(path, dim) as writer:
        for begin, size in zip(np.cumsum([0, *batches[:-1]]), batches, strict=True):
            rows = slice(begin, begin + size)
            writer.append(values[rows], pts[rows], thumbnails[rows])
        writer.commit(written)

    arrays, read_record = read_feature_file(path)
    assert np.array_equal(arrays.features, values)
    assert np.array_equal(arrays.pts, pts)
    assert np.array_equal(arrays.thumbnails, thumbnails)
    assert read_record == written
    tensors = load_file(path)
    assert np.array_equal(tensors["features"], values)
    assert np.array_equal(tensors["pts"], pts)
    assert np.array_equal(tensors["thumbnails"], thumbnails)
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def record(*, damage: tuple[DamagedSpan, ...] = ()) -> FeatureRecord:
    return FeatureRecord(
        media_hash="a" * 64,
        backbone_fingerprint="b" * 64,
        time_base=Fraction(1001, 30000),
        duration=Fraction(24023333, 10**6),
        damage=damage,
    )


def test_damage_of_the_video_is_kept_with_its_features(shared_data: Path, store: FeatureStore):
    video = shared_data / "awkward_videos" / "DERIVED_corrupt_bytes_testvideo.mp4"

    features = store.extract(video, TinyBackbone())

    assert len(features.values) == len(features.pts) == 718
    assert {round(span.start, 2) for span in features.damage} >= {11.18, 16.35}
    again = store.load(features.media_hash, TinyBackbone().fingerprint)
    assert again is not None
    assert again.damage == features.damage


def test_a_video_of_one_frame_and_no_duration_has_features(tmp_path: Path, store: FeatureStore):
    picture = np.full((48, 64, 3), 100, np.uint8)
    gif = write_video(tmp_path / "one.gif", [picture], codec="gif", pixel_format="rgb8")
    raw = write_video(tmp_path / "raw.h264", [picture] * 3)

    assert store.extract(gif, TinyBackbone()).values.shape == (1, 48)
    assert store.extract(raw, TinyBackbone()).duration == Fraction(3, 25)


def test_a_sampled_video_has_features_of_its_own_and_of_fewer_frames(
    video: Path, store: FeatureStore, tmp_path: Path
):
    log = tmp_path / "log"
    every = store.extract(video, TinyBackbone())
    sampled = store.extract(video, TinyBackbone(log=log), sample_fps=Fraction(5))

    # The video begins at 0.4 s and has 25 frames a second.
    assert np.array_equal(sampled.pts, every.pts[::5])
    assert np.array_equal(sampled.values, every.values[::5])
    assert np.array_equal(sampled.thumbnails, every.thumbnails[::5])
    assert (sampled.sample_fps, every.sample_fps) == (5, None)
    assert sampled.duration == every.duration
    assert sampled.path != every.path
    assert embedded(log) == len(sampled.pts)
    fingerprint = TinyBackbone().fingerprint
    assert store.load(every.media_hash, fingerprint).path == every.path
    assert store.load(every.media_hash, fingerprint, Fraction(5)).path == sampled.path
    assert store.load(every.media_hash, fingerprint, Fraction(6)) is None


def test_without_a_duration_a_sampled_video_ends_where_the_whole_one_does(
    tmp_path: Path, store: FeatureStore
):
    """The last frames are not looked at, and count all the same."""
    raw = write_video(
        tmp_path / "raw.gif", numbered_frame, count=13, codec="gif", pixel_format="rgb8"
    )
    every = store.extract(raw, TinyBackbone())
    assert store.extract(raw, TinyBackbone(), sample_fps=Fraction(2)).duration == every.duration


# ----------------------------------------------------------------------------------------- identity


def test_a_video_is_extracted_once(video: Path, store: FeatureStore, log: Path):
    first = store.extract(video, TinyBackbone(log=log))
    second = store.extract(video, TinyBackbone(log=log))

    assert embedded(log) == FRAMES
    assert np.array_equal(first.values, second.values)
    assert first.path == second.path
    assert files(store) == {first.path.name}


def test_a_replaced_video_is_extracted_again(video: Path, store: FeatureStore, log: Path):
    first = store.extract(video, TinyBackbone(log=log))
    status = video.stat()

    write_video(video, lambda index: numbered_frame(index + 7), count=20)
    os.utime(video, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = store.extract(video, TinyBackbone(log=log))

    assert embedded(log) == FRAMES + 20
    assert second.path != first.path
    assert len(second.values) == 20


def test_a_touched_or_copied_or_renamed_video_is_not(
    video: Path, store: FeatureStore, log: Path, tmp_path: Path
):
    first = store.extract(video, TinyBackbone(log=log))

    video.touch()
    store.extract(video, TinyBackbone(log=log))
    copy = shutil.copy(video, tmp_path / "copy.mp4")
    store.extract(Path(copy), TinyBackbone(log=log))
    moved = video.rename(tmp_path / "moved.mp4")
    last = store.extract(moved, TinyBackbone(log=log))

    assert embedded(log) == FRAMES
    assert last.path == first.path


def test_another_backbone_has_its_own_features(video: Path, store: FeatureStore):
    one = store.extract(video, TinyBackbone(grid=4))
    other = store.extract(video, TinyBackbone(grid=2))
    stronger = store.extract(video, TinyBackbone(grid=4, gain=2))

    assert len({one.path, other.path, stronger.path}) == 3
    assert other.values.shape == (FRAMES, 12)
    assert stronger.values.mean() > 1.9 * one.values.mean()


def test_load_never_extracts(video: Path, store: FeatureStore):
    backbone = TinyBackbone()
    media_hash = content_hash(video)

    assert store.load(media_hash, backbone.fingerprint) is None
    assert not store.folder.exists()

    made = store.extract(video, backbone)
    loaded = store.load(media_hash, backbone.fingerprint)
    assert loaded is not None
    assert np.array_equal(loaded.values, made.values)
    assert store.load(media_hash, "0" * 64) is None
    assert store.load("0" * 64, backbone.fingerprint) is None


def test_the_hash_of_an_extracted_video_is_known_without_reading_it(
    video: Path, store: FeatureStore
):
    features = store.extract(video, TinyBackbone())

    assert known_content_hash(video, memo=store.hashes) == features.media_hash


def test_the_guides_functions_share_one_cache(video: Path, tmp_path: Path, log: Path):
    backbone = TinyBackbone(log=log)
    calls: list[tuple[int, int | None]] = []
    params = CacheParams(
        folder=tmp_path / "cache", progress=lambda done, total: calls.append((done, total))
    )

    features = cached_feature_extraction(backbone, video, params)
    probabilities = cached_yolo_predict(backbone, str(video), params)

    assert isinstance(features, Features)
    assert embedded(log) == FRAMES
    assert probabilities.shape == (FRAMES, 3)
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert probabilities[0].argmax() == 0, "the first frame is nearly black"
    assert probabilities[45].argmax() == 2, "this one is nearly white"
    done = [frames for frames, _ in calls]
    assert done == sorted(done)
    assert calls[-1] == (FRAMES, FRAMES)
    assert {total for _, total in calls} == {FRAMES}


def test_a_writer_keeps_no_objects_of_a_frame(tmp_path: Path):
    """Small arrays that live on among large ones that go leave the heap full of holes: 2 kB a frame."""
    with FeatureFileWriter(tmp_path / "long.safetensors", 4) as writer:

        def append(batches: int) -> None:
            for _ in range(batches):
                writer.append(
                    np.ones((8, 4), np.float16), np.arange(8), np.zeros((8, CELLS), np.uint8)
                )

        append(100)
        before = sys.getallocatedblocks()
        append(5000)
        assert sys.getallocatedblocks() - before < 500


def test_large_pictures_are_decoded_by_one_at_a_time(tmp_path: Path):
    large = write_video(tmp_path / "large.mp4", [np.full((2048, 2048, 3), 200, np.uint8)] * 3)
    small = write_video(tmp_path / "small.mp4", numbered_frame, count=5)
    store = FeatureStore(tmp_path / "cache", workers=2)
    with ThreadPoolExecutor(1) as pool:
        with store._large_turn:
            waiting = pool.submit(store.extract, large, TinyBackbone())
            assert len(store.extract(small, TinyBackbone()).pts) == 5
            with pytest.raises(TimeoutError):
                waiting.result(timeout=1)
        assert len(waiting.result(timeout=60).pts) == 3
    with store._large_turn:  # given back
        pass


def test_opening_a_long_video_s_features_takes_no_memory(tmp_path: Path):
    path = tmp_path / "long.safetensors"
    with FeatureFileWriter(path, 1280) as writer:
        rows = np.ones((1000, 1280), np.float16)
        for part in range(40):
            pts = np.arange(1000) + 1000 * part
            writer.append(rows, pts, np.zeros((1000, CELLS), np.uint8))
        writer.commit(record())
    assert path.stat().st_size > 100e6
    script = """
import sys
from pathlib import Path
from timelinelabels.feature_file import read_feature_file
def peak():
    # Not ru_maxrss: a new process inherits it from the one that made it.
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000
before = peak()
arrays, _ = read_feature_file(Path(sys.argv[1]))
assert arrays.features.shape == (40_000, 1280)
print(peak() - before)
"""
    grown = subprocess.run(
        [sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True
    ).stdout
    assert float(grown) < 30, "megabytes"


# ------------------------------------------------------------------------------------- damaged files


@pytest.fixture(scope="session")
def good_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("good")
    video = write_video(folder / "video.mp4", numbered_frame, count=5)
    return FeatureStore(folder).extract(video, TinyBackbone(grid=1)).path.read_bytes()


def assert_damaged(folder: Path, data: bytes) -> None:
    path = folder / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(DamagedFeatureFileError):
        read_feature_file(path)


@given(data=st.data())
def test_any_flipped_bit_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, good_file: bytes, data: st.DataObject
):
    position = data.draw(st.integers(0, len(good_file) - 1))
    flipped = bytearray(good_file)
    flipped[position] ^= 1 << data.draw(st.integers(0, 7))

    assert_damaged(tmp_path_factory.mktemp("flipped"), bytes(flipped))


@given(data=st.data())
def test_any_truncation_or_addition_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, good_file: bytes, data: st.DataObject
):
    kept = data.draw(st.integers(0, len(good_file) - 1))

    folder = tmp_path_factory.mktemp("cut")
    assert_damaged(folder, good_file[:kept])
    assert_damaged(folder, good_file + b"\0" * (kept + 1))
    assert_damaged(folder, good_file[:kept] + bytes(len(good_file) - kept))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: b"",
        lambda data: bytes(len(data)),
        lambda data: b"something else " * 200,
    ],
)
def test_a_damaged_file_is_noticed_and_made_again(
    video: Path, store: FeatureStore, log: Path, caplog: pytest.LogCaptureFixture, damage
):
    made = store.extract(video, TinyBackbone(log=log))
    expected, whole = made.values.copy(), made.path.read_bytes()
    made.path.unlink()
    made.path.write_bytes(damage(whole))

    assert store.load(made.media_hash, TinyBackbone().fingerprint) is None
    assert files(store) == set()
    assert made.path.name in caplog.text

    made.path.write_bytes(damage(whole))
    again = store.extract(video, TinyBackbone(log=log))
    assert np.array_equal(again.values, expected)
    assert again.path.read_bytes() == whole
    assert embedded(log) == 2 * FRAMES


# --------------------------------------------------------------------------------------------- errors


def no_thread_is_left() -> bool:
    return not any(thread.name == "prefetch" for thread in threading.enumerate())


class BreakingBackbone(TinyBackbone):
    """Fails on its second batch."""

    def embed(self, frames):
        if hasattr(self, "embedded"):
            raise ZeroDivisionError("the network broke")
        self.embedded = True
        return super().embed(frames)


def test_an_error_of_the_network_leaves_nothing_behind(video: Path, store: FeatureStore):
    with pytest.raises(ZeroDivisionError, match="the network broke"):
        store.extract(video, BreakingBackbone())

    assert no_thread_is_left()
    assert files(store) == set()
    assert len(store.extract(video, TinyBackbone()).values) == FRAMES


def test_an_error_of_the_progress_callback_stops_the_work(video: Path, store: FeatureStore):
    class LeaseLostError(Exception):
        pass

    def progress(done: int, total: int | None) -> None:
        raise LeaseLostError

    with pytest.raises(LeaseLostError):
        store.extract(video, TinyBackbone(), progress=progress)

    assert no_thread_is_left()
    assert files(store) == set()


def test_errors_of_the_reading_thread_arrive_as_they_are():
    def three_and_a_problem():
        yield from range(3)
        raise VideoError("the fourth")

    seen = []
    with (
        pytest.raises(VideoError, match="the fourth"),
        prefetched(three_and_a_problem(), depth=2) as items,
    ):
        seen.extend(items)

    # `extend` keeps what came before the error.
    assert seen == [0, 1, 2]
    assert no_thread_is_left()


def test_reading_ahead_is_bounded_and_ends_with_the_block():
    produced = []

    def endless():
        while True:
            produced.append(len(produced))
            yield produced[-1]

    with prefetched(endless(), depth=3) as items:
        assert next(items) == 0
        time.sleep(0.3)
        assert len(produced) <= 1 + 3 + 1

    assert no_thread_is_left()


@pytest.mark.parametrize(
    ("backbone", "reason"),
    [
        (TinyBackbone(gain=1e6), "outside ±65504"),
        (TinyBackbone(gain=float("nan")), "not numbers"),
        (TinyBackbone(gain=float("inf")), "not numbers"),
        (TinyBackbone(gain=1e-10), "all zero in 16 bits"),
        (TinyBackbone(gain=0), "all zero in 16 bits"),
    ],
)
def test_useless_features_are_refused_and_the_backbone_is_named(
    video: Path, store: FeatureStore, backbone: TinyBackbone, reason: str
):
    with np.errstate(invalid="ignore"), pytest.raises(FeatureStoreError, match=reason) as caught:
        store.extract(video, backbone)

    assert "tiny" in str(caught.value)
    assert files(store) == set()


def test_features_of_another_shape_than_announced_are_refused(video: Path, store: FeatureStore):
    backbone = TinyBackbone()
    backbone.feature_dim = 7

    with pytest.raises(FeatureStoreError, match=r"\(16, 48\).*\(16, 7\) is needed"):
        store.extract(video, backbone)


def test_a_video_that_cannot_be_read_is_a_video_error(tmp_path: Path, store: FeatureStore):
    (tmp_path / "text.mp4").write_text("not a video")

    with pytest.raises(VideoError, match="no such file"):
        store.extract(tmp_path / "missing.mp4", TinyBackbone())
    with pytest.raises(VideoError, match="folder"):
        store.extract(tmp_path, TinyBackbone())
    with pytest.raises(VideoError, match=r"text\.mp4"):
        store.extract(tmp_path / "text.mp4", TinyBackbone())
    assert files(store) == set()


def test_audio_is_told_from_a_broken_video(shared_data: Path, store: FeatureStore):
    with pytest.raises(NoVideoStreamError):
        store.extract(shared_data / "awkward_videos" / "reproduce_seek_bug.wav", TinyBackbone())


def test_a_video_replaced_while_it_is_read_gives_no_features(
    video: Path, store: FeatureStore, tmp_path: Path
):
    other = write_video(tmp_path / "other.mp4", numbered_frame, count=5)

    def replace(done: int, total: int | None) -> None:
        if other.exists():
            other.replace(video)

    with pytest.raises(VideoError, match=r"video\.mp4.*replaced while it was read"):
        store.extract(video, TinyBackbone(), progress=replace)

    assert files(store) == set()
    assert len(store.extract(video, TinyBackbone()).values) == 5


def test_an_impossible_folder_is_named(video: Path, tmp_path: Path):
    in_the_way = tmp_path / "in the way"
    in_the_way.write_text("a file where a folder is wanted")

    with pytest.raises(FeatureStoreError, match="in the way"):
        FeatureStore(in_the_way).extract(video, TinyBackbone())
    with pytest.raises(FeatureStoreError, match="in the way"):
        FeatureStore(in_the_way).load("0" * 64, "0" * 64)

    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "features").write_text("another")
    with pytest.raises(FeatureStoreError, match="cache/features"):
        FeatureStore(tmp_path / "cache").extract(video, TinyBackbone())


# ------------------------------------------------------------------------------------- the size limit


def make_videos(folder: Path, count: int) -> list[Path]:
    return [
        write_video(folder / f"{n}.mp4", lambda index, n=n: numbered_frame(index + n), count=20 + n)
        for n in range(count)
    ]


def test_the_least_recently_used_features_are_removed_first(tmp_path: Path):
    videos = make_videos(tmp_path, 4)
    unlimited = FeatureStore(tmp_path / "cache")
    made = [unlimited.extract(video, TinyBackbone()) for video in videos[:3]]
    size = sum(features.path.stat().st_size for features in made)
    for features in made:
        os.utime(features.path, ns=(0, 0))
    for recent in (made[2], made[0]):  # so that made[1] is the oldest
        assert unlimited.load(recent.media_hash, TinyBackbone().fingerprint) is not None
        time.sleep(0.01)

    limited = FeatureStore(tmp_path / "cache", max_bytes=size + 900)
    newest = limited.extract(videos[3], TinyBackbone())

    assert files(limited) == {made[0].path.name, made[2].path.name, newest.path.name}
    assert made[1].values.sum() > 0, "what is mapped stays usable"


def test_features_just_made_stay_even_over_the_limit(
    video: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    store = FeatureStore(tmp_path / "cache", max_bytes=1)

    features = store.extract(video, TinyBackbone())

    assert files(store) == {features.path.name}
    assert "CACHE_MAX_GB" in caplog.text


def test_what_killed_processes_left_is_removed(tmp_path: Path, store: FeatureStore):
    first, second = make_videos(tmp_path, 2)
    made = store.extract(first, TinyBackbone())
    folder = made.path.parent
    abandoned = folder / "0123456789abcdef-00.1234.partial"
    abandoned.write_bytes(bytes(100))
    abandoned.with_name("0123456789abcdef-00.lock").touch()
    own = made.path.with_suffix(".5678.partial")
    own.write_bytes(bytes(100))

    newest = store.extract(second, TinyBackbone())

    assert files(store) == {made.path.name, newest.path.name}
    assert not abandoned.with_name("0123456789abcdef-00.lock").exists()


# ------------------------------------------------------------------------------------- many processes

EXTRACT = """
import sys
from pathlib import Path
from tiny_backbone import TinyBackbone
from timelinelabels.features import FeatureStore

video, cache, log, seconds = sys.argv[1:5]
backbone = TinyBackbone(log=Path(log), seconds=float(seconds))
features = FeatureStore(Path(cache)).extract(Path(video), backbone)
print(len(features.values), features.values.sum(dtype="float64"))
"""


def start(video: Path, store: FeatureStore, log: Path, seconds: float) -> subprocess.Popen[str]:
    """A process of its own that extracts `video`."""
    return subprocess.Popen(
        [sys.executable, "-c", EXTRACT, str(video), str(store.folder), str(log), str(seconds)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.01)


def test_of_many_processes_one_extracts_and_the_others_wait_for_it(
    video: Path, store: FeatureStore, log: Path
):
    processes = [start(video, store, log, 0.1) for _ in range(3)]

    outputs = [process.communicate(timeout=60) for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert embedded(log) == FRAMES
    assert len({out for out, _ in outputs}) == 1
    assert len(files(store)) == 1


def test_when_the_extracting_process_is_killed_the_next_takes_over(
    video: Path, store: FeatureStore, log: Path
):
    slow = start(video, store, log, 0.4)
    wait_until(lambda: embedded(log) >= 32, "the first process is half-way")
    waiting = start(video, store, log, 0)
    folder = store.folder / "features"
    time.sleep(0.2)
    (partial,) = folder.glob("*.partial")

    slow.send_signal(signal.SIGKILL)
    slow.communicate()
    out, errors = waiting.communicate(timeout=60)

    assert waiting.returncode == 0, errors
    assert out.startswith(f"{FRAMES} ")
    assert not partial.exists()
    assert files(store) == {path.name for path in folder.glob("*.safetensors")}
    assert len(store.extract(video, TinyBackbone(log=log)).values) == FRAMES
    assert embedded(log) in {32 + FRAMES, 48 + FRAMES}


def test_a_file_in_the_making_is_left_alone_by_others(
    video: Path, store: FeatureStore, log: Path, tmp_path: Path
):
    slow = start(video, store, log, 0.4)
    wait_until(lambda: embedded(log) >= 16, "the other process works")
    other = write_video(tmp_path / "other.mp4", numbered_frame, count=5)

    FeatureStore(store.folder, max_bytes=1).extract(other, TinyBackbone())
    partials = [name for name in files(store) if name.endswith(".partial")]
    media_hash = content_hash(video)
    assert store.load(media_hash, TinyBackbone().fingerprint) is None
    _, errors = slow.communicate(timeout=60)

    assert len(partials) == 1
    assert slow.returncode == 0, errors
    assert store.load(media_hash, TinyBackbone().fingerprint) is not None


def test_a_full_disk_is_told_with_the_folder_and_leaves_nothing(
    video: Path, store: FeatureStore, log: Path
):
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n{EXTRACT}"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY

    process = subprocess.run(
        [sys.executable, "-c", code, str(video), str(store.folder), str(log), "0"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert process.returncode == 1
    assert "FeatureStoreError: The feature cache" in process.stderr
    assert str(store.folder / "features") in process.stderr
    assert files(store) == set()


def test_threads_of_one_process_exclude_each_other_too(
    video: Path, store: FeatureStore, log: Path, caplog: pytest.LogCaptureFixture
):
    results: list[Features] = []

    def work() -> None:
        results.append(store.extract(video, TinyBackbone(log=log, seconds=0.05)))

    with caplog.at_level(logging.INFO):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(results) == 4
    assert embedded(log) == FRAMES
    assert len({features.path for features in results}) == 1


def test_when_features_are_refused_no_thread_is_left_to_the_garbage_collector(
    video: Path, store: FeatureStore
):
    """Left alone, the pool of a failed extraction was joined inside another thread's start: a deadlock."""
    store.workers = 2
    before = threading.active_count()
    with np.errstate(over="ignore"), pytest.raises(FeatureStoreError) as caught:
        store.extract(video, TinyBackbone(gain=1e6))
    assert threading.active_count() == before  # while `caught` still holds all frames of the stack
    assert caught.tb is not None
