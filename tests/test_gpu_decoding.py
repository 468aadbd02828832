"""A GPU may decode; where it cannot, the processor does, and nothing else changes."""

import logging
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from support import numbered_frame, write_video
from timelinelabels import video as video_module
from timelinelabels.containers import open_container, open_container_on_gpu
from timelinelabels.errors import VideoError
from timelinelabels.features import FeatureStore
from timelinelabels.pictures import Orientation, PictureConverter
from timelinelabels.thumbnails import ThumbnailMaker
from tiny_backbone import TinyBackbone


class OnGpu(TinyBackbone):
    device = "cuda:0"


def has_nvdec() -> bool:
    """Whether this machine has NVIDIA's decoder."""
    return Path("/proc/driver/nvidia/version").exists()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "video.mp4", numbered_frame, count=40)


@pytest.mark.skipif(has_nvdec(), reason="this machine has a GPU")
def test_without_a_gpu_the_processor_decodes_and_the_log_says_so(
    tmp_path: Path, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = FeatureStore(tmp_path / "asked", decode_on_gpu=True)
    plain = FeatureStore(tmp_path / "plain")

    with caplog.at_level(logging.WARNING):
        features = asked.extract(clip, OnGpu())

    expected = plain.extract(clip, TinyBackbone())
    assert np.array_equal(features.values, expected.values)
    assert np.array_equal(features.pts, expected.pts)
    (message,) = [record.getMessage() for record in caplog.records]
    assert "decoded by the processor: cuda:0 cannot" in message


def test_a_gpu_is_asked_only_where_the_setting_and_the_backbone_say_so(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def ask(path: Path, device: str) -> None:
        asked.append((path, device))

    monkeypatch.setattr(video_module, "open_container_on_gpu", ask)
    FeatureStore(tmp_path / "1").extract(clip, OnGpu())
    FeatureStore(tmp_path / "2", decode_on_gpu=True).extract(clip, TinyBackbone())
    assert asked == []
    FeatureStore(tmp_path / "3", decode_on_gpu=True).extract(clip, OnGpu())
    assert asked == [(clip, "cuda:0")]


def test_what_a_gpu_left_out_is_decoded_again_by_the_processor(
    tmp_path: Path,
    clip: Path,
    shared_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    opened = []

    def as_on_a_gpu(path: Path, device: str) -> object:
        opened.append(path.name)
        return open_container(path)

    monkeypatch.setattr(video_module, "open_container_on_gpu", as_on_a_gpu)
    monkeypatch.setattr(video_module, "is_decoded_on_gpu", lambda stream: True)
    monkeypatch.setattr(video_module, "is_gpu_picture", lambda frame: True)
    # With one thread: how a decoder repairs damaged pictures depends on the timing of several.
    store = FeatureStore(tmp_path / "asked", decode_on_gpu=True, workers=1)
    damaged = shared_data / "awkward_videos" / "DERIVED_corrupt_bytes_testvideo.mp4"

    with caplog.at_level(logging.WARNING):
        whole = store.extract(clip, OnGpu())
        assert caplog.records == []
        features = store.extract(damaged, OnGpu())

    assert opened == [clip.name, damaged.name]
    assert whole.damage == ()
    assert any("decoded again, by the processor" in r.getMessage() for r in caplog.records)
    expected = FeatureStore(tmp_path / "plain", workers=1).extract(damaged, TinyBackbone())
    assert features.damage == expected.damage != ()
    assert np.array_equal(features.values, expected.values)


def test_a_codec_that_no_gpu_decodes_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(
        tmp_path / "v.mkv", numbered_frame, count=10, codec="ffv1", pixel_format="yuv444p"
    )
    with caplog.at_level(logging.WARNING):
        features = FeatureStore(tmp_path / "asked", decode_on_gpu=True).extract(path, OnGpu())
    assert len(features.pts) == 10
    assert "cuda:0 has no decoder for ffv1" in caplog.text


def test_a_kind_of_picture_that_no_gpu_decodes_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """FFmpeg goes over to the processor by itself where a GPU knows the codec, but not 10 bits of it."""
    path = write_video(tmp_path / "v.mp4", numbered_frame, count=10, pixel_format="yuv420p10le")
    monkeypatch.setattr(video_module, "open_container_on_gpu", lambda path, _: open_container(path))
    monkeypatch.setattr(video_module, "is_decoded_on_gpu", lambda stream: True)
    with caplog.at_level(logging.WARNING):
        FeatureStore(tmp_path / "asked", decode_on_gpu=True).extract(path, OnGpu())
    assert "cuda:0 does not know this kind of h264 (yuv420p10le)" in caplog.text


def test_a_file_that_is_no_video_gets_its_own_error(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("not a video " * 50)
    assert open_container_on_gpu(path, "cuda:1") is None
    with pytest.raises(VideoError, match="not a video"):
        FeatureStore(tmp_path / "cache", decode_on_gpu=True).extract(path, OnGpu())


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("size", [(480, 320), (320, 240), (128, 96)])
def test_pictures_as_a_gpu_gives_them_look_as_those_of_the_processor(
    tmp_path: Path, size: tuple[int, int], full_range: bool
) -> None:
    """NVDEC gives NV12: the same luma and colours, the colours interleaved."""
    rng = np.random.default_rng(0)
    width, height = size
    coarse = rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
    picture = coarse.repeat(16, axis=0).repeat(16, axis=1)[:height, :width]
    pixel_format = "yuvj420p" if full_range else "yuv420p"
    path = write_video(tmp_path / "v.mp4", [picture] * 2, pixel_format=pixel_format)
    with av.open(str(path)) as container:
        given = next(container.decode(video=0))
    on_gpu = VideoReformatter().reformat(given, format="nv12")
    on_gpu.color_range, on_gpu.colorspace = given.color_range, given.colorspace
    still = Orientation(rotation=0, mirrored=False)
    seen, small = [], []
    for frame in (given, on_gpu):
        converter = PictureConverter(
            frame,
            orientation=still,
            scaled_size=lambda w, h: (64 * w // h, 64),
            crop_box=lambda w, h: ((w - 64) // 2, 0, (w - 64) // 2 + 64, 64),
        )
        seen.append(np.empty((64, 64, 3), np.uint8))
        converter.convert(frame, into=seen[-1])
        small.append(ThumbnailMaker(still).make(frame).astype(int))
    assert np.abs(seen[0].astype(int) - seen[1]).mean() < 0.01
    assert np.abs(small[0] - small[1]).max() <= 1
