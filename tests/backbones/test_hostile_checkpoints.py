"""Checkpoints that want to run something, or to exhaust the machine. Nothing of them happens."""

import contextlib
import io
import pickle
import struct
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import (
    Runs,
    call,
    changed_checkpoint,
    dictionary,
    malicious_pickle,
    name,
    noise,
    pickle_of,
    protocol_2,
    repacked,
    text,
    trusted_load,
    write_archive,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from timelinelabels.backbones import YoloBackbone
from timelinelabels.backbones.checkpoint import open_checkpoint, read_checkpoint
from timelinelabels.errors import (
    CheckpointError,
    NotAClassificationCheckpointError,
    UnsafeCheckpointError,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[Path]:
    """A file that no test may find written."""
    path = tmp_path / "marker"
    yield path
    assert not path.exists(), "something that the checkpoint asked for was run"


def opened(path: Path) -> YoloBackbone:
    return YoloBackbone.open(path)


# What runs a command under torch.load


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_plain_malicious_pickle_is_refused_and_names_what_it_wanted(
    tmp_path: Path, marker: Path, protocol: int
) -> None:
    path = tmp_path / "evil.pt"
    path.write_bytes(malicious_pickle(marker, protocol))
    with pytest.raises(UnsafeCheckpointError, match=r"evil\.pt: refused: .*posix\.system"):
        opened(path)


def test_a_pickle_in_the_text_format_of_protocol_0_is_refused(tmp_path: Path, marker: Path) -> None:
    path = tmp_path / "evil.pt"
    path.write_bytes(malicious_pickle(marker, 0))
    with pytest.raises(NotAClassificationCheckpointError):
        opened(path)
    with pytest.raises(UnsafeCheckpointError, match=r"posix\.system"):
        opened(write_archive(tmp_path / "zipped.pt", malicious_pickle(marker, 0)))


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_malicious_object_saved_by_torch_is_refused(
    tmp_path: Path, marker: Path, protocol: int
) -> None:
    path = tmp_path / "evil.pt"
    torch.save({"model": Runs(marker)}, path, pickle_protocol=protocol)
    with pytest.raises(UnsafeCheckpointError, match=r"posix\.system"):
        opened(path)


def test_one_hidden_in_a_nested_container_of_a_good_checkpoint_is_refused(
    seeded_weights: Path, tmp_path: Path, marker: Path
) -> None:
    hidden = {"imgsz": 64, "callbacks": [("on_end", {"deeper": [{1: (Runs(marker),)}]})]}
    path = changed_checkpoint(seeded_weights, tmp_path / "evil.pt", train_args=hidden)
    with pytest.raises(UnsafeCheckpointError, match=r"posix\.system"):
        opened(path)


def test_calling_ultralytics_own_model_with_a_hostile_activation_is_refused(
    tmp_path: Path, marker: Path
) -> None:
    """The attack that torch.load(weights_only=True) with Ultralytics' classes allowed does not stop."""
    command = f"__import__('pathlib').Path({str(marker)!r}).touch() or torch.nn.SiLU()"
    yaml = dictionary(nc=b"K\x03", activation=text(command), backbone=b"]", head=b"]", scales=b"}")
    model = call("ultralytics.nn.tasks", "ClassificationModel", yaml)
    path = write_archive(tmp_path / "evil.pt", protocol_2(dictionary(model=model)))
    with pytest.raises(UnsafeCheckpointError, match=r"tasks\.ClassificationModel with arguments"):
        opened(path)


def test_a_hostile_activation_in_a_good_model_s_own_yaml_is_never_evaluated(
    seeded_weights: Path, tmp_path: Path, marker: Path
) -> None:
    model = trusted_load(seeded_weights)["model"]
    model.yaml["activation"] = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    model.yaml["backbone"][0][2] = "os.system"
    path = changed_checkpoint(seeded_weights, tmp_path / "changed.pt", model=model)
    frames = noise(2)
    assert np.array_equal(opened(path).embed(frames), opened(seeded_weights).embed(frames))


def test_a_pickle_inside_another_member_is_never_read_as_one(
    seeded_weights: Path, tmp_path: Path, marker: Path
) -> None:
    inner = io.BytesIO()
    torch.save({"model": Runs(marker)}, inner)
    extra = {"code.pkl": malicious_pickle(marker), "data/9999": inner.getvalue()}
    path = tmp_path / "extra.pt"
    with zipfile.ZipFile(seeded_weights) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.namelist():
            new.writestr(member, old.read(member))
        for member, content in extra.items():
            new.writestr(old.namelist()[0].split("/")[0] + "/" + member, content)
    assert opened(path).embed(noise(1)).shape == (1, 1280)

    loads = call("torch.storage", "_load_from_bytes", b"B" + struct.pack("<I", 3) + b"abc")
    nested = write_archive(tmp_path / "nested.pt", protocol_2(dictionary(model=loads)))
    with pytest.raises(UnsafeCheckpointError, match="_load_from_bytes"):
        opened(nested)


def test_an_archive_with_two_pickles_is_refused(seeded_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "two.pt"
    path.write_bytes(seeded_weights.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data.pkl", pickle_of(seeded_weights))
    with pytest.raises(NotAClassificationCheckpointError, match=r"2 data\.pkl"):
        opened(path)


@pytest.mark.parametrize(
    ("module", "attribute"),
    [
        ("os", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("__builtin__", "exec"),
        ("importlib", "import_module"),
        ("pickle", "loads"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("torch.jit", "load"),
        ("torch.utils.cpp_extension", "load_inline"),
        ("torch._utils", "_import_dotted_name"),
        ("numpy", "load"),
        ("numpy.testing._private.utils", "runstring"),
        ("functools", "partial"),
        ("operator", "attrgetter"),
        ("collections", "namedtuple"),
        ("pathlib", "os.system"),
        ("torch.nn.modules.module", "torch.os.system"),
        ("ultralytics.utils", "os.system"),
        ("ultralyticsevil", "Model"),
        ("models", "os/../evil"),
        ("", "system"),
    ],
)
def test_a_name_that_no_checkpoint_needs_is_refused_wherever_it_stands(
    tmp_path: Path, module: str, attribute: str
) -> None:
    for number, body in enumerate(
        (
            dictionary(epoch=name(module, attribute)),
            b"]" + text(module) + text(attribute) + b"\x93a",
            f"(i{module}\n{attribute}\n".encode(),
        )
    ):
        path = write_archive(tmp_path / f"{number}.pt", protocol_2(body))
        with pytest.raises(UnsafeCheckpointError, match="asks for"):
            opened(path)


@pytest.mark.parametrize(
    "module",
    ["ultralytics.utils.checks", "torch.nn.modules.module", "models.yolo", "torchvision.io"],
)
def test_calling_something_of_an_admitted_package_with_arguments_is_refused(
    tmp_path: Path, module: str
) -> None:
    body = dictionary(model=call(module, "check_requirements", text("evil-package")))
    with pytest.raises(UnsafeCheckpointError, match="check_requirements with arguments"):
        opened(write_archive(tmp_path / "evil.pt", protocol_2(body)))


# Tricks with the pickle machine itself


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\x82\x01", id="extension registry, one byte"),
        pytest.param(b"\x83\x01\x00", id="extension registry, two bytes"),
        pytest.param(b"\x84\x01\x00\x00\x00", id="extension registry, four bytes"),
        pytest.param(b"(cultralytics.nn.tasks\nClassificationModel\no", id="OBJ"),
        pytest.param(b"(iultralytics.nn.tasks\nClassificationModel\n", id="INST"),
        pytest.param(b"I1\n", id="text integer"),
        pytest.param(b"S'os'\n", id="text string"),
        pytest.param(b"P0\n", id="text persistent id"),
        pytest.param(b"\x97", id="out-of-band buffer"),
        pytest.param(b"\x8b\xff\xff\xff\x7f", id="two-gigabyte integer"),
        pytest.param(text("os") + b")R", id="call of a text"),
        pytest.param(b"]K\x01\x93", id="name that is not text"),
        pytest.param(name("collections", "OrderedDict") + b")R)R", id="call of a result"),
        pytest.param(b"]}b", id="attributes of a list"),
        pytest.param(name("torch", "FloatStorage") + b"}b", id="attributes of a class"),
        pytest.param(name("torch", "FloatStorage") + b"K\x01a", id="appending to a class"),
        pytest.param(name("torch", "FloatStorage") + b"K\x01K\x02s", id="setting items of a class"),
    ],
)
def test_an_instruction_that_describes_no_data_is_refused(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(UnsafeCheckpointError):
        opened(write_archive(tmp_path / "evil.pt", protocol_2(body)))


def test_attributes_that_would_change_an_object_are_only_written_down(tmp_path: Path) -> None:
    eval_name = name("torch._utils", "_rebuild_parameter")
    tricks = dictionary(
        __class__=eval_name,
        __setstate__=eval_name,
        __reduce__=eval_name,
        __dict__=b"}",
        append=b"N",
    )
    model = name("ultralytics.nn.tasks", "ClassificationModel") + b")\x81" + tricks + b"bK\x07a"
    path = write_archive(tmp_path / "tricks.pt", protocol_2(dictionary(model=model)))
    with open_checkpoint(path) as archive:
        record = read_checkpoint(archive)["model"]
    assert type(record).__name__ == "Record"
    assert record.items == [7]
    assert set(record.state) == {"__class__", "__setstate__", "__reduce__", "__dict__", "append"}
    with pytest.raises(CheckpointError, match="has no layers"):
        opened(path)


@pytest.mark.parametrize(
    "reference",
    [
        b"N",
        b")",
        text("storage"),
        b"(" + text("storage") + b"t",
        b"(" + text("module") + name("torch", "FloatStorage") + text("0") + text("cpu") + b"K\x01t",
        b"(" + text("storage") + name("builtins", "list") + text("0") + text("cpu") + b"K\x01t",
        b"(" + text("storage") + text("FloatStorage") + text("0") + text("cpu") + b"K\x01t",
        *(
            b"("
            + text("storage")
            + name("torch", "FloatStorage")
            + key
            + text("cpu")
            + items
            + b"t"
            for key, items in [
                (text("../data.pkl"), b"K\x01"),
                (text("0"), b"K\x02"),
                (text("0"), b"J\xff\xff\xff\xff"),
                (text("0"), b"\x88"),
                (text("7"), b"K\x01"),
                (b"K\x00", b"K\x01"),
                (b"]", b"K\x01"),
            ]
        ),
    ],
)
def test_a_reference_that_is_not_one_tensor_s_storage_is_an_error(
    tmp_path: Path, reference: bytes
) -> None:
    path = write_archive(
        tmp_path / "evil.pt", protocol_2(reference + b"Q"), members={"data/0": b"\0\0\0\0"}
    )
    with pytest.raises(CheckpointError):
        opened(path)


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (5,), (1,)),
        (1, (4,), (1,)),
        (0, (2, 2), (3, 1)),
        (0, (2,), (2**62,)),
        (2**62, (1,), (1,)),
        (-1, (2,), (1,)),
        (3, (2,), (-1,)),
        (0, (2**40,), (0,)),
        (0, (2**20, 2**20), (0, 0)),
        (0, (4,), (1, 1)),
        (0, (1,) * 70, (1,) * 70),
        (0, (True,), (1,)),
        (0.0, (1,), (1,)),
        (0, [4], [1]),
        (0, ("4",), (1,)),
    ],
)
def test_a_tensor_outside_its_storage_is_an_error(
    tmp_path: Path, offset: object, shape: object, strides: object
) -> None:
    storage = (
        b"("
        + text("storage")
        + name("torch", "FloatStorage")
        + text("0")
        + text("cpu")
        + b"K\x04tQ"
    )
    counts = b"".join(pickle.dumps(value, protocol=2)[2:-1] for value in (offset, shape, strides))
    tensor = call("torch._utils", "_rebuild_tensor_v2", storage, counts, b"\x89", b"}")
    path = write_archive(
        tmp_path / "evil.pt", protocol_2(dictionary(a=tensor)), members={"data/0": bytes(16)}
    )
    with pytest.raises(CheckpointError, match=r"outside its storage|other than counts"):
        opened(path)


# Exhaustion


def doubled(levels: int) -> bytes:
    """A list of two lists of two lists …, each pair being the same list: 2^levels leaves in few bytes."""
    return b"]q\x00" + b"".join(
        b"0](h" + bytes([n]) + b"h" + bytes([n]) + b"eq" + bytes([n + 1]) for n in range(levels)
    )


def assert_quickly_refused(path: Path, seconds: float = 10) -> None:
    began = time.monotonic()
    with pytest.raises(CheckpointError):
        opened(path)
    assert time.monotonic() - began < seconds


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(doubled(90), id="list of 2^90 leaves"),
        pytest.param(dictionary(model=doubled(90)), id="as the model"),
        pytest.param(b"}" + doubled(90) + b"Ns", id="as a key"),
        pytest.param(b"}" + b")" + b"\x85" * 900_000 + b"Ns", id="nested tuple as a key"),
        pytest.param(b")" + b"\x85" * 900_000, id="tuple nested 900,000 deep"),
        pytest.param(b"]" * 900_000 + b"a" * 899_999, id="list nested 900,000 deep"),
        pytest.param(b"]q\x00h\x00a", id="list that contains itself"),
        pytest.param(b"(" * 900_000 + b"t" * 900_000, id="nothing but marks"),
        pytest.param(b"}" * 7_000_000, id="seven million dictionaries"),
        pytest.param(b"X\xff\xff\xff\xff", id="text of four gigabytes"),
        pytest.param(b"\x8d" + b"\xff" * 8, id="text of 2^64 bytes"),
        pytest.param(b"B\xff\xff\xff\xff", id="bytes of four gigabytes"),
        pytest.param(b"Kr\xff\xff\xff\xff0j\xfe\xff\xff\xff", id="memory at 2^32"),
        pytest.param(b"\x95" + b"\xff" * 8, id="frame of 2^64 bytes"),
        pytest.param(b"N" * 9_000_000, id="pickle of nine megabytes"),
    ],
)
def test_a_pickle_that_unfolds_is_refused_in_seconds(tmp_path: Path, body: bytes) -> None:
    assert_quickly_refused(write_archive(tmp_path / "bomb.pt", protocol_2(body)))


def reference(kind: bytes, key: bytes) -> bytes:
    """To the storage of a tensor, as torch.save writes it."""
    return b"(" + text("storage") + kind + key + text("cpu") + b"K\x04tQ"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(reference(doubled(90), text("0")), id="type"),
        pytest.param(reference(name("torch", "FloatStorage"), doubled(90)), id="key"),
    ],
)
def test_a_storage_whose_description_unfolds_is_refused_in_seconds(
    tmp_path: Path, body: bytes
) -> None:
    path = write_archive(tmp_path / "bomb.pt", protocol_2(body), members={"data/0": bytes(16)})
    assert_quickly_refused(path)


TENSOR = call(
    "torch._utils",
    "_rebuild_tensor_v2",
    reference(name("torch", "FloatStorage"), text("0")),
    *(pickle.dumps(value, protocol=2)[2:-1] for value in (0, (4,), (1,))),
)
MANY = b"(" + TENSOR + b"N" * 300_000 + b"tq\x01"
AGAIN = 100_000


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            MANY + name("torch._utils", "_rebuild_parameter") + b"q\x02" + b"h\x02h\x01R0" * AGAIN,
            id="called",
        ),
        pytest.param(
            MANY
            + dictionary(a=b"N")
            + b"q\x03"
            + name("torch.nn", "Linear")
            + b"q\x02"
            + b"h\x02h\x01h\x03\x920" * AGAIN,
            id="made, with something by name",
        ),
    ],
)
def test_many_arguments_given_again_and_again_are_refused_in_seconds(
    tmp_path: Path, body: bytes
) -> None:
    path = write_archive(tmp_path / "bomb.pt", protocol_2(body), members={"data/0": bytes(16)})
    assert_quickly_refused(path)


def test_keys_chosen_to_collide_are_refused_in_seconds(tmp_path: Path) -> None:
    """Python's hash of n·(2^61 − 1) is 0 for every n: such keys would take hours to insert."""
    keys = b"".join(
        b"\x8a\x0a" + (n * (2**61 - 1)).to_bytes(10, "little", signed=True) + b"N"
        for n in range(1, 200_000)
    )
    assert_quickly_refused(write_archive(tmp_path / "bomb.pt", protocol_2(b"}(" + keys + b"u")))


@pytest.mark.parametrize("field", ["names", "transforms", "args", "yaml", "_buffers", "_modules"])
def test_a_model_whose_notes_unfold_is_opened_or_refused_in_seconds(
    seeded_weights: Path, tmp_path: Path, field: str
) -> None:
    bomb: object = []
    for _ in range(90):
        bomb = [bomb, bomb]
    model = trusted_load(seeded_weights)["model"]
    model.__dict__[field] = {"imgsz": bomb, 0: bomb, "size": bomb, "model": bomb}
    path = changed_checkpoint(
        seeded_weights, tmp_path / "bomb.pt", model=model, train_args=None, optimizer=bomb
    )
    began = time.monotonic()
    try:
        opened(path)  # what is not needed may be anything
    except CheckpointError as error:
        assert len(str(error)) < 1000
    assert time.monotonic() - began < 10


def test_a_module_that_contains_itself_is_refused(seeded_weights: Path, tmp_path: Path) -> None:
    for levels in (0, 40):
        model = trusted_load(seeded_weights)["model"]
        if levels:
            inner = torch.nn.Sequential()
            for _ in range(levels):
                inner = torch.nn.Sequential(inner, inner)
            model.model[3].more = inner
        else:
            model.model[3].more = model.model
        path = changed_checkpoint(seeded_weights, tmp_path / f"{levels}.pt", model=model)
        assert_quickly_refused(path)


def test_parts_of_a_network_that_multiply_are_refused_in_seconds(
    seeded_weights: Path, tmp_path: Path
) -> None:
    def holding(kind: str, parts: dict[str, object]) -> torch.nn.Module:
        part = torch.nn.ReLU()
        part.__dict__[kind] = parts
        return part

    tensor = torch.nn.Parameter(torch.zeros(1))
    many_tensors = holding("_parameters", {str(n): tensor for n in range(40_000)})
    many_modules = holding("_modules", {str(n): torch.nn.ReLU() for n in range(10_000)})
    long_name = holding("_modules", {"x" * 1_000_000: torch.nn.ReLU()})
    for part in (many_tensors, many_modules, long_name):
        model = trusted_load(seeded_weights)["model"]
        model.model._modules.update({f"part {n}": part for n in range(10_000)})
        path = changed_checkpoint(seeded_weights, tmp_path / "many.pt", model=model)
        assert_quickly_refused(path)


def test_a_compressed_archive_is_refused(seeded_weights: Path, tmp_path: Path) -> None:
    path = write_archive(
        tmp_path / "packed.pt", pickle_of(seeded_weights), compression=zipfile.ZIP_DEFLATED
    )
    with pytest.raises(CheckpointError, match="compressed"):
        opened(path)
    zeros = protocol_2(b"\x8e" + struct.pack("<Q", 2**28) + bytes(2**28))
    bomb = write_archive(tmp_path / "bomb.pt", zeros, compression=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 2**20
    assert_quickly_refused(bomb)


def test_an_archive_of_millions_of_members_is_refused_in_seconds(tmp_path: Path) -> None:
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<HHHHHII", 1, 0, 0, 0, 0, 0, 0) + b"a"
    count = 2**20
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(entry) * count, 0, 0)
    path = tmp_path / "members.pt"
    path.write_bytes(entry * count + end)
    assert_quickly_refused(path, seconds=5)


def test_tensors_that_share_one_huge_storage_are_not_read_for_hours(
    seeded_weights: Path, tmp_path: Path
) -> None:
    checkpoint = trusted_load(seeded_weights)
    huge = torch.zeros(8_000_000, dtype=torch.float16)
    for module in checkpoint["model"].modules():
        if isinstance(module, torch.nn.Conv2d):
            size = module.weight.numel()
            module.weight = torch.nn.Parameter(huge[:size].view(module.weight.shape))
    path = tmp_path / "shared.pt"
    torch.save(checkpoint, path)
    with pytest.raises(CheckpointError, match="overlap"):
        opened(path).embed(noise(1))


def test_a_pipe_and_a_folder_are_errors_and_no_wait(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "folder.pt").mkdir()
    for path in (tmp_path / "pipe.pt", tmp_path / "folder.pt"):
        with pytest.raises(CheckpointError, match=path.name):
            opened(path)
        with pytest.raises(CheckpointError), open_checkpoint(path):
            pass


# Damage


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999, 0.99999])
def test_a_file_that_was_cut_off_is_an_error_that_says_so(
    seeded_weights: Path, tmp_path: Path, kept: float
) -> None:
    content = seeded_weights.read_bytes()
    path = tmp_path / "cut.pt"
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(CheckpointError, match=r"cut off|empty"):
        opened(path)


def test_a_changed_number_is_noticed_by_its_checksum(seeded_weights: Path, tmp_path: Path) -> None:
    content = bytearray(seeded_weights.read_bytes())
    content[len(content) // 2] ^= 1  # inside some layer's weights
    path = tmp_path / "changed.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        opened(path).embed(noise(1))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_pickle_with_changed_bytes_opens_or_is_a_checkpoint_error(
    seeded_weights: Path, tmp_path: Path, data: st.DataObject
) -> None:
    pickled = bytearray(pickle_of(seeded_weights))
    for position in data.draw(st.lists(st.integers(0, len(pickled) - 1), min_size=1, max_size=3)):
        pickled[position] = data.draw(st.integers(0, 255))
    path = repacked(seeded_weights, tmp_path / "changed.pt", data_pkl=bytes(pickled))
    with contextlib.suppress(CheckpointError):
        opened(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200))
def test_any_bytes_as_a_pickle_are_a_checkpoint_error(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(CheckpointError):
        opened(write_archive(tmp_path / "any.pt", protocol_2(body)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_archive_with_changed_bytes_opens_or_is_a_checkpoint_error(
    seeded_weights: Path, tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(seeded_weights.read_bytes())
    tail = len(content) - 20_000  # where the list of members lies
    for position in data.draw(
        st.lists(st.integers(tail, len(content) - 1), min_size=1, max_size=4)
    ):
        content[position] = data.draw(st.integers(0, 255))
    path = tmp_path / "changed.pt"
    path.write_bytes(content)
    with contextlib.suppress(CheckpointError):
        opened(path)
