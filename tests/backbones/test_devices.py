"""Where a backbone runs, and what happens when memory runs out. There is no GPU here."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import noise

from timelinelabels.backbones import YoloBackbone, execution
from timelinelabels.backbones.devices import (
    Batches,
    chosen_device,
    fitting_batch,
    is_out_of_memory,
)
from timelinelabels.errors import DeviceMemoryError, SettingsError
from timelinelabels.settings import load_settings

pytestmark = pytest.mark.slow

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@NO_GPU
def test_auto_takes_the_processor_where_there_is_no_gpu() -> None:
    assert chosen_device("auto").type == chosen_device("cpu").type == "cpu"


@NO_GPU
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_is_an_error_that_says_why_and_what_to_do(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"DEVICE={name}: torch.*DEVICE=auto"):
        chosen_device(name)


@NO_GPU
def test_a_command_with_a_gpu_that_is_not_there_ends_at_once(tmp_path: Path) -> None:
    config = tmp_path / "config.xml"
    config.write_text(
        '<View><TimelineLabels name="t" toName="v"><Label value="a"/></TimelineLabels>'
        '<Video name="v" value="$v"/></View>'
    )
    done = subprocess.run(
        [sys.executable, "-m", "timelinelabels", "extract", "--config", config, "absent.mp4"],
        env=os.environ
        | {"DEVICE": "cuda", "MODEL_ROOT": str(tmp_path), "CACHE_DIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: DEVICE=cuda: torch")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:01", "cuda:1000", "mps"])
def test_another_name_is_refused_with_the_variable(name: str, monkeypatch) -> None:
    monkeypatch.setenv("DEVICE", name)
    with pytest.raises(SettingsError, match="DEVICE"):
        load_settings()


@NO_GPU
def test_auto_gives_the_features_of_the_processor(seeded_weights: Path) -> None:
    frames = noise(11)
    given, plain = (YoloBackbone.open(seeded_weights, device=name) for name in ("auto", "cpu"))
    assert given.batch_frames == plain.batch_frames == 8
    assert np.array_equal(given.embed(frames), plain.embed(frames))
    assert given.embed(frames[:0]).shape == (0, given.feature_dim)


class Doubling:
    """A network whose feature is twice the first pixel; it notes the sizes of its batches."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        self.sizes.append(len(frames))
        return 2 * frames[:, 0, 0, :1].astype(np.float32)


def test_frames_come_back_in_order_whatever_the_batch() -> None:
    frames = np.arange(11, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    for size in (1, 4, 11, 64):
        network = Doubling()
        assert Batches(network, size)(frames)[:, 0].tolist() == list(range(0, 22, 2))
        assert max(network.sizes) == min(size, 11)


def test_what_is_not_a_lack_of_memory_passes_through() -> None:
    def broken(frames: np.ndarray) -> np.ndarray:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        Batches(broken, 4)(np.zeros((4, 8, 8, 3), np.uint8))


class Narrow(Doubling):
    """A network that more than so many frames do not fit into."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        if len(frames) > self.room:
            raise RuntimeError("CUDA error: out of memory")
        return super().__call__(frames)


def test_batches_grow_again_where_memory_was_scarce_for_a_while() -> None:
    network = Narrow(room=2)
    batches = Batches(network, 8)
    frames = np.zeros((8, 8, 8, 3), np.uint8)
    batches(frames)
    assert batches.size == 2
    network.room = 8
    for _ in range(100):
        batches(frames)
    assert batches.size == 8
    assert max(network.sizes) == 8


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError(),
    ],
)
def test_a_lack_of_memory_is_known_in_all_its_forms(error: Exception) -> None:
    assert is_out_of_memory(error)


class NearlyFull:
    """What torch tells of a GPU, in the place of one: room for so many frames of 10 MB."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room, self.peak, self.tried = room, 0, []
        for name, answer in {
            "reset_peak_memory_stats": lambda device: None,
            "memory_allocated": lambda device: 0,
            "max_memory_allocated": lambda device: self.peak,
            "mem_get_info": lambda device: (room * 10**7, 10**10),
            "empty_cache": lambda: None,
        }.items():
            monkeypatch.setattr(torch.cuda, name, answer)

    def run(self, frames: int) -> None:
        self.tried.append(frames)
        if frames > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        self.peak = frames * 10**7


@pytest.mark.parametrize(
    ("room", "tried", "fitting"), [(1000, [8], 64), (40, [8], 20), (3, [8, 4, 2], 1)]
)
def test_the_batch_of_a_gpu_takes_half_of_what_is_free(
    monkeypatch: pytest.MonkeyPatch, room: int, tried: list[int], fitting: int
) -> None:
    gpu = NearlyFull(monkeypatch, room)
    assert fitting_batch(torch.device("cuda"), gpu.run) == fitting
    assert gpu.tried == tried


def test_a_gpu_without_memory_for_a_frame_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = NearlyFull(monkeypatch, 0)
    with pytest.raises(DeviceMemoryError, match=r"no memory for a single frame.*DEVICE"):
        fitting_batch(torch.device("cuda"), gpu.run)
    assert gpu.tried == [8, 4, 2, 1]


def test_with_auto_the_processor_takes_over_from_a_gpu_that_cannot(
    seeded_weights: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    given = execution.feature_network

    def unless_gpu(read_layers, preprocessing, device):
        if device.type == "cuda":
            raise RuntimeError(
                "CUDA error: no kernel image is available for execution on the device"
            )
        return given(read_layers, preprocessing, device)

    monkeypatch.setattr(execution, "feature_network", unless_gpu)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    asked, plain = (YoloBackbone.open(seeded_weights, device=name) for name in ("auto", "cpu"))
    assert asked.device == "cuda"
    assert np.array_equal(asked.embed(noise(3)), plain.embed(noise(3)))
    assert asked.device == "cpu"
    assert "runs on the processor: cuda cannot (CUDA error: no kernel image" in caplog.text
    with pytest.raises(RuntimeError, match="no kernel image"):
        YoloBackbone.open(seeded_weights, device="cuda").embed(noise(3))


OUT_OF_MEMORY = """
import resource, sys
import numpy as np
import torch
from timelinelabels.backbones.devices import Batches
from timelinelabels.errors import DeviceMemoryError

torch.set_num_threads(1)
BYTES_A_FRAME = 32 * 2**20

def network(frames):
    # As a network's layers do: memory in proportion to the batch, from torch's own allocator.
    activations = torch.empty(len(frames) * BYTES_A_FRAME, dtype=torch.uint8)
    activations[::4096] = 1
    return frames[:, 0, 0, :1].astype(np.float32)

frames = np.arange(64, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
network(frames[:1])
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[1]) * 2**20,) * 2)
batches = Batches(network, 64)
try:
    features = batches(frames)
except DeviceMemoryError as error:
    print("DeviceMemoryError", str(error)[:38])
else:
    assert features[:, 0].tolist() == list(range(64))
    print(batches.size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the address space is limited as on Linux")
@pytest.mark.parametrize(
    ("room", "said"),
    [(400, "8"), (10_000, "64"), (8, "DeviceMemoryError There is no memory for a single frame")],
)
def test_a_batch_that_memory_does_not_hold_is_halved_until_it_fits(room: int, said: str) -> None:
    """Torch's allocator, really out of memory, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY, str(room)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == said
