"""Immutable versions, published by one rename."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from temporal_videos import NAMES, easy_video
from timelinelabels.errors import ModelRegistryError
from timelinelabels.model_registry import ModelRegistry, classifier_folder
from timelinelabels.training import Example, HeadParameters, train_head


@pytest.fixture(scope="module")
def network():
    """A trained temporal head."""
    video, targets = easy_video(0)
    example = Example(media_hash="a", video=video, targets=targets)
    return train_head([example], NAMES, HeadParameters(epochs=1)).head


def test_a_folder_begins_with_timelinelabels_and_tells_projects_backbones_and_controls_apart(
    tmp_path,
):
    names = [
        ("1.1795341684", "yolov8n-cls", "videoLabels"),
        ("1.1795341685", "yolov8n-cls", "videoLabels"),
        ("1.1795341684", "yolo11n-cls", "videoLabels"),
        ("1.1795341684", "yolov8n-cls", "other"),
        ("1", "a-b", "c"),
        ("1", "a", "b-c"),
        ("1", "y", "../../etc"),
        ("1", "y", "имя с пробелом/и чертой"),
        ("1", "y", "x" * 500),
        ("1", "y", "x" * 501),
    ]
    folders = [classifier_folder(tmp_path, *name) for name in names]
    assert len(set(folders)) == len(names)
    for folder in folders:
        assert folder.parent == tmp_path
        assert folder.name.startswith("timelinelabels-")
        folder.mkdir()  # a file system takes the name


def test_a_published_version_is_found_and_predicts(tmp_path, network):
    registry = ModelRegistry(tmp_path)
    folder = tmp_path / "timelinelabels-a"
    assert registry.find(folder) is None
    published = registry.publish(folder, 7, network, {"labels": ["x", "y"]})
    found = registry.find(folder)
    assert found == published
    assert (found.number, found.path.name) == (7, "v0007")
    assert found.manifest["labels"] == ["x", "y"]
    weights, manifest = found.path / "model.safetensors", found.path / "manifest.json"
    assert weights.stat().st_mode == manifest.stat().st_mode  # of use to whoever reads the other
    video, _ = easy_video(1)
    np.testing.assert_array_equal(found.load().predict(video), network.predict(video))


def test_the_newest_version_is_the_highest_number_and_any_kept_one_can_be_named(tmp_path, network):
    registry = ModelRegistry(tmp_path)
    for number in (9998, 10000, 9999):
        registry.publish(tmp_path / "f", number, network, {})
    assert registry.find(tmp_path / "f").number == 10000
    assert registry.find(tmp_path / "f", 9999).number == 9999
    assert registry.find(tmp_path / "f", 5) is None


def test_a_number_is_never_published_twice(tmp_path, network):
    registry = ModelRegistry(tmp_path)
    registry.publish(tmp_path / "f", 1, network, {"first": True})
    with pytest.raises(ModelRegistryError, match="v0001"):
        registry.publish(tmp_path / "f", 1, network, {"first": False})
    assert registry.find(tmp_path / "f").manifest["first"] is True
    assert [path.name for path in (tmp_path / "f").iterdir()] == ["v0001"]


def test_old_versions_are_pruned_beyond_the_number_kept(tmp_path, network):
    registry = ModelRegistry(tmp_path, keep=3)
    for number in range(1, 7):
        registry.publish(tmp_path / "f", number, network, {})
    assert sorted(path.name for path in (tmp_path / "f").iterdir()) == ["v0004", "v0005", "v0006"]


def test_the_version_that_predicts_is_kept_until_another_does(tmp_path, network):
    """A training that is killed before its publication, again and again, takes no model away."""
    registry = ModelRegistry(tmp_path, keep=2)
    registry.publish(tmp_path / "f", 1, network, {})
    for number in range(2, 6):
        registry.publish(tmp_path / "f", number, network, {}, predicting=[1])
    assert registry.find(tmp_path / "f", 1) is not None
    registry.publish(tmp_path / "f", 6, network, {}, predicting=[5])
    assert sorted(path.name for path in (tmp_path / "f").iterdir()) == ["v0005", "v0006"]


def test_a_number_is_taken_even_where_its_version_cannot_be_read(tmp_path, network):
    registry = ModelRegistry(tmp_path)
    assert registry.newest_number(tmp_path / "f") == 0
    registry.publish(tmp_path / "f", 12, network, {})
    (tmp_path / "f" / "v0012" / "manifest.json").unlink()
    assert registry.newest_number(tmp_path / "f") == 12


def test_deleting_the_folder_resets(tmp_path, network):
    registry = ModelRegistry(tmp_path)
    folder = tmp_path / "f"
    registry.publish(folder, 1, network, {})
    for path in (*folder.glob("v0001/*"), folder / "v0001", folder):
        path.rmdir() if path.is_dir() else path.unlink()
    assert registry.find(folder) is None


def test_a_version_without_its_manifest_is_passed_over(tmp_path, network):
    registry = ModelRegistry(tmp_path)
    registry.publish(tmp_path / "f", 1, network, {})
    registry.publish(tmp_path / "f", 2, network, {})
    (tmp_path / "f" / "v0002" / "manifest.json").write_text("{half")
    assert registry.find(tmp_path / "f").number == 1


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path, network):
    (tmp_path / "f").write_text("a file in its place")
    with pytest.raises(ModelRegistryError, match="writable"):
        ModelRegistry(tmp_path).publish(tmp_path / "f", 1, network, {})


@pytest.mark.slow
def test_whenever_the_publisher_is_killed_the_newest_version_loads(tmp_path, network):
    given = tmp_path / "given.safetensors"
    network.save(given)
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from timelinelabels.model_registry import ModelRegistry
        from timelinelabels.temporal_head import TemporalHead
        registry = ModelRegistry(Path(sys.argv[1]), keep=2)
        network = TemporalHead.load(Path(sys.argv[2]))
        newest = registry.find(Path(sys.argv[1]) / "f")
        number = newest.number if newest else 0
        print("ready", flush=True)
        while True:
            number += 1
            registry.publish(Path(sys.argv[1]) / "f", number, network, {})
        """
    )
    registry = ModelRegistry(tmp_path)
    for attempt in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), str(given)],
            stdout=subprocess.PIPE,
            text=True,
        )
        process.stdout.readline()
        time.sleep(0.05 + 0.013 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        newest = registry.find(tmp_path / "f")
        if newest is not None:
            newest.load()
    assert registry.find(tmp_path / "f").number > 1


@pytest.mark.parametrize("manifest", [b"", b"[]", b"null", b"{}", b'{"digest": 7}', b"\xff\xfe\0"])
def test_a_version_whose_manifest_is_not_ours_is_passed_over(tmp_path, network, manifest):
    registry = ModelRegistry(tmp_path)
    folder = tmp_path / "timelinelabels-a"
    registry.publish(folder, 1, network, {})
    (registry.publish(folder, 2, network, {}).path / "manifest.json").write_bytes(manifest)
    assert registry.find(folder).number == 1
    assert registry.find(folder, 2) is None


def test_weights_that_are_not_those_published_are_an_error_that_says_what_to_do(tmp_path, network):
    published = ModelRegistry(tmp_path).publish(tmp_path / "timelinelabels-a", 1, network, {})
    content = bytearray(published.weights.read_bytes())
    content[-1] ^= 1  # still a readable file, of a network that nobody trained
    published.weights.write_bytes(content)
    with pytest.raises(ModelRegistryError, match=r"not those that were published.*Delete"):
        published.load()
    published.weights.unlink()
    with pytest.raises(ModelRegistryError, match="cannot be read"):
        published.load()
