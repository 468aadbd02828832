"""YOLO classification checkpoints as backbones."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_files import (
    changed_checkpoint,
    noise,
    save_classifier,
    trusted_load,
)

from timelinelabels.backbones import YoloBackbone, backbone_fingerprint
from timelinelabels.backbones.architectures import bundled_architecture, load_ultralytics
from timelinelabels.errors import (
    CheckpointError,
    NotAClassificationCheckpointError,
    WeightsNotFoundError,
)
from timelinelabels.video import VideoReader
from torchvision_operators import import_torchvision

# Numbers are compared with float32's, whatever processor this is; bfloat16: test_execution.py.
pytestmark = pytest.mark.usefixtures("in_float32")


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Row by row."""
    return (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def ultralytics_results(path: Path, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, D) and probabilities (N, C) of Ultralytics' own `predict` on full-size frames."""
    load_ultralytics()
    import_torchvision()
    from ultralytics import YOLO

    yolo = YOLO(str(path))
    seen: list[np.ndarray] = []
    yolo.model.model[-1].linear.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].float().clone().numpy()[-1])
    )
    features, probabilities = [], []
    for frame in frames:
        picture = np.ascontiguousarray(frame[:, :, ::-1])  # Ultralytics takes BGR
        result = yolo.predict([picture], verbose=False, save=False)[0]
        features.append(seen[-1])
        probabilities.append(result.probs.data.numpy())
    return np.stack(features), np.stack(probabilities)


def decoded(path: Path, backbone: YoloBackbone | None, count: int, every: int) -> np.ndarray:
    """Some frames of a video, as stored or as the backbone wants them."""
    how = backbone and backbone.preprocessing
    frames: list[np.ndarray] = []
    with VideoReader(
        path, scaled_size=how and how.scaled_size, crop_box=how and how.crop_box
    ) as reader:
        for batch in reader:
            frames.extend(batch.frames)
            if len(frames) > (count - 1) * every:
                break
    return np.stack(frames[::every][:count])


# Agreement with Ultralytics


def test_features_and_probabilities_are_those_of_ultralytics_on_prepared_frames(
    seeded_weights: Path,
) -> None:
    """Frames of the input size pass Ultralytics' own resize and crop unchanged."""
    backbone = YoloBackbone.open(seeded_weights)
    frames = noise(4)
    features, probabilities = ultralytics_results(seeded_weights, frames)
    assert cosine(backbone.embed(frames), features).min() > 0.99999
    ours = backbone.class_probabilities(backbone.embed(frames).astype(np.float16))
    assert np.abs(ours - probabilities).max() < 1e-3


def test_the_seeded_checkpoint_agrees_with_ultralytics_through_the_real_decoder(
    seeded_weights: Path, scenes: list[Any]
) -> None:
    backbone = YoloBackbone.open(seeded_weights)
    agreement = []
    for scene in scenes[:2]:
        theirs, _ = ultralytics_results(seeded_weights, decoded(scene.path, None, 6, 15))
        agreement.append(cosine(backbone.embed(decoded(scene.path, backbone, 6, 15)), theirs))
    assert np.median(agreement) >= 0.995
    assert np.min(agreement) >= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["leaf-cls-224.pt", "leaf-cls.pt"])
def test_real_weights_agree_with_ultralytics_on_real_videos(
    shared_data: Path, weights: str
) -> None:
    path = shared_data.parent / "weights" / weights
    backbone = YoloBackbone.open(path)
    rooms = sorted((shared_data / "room_actions" / "videos").glob("*.mp4"))[:3]
    awkward = [
        shared_data / "awkward_videos" / name
        for name in (
            "nasa_13013_rotated.mp4",
            "psd_issue-195-aspect-ratio.mp4",
            "psd_goldeneye-vfr-drop3.mp4",
            "h264_10bits.mp4",
            "av1_video.mkv",
            "bt709_full_range.mp4",
            "bt601_full_range.mp4",
            "testsrc2_odd_height_and_width_vp9.mp4",
            "testsrc2_444_10bit_hevc.mp4",
            "psd_counter.mp4",
        )
    ]
    features, differences = [], []
    for video in [*rooms, *awkward]:
        theirs, their_probabilities = ultralytics_results(path, decoded(video, None, 3, 12))
        ours = backbone.embed(decoded(video, backbone, 3, 12))
        features.append(cosine(ours, theirs))
        differences.append(np.abs(backbone.class_probabilities(ours) - their_probabilities).max())
    assert np.median(np.concatenate(features)) >= 0.995
    assert np.concatenate(features).min() >= 0.98
    assert np.median(differences) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "scale"),
    [
        ("v8/yolov8-cls", "s"),
        ("11/yolo11-cls", "n"),
        ("11/yolo11-cls", "m"),
        ("12/yolo12-cls", "n"),
        ("26/yolo26-cls", "n"),
        ("v8/yolov8-cls-resnet50", "n"),
    ],
)
def test_every_family_that_ultralytics_ships_gives_its_own_results(
    tmp_path: Path, architecture: str, scale: str
) -> None:
    model = save_classifier(tmp_path / "any name.pt", architecture=architecture, scale=scale)
    backbone = YoloBackbone.open(tmp_path / "any name.pt")
    frames = noise(3, seed=1)
    with torch.inference_mode():
        expected, logits = model(torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255)
    features = backbone.embed(frames)
    ours = features @ backbone._weight.T + backbone._bias
    assert np.allclose(ours, logits.numpy(), atol=2e-3)
    assert np.allclose(backbone.class_probabilities(features), expected.numpy(), atol=1e-3)
    assert features.std(axis=0).mean() > 1e-4


def test_another_eps_of_the_normalisations_is_taken_over(tmp_path: Path) -> None:
    model = save_classifier(tmp_path / "a.pt")
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 0.5
    torch.save({"model": model, "train_args": {"imgsz": 64}}, tmp_path / "b.pt")
    frames = noise(2)
    with torch.inference_mode():
        _, logits = model(torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255)
    backbone = YoloBackbone.open(tmp_path / "b.pt")
    assert np.allclose(
        backbone.embed(frames) @ backbone._weight.T + backbone._bias, logits.numpy(), atol=1e-4
    )


# What a checkpoint says of itself


def test_what_a_real_checkpoint_says_of_itself(leaf_weights: Path) -> None:
    backbone = YoloBackbone.open(leaf_weights)
    assert backbone.name == "leaf-cls-224"
    assert backbone.feature_dim == 1280
    assert len(backbone.class_names) == 36
    assert backbone.class_names[:2] == ("Acacia", "Alibangbang")
    assert (backbone.preprocessing.resize, backbone.preprocessing.crop) == (224, (224, 224))
    assert YoloBackbone.open(leaf_weights.with_name("leaf-cls.pt")).preprocessing.resize == 640


def test_averaged_weights_are_preferred_as_ultralytics_prefers_them(
    seeded_weights: Path, tmp_path: Path
) -> None:
    averaged = trusted_load(seeded_weights)["model"]
    averaged.names = {0: "averaged", 1: "b", 2: "c"}
    path = changed_checkpoint(seeded_weights, tmp_path / "a.pt", ema=averaged)
    assert YoloBackbone.open(path).class_names[0] == "averaged"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b", "c"], ("a", "b", "c")),
        ({"2": "c", "0": "a", "1": "b"}, ("a", "b", "c")),
        ({0: 7, 1: "b", 2: True}, ("7", "b", "True")),
    ],
)
def test_class_names_may_be_a_list_or_a_dictionary(
    seeded_weights: Path, tmp_path: Path, names: Any, expected: tuple[str, ...]
) -> None:
    model = trusted_load(seeded_weights)["model"]
    model.names = names
    path = changed_checkpoint(seeded_weights, tmp_path / "a.pt", model=model)
    assert YoloBackbone.open(path).class_names == expected


@pytest.mark.parametrize(
    "names",
    [
        None,
        [],
        ["a", "b"],
        {0: "a", 1: "b", 3: "c"},
        {0: "a", "0": "b", 1: "c"},
        {0: [], 1: [], 2: []},
    ],
)
def test_class_names_that_do_not_fit_the_network_are_an_error(
    seeded_weights: Path, tmp_path: Path, names: Any
) -> None:
    model = trusted_load(seeded_weights)["model"]
    model.names = names
    path = changed_checkpoint(seeded_weights, tmp_path / "a.pt", model=model)
    with pytest.raises(CheckpointError, match="class"):
        YoloBackbone.open(path)


# What is not a classification checkpoint


def test_a_detector_is_refused_by_what_it_is_and_what_is_needed(tmp_path: Path) -> None:
    tasks = load_ultralytics()
    detector = tasks.DetectionModel(
        bundled_architecture("v8/yolov8", classes=80) | {"scale": "n"}, verbose=False
    )
    torch.save({"model": detector, "ema": None, "train_args": {}}, tmp_path / "yolov8n.pt")
    with pytest.raises(
        NotAClassificationCheckpointError,
        match=r"yolov8n\.pt: this is an object detector \(ultralytics.nn.tasks.DetectionModel\).*-cls",
    ):
        YoloBackbone.open(tmp_path / "yolov8n.pt")


def test_other_things_that_torch_saves_are_refused_by_what_they_are(
    seeded_weights: Path, tmp_path: Path
) -> None:
    model = trusted_load(seeded_weights)["model"]
    cases: list[tuple[Any, str]] = [
        (model.state_dict(), r"plain dictionary of 158 tensors"),
        ({"model": model.state_dict()}, r"'model' is a dictionary of tensors"),
        (model, r"bare ultralytics\.nn\.tasks\.ClassificationModel"),
        ({"model": torch.nn.Linear(2, 2)}, r"torch\.nn\.modules\.linear\.Linear"),
        ({"weights": 1, "epoch": 2}, r"without a model \(it holds: 'weights', 'epoch'\)"),
        ({}, r"it holds: nothing"),
        (torch.zeros(3), r"a single tensor"),
        ([1, 2], r"a list, not a checkpoint"),
    ]
    for number, (content, message) in enumerate(cases):
        path = tmp_path / f"{number}.pt"
        torch.save(content, path)
        with pytest.raises(NotAClassificationCheckpointError, match=message) as raised:
            YoloBackbone.open(path)
        assert "yolov8n-cls.pt" in str(raised.value), "says what is needed"


def test_formats_that_are_not_read_are_named(seeded_weights: Path, tmp_path: Path) -> None:
    checkpoint = trusted_load(seeded_weights)
    torch.save(checkpoint, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), tmp_path / "script.pt")
    (tmp_path / "lfs.pt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    (tmp_path / "text.pt").write_text("hello")
    for name, message in (
        ("old.pt", "format before 1.6"),
        ("script.pt", "TorchScript"),
        ("lfs.pt", "git lfs pull"),
        ("text.pt", "not a PyTorch checkpoint"),
    ):
        with pytest.raises(NotAClassificationCheckpointError, match=f"{name}: .*{message}"):
            YoloBackbone.open(tmp_path / name)
    with pytest.raises(WeightsNotFoundError, match="none"):
        YoloBackbone.open(tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ({"scales": {"n": [0.33, 0.3, 1024]}}, "do not fit into any"),
        ({"activation": "torch.nn.ReLU()"}, "is a ReLU, where .* has a SiLU"),
    ],
)
def test_a_network_that_ultralytics_does_not_ship_is_an_error(
    tmp_path: Path, yaml: dict[str, Any], message: str
) -> None:
    save_classifier(tmp_path / "own.pt", **yaml)
    with pytest.raises(CheckpointError, match=message):
        YoloBackbone.open(tmp_path / "own.pt").embed(noise(1))


def test_equal_tensors_with_another_stride_are_an_error(tmp_path: Path) -> None:
    model = save_classifier(tmp_path / "a.pt")
    model.model[3].conv.stride = (1, 1)
    torch.save({"model": model, "train_args": {"imgsz": 64}}, tmp_path / "b.pt")
    with pytest.raises(CheckpointError, match=r"'3\.conv' has another stride"):
        YoloBackbone.open(tmp_path / "b.pt").embed(noise(1))


def test_weights_that_are_not_numbers_are_an_error(tmp_path: Path) -> None:
    model = save_classifier(tmp_path / "a.pt")
    model.model[5].conv.weight.data[0, 0, 0, 0] = float("nan")
    torch.save({"model": model, "train_args": {"imgsz": 64}}, tmp_path / "b.pt")
    with pytest.raises(CheckpointError, match=r"'5\.conv\.weight' has numbers that are not finite"):
        YoloBackbone.open(tmp_path / "b.pt").embed(noise(1))


def test_variances_below_zero_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    model = save_classifier(tmp_path / "a.pt")
    model.model[0].bn.running_var.fill_(-1.0)
    torch.save({"model": model, "train_args": {"imgsz": 64}}, tmp_path / "b.pt")
    with pytest.raises(
        CheckpointError, match=r"b\.pt: its tensor '0\.bn\.running_var' has variances"
    ):
        YoloBackbone.open(tmp_path / "b.pt").embed(noise(1))


# Embedding


def test_features_do_not_depend_on_how_frames_are_batched(seeded_weights: Path) -> None:
    backbone = YoloBackbone.open(seeded_weights)
    frames = noise(19)
    together = backbone.embed(frames)
    apart = np.concatenate([backbone.embed(frames[n : n + 1]) for n in range(len(frames))])
    assert together.shape == (19, 1280)
    assert together.dtype == np.float32
    assert np.allclose(together, apart, rtol=1e-3, atol=1e-3)
    assert backbone.embed(frames[:0]).shape == (0, 1280)


def test_threads_that_embed_first_at_once_share_one_network(seeded_weights: Path) -> None:
    backbone = YoloBackbone.open(seeded_weights)
    frames = [noise(9, seed=n) for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        parallel = list(pool.map(backbone.embed, frames))
    for found, batch in zip(parallel, frames, strict=True):
        assert np.allclose(found, backbone.embed(batch), rtol=1e-3, atol=1e-3)


def test_frames_of_another_size_or_type_are_an_error(seeded_weights: Path) -> None:
    backbone = YoloBackbone.open(seeded_weights)
    for wrong in (noise(1, 32), noise(1).astype(np.float32), noise(1)[0], noise(1)[..., :1]):
        with pytest.raises(ValueError, match=r"uint8 \(N, 64, 64, 3\)"):
            backbone.embed(wrong)


def test_frames_that_are_a_view_are_embedded_as_they_look(seeded_weights: Path) -> None:
    backbone = YoloBackbone.open(seeded_weights)
    frames = noise(2)
    mirrored = frames[:, :, ::-1]
    assert np.array_equal(backbone.embed(mirrored), backbone.embed(mirrored.copy()))


def test_probabilities_are_the_softmax_of_the_last_layer_also_in_parts(
    seeded_weights: Path,
) -> None:
    backbone = YoloBackbone.open(seeded_weights)
    features = np.random.default_rng(0).normal(size=(9000, 1280)).astype(np.float16)
    found = backbone.class_probabilities(features)
    last = trusted_load(seeded_weights)["model"].float().model[-1].linear
    with torch.inference_mode():
        expected = last(torch.from_numpy(features).float()).softmax(1).numpy()
    assert found.shape == (9000, 3)
    assert np.abs(found - expected).max() < 1e-5
    with pytest.raises(ValueError, match="1280"):
        backbone.class_probabilities(features[:, :5])


# Identity


def test_the_fingerprint_follows_the_content_and_nothing_else(
    seeded_weights: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "another name.pt"
    shutil.copyfile(seeded_weights, copy)
    backbone = YoloBackbone.open(copy)
    assert backbone.fingerprint == backbone_fingerprint(seeded_weights)
    assert backbone.fingerprint == backbone_fingerprint(copy, memo=tmp_path / "memo")
    changed_checkpoint(seeded_weights, copy, epoch=7)
    assert backbone_fingerprint(copy, memo=tmp_path / "memo") != backbone.fingerprint
    with pytest.raises(WeightsNotFoundError):
        backbone_fingerprint(tmp_path / "none.pt")


def test_weights_replaced_after_opening_are_noticed_before_they_are_used(
    seeded_weights: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.pt"
    shutil.copyfile(seeded_weights, path)
    backbone = YoloBackbone.open(path)
    changed_checkpoint(seeded_weights, path, epoch=7)
    with pytest.raises(CheckpointError, match="replaced"):
        backbone.embed(noise(1))


# The process around it

_OBSERVER = """
import json, os, sys
from pathlib import Path
from timelinelabels.backbones import YoloBackbone
before = dict(os.environ)
backbone = YoloBackbone.open(Path(sys.argv[1]))
heavy = [name for name in ("torch", "ultralytics", "cv2") if name in sys.modules]
import numpy as np, torch
state, save, options = torch.get_rng_state(), torch.save, np.get_printoptions()
backbone.embed(np.zeros((1, 64, 64, 3), np.uint8))
print(json.dumps({
    "after open": heavy,
    "torchvision": "torchvision" in sys.modules,
    "environment": {k: v for k, v in os.environ.items() if before.get(k) != v},
    "random": torch.equal(state, torch.get_rng_state()),
    "save": torch.save is save,
    "print options": np.get_printoptions() == options,
    "home": sorted(str(p) for p in Path.home().rglob("*")),
    "here": sorted(os.listdir()),
}))
"""


@pytest.mark.slow
def test_embedding_changes_nothing_in_the_process_and_needs_no_torchvision(
    seeded_weights: Path, tmp_path: Path
) -> None:
    """Also: a file in the current folder that is named like one of Ultralytics' own is not used."""
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    marker = tmp_path / "marker"
    for name in ("yolov8n-cls.yaml", "yolov8-cls.yaml"):
        (work / name).write_text(
            f"nc: 3\nactivation: __import__('pathlib').Path({str(marker)!r}).touch()\n"
        )
    result = subprocess.run(
        [sys.executable, "-c", _OBSERVER, str(seeded_weights)],
        cwd=work,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(result.stdout) == {
        "after open": [],
        "torchvision": False,
        "environment": {},
        "random": True,
        "save": True,
        "print options": True,
        "home": [],
        "here": ["yolov8-cls.yaml", "yolov8n-cls.yaml"],
    }
    assert not marker.exists()
