"""Hashes of content: remembered while a file is unchanged, never longer."""

import hashlib
import os
import shutil
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timelinelabels.content_hash import content_hash, known_content_hash
from timelinelabels.errors import FeatureStoreError


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def memo(tmp_path: Path) -> Path:
    return tmp_path / "memo"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"first")
    return path


def poison(memo: Path, digest: str = "0" * 64) -> None:
    """Change what is remembered, so that a reader of the memory can be told from a reader of files."""
    (record,) = memo.glob("*.json")
    text = record.read_text()
    start = text.index('"sha256": "') + len('"sha256": "')
    record.write_text(text[:start] + digest + text[start + 64 :])


@given(data=st.binary(max_size=2000))
def test_the_hash_is_sha256_of_the_content(tmp_path_factory: pytest.TempPathFactory, data: bytes):
    path = tmp_path_factory.mktemp("hash") / "file"
    path.write_bytes(data)

    assert content_hash(path) == sha256(data)


def test_an_unchanged_file_is_read_once(file: Path, memo: Path):
    assert content_hash(file, memo=memo) == sha256(b"first")
    poison(memo)

    assert content_hash(file, memo=memo) == "0" * 64
    assert known_content_hash(file, memo=memo) == "0" * 64
    assert content_hash(file) == sha256(b"first")


def test_an_unknown_file_is_not_read_by_known_content_hash(file: Path, memo: Path):
    assert known_content_hash(file, memo=memo) is None
    assert not memo.exists()


def test_a_file_rewritten_with_the_same_size_is_read_again(file: Path, memo: Path):
    content_hash(file, memo=memo)
    stamps = file.stat()

    file.write_bytes(b"later")
    os.utime(file, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))  # as `cp -p` or rsync leave it

    assert known_content_hash(file, memo=memo) is None
    assert content_hash(file, memo=memo) == sha256(b"later")
    assert known_content_hash(file, memo=memo) == sha256(b"later")


def test_a_replaced_file_is_read_again(file: Path, memo: Path, tmp_path: Path):
    content_hash(file, memo=memo)
    other = tmp_path / "other"
    other.write_bytes(b"other")
    shutil.copystat(file, other)

    other.replace(file)

    assert known_content_hash(file, memo=memo) is None
    assert content_hash(file, memo=memo) == sha256(b"other")


def test_a_touched_file_is_read_again_and_keeps_its_hash(file: Path, memo: Path):
    content_hash(file, memo=memo)

    file.touch()

    assert known_content_hash(file, memo=memo) is None
    assert content_hash(file, memo=memo) == sha256(b"first")


def test_changes_right_after_hashing_are_noticed_however_fast_they_come(file: Path, memo: Path):
    """Two writes within one tick of the kernel's clock have equal time stamps."""
    for number in range(60):
        data = b"%05d" % number
        file.write_bytes(data)

        assert content_hash(file, memo=memo) == sha256(data)


def test_memory_is_one_small_file_per_file(tmp_path: Path, memo: Path):
    for name in ("a", "b"):
        for version in range(3):
            (tmp_path / name).write_text(f"{name} {version}")
            content_hash(tmp_path / name, memo=memo)

    records = list(memo.iterdir())
    assert len(records) == 2
    assert all(record.stat().st_size < 400 for record in records)


@pytest.mark.parametrize("damage", [b"", b"{", b"[1, 2]", b"null", b'{"sha256": 5}', b"\xff\xfe"])
def test_a_damaged_memory_is_as_good_as_none(file: Path, memo: Path, damage: bytes):
    content_hash(file, memo=memo)
    (record,) = memo.iterdir()
    record.write_bytes(damage)

    assert known_content_hash(file, memo=memo) is None
    assert content_hash(file, memo=memo) == sha256(b"first")
    assert known_content_hash(file, memo=memo) == sha256(b"first")


def test_an_impossible_memo_folder_is_named(file: Path, tmp_path: Path):
    in_the_way = tmp_path / "in the way"
    in_the_way.write_text("a file where a folder is wanted")

    with pytest.raises(FeatureStoreError, match="in the way"):
        content_hash(file, memo=in_the_way)


def test_a_missing_file_is_an_os_error(tmp_path: Path, memo: Path):
    with pytest.raises(FileNotFoundError):
        content_hash(tmp_path / "missing", memo=memo)
    with pytest.raises(FileNotFoundError):
        known_content_hash(tmp_path / "missing", memo=memo)


def test_a_file_that_never_rests_is_not_given_a_hash(tmp_path: Path, memo: Path):
    path = tmp_path / "growing"
    path.write_bytes(bytes(30_000_000))
    finished = threading.Event()

    def keep_writing() -> None:
        with path.open("r+b", buffering=0) as file:
            while not finished.is_set():
                file.seek(0)
                file.write(os.urandom(8))

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        with pytest.raises(OSError, match="being written"):
            content_hash(path, memo=memo)
    finally:
        finished.set()
        writer.join()
    assert not memo.exists()
