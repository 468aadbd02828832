"""The guide's own way of learning, restated; imports nothing of the product.

One bidirectional LSTM on the features of single frames, cut into sequences of 16 frames that overlap by
half. Each annotation is learned when it arrives, and only that one: the same network is trained on
until its macro F1 on this very annotation reaches 0.95 or its accuracy 1.0, at most 1000 epochs; after
each epoch all of it is predicted, and precision, recall, F1 and accuracy are counted batch by batch.
Facts and defaults are those of the example that the guide describes:
label_studio_ml/examples/yolo/utils/neural_nets.py in github.com/HumanSignal/label-studio-ml-backend. It
counts with torchmetrics, which cannot be imported beside every build of torch; here the counts are made
by hand, with less work than there.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SEQUENCE, OVERLAP, REDUCED, HIDDEN, EPOCHS, BATCH = 16, 2, 128, 32, 1000, 32
LEARNING_RATE, WEIGHT_DECAY, DROPOUT = 1e-4, 1e-5, 0.2
F1_ENOUGH, ACCURACY_ENOUGH = 0.95, 1.0


class GuideLSTM(nn.Module):
    """Fully connected → layer norm → dropout → bidirectional LSTM → a logit for each label."""

    def __init__(self, inputs: int, labels: int, reduced: int = REDUCED) -> None:
        super().__init__()
        self.reduce = nn.Sequential(
            nn.Linear(inputs, reduced), nn.ReLU(), nn.LayerNorm(reduced), nn.Dropout(DROPOUT)
        )
        self.lstm = nn.LSTM(reduced, HIDDEN, batch_first=True, bidirectional=True)
        self.leave = nn.Linear(2 * HIDDEN, labels)

    def forward(self, frames: Tensor) -> Tensor:
        return self.leave(self.lstm(self.reduce(frames))[0])


def sequences(values: NDArray[np.floating], overlap: int = OVERLAP) -> Tensor:
    """(N, SEQUENCE, D) of (T, D), one every SEQUENCE // overlap frames; zeros fill up and count."""
    parts = []
    for start in range(0, len(values), SEQUENCE // overlap):
        part = torch.from_numpy(np.asarray(values[start : start + SEQUENCE], np.float32))
        parts.append(nn.functional.pad(part, (0, 0, 0, SEQUENCE - len(part))))
    return torch.stack(parts)


class Learner:
    """One network that learns annotations one after the other."""

    def __init__(self, inputs: int, labels: int, *, reduced: int = REDUCED) -> None:
        torch.manual_seed(0)
        self.network = GuideLSTM(inputs, labels, reduced)
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY
        )

    def learn(self, features: NDArray[np.floating], targets: NDArray[np.floating]) -> int:
        """Learn one annotated video, (T, D) and (T, C), and nothing else; the epochs that it took."""
        frames, wanted = sequences(features), sequences(targets)
        epochs, enough = 0, False
        while not enough and epochs < EPOCHS:
            epochs += 1
            self.network.train()
            for chosen in torch.randperm(len(frames)).split(BATCH):
                loss = nn.functional.binary_cross_entropy_with_logits(
                    self.network(frames[chosen]), wanted[chosen]
                )
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
            scores = judged(self.network, frames, wanted)
            enough = scores["f1"] >= F1_ENOUGH or scores["accuracy"] >= ACCURACY_ENOUGH
        self.network.eval()
        return epochs


@torch.inference_mode()
def judged(network: GuideLSTM, frames: Tensor, wanted: Tensor) -> dict[str, float]:
    """Macro scores on what is trained on; a label that is neither there nor predicted counts as 1."""
    network.eval()
    labels = wanted.shape[2]
    right, false, missed, empty = (torch.zeros(labels) for _ in range(4))
    for part, target in zip(frames.split(BATCH), wanted.split(BATCH), strict=True):
        said = (torch.sigmoid(network(part)) > 0.5).view(-1, labels)
        true = target.view(-1, labels) >= 0.5
        right += (said & true).sum(0)
        false += (said & ~true).sum(0)
        missed += (~said & true).sum(0)
        empty += (~said & ~true).sum(0)

    def share(part: Tensor, whole: Tensor) -> float:
        return float(torch.where(whole > 0, part / whole.clamp(min=1), 1.0).mean())

    return {
        "precision": share(right, right + false),
        "recall": share(right, right + missed),
        "f1": share(2 * right, 2 * right + false + missed),
        "accuracy": share(right + empty, right + false + missed + empty),
    }


@torch.inference_mode()
def predict(network: GuideLSTM, features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Probabilities (T, C) of a video, sequence by sequence."""
    said = torch.sigmoid(network(sequences(features, overlap=1)))
    return said.flatten(0, 1)[: len(features)].numpy()
