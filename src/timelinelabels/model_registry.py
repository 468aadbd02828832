"""Model versions on disk: immutable folders, published by one atomic rename.

Layout::

    MODEL_ROOT/
      timelinelabels-<project>-<backbone>-<control>/     one temporal network's history
        v0007/
          model.safetensors                              weights, label map
          manifest.json                                  what it learned from, how well

A version's folder is written beside its place under a name that no reader looks at, synced, and
renamed: it is there whole or not at all, whenever the process dies. It never changes afterwards.
Deleting a control's folder resets what was learned.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from timelinelabels.errors import ModelRegistryError

if TYPE_CHECKING:
    from timelinelabels.temporal_head import TemporalHead

logger = logging.getLogger(__name__)

PREFIX = "timelinelabels-"
WEIGHTS = "model.safetensors"
MANIFEST = "manifest.json"
FORMAT = 3
_VERSION = re.compile(r"v(\d{4,})")


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One published version of one control's temporal network."""

    number: int
    # The version's folder.
    path: Path
    # What is in manifest.json: what was learned from, with which parameters, and how well.
    manifest: dict[str, Any]

    @property
    def weights(self) -> Path:
        """The safetensors file."""
        return self.path / WEIGHTS

    @property
    def digest(self) -> str:
        """SHA-256 of the weights: equal digests predict equally on equal features."""
        return str(self.manifest["digest"])

    def load(self) -> TemporalHead:
        """The head.

        Raises:
            ModelRegistryError: its file is missing, or not the one that was published.
        """
        try:
            digest = hashlib.sha256(self.weights.read_bytes()).hexdigest()
        except OSError as error:
            raise _damaged(self.path, f"its weights cannot be read: {error.strerror}") from error
        if digest != self.digest:
            raise _damaged(self.path, "its weights are not those that were published")
        from timelinelabels.temporal_head import TemporalHead

        return TemporalHead.load(self.weights)


def classifier_folder(root: Path, project: str, backbone: str, control: str) -> Path:
    """The folder of a control's versions: `timelinelabels-<project>-<backbone>-<control>`.

    Names that a file system may not take are written in safe characters and told apart by a hash.
    """
    plain = "-".join((project, backbone, control))
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", plain)[:120]
    # The parts may hold dashes themselves: the hash keeps ("a-b", "c") and ("a", "b-c") apart.
    tag = hashlib.sha256(json.dumps([project, backbone, control]).encode()).hexdigest()[:8]
    return root / f"{PREFIX}{safe}-{tag}"


class ModelRegistry:
    """Reads and writes the versions under one MODEL_ROOT.

    Args:
        root: MODEL_ROOT.
        keep: versions kept in each folder; older ones are pruned when a new one is published.
    """

    def __init__(self, root: Path, *, keep: int = 10) -> None:
        self.root = root
        self.keep = keep

    def publish(
        self,
        folder: Path,
        number: int,
        head: TemporalHead,
        manifest: dict[str, Any],
        *,
        predicting: Collection[int | None] = (),
    ) -> ModelVersion:
        """Write a version and make it visible by one rename.

        Args:
            folder: of the control.
            number: of the version.
            head: what was learned.
            manifest: what is to be known of it.
            predicting: numbers of versions that are needed until the new one is published everywhere:
                they are never pruned.

        Raises:
            ModelRegistryError: the folder cannot be written, or the number is taken.
        """
        target = folder / f"v{number:04d}"
        draft = folder / f".draft-{uuid4().hex}"
        try:
            draft.mkdir(parents=True)
            head.save(draft / WEIGHTS)
            digest = hashlib.sha256((draft / WEIGHTS).read_bytes()).hexdigest()
            whole = {"format": FORMAT, "number": number, **manifest, "digest": digest}
            text = json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
            (draft / MANIFEST).write_text(text, encoding="utf-8")
            # safetensors writes for its owner only; web and worker may be different users.
            shutil.copymode(draft / MANIFEST, draft / WEIGHTS)
            for path in (draft / WEIGHTS, draft / MANIFEST, draft):
                _sync(path)
            draft.rename(target)
            _sync(folder)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise ModelRegistryError(
                f"The model version {target} cannot be written: {error.strerror or error}. "
                "MODEL_ROOT must be a writable folder with free space."
            ) from error
        self._prune(folder, newest=number, predicting=predicting)
        return ModelVersion(number=number, path=target, manifest=whole)

    def versions(self, folder: Path) -> list[ModelVersion]:
        """All readable versions of a control, oldest first."""
        read = (self._read(path, number) for number, path in sorted(_numbered(folder).items()))
        return [version for version in read if version is not None]

    def newest_number(self, folder: Path) -> int:
        """The highest number taken in a control's folder, readable or not; 0 where there is none."""
        return max(_numbered(folder), default=0)

    def find(self, folder: Path, number: int | None = None) -> ModelVersion | None:
        """The version with that number, or the newest readable one; None where there is none."""
        paths = _numbered(folder)
        for candidate in sorted(paths, reverse=True) if number is None else [number]:
            if candidate in paths and (version := self._read(paths[candidate], candidate)):
                return version
        return None

    def _read(self, path: Path, number: int) -> ModelVersion | None:
        try:
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
            if not isinstance(manifest, dict) or not isinstance(manifest.get("digest"), str):
                raise ValueError(f"its {MANIFEST} is not one of timelinelabels")
            if manifest.get("format") != FORMAT:
                raise ValueError(f"its format is {manifest.get('format')!r}, not {FORMAT}")
        except (OSError, ValueError) as error:
            logger.warning("Model version %s is passed over: %s", path, error)
            return None
        return ModelVersion(number=number, path=path, manifest=manifest)

    def _prune(self, folder: Path, *, newest: int, predicting: Collection[int | None]) -> None:
        """Delete all but the newest `keep` versions, and drafts that a killed process left."""
        old = [version for version in self.versions(folder) if version.number < newest]
        surplus = old[: max(0, len(old) - (self.keep - 1))]
        pruned = (version.path for version in surplus if version.number not in predicting)
        for path in (*pruned, *folder.glob(".draft-*")):
            # A version becomes invisible by a rename before its files go, so none is ever half there.
            grave = folder / f".pruned-{uuid4().hex}"
            with contextlib.suppress(OSError):
                path.rename(grave)
        for path in folder.glob(".pruned-*"):
            shutil.rmtree(path, ignore_errors=True)


def _numbered(folder: Path) -> dict[int, Path]:
    """Number → folder of each version, readable or not."""
    matches = ((_VERSION.fullmatch(path.name), path) for path in folder.glob("v*"))
    return {int(match[1]): path for match, path in matches if match}


def _damaged(version: Path, problem: str) -> ModelRegistryError:
    return ModelRegistryError(
        f"The model version {version} is damaged: {problem}. Delete its folder; the next training "
        "makes a new one."
    )


def _sync(path: Path) -> None:
    """Make a file's content, or a folder's entries, survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
