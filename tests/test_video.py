"""Reading videos: the right frames at the right times, or the right error; never a hang."""

import logging
import os
import shutil
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from support import frame_number, numbered_frame, write_video
from timelinelabels.errors import NoVideoStreamError, VideoError
from timelinelabels.video import DamagedSpan, VideoInfo, VideoReader, probe_video


@dataclass
class Watched:
    info: VideoInfo
    frames: np.ndarray
    pts: list[int]
    damage: list[DamagedSpan]

    @property
    def times(self) -> list[float]:
        return [float(pts * self.info.time_base) for pts in self.pts]

    @property
    def numbers(self) -> list[int]:
        return [frame_number(frame) for frame in self.frames]


def watch(path: Path, **arguments) -> Watched:
    """Read the whole video; with threads that decode, as an extraction on two processors has them."""
    with VideoReader(path, **{"decoder_threads": 3, **arguments}) as reader:
        batches = list(reader)
        return Watched(
            reader.info,
            np.concatenate([batch.frames for batch in batches]),
            [int(pts) for batch in batches for pts in batch.pts],
            reader.damage,
        )


def encode(path: Path, codec: str, count: int, *, options: dict[str, str] | None = None) -> Path:
    """`count` numbered frames at 25 fps, in the container that the suffix names."""
    container_format = {".h264": "h264", ".ts": "mpegts"}.get(path.suffix)
    pixel_format = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixel_format
        stream.options = options or {}
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(numbered_frame(index), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


# --------------------------------------------------------------------- real files that break readers


AWKWARD = {
    # name: (width, height as displayed, rotation, frames, first PTS, PTS steps)
    "av1_video.mkv": (640, 360, 0, 125, 0, {40}),
    "bt601_full_range.mp4": (320, 240, 0, 60, 0, {512}),
    "bt709_full_range.mp4": (1280, 720, 0, 30, 0, {512}),
    "frame_exceeds_screen.gif": (4, 4, 0, 1, 0, set()),
    "h264_10bits.mp4": (200, 200, 0, 30, 0, {512}),
    "h265_video.mp4": (128, 128, 0, 10, 0, {1024}),
    "nasa_13013_hdr.mp4": (320, 180, 0, 325, 0, {512}),
    "nasa_13013_rotated.mp4": (270, 480, 270, 17, 0, {1001}),
    "psd_counter.mp4": (1920, 1080, 0, 30, 0, {1024}),
    "psd_delayed_start.mp4": (480, 320, 0, 24, 13760, {512}),
    "psd_goldeneye-vfr-drop3.mp4": (1280, 544, 0, 160, 0, {1001, 2002}),
    "psd_issue-195-aspect-ratio.mp4": (704, 576, 0, 628, 0, {512}),
    "sine_stereo_mp2.mpg": (128, 128, 0, 100, 48600, {3600}),
    "testsrc2.mp4": (1280, 720, 0, 60, 0, {512}),
    "testsrc2_444_10bit_hevc.mp4": (321, 241, 0, 25, 0, {512}),
    "testsrc2_444_8bit_hevc.mp4": (321, 241, 0, 25, 0, {512}),
    "testsrc2_h265.mp4": (1280, 720, 0, 60, 0, {512}),
    "testsrc2_mpeg4.avi": (1280, 720, 0, 30, 0, {1}),
    "testsrc2_odd_height_444.mp4": (320, 241, 0, 25, 0, {512}),
    "testsrc2_odd_height_and_width_444_10bit.mp4": (321, 241, 0, 25, 0, {512}),
    "testsrc2_odd_height_and_width_vp9.mp4": (321, 241, 0, 25, 0, {512}),
    "testsrc2_odd_height_vp9.mp4": (320, 241, 0, 25, 0, {512}),
    "testsrc2_odd_width_444.mp4": (321, 240, 0, 25, 0, {512}),
    "testsrc2_odd_width_vp9.mp4": (321, 240, 0, 25, 0, {512}),
    "testsrc2_vp8.webm": (1280, 720, 0, 30, 0, {33, 34}),
    "transparent.gif": (64, 48, 0, 1, 0, set()),
    "DERIVED_corrupt_bytes_testvideo.mp4": (1280, 720, 0, 718, 0, {1001, 2002}),
    "DERIVED_truncated_60pct_vp9.webm": (1280, 720, 0, 15, 0, {33, 34}),
}

NOT_VIDEOS = {
    "nasa_13013.mp4.audio.mp3": (NoVideoStreamError, "no video stream"),
    "reproduce_seek_bug.wav": (NoVideoStreamError, "no video stream"),
    "PROBE.txt": (VideoError, "not a video file of a kind that is read"),
    "README.txt": (VideoError, "not a video file of a kind that is read"),
    "LICENSE.torchcodec": (VideoError, "is not a video"),
}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_files_give_the_right_frames_at_the_right_times(
    name: str, threads: int, shared_data: Path
):
    width, height, rotation, count, first, steps = AWKWARD[name]
    path = shared_data / "awkward_videos" / name

    seen = watch(path, scaled_size=lambda w, h: (32, 24), batch_size=16, decoder_threads=threads)

    assert (seen.info.width, seen.info.height, seen.info.rotation) == (width, height, rotation)
    assert len(seen.pts) == len(seen.frames) == count
    assert seen.pts[0] == first
    assert set(np.diff(seen.pts)) == steps
    assert seen.frames.shape == (count, 24, 32, 3)
    assert seen.frames.std() > 0
    assert bool(seen.damage) == name.startswith("DERIVED")
    assert probe_video(path) == seen.info


@pytest.mark.parametrize("name", NOT_VIDEOS)
def test_awkward_files_without_video_give_an_error_that_names_file_and_reason(
    name: str, shared_data: Path
):
    error, reason = NOT_VIDEOS[name]

    with pytest.raises(error, match=reason) as caught:
        probe_video(shared_data / "awkward_videos" / name)

    assert name in str(caught.value)
    assert type(caught.value) is error


def test_every_awkward_file_is_in_one_of_the_tables(shared_data: Path):
    present = {path.name for path in (shared_data / "awkward_videos").iterdir()}

    assert present == AWKWARD.keys() | NOT_VIDEOS.keys()


def test_damaged_packets_are_skipped_with_their_times_and_nothing_shifts(
    shared_data: Path, caplog: pytest.LogCaptureFixture
):
    path = shared_data / "awkward_videos" / "DERIVED_corrupt_bytes_testvideo.mp4"

    with caplog.at_level(logging.WARNING):
        seen = watch(path, scaled_size=lambda w, h: (32, 24))

    lost = [335335, 490490]  # PTS of the two packets that give an error
    assert seen.pts == [pts for pts in range(0, 720 * 1001, 1001) if pts not in lost]
    for pts in lost:
        time = pts / 30000
        (span,) = [s for s in seen.damage if "cannot be decoded" in s.reason and s.start == time]
        assert span.end is not None
        assert 0 < span.end - time < 0.2
        assert f"{time:.3f} s" in caplog.text
    assert path.name in caplog.text
    starts = [span.start for span in seen.damage]
    assert starts == sorted(starts)


def test_a_cut_off_webm_says_from_where_on_frames_are_missing(shared_data: Path):
    seen = watch(
        shared_data / "awkward_videos" / "DERIVED_truncated_60pct_vp9.webm",
        scaled_size=lambda w, h: (32, 24),
    )

    assert [(round(s.start, 2), s.end) for s in seen.damage] == [(0.5, None)]


# -------------------------------------------------------------------------------------------- times


def test_a_late_start_is_kept_in_the_times(tmp_path: Path):
    path = write_video(tmp_path / "late.mp4", numbered_frame, count=20, pts=range(50, 70))

    seen = watch(path)

    assert seen.times == pytest.approx([(50 + i) / 25 for i in range(20)])
    assert seen.numbers == list(range(20))


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_variable_frame_rates_keep_each_frames_own_time(tmp_path: Path, suffix: str):
    milliseconds = [0, 40, 80, 500, 540, 1900, 1910, 3000]
    path = write_video(
        tmp_path / f"vfr.{suffix}",
        numbered_frame,
        count=len(milliseconds),
        pts=milliseconds,
        time_base=Fraction(1, 1000),
    )

    seen = watch(path)

    assert seen.times == pytest.approx([ms / 1000 for ms in milliseconds], abs=1e-4)
    assert seen.numbers == list(range(len(milliseconds)))


@pytest.mark.parametrize("fps", [Fraction(50), Fraction(30000, 1001), Fraction(25, 2)])
def test_constant_frame_rates_are_exact_fractions(tmp_path: Path, fps: Fraction):
    seen = watch(write_video(tmp_path / "cfr.mp4", numbered_frame, count=40, fps=fps))

    assert seen.info.average_fps == fps
    assert [pts * seen.info.time_base for pts in seen.pts] == [i / fps for i in range(40)]
    assert seen.info.frame_count_hint == 40
    assert abs(seen.info.duration - 40 / fps) < Fraction(1, 1000)


@settings(max_examples=20)
@given(
    steps=st.lists(st.integers(1, 5000), min_size=0, max_size=12),
    start=st.integers(0, 100_000),
    codec=st.sampled_from(["libx264", "ffv1"]),
)
def test_any_increasing_stamps_come_back_with_their_frames(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], start: int, codec: str
):
    milliseconds = [start + sum(steps[:i]) for i in range(len(steps) + 1)]
    path = write_video(
        tmp_path_factory.mktemp("stamps") / "any.mkv",
        numbered_frame,
        count=len(milliseconds),
        pts=milliseconds,
        time_base=Fraction(1, 1000),
        codec=codec,
    )

    seen = watch(path, batch_size=3)

    assert [pts * seen.info.time_base * 1000 for pts in seen.pts] == milliseconds
    assert seen.numbers == list(range(len(milliseconds)))
    assert seen.damage == []


def test_b_frames_come_in_the_order_of_display(tmp_path: Path):
    seen = watch(encode(tmp_path / "b.mp4", "libx264", 50, options={"bf": "3", "crf": "10"}))

    assert seen.numbers == list(range(50))
    assert seen.times == pytest.approx([i / 25 for i in range(50)])


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_an_avi_with_b_frames_stamps_only_packets_and_still_gives_every_frame_its_time(
    tmp_path: Path, codec: str
):
    options = {"bf": "2", "crf": "10", "b": "2000000"}

    seen = watch(encode(tmp_path / "b.avi", codec, 50, options=options))

    assert seen.numbers == list(range(50))
    assert seen.times == pytest.approx([i / 25 for i in range(50)])
    assert seen.damage == []


def test_frames_without_stamps_are_counted_at_the_streams_rate(tmp_path: Path):
    seen = watch(encode(tmp_path / "raw.h264", "libx264", 50, options={"bf": "2", "crf": "10"}))

    assert seen.numbers == list(range(50))
    assert seen.times == pytest.approx([i / 25 for i in range(50)])
    assert seen.info.duration is None


def test_stamps_that_run_backwards_are_left_out_and_told(tmp_path: Path):
    part = encode(tmp_path / "part.ts", "libx264", 40, options={"crf": "10"})
    whole = tmp_path / "twice.ts"
    whole.write_bytes(part.read_bytes() * 2)

    once, twice = watch(part), watch(whole)

    assert (np.diff(twice.pts) > 0).all()
    assert twice.pts[:40] == once.pts
    assert any("backwards" in span.reason for span in twice.damage)


# ------------------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize(("width", "height"), [(65, 48), (64, 49), (33, 47)])
def test_odd_sizes_are_kept(tmp_path: Path, width: int, height: int):
    path = write_video(
        tmp_path / "odd.mp4",
        lambda index: numbered_frame(index, width=width, height=height),
        count=5,
        pixel_format="yuv444p",
    )

    seen = watch(path)

    assert seen.frames.shape == (5, height, width, 3)
    assert seen.numbers == list(range(5))


def test_unscaled_frames_are_what_pyav_itself_gives(shared_data: Path):
    for name in ("bt601_full_range.mp4", "h264_10bits.mp4", "testsrc2_odd_width_vp9.mp4"):
        path = shared_data / "awkward_videos" / name
        with av.open(str(path)) as container:
            expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]

        assert np.array_equal(watch(path).frames, expected)


def test_rotation_turns_the_picture_as_opencv_shows_it(shared_data: Path):
    path = shared_data / "awkward_videos" / "nasa_13013_rotated.mp4"
    shown = cv2.VideoCapture(str(path)).read()[1][:, :, ::-1]

    seen = watch(path)

    assert seen.frames[0].shape == shown.shape == (480, 270, 3)
    assert np.abs(seen.frames[0].astype(int) - shown).mean() < 1
    assert np.abs(seen.frames[0][::-1, ::-1].astype(int) - shown).mean() > 5


@pytest.mark.parametrize("counterclockwise", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_all_eight_orientations_are_applied(tmp_path: Path, counterclockwise: int, mirrored: bool):
    stored = np.zeros((48, 64, 3), np.uint8)
    stored[:16, :32] = 250  # top left
    stored[32:, :16] = 120  # bottom left
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        stream.set_display_rotation(counterclockwise, hflip=mirrored)
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(stored, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    shown = np.rot90(stored, counterclockwise // 90)
    shown = shown[:, ::-1] if mirrored else shown

    seen = watch(path)

    assert (seen.info.height, seen.info.width) == shown.shape[:2]
    assert np.abs(seen.frames[0].astype(int) - shown).mean() < 10

    half = watch(path, scaled_size=lambda w, h: (w // 2, h // 2))
    assert np.abs(half.frames[0].astype(int) - shown[::2, ::2]).mean() < 15


def test_scaling_and_cropping_get_the_displayed_and_the_scaled_size(shared_data: Path):
    asked = []

    def scaled_size(width: int, height: int) -> tuple[int, int]:
        asked.append((width, height))
        return 90, 160

    def crop_box(width: int, height: int) -> tuple[int, int, int, int]:
        asked.append((width, height))
        return 5, 10, 85, 150

    path = shared_data / "awkward_videos" / "nasa_13013_rotated.mp4"
    cropped = watch(path, scaled_size=scaled_size, crop_box=crop_box)

    assert asked == [(270, 480), (90, 160)]
    whole = watch(path, scaled_size=scaled_size)
    assert np.array_equal(cropped.frames, whole.frames[:, 10:150, 5:85])


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        # mean absolute difference in grey levels; what was measured is in pictures.py
        ("bt601_full_range.mp4", 0.5),  # 320×240
        ("h264_10bits.mp4", 0.5),  # 200×200, enlarged
        ("nasa_13013_hdr.mp4", 0.5),  # 320×180
        ("psd_issue-195-aspect-ratio.mp4", 1.5),  # 704×576
        ("testsrc2.mp4", 1.8),  # 1280×720
        ("psd_counter.mp4", 1.5),  # 1920×1080
    ],
)
def test_scaled_pictures_agree_with_pillows_antialiased_bilinear(
    name: str, tolerance: float, shared_data: Path
):
    path = shared_data / "awkward_videos" / name
    size = {}

    def scaled_size(width: int, height: int) -> tuple[int, int]:
        short = min(width, height)
        size["wh"] = int(224 * width / short), int(224 * height / short)
        return size["wh"]

    with VideoReader(path, scaled_size=scaled_size, batch_size=4) as reader:
        ours = next(iter(reader)).frames.astype(int)
    with av.open(str(path)) as container:
        whole = [
            Image.fromarray(frame.to_ndarray(format="rgb24"))
            for frame, _ in zip(container.decode(video=0), range(4), strict=False)
        ]
    theirs = np.stack([np.asarray(image.resize(size["wh"], Image.BILINEAR)) for image in whole])

    assert np.abs(ours - theirs).mean() < tolerance


def test_a_stream_that_changes_its_size_keeps_one_output_size(tmp_path: Path):
    parts = [
        write_video(
            tmp_path / f"{width}.h264",
            lambda index, width=width: numbered_frame(index, width=width, height=48),
            count=10,
        )
        for width in (64, 96)
    ]
    path = tmp_path / "changing.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))

    seen = watch(path)

    assert seen.frames.shape == (20, 48, 64, 3)
    assert seen.numbers == [*range(10), *range(10)]


def test_so_elongated_a_video_that_scaling_would_fill_the_memory_is_refused(tmp_path: Path):
    path = write_video(
        tmp_path / "strip.mkv",
        lambda index: np.zeros((2, 4000, 3), np.uint8),
        count=2,
        codec="ffv1",
        pixel_format="yuv420p",
    )

    with pytest.raises(VideoError, match=r"strip.mkv.*4000×2 pixels.*448000×224"):
        watch(path, scaled_size=lambda w, h: (int(224 * w / h), 224))


# -------------------------------------------------------------------------- files that cannot be read


def cover_art(path: Path) -> None:
    """An audio file with a picture that FFmpeg presents as a video stream."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("flac" if path.suffix == ".flac" else "libmp3lame", rate=8000)
        picture = container.add_stream("png", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "rgb24"
        picture.disposition = av.stream.Disposition.attached_pic
        cover = av.VideoFrame.from_ndarray(numbered_frame(3), format="rgb24")
        cover.pts = 0
        container.mux(picture.encode(cover))
        container.mux(picture.encode())
        silence = av.AudioFrame.from_ndarray(
            np.zeros((1, 1152), np.int16), format="s16", layout="mono"
        )
        silence.rate, silence.pts = 8000, 0
        container.mux(sound.encode(silence))
        container.mux(sound.encode())


def without_index(path: Path) -> None:
    whole = encode(path.with_name("whole.mp4"), "libx264", 50)
    data = whole.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])


def playlist(path: Path) -> None:
    encode(path.with_name("part.ts"), "libx264", 10)
    path.write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.4,\npart.ts\n#EXT-X-ENDLIST\n",
    )


def concat_list(path: Path) -> None:
    encode(path.with_name("part.ts"), "libx264", 10)
    path.write_text("ffconcat version 1.0\nfile part.ts\n")


def not_one_good_packet(path: Path) -> None:
    whole = encode(path.with_name("whole.mp4"), "libx264", 20)
    data = bytearray(whole.read_bytes())
    begin, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[begin:end] = b"\xff" * (end - begin)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("missing.mp4", lambda path: None, "no such file"),
        ("file/inside.mp4", lambda path: path.parent.write_text("x"), "no such file"),
        ("folder.mp4", lambda path: path.mkdir(), "folder"),
        ("empty.mp4", lambda path: path.touch(), "empty"),
        ("pipe.mp4", os.mkfifo, "not a regular file"),
        ("text.txt", lambda path: path.write_text("line\n" * 100), "not a video file of a kind"),
        ("text.mp4", lambda path: path.write_text("line\n" * 100), "not a video"),
        ("noise.mp4", lambda path: path.write_bytes(os.urandom(9999)), "not a video"),
        ("no-index.mp4", without_index, "cut off before its index"),
        ("list.m3u8", playlist, "not a video file of a kind"),
        ("list.mp4", playlist, "not a video"),
        ("list.ffconcat", concat_list, "not a video file of a kind"),
        ("garbage.mp4", not_one_good_packet, "not one frame could be decoded"),
    ],
)
def test_a_file_that_is_no_readable_video_is_named_with_the_reason(
    tmp_path: Path, name: str, make, reason: str
):
    path = tmp_path / name
    make(path)

    with pytest.raises(VideoError, match=reason) as caught:
        probe_video(path)

    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["a\0b.mp4", "x" * 300 + ".mp4"])
def test_an_impossible_name_is_an_error_like_any_other(tmp_path: Path, name: str):
    with pytest.raises(VideoError, match="cannot be reached"):
        probe_video(tmp_path / name)


@pytest.mark.parametrize("suffix", ["flac", "mp3"])
def test_cover_art_of_an_audio_file_is_not_a_video(tmp_path: Path, suffix: str):
    path = tmp_path / f"song.{suffix}"
    cover_art(path)
    with av.open(str(path)) as container:
        assert container.streams.video, "the file must have the picture as a stream"

    with pytest.raises(NoVideoStreamError, match=f"song.{suffix}"):
        probe_video(path)


def test_a_name_is_never_taken_for_a_protocol_of_ffmpeg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    encode(Path("inner.mp4"), "libx264", 5)

    with pytest.raises(VideoError, match="no such file"):
        probe_video(Path("concat:inner.mp4|inner.mp4"))

    shutil.copy("inner.mp4", "concat:inner.mp4")
    assert len(watch(Path("concat:inner.mp4")).pts) == 5


def test_a_name_that_is_not_unicode_is_read(tmp_path: Path):
    path = encode(tmp_path / "ok.mp4", "libx264", 5)
    strange = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    path.rename(strange)

    assert len(watch(strange).pts) == 5


def test_a_cut_off_mp4_with_its_index_gives_what_is_there(tmp_path: Path):
    whole = tmp_path / "whole.mp4"
    with av.open(str(whole), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "0", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        noise = np.random.default_rng(0)
        for _ in range(100):
            pixels = noise.integers(0, 256, (48, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    expected = watch(whole)

    seen = watch(cut)

    assert 40 <= len(seen.pts) <= 60
    assert seen.pts == expected.pts[: len(seen.pts)]
    assert seen.damage[-1].end is None
    assert seen.damage[-1].start == pytest.approx(seen.times[-1] + 0.04, abs=0.3)


def test_a_damaged_packet_in_the_middle_costs_only_its_own_stretch(tmp_path: Path):
    whole = encode(tmp_path / "whole.avi", "mjpeg", 50)
    data = bytearray(whole.read_bytes())
    starts = [i for i in range(len(data)) if data[i : i + 3] == b"\xff\xd8\xff"]
    assert len(starts) == 50
    data[starts[20] : starts[21] - 16] = bytes(starts[21] - 16 - starts[20])
    broken = tmp_path / "broken.avi"
    broken.write_bytes(data)

    seen = watch(broken)

    assert seen.pts == [pts for pts in range(50) if pts != 20]
    assert seen.numbers == [i for i in range(50) if i != 20]
    (span,) = seen.damage
    assert (span.start, span.end) == (pytest.approx(0.8), pytest.approx(0.84))


@pytest.mark.parametrize("damaged", [0, 1, 20, 40, 45, 46, 47, 48, 49])
def test_a_damaged_packet_anywhere_costs_one_frame(tmp_path: Path, damaged: int):
    path = encode(tmp_path / "v.mp4", "libx264", 50, options={"g": "1", "crf": "5"})
    with av.open(str(path)) as container:
        places = [(p.pos, p.size, p.pts) for p in container.demux(video=0) if p.size]
    position, size, pts = places[damaged]
    data = bytearray(path.read_bytes())
    data[position : position + size] = b"\xff" * size
    path.write_bytes(data)

    seen = watch(path)

    assert seen.pts == [p for _, _, p in places if p != pts]
    (span,) = seen.damage
    assert span.start == pytest.approx(damaged / 25)
    assert span.end == (None if damaged == 49 else pytest.approx((damaged + 1) / 25))


# ----------------------------------------------------------------------------------------- the reader


def test_batches_have_the_asked_size_and_the_rest_comes_last(tmp_path: Path):
    path = write_video(tmp_path / "v.mp4", numbered_frame, count=20)

    with VideoReader(path, batch_size=8) as reader:
        batches = list(reader)

    assert [len(batch.pts) for batch in batches] == [8, 8, 4]
    assert [batch.frames.shape for batch in batches] == [(n, 48, 64, 3) for n in (8, 8, 4)]
    assert all(batch.frames.dtype == np.uint8 and batch.pts.dtype == np.int64 for batch in batches)


def test_a_reader_is_read_once(tmp_path: Path):
    path = write_video(tmp_path / "v.mp4", numbered_frame, count=3)

    with VideoReader(path) as reader:
        list(reader)
        with pytest.raises(RuntimeError, match="once"):
            iter(reader)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path: Path):
    path = write_video(
        tmp_path / "long.mp4",
        lambda index: numbered_frame(index // 10, width=640, height=360),
        count=600,
    )

    with VideoReader(path) as reader:
        batches = iter(reader)
        for _ in range(25):
            next(batches)
        early = resident_bytes()
        frames = sum(len(batch.pts) for batch in batches)
        growth = resident_bytes() - early

    assert frames == 400
    assert growth < 40e6, "these frames together take 276 MB"
