"""What every temporal network has: a contract, a label map and a file.

A network's file is one safetensors file; its header says which class it is, how it was built and
which labels its columns are. Nothing is pickled.
"""

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from timelinelabels.errors import ModelRegistryError

Array = npt.NDArray[np.floating]


class BaseNN(nn.Module):
    """Base of the temporal networks: label map, saving and loading.

    Args:
        sequence_size: rows in a training sequence.
        exclusive: whether at most one label holds at a time.
        arguments: the other arguments that the network's own constructor was called with.
    """

    # Sequences in a training window: as much context as the network makes use of.
    window_sequences: ClassVar[int] = 1

    def __init__(self, *, sequence_size: int, exclusive: bool, **arguments: Any) -> None:
        super().__init__()
        self.sequence_size, self.exclusive = sequence_size, exclusive
        arguments |= {"sequence_size": sequence_size, "exclusive": exclusive}
        self.arguments = arguments  # what `load` calls the constructor with
        self._label_map: dict[str, int] = {}

    @abstractmethod
    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits (B, T, C) of features (B, T, D); rows outside mask (B, T) have no influence."""

    @abstractmethod
    def predict(self, sequence: Array) -> npt.NDArray[np.float32]:
        """Probabilities (T, C) of a whole video's features (T, D)."""

    def reads(self, features: Tensor) -> Tensor:
        """Of features (..., D) the leading ones that the network reads: trees read others, too."""
        return features[..., : self.arguments["input_size"]]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities (..., C) of logits (..., C).

        Where labels exclude each other they share one with "no label", whose logit is 0 (softmax);
        else each has its own (sigmoid).
        """
        if not self.exclusive:
            return torch.sigmoid(logits)
        return with_no_label(logits).softmax(dim=-1)[..., 1:]

    def stages(self, features: Tensor, mask: Tensor | None = None) -> Sequence[Tensor]:
        """Logits (B, T, C) of each stage of refinement, the last of which `forward` gives.

        Training asks all of them to be right.
        """
        return (self.forward(features, mask),)

    @property
    def window_size(self) -> int:
        """Rows in a training window."""
        return self.window_sequences * self.sequence_size

    def set_label_map(self, label_map: Mapping[str, int]) -> None:
        """Store which column each label has."""
        self._label_map = dict(label_map)

    def get_label_map(self) -> dict[str, int]:
        """Label name → column."""
        return dict(self._label_map)

    def save(self, path: Path | str) -> None:
        """Write weights, constructor arguments and label map to one safetensors file."""
        metadata = {
            "network": type(self).__name__,
            "arguments": json.dumps(self.arguments),
            "label_map": json.dumps(self._label_map),
        }
        tensors = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        save_file(tensors, str(path), metadata=metadata)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """The network that `save` wrote, in evaluation mode.

        Raises:
            ModelRegistryError: the file is missing, damaged, or of an unknown network.
        """
        try:
            with safe_open(str(path), framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            network = rebuild(
                metadata["network"],
                json.loads(metadata["arguments"]),
                json.loads(metadata["label_map"]),
                tensors,
            )
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelRegistryError(
                f"{path} is not a temporal network of timelinelabels ({error}). Delete the folder "
                "of that version; the next training makes a new one."
            ) from error
        if not isinstance(network, cls):
            raise ModelRegistryError(f"{path} holds a {type(network).__name__}, not {cls.__name__}")
        return network

    @classmethod
    def load_cached_model(cls, model_path: Path | str) -> Self | None:
        """The network in the file `model_path`, or None where there is no such file.

        It is read anew each time (milliseconds): a copy kept in memory could go stale.
        """
        return cls.load(model_path) if Path(model_path).is_file() else None


def with_no_label(logits: Tensor) -> Tensor:
    """Logits (..., 1 + C) of "no label", which is 0, and of the C labels, which are given (..., C)."""
    return torch.cat([torch.zeros_like(logits[..., :1]), logits], dim=-1)


def rebuild(
    name: str,
    arguments: Mapping[str, Any],
    label_map: Mapping[str, int],
    tensors: Mapping[str, Tensor],
) -> BaseNN:
    """A network of the class with that name, from its parts, in evaluation mode.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: the parts do not make a network.
    """
    networks = {network.__name__: network for network in BaseNN.__subclasses__()}
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn, and then replaced
        network = networks[name](**arguments)
    network.load_state_dict(tensors)
    network.set_label_map(label_map)
    return network.eval()
