"""The guide's own way of learning, restated; imports nothing of the product.

One bidirectional LSTM on the features of single frames, cut into sequences of 16 frames. Each annotation is
learned when it arrives, and only that one: the same network is trained on until its F1 on this very
annotation reaches 0.95 or its accuracy 1.0, at most 1000 epochs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SEQUENCE, OVERLAP, HIDDEN, EPOCHS, BATCH = 16, 2, 32, 1000, 32
F1_ENOUGH, ACCURACY_ENOUGH = 0.95, 1.0


class GuideLSTM(nn.Module):
    """Fully connected → layer norm → dropout → bidirectional LSTM → a logit for each label."""

    def __init__(self, inputs: int, labels: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(
            nn.Linear(inputs, HIDDEN), nn.LayerNorm(HIDDEN), nn.Dropout(0.2)
        )
        self.lstm = nn.LSTM(HIDDEN, HIDDEN, batch_first=True, bidirectional=True)
        self.leave = nn.Linear(2 * HIDDEN, labels)

    def forward(self, frames: Tensor) -> Tensor:
        return self.leave(self.lstm(self.reduce(frames))[0])


def sequences(values: NDArray[np.floating]) -> Tensor:
    """(N, SEQUENCE, D) of (T, D); the last one is padded with zeros, which count as frames."""
    parts = []
    for start in range(0, max(len(values) - OVERLAP, 1), SEQUENCE - OVERLAP):
        part = torch.from_numpy(np.asarray(values[start : start + SEQUENCE], np.float32))
        parts.append(nn.functional.pad(part, (0, 0, 0, SEQUENCE - len(part))))
    return torch.stack(parts)


def learn(
    features: Sequence[NDArray[np.floating]], targets: Sequence[NDArray[np.floating]]
) -> GuideLSTM:
    """A network that has learned the annotations one after the other."""
    torch.manual_seed(0)
    network = GuideLSTM(features[0].shape[1], targets[0].shape[1])
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-5)
    for video, labels in zip(features, targets, strict=True):
        frames, wanted = sequences(video), sequences(labels)
        for _ in range(EPOCHS):
            network.train()
            for chosen in torch.randperm(len(frames)).split(BATCH):
                loss = nn.functional.binary_cross_entropy_with_logits(
                    network(frames[chosen]), wanted[chosen]
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            network.eval()
            with torch.inference_mode():
                said = network(frames) >= 0
            if enough(said.flatten(0, 1), wanted.flatten(0, 1) >= 0.5):
                break
    return network.eval()


def enough(said: Tensor, true: Tensor) -> bool:
    """Whether macro F1 (over all labels) or accuracy is reached on what is trained on."""
    hits, total = (said & true).sum(0), said.sum(0) + true.sum(0)
    f1 = torch.where(total > 0, 2 * hits / total.clamp(min=1), torch.zeros(()))
    return bool(f1.mean() >= F1_ENOUGH) or bool((said == true).float().mean() >= ACCURACY_ENOUGH)


@torch.inference_mode()
def predict(network: GuideLSTM, features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Probabilities (T, C) of a video; where sequences overlap, the later one counts."""
    said = torch.sigmoid(network(sequences(features))).numpy()
    result = np.zeros((len(features), said.shape[2]), np.float32)
    for number, part in enumerate(said):
        start = number * (SEQUENCE - OVERLAP)
        rows = result[start : start + SEQUENCE]
        rows[:] = part[: len(rows)]
    return result
