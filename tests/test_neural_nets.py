"""The contract of every temporal network, and the training loop."""

import copy
import json
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from timelinelabels.errors import ModelRegistryError
from timelinelabels.neural_nets import BaseNN, MultiLabelLSTM, MultiStageTCN, Videos, partial_fit
from timelinelabels.neural_nets.dropout import Dropout, seed_dropout
from timelinelabels.neural_nets.fitting import positive_weights
from timelinelabels.neural_nets.random_windows import RandomWindows
from timelinelabels.neural_nets.tcn import three_taps
from timelinelabels.neural_nets.windows import window_starts

WIDTH, LABELS = 12, 3
NETWORKS = [
    lambda **options: MultiLabelLSTM(WIDTH, LABELS, hidden_size=8, **options),
    lambda **options: MultiLabelLSTM(WIDTH, LABELS, hidden_size=4, num_layers=2, **options),
    lambda **options: MultiStageTCN(WIDTH, LABELS, hidden_size=8, **options),
    lambda **options: MultiStageTCN(WIDTH, LABELS, hidden_size=8, num_layers=2, **options),
]


@pytest.fixture(params=NETWORKS, ids=["lstm", "two-layer lstm", "tcn", "tcn refined twice"])
def network(request):
    torch.manual_seed(0)
    return request.param().eval()


def easy_video(seed, frames=80, width=WIDTH):
    """Features that show each label plainly in a dimension of its own."""
    random = np.random.default_rng(seed)
    targets = np.zeros((frames, LABELS), dtype=np.float32)
    for label in range(LABELS):
        start = int(random.integers(0, frames // 2))
        targets[start : start + frames // 3, label] = 1
    features = random.normal(0, 0.3, (frames, width))
    features[:, :LABELS] += 2 * targets
    return features.astype(np.float16), targets


@pytest.mark.parametrize("frames", [1, 2, 15, 16, 17, 31, 100])
def test_probabilities_have_one_row_for_each_frame_and_lie_in_0_to_1(network, frames):
    probabilities = network.predict(easy_video(1, max(frames, 3))[0][:frames])
    assert probabilities.shape == (frames, LABELS)
    assert probabilities.dtype == np.float32
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


def test_no_frames_give_no_probabilities(network):
    assert network.predict(np.zeros((0, WIDTH), dtype=np.float16)).shape == (0, LABELS)


def test_padding_has_no_influence(network):
    window = torch.randn(2, 10, WIDTH)
    mask = torch.arange(10)[None, :] < torch.tensor([[10], [6]])
    spoiled = window.clone()
    spoiled[1, 6:] = 1e3
    with torch.no_grad():
        first, second = network(window, mask), network(spoiled, mask)
        alone = network(window[1:, :6])
    torch.testing.assert_close(first[mask], second[mask])
    torch.testing.assert_close(first[1, :6], alone[0], atol=1e-5, rtol=1e-5)


def test_a_saved_network_predicts_the_same_after_loading(network, tmp_path):
    network.set_label_map({"b": 1, "a": 0, "c": 2})
    features, _ = easy_video(2)
    network.save(tmp_path / "model.safetensors")
    loaded = BaseNN.load(tmp_path / "model.safetensors")
    assert type(loaded) is type(network)
    assert loaded.get_label_map() == {"b": 1, "a": 0, "c": 2}
    np.testing.assert_array_equal(loaded.predict(features), network.predict(features))


def test_load_cached_model_gives_none_where_there_is_none(tmp_path):
    assert BaseNN.load_cached_model(tmp_path / "model.safetensors") is None


def test_a_file_that_is_no_network_is_named_in_the_error(network, tmp_path):
    path = tmp_path / "model.safetensors"
    network.save(path)
    whole = path.read_bytes()
    header = json.dumps({"__metadata__": {"network": "os.system"}}).encode()
    for content in (
        b"",
        b"not a network",
        whole[:-10],
        struct.pack("<Q", len(header)) + header,
        whole.replace(b"MultiLabelLSTM", b"MultiLabelLSTX").replace(b"StageTCN", b"StageTCX"),
    ):
        path.write_bytes(content)
        with pytest.raises(ModelRegistryError, match=r"model\.safetensors"):
            BaseNN.load_cached_model(path)


@pytest.mark.slow
def test_training_learns_what_is_plain_to_see_and_holds_on_unseen_videos(network):
    videos = [easy_video(seed) for seed in range(6)]
    fit = partial_fit(
        network, *zip(*videos, strict=True), f1_threshold=None, updates=200, patience=200
    )
    assert (fit.stopped_by, fit.updates) == ("updates", 200)
    assert fit.scores.f1 > 0.8
    features, targets = easy_video(99)
    assert ((network.predict(features) >= 0.5) == targets).mean() > 0.85


def test_equal_data_give_equal_weights_whatever_happened_before_or_beside(network):
    def trained(_=None):
        other = copy.deepcopy(network)
        partial_fit(other, *easy_video(1), updates=6)
        return other.state_dict()

    first = trained()
    torch.rand(7)
    with ThreadPoolExecutor(3) as pool:
        others = list(pool.map(trained, range(3)))
    for other in others:
        assert all(torch.equal(first[name], other[name]) for name in first)


def test_partial_fit_starts_from_the_present_weights():
    torch.manual_seed(0)
    network = MultiLabelLSTM(WIDTH, LABELS)
    features, targets = easy_video(1)
    first = network.partial_fit(features, targets, updates=4)
    again = network.partial_fit(features, targets, updates=4)
    assert again.scores.f1 > first.scores.f1


def test_training_stops_at_the_thresholds_after_all_epochs_or_when_time_is_up(network):
    features, targets = easy_video(1)

    def fit(**options):
        return partial_fit(copy.deepcopy(network), features, targets, **options).stopped_by

    assert fit(f1_threshold=0.01) == "f1"
    assert fit(f1_threshold=1.0, accuracy_threshold=0.3) == "accuracy"
    assert fit(epochs=3) == "epochs"
    assert fit(updates=3) == "updates"
    assert fit(deadline=time.monotonic()) == "time"


def test_training_stops_by_videos_that_it_does_not_learn_from_where_there_are_some(network):
    """What is learned is the opposite of what it is judged by."""
    features, targets = easy_video(1)
    unseen = Videos(sequences=[features], targets=[1 - targets])

    def fit(**options):
        return partial_fit(copy.deepcopy(network), features, targets, updates=60, **options)

    by_itself, by_others = fit(f1_threshold=0.8), fit(f1_threshold=0.8, unseen=unseen)
    assert by_itself.stopped_by == "f1"
    assert by_others.stopped_by != "f1"
    assert by_others.scores.f1 < 0.6


def test_patience_counts_from_the_last_better_score(network):
    features, targets = easy_video(1)
    unseen = Videos(sequences=[features], targets=[targets], judged=[np.arange(len(targets)) < 300])
    seen = []
    fit = partial_fit(
        copy.deepcopy(network),
        features,
        targets,
        unseen=unseen,
        patience=5,
        f1_threshold=None,
        accuracy_threshold=None,
        updates=400,
        on_epoch=lambda _, scores: seen.append(scores.f1),
    )
    best = max(range(len(seen)), key=seen.__getitem__)
    updates_an_epoch = fit.updates / fit.epochs
    assert fit.stopped_by == "patience"
    assert (fit.epochs - 1 - best) * updates_an_epoch == pytest.approx(5, abs=updates_an_epoch)


def test_every_epoch_is_reported_with_its_scores(network):
    seen = []
    partial_fit(network, *easy_video(1), epochs=4, on_epoch=lambda *report: seen.append(report))
    assert [epoch for epoch, _ in seen] == [1, 2, 3, 4]
    assert all(0 <= scores.f1 <= 1 for _, scores in seen)


@pytest.mark.slow
def test_rows_that_are_not_judged_teach_nothing(network):
    """The second half carries wrong labels, and is left out: they are not learned."""
    features, targets = easy_video(1, frames=160)
    wrong = targets.copy()
    wrong[80:] = 1 - wrong[80:]

    def learned(judged):
        other = copy.deepcopy(network)
        partial_fit(other, [features], [wrong], judged=[judged], updates=100)
        return other.predict(features)[80:]

    def right(said):
        return ((said >= 0.5) == targets[80:]).mean()

    assert right(learned(np.arange(160) < 80)) > right(learned(np.ones(160, dtype=bool))) + 0.1
    assert np.isfinite(learned(np.zeros(160, dtype=bool))).all()


def test_a_video_shorter_than_a_window_can_be_learned():
    features, targets = easy_video(1)
    network = MultiLabelLSTM(WIDTH, LABELS, sequence_size=64)
    fit = network.partial_fit([features[:5], features], [targets[:5], targets], epochs=2)
    assert fit.epochs >= 1


def test_features_and_targets_of_different_length_are_refused():
    features, targets = easy_video(1)
    with pytest.raises(ValueError, match="equally long"):
        MultiLabelLSTM(WIDTH, LABELS).partial_fit(features, targets[:-1])


def test_rare_labels_weigh_more_but_within_bounds():
    targets = np.zeros((10_000, 3), dtype=np.float32)
    targets[:5000, 0] = 1
    targets[:100, 1] = 1
    weights = positive_weights([targets])
    assert weights.tolist() == pytest.approx([1.0, 99**0.5, 10.0])


def test_what_nobody_judged_neither_makes_a_label_rare_nor_is_a_window_drawn_for_it():
    targets = np.zeros((1000, 2), dtype=np.float32)
    targets[400:450, 0] = targets[450:500, 1] = 1
    judged = np.zeros(1000, dtype=bool)
    judged[400:500] = True
    assert positive_weights([targets], [judged]).tolist() == [1.0, 1.0]
    features = np.zeros((1000, WIDTH), dtype=np.float32)
    windows = RandomWindows(
        [features, features], [targets, targets], [judged, np.zeros_like(judged)], 64, 0
    )
    assert windows.updates_an_epoch == 1
    for _ in range(20):
        _, wanted, valid, counted = windows.batch()
        assert counted.any(dim=1).all(), "each window holds something that is judged"
        assert (wanted.sum(dim=2) == counted.float()).all()
        assert valid.sum() > counted.sum(), "and shows what lies around it"


def test_preprocess_sequence_pads_only_the_end_and_masks_it():
    network = MultiLabelLSTM(WIDTH, LABELS, sequence_size=4)
    features = np.arange(9 * WIDTH, dtype=np.float32).reshape(9, WIDTH) + 1
    targets = np.ones((9, LABELS), dtype=np.float32)
    windows, labels, mask = network.preprocess_sequence(features, targets, overlap=2)
    assert windows.shape == (4, 4, WIDTH)
    assert mask.tolist() == [[True] * 4, [True] * 4, [True] * 4, [True, True, True, False]]
    np.testing.assert_array_equal(windows[1].numpy(), features[2:6])
    assert not windows[~mask].any()
    assert not labels[~mask].any()
    assert network.preprocess_sequence(features)[1] is None


@given(st.integers(1, 300), st.integers(1, 64), st.integers(-1, 80))
def test_windows_cover_every_frame_in_order_and_none_is_superfluous(length, size, overlap):
    starts = window_starts(length, size, overlap)
    covered = {frame for start in starts for frame in range(start, min(start + size, length))}
    assert covered == set(range(length))
    assert starts == sorted(set(starts))
    assert len(starts) == 1 or starts[-2] + size < length
    if length >= size:
        whole = window_starts(length, size, overlap, whole=True)
        assert all(0 <= start <= length - size for start in whole)
        assert {f for s in whole for f in range(s, s + size)} == set(range(length))


@pytest.mark.parametrize("layers", [1, 2])
def test_a_sequence_within_a_padded_batch_is_read_as_it_is_alone(layers):
    """Both ways, in every layer: the way back begins at the sequence's own end."""
    network = MultiLabelLSTM(5, 2, num_layers=layers).eval()
    lengths = torch.tensor([20, 1, 7, 19])
    features = torch.randn(4, 20, 5)
    mask = torch.arange(20) < lengths[:, None]
    together = network(features, mask)
    for row, length in enumerate(lengths.tolist()):
        alone = network(features[row : row + 1, :length])
        torch.testing.assert_close(together[row, :length], alone[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dilation", [1, 4, 64])
def test_the_three_taps_of_a_convolution_are_those_of_torch(dilation):
    convolution = torch.nn.Conv1d(6, 6, 3, padding=dilation, dilation=dilation)
    values = torch.randn(2, 40, 6, requires_grad=True)
    ours, theirs = three_taps(convolution, values), convolution(values.transpose(1, 2))
    torch.testing.assert_close(ours, theirs.transpose(1, 2), atol=1e-5, rtol=1e-5)
    weights = (values, convolution.weight, convolution.bias)
    for own, other in zip(
        torch.autograd.grad(ours.square().sum(), weights),
        torch.autograd.grad(theirs.square().sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(own, other, atol=1e-3, rtol=1e-4)


def test_dropout_of_a_seed_repeats_itself_and_differs_from_update_to_update():
    network = torch.nn.Sequential(Dropout(0.5), Dropout(0.5)).train()
    ones = torch.ones(30, 30)

    def two_updates():
        seed_dropout(network, 3)
        return [layer(ones) for _ in range(2) for layer in network]

    masks, again = two_updates(), two_updates()
    assert all(torch.equal(one, other) for one, other in zip(masks, again, strict=True))
    for number, mask in enumerate(masks):
        for other in masks[number + 1 :]:
            assert float((mask == other).float().mean()) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("share", [0.2, 0.3, 0.5, 0.9])
def test_dropout_zeroes_its_share_everywhere_alike_and_keeps_the_mean(share):
    network = torch.nn.Sequential(Dropout(share)).train()
    seed_dropout(network, 3)
    values = network(torch.ones(400, 1001))
    assert float((values == 0).float().mean()) == pytest.approx(share, abs=0.01)
    assert float(values.mean()) == pytest.approx(1, abs=0.02)
    by_place = (values == 0).float().flatten()[: 400 * 1000].view(-1, 16).mean(0)
    torch.testing.assert_close(by_place, torch.full((16,), share), atol=0.01, rtol=0)
