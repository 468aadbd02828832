"""Label Studio's grid ↔ the frames of a file, by PTS."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timelinelabels.errors import VideoError
from timelinelabels.frame_sampling import FrameSampling
from timelinelabels.labelstudio.timeline import Timeline


def make(pts, time_base=Fraction(1, 12800), frame_rate=25, duration=None, sample_fps=None):
    pts = np.asarray(pts, dtype=np.int64)
    steps = np.diff(pts)
    last = int(np.median(steps)) if len(steps) else int(1 / (time_base * 25))
    if duration is None:
        duration = (int(pts[-1]) + last) * time_base
    return Timeline.of(
        pts,
        time_base=time_base,
        duration=Fraction(duration),
        frame_rate=Fraction(frame_rate),
        sample_fps=sample_fps,
    )


def constant(fps, count, start=0, time_base=Fraction(1, 90000)):
    fps = Fraction(fps)
    return [round((start + i / fps) / time_base) for i in range(count)]


def test_the_timeline_has_round_of_duration_times_frame_rate_ticks():
    assert make([0, 512], duration=Fraction("4.02"), frame_rate=25).length == 101  # 100.5 rounds up
    assert make([0, 512], duration=Fraction("0.001"), frame_rate=25).length == 1


def test_a_file_at_the_grid_rate_shows_frame_n_at_tick_n():
    timeline = make([512 * i for i in range(100)])
    np.testing.assert_array_equal(timeline.shown_frames, np.arange(100))


def test_a_50_fps_file_on_a_25_fps_grid_shows_every_second_frame():
    timeline = make([256 * i for i in range(100)])
    np.testing.assert_array_equal(timeline.shown_frames, np.arange(0, 100, 2))


def test_a_10_fps_file_on_a_25_fps_grid_holds_each_picture():
    timeline = make([1280 * i for i in range(4)])
    assert timeline.shown_frames.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]


def test_a_late_start_shows_the_first_picture_until_its_time_has_passed():
    timeline = make([25600 + 512 * i for i in range(50)])  # starts at 2 s
    shown = timeline.shown_frames
    assert set(shown[:51].tolist()) == {0}
    assert shown[51] == 1
    assert timeline.length == 100


def test_millisecond_time_bases_do_not_shift_pictures():
    timeline = make([round(1000 * i / 30) for i in range(90)], Fraction(1, 1000), 30, 3)
    np.testing.assert_array_equal(timeline.shown_frames, np.arange(90))


def test_a_frame_rate_written_as_29_97_shows_ntsc_frames_in_step_for_an_hour():
    count = 3600 * 30
    timeline = make([1001 * i for i in range(count)], Fraction(1, 30000), Fraction("29.97"))
    ticks = np.arange(min(timeline.length, count))
    np.testing.assert_array_equal(timeline.shown_frames[: len(ticks)], ticks)


def test_frames_after_the_stated_duration_are_not_reachable():
    timeline = make([512 * i for i in range(100)], duration=2)
    assert timeline.length == 50
    assert timeline.reachable.sum() == 50


def test_a_header_that_claims_years_is_an_error_before_memory_is_asked_for():
    with pytest.raises(VideoError, match="lasts 1000000000 s, which is 25000000000 frames"):
        Timeline.of(
            np.arange(3),
            time_base=Fraction(1, 25),
            duration=Fraction(10**9),
            frame_rate=Fraction(25),
        )


def test_a_still_of_one_frame_has_one_tick_at_least():
    timeline = make([0], duration=Fraction(1, 100))
    assert timeline.to_grid(np.ones((1, 2))).shape == (1, 2)


@pytest.mark.parametrize("fps", ["25", "30000/1001", "50", "60", "29"])
@pytest.mark.parametrize("start", [0, 2])
@given(data=st.data())
def test_a_region_comes_back_where_it_was_drawn_on_any_file_at_least_as_fast_as_the_grid(
    fps, start, data
):
    timeline = make(constant(fps, 120, start), Fraction(1, 90000), 24)
    first = data.draw(st.integers(start * 24 + 1, timeline.length - 2))
    last = data.draw(st.integers(first, timeline.length - 1))
    grid = np.zeros((timeline.length, 1), dtype=np.float32)
    grid[first:last] = 1
    back = timeline.to_grid(timeline.to_frames(grid))
    np.testing.assert_array_equal(back, grid)


@given(
    steps=st.lists(st.integers(1, 4000), min_size=1, max_size=60),
    start=st.integers(0, 100_000),
    rate=st.fractions(1, 120, max_denominator=1001),
    data=st.data(),
)
def test_on_any_variable_frame_rate_an_edge_moves_by_less_than_one_picture(
    steps, start, rate, data
):
    pts = np.cumsum([start, *steps])
    timeline = make(pts, Fraction(1, 12800), rate)
    first = data.draw(st.integers(0, timeline.length - 1))
    last = data.draw(st.integers(first + 1, timeline.length))
    grid = np.zeros((timeline.length, 1), dtype=np.float32)
    grid[first:last] = 1
    back = timeline.to_grid(timeline.to_frames(grid))
    shown = timeline.shown_frames
    wrong = np.flatnonzero(back[:, 0] != grid[:, 0])
    edges = {
        int(shown[min(max(edge, 0), timeline.length - 1)])
        for edge in (first - 1, first, last - 1, last)
    }
    assert {int(frame) for frame in shown[wrong]} <= edges


@given(
    steps=st.lists(st.integers(1, 4000), min_size=0, max_size=60),
    rate=st.fractions(Fraction(1, 2), 240, max_denominator=1001),
)
def test_the_shown_frame_never_goes_back_and_its_time_is_never_later_than_the_tick(steps, rate):
    pts = np.cumsum([0, *steps])
    timeline = make(pts, Fraction(1, 12800), rate)
    shown = timeline.shown_frames
    assert (np.diff(shown) >= 0).all()
    times = pts[shown] / 12800
    assert (times <= np.arange(timeline.length) / float(rate) + 0.0005 + 1e-9).all()


def test_whole_or_empty_targets_stay_whole_or_empty():
    timeline = make(constant("29.97", 77), Fraction(1, 90000), 25)
    for value in (0.0, 1.0):
        grid = np.full((timeline.length, 2), value, dtype=np.float32)
        assert (timeline.to_frames(grid) == value).all()


# Sampled videos: `pts` are those of the frames that were looked at.


def test_between_sampled_frames_values_change_evenly():
    timeline = make([0, 2560, 5120], sample_fps=Fraction(5), duration=Fraction("0.6"))
    grid = timeline.to_grid(np.array([[0.0], [1.0], [0.0]], np.float32))
    expected = [0, 0.2, 0.4, 0.6, 0.8, 1, 0.8, 0.6, 0.4, 0.2, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(grid[:, 0], expected, atol=1e-6)


def test_over_a_gap_in_the_file_itself_the_picture_stands_still():
    timeline = make([0, 12800 * 4], sample_fps=Fraction(5), duration=Fraction(5))
    grid = timeline.to_grid(np.array([[0.0], [1.0]], np.float32))
    np.testing.assert_array_equal(grid[:, 0], np.repeat([0, 1], [100, 25]))


def test_before_the_first_and_after_the_last_sampled_frame_values_hold():
    timeline = make([25600, 28160], sample_fps=Fraction(5), duration=Fraction(3))
    grid = timeline.to_grid(np.array([[0.25], [0.75]], np.float32))[:, 0]
    assert set(grid[:51].tolist()) == {0.25}
    assert set(grid[55:].tolist()) == {0.75}


SAMPLED = {
    "steps": st.lists(st.integers(1, 4000), min_size=1, max_size=120),
    "start": st.integers(0, 100_000),
    "grid_rate": st.fractions(1, 120, max_denominator=1001),
    "rate": st.fractions(1, 60, max_denominator=1001),
    "data": st.data(),
}


def sampled(start, steps, rate):
    stamps = np.cumsum([start, *steps]).tolist()
    sampling = FrameSampling(rate, time_base=Fraction(1, 12800), first=start)
    return [pts for pts in stamps if sampling.takes(pts)], stamps


@given(**SAMPLED)
def test_on_any_sampled_video_an_edge_moves_by_less_than_a_period_and_a_picture(
    steps, start, grid_rate, rate, data
):
    pts, every = sampled(start, steps, rate)
    timeline = make(pts, frame_rate=grid_rate, sample_fps=rate)
    first = data.draw(st.integers(0, timeline.length - 1))
    last = data.draw(st.integers(first + 1, timeline.length))
    grid = np.zeros((timeline.length, 1), dtype=np.float32)
    grid[first:last] = 1
    back = timeline.to_grid(timeline.to_frames(grid)) >= 0.5
    wrong = np.flatnonzero(back[:, 0] != (grid[:, 0] >= 0.5))
    # Seconds: the longest stretch without a frame that was looked at; a tick on either side.
    reach = max(np.diff([*pts, every[-1] + max(steps)])) / 12800 + 2 / float(grid_rate) + 1e-6
    for tick in wrong:
        distance = min(abs(tick - first), abs(tick - last)) / float(grid_rate)
        assert distance <= reach or tick / float(grid_rate) <= pts[0] / 12800


@given(**SAMPLED)
def test_interpolated_values_stay_between_those_of_their_neighbours(
    steps, start, grid_rate, rate, data
):
    pts, _ = sampled(start, steps, rate)
    timeline = make(pts, frame_rate=grid_rate, sample_fps=rate)
    values = np.array(
        data.draw(st.lists(st.floats(0, 1, width=32), min_size=len(pts), max_size=len(pts))),
        dtype=np.float32,
    )[:, None]
    grid = timeline.to_grid(values)[:, 0]
    before = timeline.shown_frames
    after = np.minimum(before + 1, len(pts) - 1)
    low, high = (
        extreme(values[before, 0], values[after, 0]) for extreme in (np.minimum, np.maximum)
    )
    assert grid.dtype == np.float32
    assert (low - 1e-6 <= grid).all()
    assert (grid <= high + 1e-6).all()
