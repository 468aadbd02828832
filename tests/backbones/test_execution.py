"""The same features whatever runs the network: torch or ONNX Runtime, float32 or bfloat16."""

from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import noise, save_classifier

from timelinelabels.backbones import Preprocessing, YoloBackbone
from timelinelabels.backbones.architectures import build_network
from timelinelabels.backbones.checkpoint import open_checkpoint
from timelinelabels.backbones.classifier_record import read_classifier
from timelinelabels.backbones.execution import (
    OnnxNetwork,
    TorchNetwork,
    _take_over_scale,
    feature_network,
    processor_precision,
)
from timelinelabels.backbones.low_contrast import ExactWhereDim
from timelinelabels.backbones.onnx_graph import UnknownLayerError, onnx_model
from timelinelabels.features import FeatureStore
from timelinelabels.video import VideoReader

PLAIN = Preprocessing(resize=64, crop=(64, 64), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
NORMALISED = Preprocessing(resize=64, crop=(64, 64), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


def layers_of(path: Path) -> torch.nn.Sequential:
    with open_checkpoint(path) as archive:
        record = read_classifier(archive)
        return build_network(record, {n: v.read(archive) for n, v in record.tensors.items()})


def torch_network(path: Path, how: Preprocessing, precision: torch.dtype) -> TorchNetwork:
    layers = layers_of(path)
    return TorchNetwork(layers, how.crop, _take_over_scale(layers, how), precision=precision)


def plain_features(path: Path, frames: np.ndarray, how: Preprocessing) -> np.ndarray:
    """As written in a textbook: normalise, every layer, pool."""
    *body, head = layers_of(path)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (how.mean, how.std))
    with torch.inference_mode():
        pixels = (torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255 - mean) / std
        for layer in body:
            pixels = layer(pixels)
        return head.pool(head.conv(pixels)).flatten(1).numpy()


def least_cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))).min())


@pytest.mark.parametrize("how", [PLAIN, NORMALISED])
@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_every_runtime_computes_the_plain_network_with_its_normalisation(
    seeded_weights: Path, how: Preprocessing, runtime: str
) -> None:
    """At the borders, too: what a convolution pads with stands for the mean."""
    frames = noise(5)
    layers = layers_of(seeded_weights)
    offset = _take_over_scale(layers, how)
    network = (
        OnnxNetwork(layers, how.crop, offset)
        if runtime == "onnx"
        else TorchNetwork(layers, how.crop, offset, precision=torch.float32)
    )
    expected = plain_features(seeded_weights, frames, how)
    assert np.abs(network(frames) - expected).max() < 1e-4 * np.abs(expected).max()


def test_bfloat16_gives_the_features_of_float32_within_a_cosine_of_0_999(
    seeded_weights: Path,
) -> None:
    network = torch_network(seeded_weights, PLAIN, torch.bfloat16)
    frames = noise(5)
    assert least_cosine(network(frames), plain_features(seeded_weights, frames, PLAIN)) >= 0.999


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["leaf-cls-224.pt", "leaf-cls.pt"])
def test_bfloat16_of_real_weights_on_real_pictures_is_within_0_999(
    shared_data: Path, weights: str
) -> None:
    """By day, and by night: the second recording is so dark that bfloat16 alone comes down to 0.993."""
    path = shared_data.parent / "weights" / weights
    how = YoloBackbone.open(path).preprocessing
    exact, half = (torch_network(path, how, it) for it in (torch.float32, torch.bfloat16))
    network = ExactWhereDim(half, lambda: exact)
    for name in ("20200626_154313_01", "20200628_183032_01"):
        video = shared_data / "room_actions" / "videos" / f"{name}.mp4"
        with VideoReader(video, scaled_size=how.scaled_size, crop_box=how.crop_box) as reader:
            frames = np.concatenate([batch.frames[:1] for batch in reader])
        frames = frames[:: 4 if weights == "leaf-cls-224.pt" else 16]
        assert least_cosine(exact(frames), network(frames)) >= 0.999


def test_pictures_of_little_contrast_are_computed_by_the_exact_network() -> None:
    given: list[tuple[str, int]] = []

    def network(name: str, value: float):
        def run(frames: np.ndarray) -> np.ndarray:
            given.append((name, len(frames)))
            return np.full((len(frames), 2), value, np.float32) + frames[:, :1, 0, 0]

        return run

    built: list[int] = []
    both = ExactWhereDim(network("usual", 0.25), lambda: built.append(1) or network("exact", 0.5))
    clear = noise(3)
    assert (both(clear) % 1 == 0.25).all()
    assert built == []
    frames = np.concatenate([clear[:1], clear[:1] // 8, clear[1:], clear[1:] // 16])
    features = both(frames)
    assert (features[:, 0] % 1).tolist() == [0.25, 0.5, 0.25, 0.25, 0.5, 0.5]
    assert (features[:, 0] // 1).tolist() == frames[:, 0, 0, 0].tolist()
    assert given == [("usual", 3), ("exact", 3), ("usual", 3)]
    assert (both(clear // 8) % 1 == 0.5).all()
    assert len(built) == 1


def test_a_call_of_the_network_takes_one_thread_whatever_torch_is_told(
    seeded_weights: Path,
) -> None:
    network = torch_network(seeded_weights, PLAIN, torch.float32)
    before, seen = torch.get_num_threads(), []
    network._layers.insert(0, lambda pixels: seen.append(torch.get_num_threads()) or pixels)
    torch.set_num_threads(2)
    try:
        network(noise(2))
        assert seen == [1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_an_architecture_that_is_not_written_as_onnx_is_run_by_torch(tmp_path: Path) -> None:
    save_classifier(tmp_path / "a.pt", architecture="11/yolo11-cls", scale="n")
    layers = layers_of(tmp_path / "a.pt")
    with pytest.raises(UnknownLayerError, match="C3k2"):
        onnx_model(layers, (64, 64), None)
    network = feature_network(lambda: layers_of(tmp_path / "a.pt"), PLAIN)
    assert isinstance(
        network.usual if isinstance(network, ExactWhereDim) else network, TorchNetwork
    )
    expected = plain_features(tmp_path / "a.pt", noise(2), PLAIN)
    # Untrained weights on noise, in bfloat16 where the processor has it: layers add up what they round.
    least = 0.999 if processor_precision() is torch.float32 else 0.99
    assert least_cosine(network(noise(2)), expected) >= least


def test_the_precision_is_what_the_processor_has_instructions_for() -> None:
    flags = Path("/proc/cpuinfo")
    if not flags.exists():
        pytest.skip("reads Linux's /proc")
    native = {"avx512_bf16", "amx_bf16"} & set(flags.read_text().split())
    assert processor_precision() is (torch.bfloat16 if native else torch.float32)


def test_a_video_extracted_twice_gives_equal_features(
    seeded_weights: Path, scenes: list, tmp_path: Path
) -> None:
    first, second = (
        FeatureStore(tmp_path / name, workers=workers).extract(
            scenes[0].path, YoloBackbone.open(seeded_weights)
        )
        for name, workers in (("a", 1), ("b", 3))
    )
    assert first.path != second.path
    assert np.array_equal(first.values, second.values)
