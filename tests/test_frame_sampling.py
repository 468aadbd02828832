"""Looking at some frames only: which ones, by time, and that skipping the others loses nothing."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import numbered_frame, write_video
from timelinelabels.frame_sampling import FrameSampling
from timelinelabels.video import VideoReader

BASE = Fraction(1, 90_000)
RATES = st.fractions(1, 1000, max_denominator=1000)
STEPS = st.lists(st.integers(1, 200_000), min_size=1, max_size=60)  # up to 2.2 s: any VFR
STARTS = st.integers(-100_000, 10**9)


def chosen(stamps, rate, base=BASE):
    sampling = FrameSampling(Fraction(rate), time_base=base, first=stamps[0])
    return [pts for pts in stamps if sampling.takes(pts)]


def stamps_of(start, steps):
    return [start, *(start + int(at) for at in np.cumsum(steps))]


@given(rate=RATES, steps=STEPS, start=STARTS)
def test_every_frame_lies_less_than_a_period_after_a_chosen_one(rate, steps, start):
    stamps = stamps_of(start, steps)
    taken = chosen(stamps, rate)
    assert taken[0] == stamps[0]
    for pts in stamps:
        nearest = max(other for other in taken if other <= pts)
        assert (pts - nearest) * BASE < 1 / rate


@given(rate=RATES, steps=STEPS, start=STARTS)
def test_no_more_frames_are_chosen_than_the_rate_says(rate, steps, start):
    stamps = stamps_of(start, steps)
    taken = chosen(stamps, rate)
    seconds = (stamps[-1] - stamps[0]) * BASE
    assert len(taken) <= seconds * rate + 2


@given(rate=RATES, steps=STEPS, start=STARTS, shift=st.integers(0, 10**9))
def test_a_late_start_chooses_the_same_frames(rate, steps, start, shift):
    here = [pts - start for pts in chosen(stamps_of(start, steps), rate)]
    later = [pts - start - shift for pts in chosen(stamps_of(start + shift, steps), rate)]
    assert here == later


@pytest.mark.parametrize("fps", [Fraction(30), Fraction(30000, 1001), Fraction(25), Fraction(60)])
@pytest.mark.parametrize("start", [0, 1, 2, 77])
def test_stamps_in_whole_milliseconds_lose_no_frame_at_the_files_own_rate(fps, start):
    stamps = [round(1000 * (i + start) / fps) for i in range(3000)]
    assert chosen(stamps, fps, Fraction(1, 1000)) == stamps
    assert chosen(stamps, fps / 5, Fraction(1, 1000)) == stamps[::5]


# ------------------------------------------------------------------------------------- real files


def read(path, **arguments):
    with VideoReader(path, **arguments) as reader:
        batches = list(reader)
        pts = [int(one) for batch in batches for one in batch.pts]
        return pts, np.concatenate([batch.frames for batch in batches]), reader


def encoded(path: Path, codec: str, options: dict[str, str], stamps=None, count=120) -> Path:
    """Moving noise, so that every picture is different and none is a copy."""
    random = np.random.default_rng(3)
    scene = random.integers(0, 255, (96 + count, 96, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 96, 96
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        base = Fraction(1, 1000) if stamps else Fraction(1, 25)
        stream.codec_context.time_base = base
        stream.options = options
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(scene[index : index + 96]), format="rgb24"
            )
            frame.pts, frame.time_base = stamps[index] if stamps else index, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


B_FRAMES = {"bf": "5", "b-pyramid": "normal", "preset": "fast", "g": "40"}
KINDS = {
    "h264.mp4": ("libx264", B_FRAMES),
    "h264-open-gop.mkv": ("libx264", B_FRAMES | {"x264-params": "open-gop=1"}),
    "h265.mp4": ("libx265", {"x265-params": "bframes=5:log-level=error", "preset": "fast"}),
    "vp9.webm": ("libvpx-vp9", {"cpu-used": "8", "deadline": "realtime"}),
    "mpeg2.ts": ("mpeg2video", {"bf": "2"}),
    "mpeg4.avi": ("mpeg4", {"bf": "2"}),
    "motion.mkv": ("mjpeg", {}),
}


@pytest.mark.parametrize("rate", [1, 5, Fraction(25, 2), 24, 25, 60])
@pytest.mark.parametrize("name", KINDS)
def test_what_is_read_is_what_would_have_been_chosen_of_all_frames(name, rate, tmp_path):
    path = encoded(tmp_path / name, *KINDS[name])
    every, pictures, whole = read(path)
    wanted = chosen(every, rate, whole.info.time_base)

    found, seen, reader = read(path, sample_fps=Fraction(rate))

    assert found == wanted
    assert np.array_equal(seen, pictures[np.isin(every, wanted)])
    assert reader.damage == whole.damage == []
    assert reader.newest_pts == whole.newest_pts


@given(
    steps=st.lists(st.integers(1, 300), min_size=20, max_size=40),
    start=st.integers(0, 5000),
    rate=st.fractions(1, 60, max_denominator=10),
)
def test_variable_rates_and_late_starts_with_b_frames_lose_nothing(
    steps, start, rate, tmp_path_factory
):
    stamps = stamps_of(start, steps)
    path = tmp_path_factory.mktemp("vfr") / "vfr.mkv"
    encoded(path, "libx264", B_FRAMES, stamps=stamps, count=len(stamps))
    assert read(path)[0] == stamps
    assert read(path, sample_fps=rate)[0] == chosen(stamps, rate, Fraction(1, 1000))


@pytest.mark.parametrize("name", ["h265.mp4", "motion.mkv"])
def test_frames_that_are_not_needed_are_not_decoded(name, tmp_path):
    path = encoded(tmp_path / name, *KINDS[name])
    decoded = []
    for rate in (None, Fraction(5)):
        with VideoReader(path, sample_fps=rate) as reader:
            stamp = reader._clock.stamp
            count = [0]

            def counted(frame, stamp=stamp, count=count):
                count[0] += 1
                return stamp(frame)

            reader._clock.stamp = counted
            list(reader)
        decoded.append(count[0])
    everything, sampled = decoded
    assert everything == 120
    assert sampled < 80


def test_a_damaged_stretch_is_told_and_the_rest_is_sampled(tmp_path):
    path = encoded(tmp_path / "whole.ts", "mpeg2video", {"bf": "0", "g": "10"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 6000] = bytes(6000)
    path.write_bytes(data)
    every, _, whole = read(path)
    found, _, reader = read(path, sample_fps=Fraction(5))
    assert whole.damage
    assert reader.damage
    assert set(found) <= set(every)
    assert len(found) >= 20


def test_progress_expects_as_many_frames_as_will_come(tmp_path):
    path = write_video(tmp_path / "clip.mp4", numbered_frame, count=100)
    found, _, reader = read(path, sample_fps=Fraction(5))
    assert len(found) == reader.expected_frames == 20


@pytest.mark.parametrize("rate", [Fraction(5), Fraction(2)])
def test_awkward_files_are_sampled_by_their_own_stamps(rate, shared_data):
    for path in sorted((shared_data / "awkward_videos").iterdir()):
        if path.suffix in {".mp4", ".mkv", ".webm", ".avi", ".mpg"} and "DERIVED" not in path.name:
            every, _, whole = read(path, scaled_size=lambda w, h: (32, 24))
            found, _, _ = read(path, scaled_size=lambda w, h: (32, 24), sample_fps=rate)
            assert found == chosen(every, rate, whole.info.time_base), path.name
