"""Cutting before scaling shows what cropping after it shows."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from support import write_video
from timelinelabels.pictures import Orientation
from timelinelabels.source_cutter import SourceCutter, even_cuts
from timelinelabels.video import VideoReader


@given(
    rotation=st.sampled_from([0, 90, 180, 270]),
    mirrored=st.booleans(),
    width=st.integers(3, 9),
    height=st.integers(3, 9),
    data=st.data(),
)
def test_a_box_of_the_shown_picture_is_found_in_the_stored_one(
    rotation: int, mirrored: bool, width: int, height: int, data: st.DataObject
) -> None:
    orientation = Orientation(rotation=rotation, mirrored=mirrored)
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    right = data.draw(st.integers(left + 1, width))
    bottom = data.draw(st.integers(top + 1, height))
    stored_width, stored_height = orientation.displayed_size(width, height)
    stored = np.arange(stored_width * stored_height * 3).reshape(stored_height, stored_width, 3)
    shown = orientation.apply(stored)

    a, b, c, d = orientation.stored_box((left, top, right, bottom), width, height)

    assert np.array_equal(orientation.apply(stored[b:d, a:c]), shown[top:bottom, left:right])


@given(length=st.integers(64, 4000), factor=st.floats(2, 20), data=st.data())
def test_cuts_are_even_exact_and_around_what_is_kept(
    length: int, factor: float, data: st.DataObject
) -> None:
    scaled = max(2, int(length / factor))
    low = data.draw(st.integers(0, scaled - 1))
    high = data.draw(st.integers(low + 1, scaled))

    before, after = even_cuts(length, scaled, low, high)

    assert 0 <= before.scaled <= low
    assert high <= after.scaled <= scaled
    for cut in (before, after):
        assert cut.source % 2 == 0 or cut.source == length
        assert abs(cut.source * scaled / length - cut.scaled) <= 0.06 + 1e-9
    assert (before.scaled == 0) == (before.source == 0)


@pytest.mark.parametrize(
    ("width", "height"), [(320, 180), (180, 320), (322, 182), (321, 181), (500, 182)]
)
def test_pictures_cut_before_scaling_are_those_cropped_after_it(
    tmp_path: Path, width: int, height: int
) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    picture = coarse.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    path = write_video(tmp_path / "v.mkv", [picture] * 3, codec="ffv1", pixel_format="yuv444p")

    def scaled_size(w: int, h: int) -> tuple[int, int]:
        return int(64 * w / min(w, h)), int(64 * h / min(w, h))

    def centre(w: int, h: int) -> tuple[int, int, int, int]:
        left, top = (w - 64) // 2, (h - 64) // 2
        return left, top, left + 64, top + 64

    with VideoReader(path, scaled_size=scaled_size) as reader:
        whole = next(iter(reader)).frames[0].astype(int)
    with VideoReader(path, scaled_size=scaled_size, crop_box=centre) as reader:
        cropped = next(iter(reader)).frames[0].astype(int)

    left, top, right, bottom = centre(whole.shape[1], whole.shape[0])
    difference = np.abs(cropped - whole[top:bottom, left:right])
    assert difference.mean() < 2.5  # the places of the cuts are rounded: 0.06 pixels at most
    shifted = np.abs(cropped[:, 1:] - whole[top:bottom, left : right - 1])
    assert difference.mean() < shifted.mean() / 4


@pytest.mark.parametrize(
    ("codec", "pixel_format"),
    [("ffv1", "yuv420p"), ("libx264", "yuvj420p"), ("ffv1", "yuv444p")],
)
@pytest.mark.parametrize(("width", "height"), [(480, 320), (320, 480), (484, 324), (482, 322)])
def test_large_pictures_are_scaled_as_pillow_scales_them(
    tmp_path: Path, width: int, height: int, codec: str, pixel_format: str
) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 12 + 1, width // 12 + 1, 3), np.uint8)
    picture = coarse.repeat(12, axis=0).repeat(12, axis=1)[:height, :width]
    path = write_video(tmp_path / "v.mkv", [picture] * 3, codec=codec, pixel_format=pixel_format)
    with av.open(str(path)) as container:
        whole = Image.fromarray(next(container.decode(video=0)).to_ndarray(format="rgb24"))
    small = int(64 * width / min(width, height)), int(64 * height / min(width, height))
    left, top = (small[0] - 64) // 2, (small[1] - 64) // 2
    box = (left, top, left + 64, top + 64)
    expected = np.asarray(whole.resize(small, Image.Resampling.BILINEAR).crop(box)).astype(int)

    with VideoReader(path, scaled_size=lambda w, h: small, crop_box=lambda w, h: box) as reader:
        shown = next(iter(reader)).frames[0].astype(int)

    difference = np.abs(shown - expected).mean()
    assert difference < 4
    assert difference < np.abs(np.roll(shown, 1, axis=0) - expected).mean() / 4
    assert difference < np.abs(np.roll(shown, 1, axis=1) - expected).mean() / 4


@pytest.mark.parametrize(
    ("size", "pixel_format", "rows"),
    [
        ((480, 320), "yuv420p", 160),
        ((480, 320), "yuv444p", 320),
        ((480, 322), "yuv420p", 322),
        ((360, 240), "yuv420p", 240),
    ],
)
def test_only_rows_of_large_pictures_are_averaged(
    size: tuple[int, int], pixel_format: str, rows: int
) -> None:
    frame = av.VideoFrame(*size, pixel_format)
    frame.time_base = Fraction(1, 25)

    cutter = SourceCutter(frame, (96, 64), (0, 0, 96, 64))

    for _ in range(3):
        assert cutter.cut(frame).height == rows
