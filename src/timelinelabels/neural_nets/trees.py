"""Trees beside the networks: they learn from fewer rows, and other things.

Extremely randomized trees (Geurts, Ernst and Wehenkel, Machine Learning, 2006) on numbers of each row and
of what surrounds it. scikit-learn grows them; what is kept are plain arrays, so that a file of a head
depends on no version of scikit-learn and holds no pickle.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from timelinelabels.metrics import frame_scores
from timelinelabels.neural_nets.base import Array, BaseNN
from timelinelabels.neural_nets.fitting import Fit, Videos, positive_weights

TREES = 60
TREES_TO_JUDGE = 20  # enough to see on held-out videos how good the forest is
_GROWN_AT_ONCE = 10  # trees between two looks at the clock
_LEAST_IN_A_LEAF = 10  # rows
_COLUMNS_TRIED = 0.1  # of all, at each split
_MOST_ROWS = 6_000  # to learn from, spread evenly: time and size stay bounded
_AROUND = (2, 8, 20)  # rows to each side of one of which the means are read, too
_ROWS_AT_ONCE = 512  # in prediction: what is looked up again and again stays in the cache
_STEPS = 3  # down a tree between two looks at which paths have ended
_SURE = 1e-3  # a share of leaves is never taken as more certain than this


class ExtraTrees(BaseNN):
    """A forest with a share of every label in every leaf.

    The shares are bent as the networks' probabilities are by their loss: a rare label's odds count
    `positive_weights` times. So the mean of both means something.

    Args:
        input_size: D, numbers that describe a row.
        output_size: C, number of labels.
        leading: of the D numbers, how many of the first are read,
        trailing: and how many of the last; the others say too much about too little.
        nodes: of all trees together; 0 before `learn`.
        trees: that were grown.
        exclusive: False: leaves hold shares of rows, which need not be shared out again.
    """

    roots: Tensor
    followers: Tensor
    columns: Tensor
    thresholds: Tensor
    shares: Tensor
    weights: Tensor

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        leading: int,
        trailing: int = 0,
        nodes: int = 0,
        trees: int = 0,
        sequence_size: int = 1,
        exclusive: bool = False,
    ) -> None:
        super().__init__(
            input_size=input_size,
            output_size=output_size,
            leading=leading,
            trailing=trailing,
            nodes=nodes,
            trees=trees,
            sequence_size=sequence_size,
            exclusive=exclusive,
        )
        self.output_size, self.leading, self.trailing = output_size, leading, trailing
        # Where a node's two followers stand; a leaf follows itself, so that all may go on to the end.
        self.register_buffer("roots", torch.zeros(trees, dtype=torch.int32))
        self.register_buffer("followers", torch.zeros(nodes, 2, dtype=torch.int32))
        self.register_buffer("columns", torch.zeros(nodes, dtype=torch.int32))
        self.register_buffer("thresholds", torch.zeros(nodes))
        self.register_buffer("shares", torch.zeros(nodes, output_size, dtype=torch.float16))
        self.register_buffer("weights", torch.ones(output_size))

    def learn(
        self,
        videos: Videos,
        *,
        unseen: Videos | None = None,
        trees: int = TREES,
        deadline: float | None = None,
        seed: int = 0,
    ) -> Fit:
        """Grow the forest.

        Args:
            videos: to learn from.
            unseen: to score it by; None: the rows that it learned.
            trees: to grow, a multiple of ten.
            deadline: `time.monotonic()` at which it ends with the trees that it has.
            seed: of all that is random.
        """
        from sklearn.ensemble import ExtraTreesClassifier

        rows, targets = self._examples(videos)
        forest = ExtraTreesClassifier(
            0,
            min_samples_leaf=min(_LEAST_IN_A_LEAF, max(1, len(rows) // 4)),
            max_features=_COLUMNS_TRIED,
            warm_start=True,
            random_state=seed,
        )
        # scikit-learn wants a column of its own kind where there is one label.
        wanted = targets if targets.shape[1] > 1 else targets[:, 0]
        stopped_by, count = "trees", 0
        # Where no row says anything there is no tree, and nothing is predicted.
        for count in range(_GROWN_AT_ONCE, trees + 1 if len(rows) else 0, _GROWN_AT_ONCE):
            forest.set_params(n_estimators=count).fit(rows, wanted)
            if deadline is not None and time.monotonic() >= deadline:
                stopped_by = "time"
                break
        if count:
            self._take_over(forest, always=np.asarray(targets.all(axis=0)))
        self.weights = positive_weights(videos.targets, videos.judged)
        if unseen is None:
            scores = frame_scores(self._probabilities(rows) >= 0.5, targets)
        else:
            scores = unseen.scores_of(self)
        return Fit(epochs=1, updates=count, scores=scores, stopped_by=stopped_by)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits (B, T, C) of features (B, T, D); rows outside mask (B, T) have no influence."""
        logits = torch.zeros(*features.shape[:2], self.output_size)
        for number, sequence in enumerate(features):
            length = len(sequence) if mask is None else int(mask[number].sum())
            said = torch.from_numpy(self.predict(sequence[:length].detach().numpy()))
            logits[number, :length] = torch.logit(said)
        return logits

    def predict(self, sequence: Array) -> npt.NDArray[np.float32]:
        """Probabilities (T, C) of features (T, D)."""
        return self._probabilities(self._rows(sequence))

    def _probabilities(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(N, C) of rows with their surroundings (N, …)."""
        paths = _Paths(
            roots=self.roots.numpy(),
            followers=self.followers.numpy().ravel(),
            columns=self.columns.numpy(),
            thresholds=self.thresholds.numpy(),
        )
        shares, weights = self.shares.float().numpy(), self.weights.numpy()
        said: npt.NDArray[np.float32] = np.zeros((len(rows), self.output_size), np.float32)
        for at in range(0, len(rows) if len(self.roots) else 0, _ROWS_AT_ONCE):
            leaves = paths.leaves_of(rows[at : at + _ROWS_AT_ONCE])
            said[at : at + _ROWS_AT_ONCE] = shares.take(leaves, axis=0).mean(axis=0)
        said = np.clip(said, _SURE, 1 - _SURE)
        odds = said * weights
        bent: npt.NDArray[np.float32] = odds / (odds + 1 - said)
        return bent

    def _rows(self, sequence: Array) -> npt.NDArray[np.float32]:
        """What is read of features (T, D), with their surroundings."""
        last = sequence.shape[1] - self.trailing
        return with_surroundings(
            np.concatenate([sequence[:, : self.leading], sequence[:, last:]], axis=1)
        )

    def _examples(self, videos: Videos) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Rows with their surroundings (N, …) and targets (N, C), at most `_MOST_ROWS`."""
        counted = videos.judged or [np.ones(len(item), bool) for item in videos.targets]
        total = sum(int(mask.sum()) for mask in counted)
        kept = np.zeros(total, bool)
        kept[np.linspace(0, total - 1, min(total, _MOST_ROWS)).round().astype(np.int64)] = True
        rows, targets, before = [], [], 0
        for sequence, wanted, mask in zip(videos.sequences, videos.targets, counted, strict=True):
            saying = np.flatnonzero(mask)
            places = saying[kept[before : before + len(saying)]]
            rows.append(self._rows(sequence)[places])
            targets.append(wanted[places] >= 0.5)
            before += len(saying)
        return np.concatenate(rows), np.concatenate(targets)

    def _take_over(self, forest: Any, *, always: npt.NDArray[np.bool_]) -> None:
        """Keep scikit-learn's trees as arrays.

        Args:
            forest: of trees with a class for "not" and one for "yes", where both occur.
            always: (C,) labels that every row has; of these and of those that none has, there is one class.
        """
        # A label with one class only has that class in the first place.
        known = np.array([len(np.atleast_1d(one)) == 2 for one in _classes(forest)])
        roots, followers, columns, thresholds, shares = [], [], [], [], []
        nodes = 0
        for tree in (estimator.tree_ for estimator in forest.estimators_):
            count = tree.node_count
            leaf = tree.children_left < 0
            both = np.stack([tree.children_left, tree.children_right], axis=1)
            followers.append(np.where(leaf[:, None], np.arange(count)[:, None], both) + nodes)
            columns.append(np.where(leaf, 0, tree.feature))
            thresholds.append(tree.threshold)
            values = tree.value.reshape(count, self.output_size, -1)
            share = values[..., -1] / values.sum(axis=2)
            shares.append(np.where(known, share, always))
            roots.append(nodes)
            nodes += count
        self.roots = torch.tensor(roots, dtype=torch.int32)
        self.followers = torch.from_numpy(np.concatenate(followers).astype(np.int32))
        self.columns = torch.from_numpy(np.concatenate(columns).astype(np.int32))
        self.thresholds = torch.from_numpy(np.concatenate(thresholds).astype(np.float32))
        self.shares = torch.from_numpy(np.concatenate(shares).astype(np.float16))
        self.arguments |= {"nodes": nodes, "trees": len(roots)}


@dataclass(frozen=True, kw_only=True)
class _Paths:
    """The trees' nodes, for following many rows down all of them at once."""

    roots: npt.NDArray[np.int32]
    followers: npt.NDArray[np.int32]  # (2 · nodes,)
    columns: npt.NDArray[np.int32]
    thresholds: npt.NDArray[np.float32]

    def leaves_of(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        """The leaf (trees, N) in which each of the rows (N, …) ends."""
        values = rows.ravel()
        ends = np.repeat(self.roots, len(rows))
        first = np.tile(np.arange(len(rows), dtype=np.int32) * rows.shape[1], len(self.roots))
        under_way, node = np.arange(len(ends)), ends.copy()
        while len(under_way):
            for _ in range(_STEPS):
                right = values.take(first + self.columns.take(node)) > self.thresholds.take(node)
                node = self.followers.take(2 * node + right)
            # Paths differ in length: those that have ended are put away.
            going = self.followers.take(2 * node) != node
            ends[under_way] = node
            under_way, node, first = under_way[going], node[going], first[going]
        return ends.reshape(len(self.roots), len(rows))


def _classes(forest: Any) -> list[npt.NDArray[np.bool_]]:
    """The classes of each label; scikit-learn gives those of a single label without a list."""
    return forest.classes_ if isinstance(forest.classes_, list) else [forest.classes_]


def with_surroundings(rows: Array) -> npt.NDArray[np.float32]:
    """Rows (T, D) and, for each of `_AROUND`, the mean around and how after differs from before.

    Returns:
        (T, D · (1 + 2 · len(_AROUND))).
    """
    length = len(rows)
    given = np.asarray(rows, dtype=np.float32)
    if not length:
        return np.zeros((0, given.shape[1] * (1 + 2 * len(_AROUND))), np.float32)
    parts, places = [given], np.arange(length)
    for reach in _AROUND:
        padded = np.pad(given, ((reach + 1, reach), (0, 0)), mode="edge")
        padded[0] = 0
        total = np.cumsum(padded, axis=0, dtype=np.float64)
        mean = ((total[2 * reach + 1 :] - total[: -2 * reach - 1]) / (2 * reach + 1)).astype(
            np.float32
        )
        after = np.minimum(places + reach + 1, length - 1)
        before = np.maximum(places - reach - 1, 0)
        parts += [mean, mean[after] - mean[before]]
    return np.concatenate(parts, axis=1)
