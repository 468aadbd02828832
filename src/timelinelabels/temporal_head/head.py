"""A trained temporal head: everything between a video's features and the probabilities of its labels.

Its file is one safetensors file: the tensors of the inputs, of the calibration and of each network under
a prefix, and JSON in the header that says how to put them together. Nothing is pickled.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from timelinelabels.errors import ModelRegistryError
from timelinelabels.neural_nets import BaseNN
from timelinelabels.neural_nets.base import rebuild
from timelinelabels.temporal_head.boundaries import sharpened
from timelinelabels.temporal_head.calibration import calibrated
from timelinelabels.temporal_head.inputs import StepInputs, VideoSequence
from timelinelabels.temporal_head.label_rules import LabelRule
from timelinelabels.temporal_head.time_steps import TimeSteps

FORMAT = "temporal head 2"


@dataclass(frozen=True, kw_only=True)
class TemporalHead:
    """Inputs, networks, calibration and rules that belong together."""

    label_map: Mapping[str, int]
    inputs: StepInputs
    # Kind ("tcn", "lstm", "trees") → network; where there are several, their probabilities are averaged.
    networks: Mapping[str, BaseNN]
    # (C, 2), see `calibration`.
    curves: npt.NDArray[np.float64]
    # One for each column.
    rules: tuple[LabelRule, ...]

    def predict(
        self, video: VideoSequence, rules: Sequence[LabelRule] | None = None
    ) -> npt.NDArray[np.float32]:
        """Calibrated probabilities (T, C) of a video's frames.

        They cross the thresholds of `rules` (by default the head's own) where the picture changes.
        """
        return sharpened(
            TimeSteps.of(video.times).to_frames(self.calibrated_steps(video)),
            [rule.keep for rule in rules or self.rules],
            video.thumbnails,
            video.times,
        )

    def calibrated_steps(self, video: VideoSequence) -> npt.NDArray[np.float32]:
        """Calibrated probabilities (S, C) of a video's steps."""
        return calibrated(self.step_probabilities(video), self.curves)

    def step_probabilities(self, video: VideoSequence) -> npt.NDArray[np.float32]:
        """What the networks say of each step (S, C), before calibration."""
        described = self.inputs(video)
        said = [network.predict(described) for network in self.networks.values()]
        mean: npt.NDArray[np.float32] = np.mean(said, axis=0, dtype=np.float32)
        return mean

    def save(self, path: Path) -> None:
        """Write the head to one safetensors file."""
        tensors: dict[str, Tensor] = {
            f"inputs.{name}": torch.from_numpy(array)
            for name, array in self.inputs.arrays().items()
        }
        tensors["calibration"] = torch.from_numpy(self.curves)
        for kind, network in self.networks.items():
            for name, tensor in network.state_dict().items():
                tensors[f"{kind}.{name}"] = tensor.contiguous()
        description = {
            "format": FORMAT,
            "label_map": dict(self.label_map),
            "networks": {
                kind: {"network": type(network).__name__, "arguments": network.arguments}
                for kind, network in self.networks.items()
            },
            "rules": [asdict(rule) for rule in self.rules],
        }
        save_file(tensors, str(path), metadata={"temporal_head": json.dumps(description)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """The head that `save` wrote.

        Raises:
            ModelRegistryError: the file is missing, damaged or something else.
        """
        try:
            with safe_open(str(path), framework="pt") as file:
                description = json.loads((file.metadata() or {})["temporal_head"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if description["format"] != FORMAT:
                raise ValueError(f"its format is {description['format']!r}, not {FORMAT!r}")
            return cls._rebuilt(description, tensors)
        except (
            OSError,
            SafetensorError,
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            RuntimeError,
        ) as error:
            raise ModelRegistryError(
                f"{path} is not a temporal head that this version of timelinelabels reads ({error}). "
                "Train again; the folder of that version may be deleted."
            ) from error

    @classmethod
    def _rebuilt(cls, description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Self:
        label_map = {str(label): int(column) for label, column in description["label_map"].items()}

        def under(prefix: str) -> dict[str, Tensor]:
            start = f"{prefix}."
            return {
                name.removeprefix(start): tensor
                for name, tensor in tensors.items()
                if name.startswith(start)
            }

        return cls(
            label_map=label_map,
            inputs=StepInputs.of_arrays(
                {name: tensor.numpy() for name, tensor in under("inputs").items()}
            ),
            networks={
                kind: rebuild(given["network"], given["arguments"], label_map, under(kind))
                for kind, given in description["networks"].items()
            },
            curves=tensors["calibration"].numpy(),
            rules=tuple(LabelRule(**rule) for rule in description["rules"]),
        )
