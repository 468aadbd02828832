"""The attributes of `<TimelineLabels>` that steer this backend, as one table, and their validation.

`ATTRIBUTES` is the only place that knows a `model_*` attribute's type, default, range and meaning:
reading a labeling config, its error messages and the documentation's table all come from it.

Whatever begins with "model" belongs to this backend, in any spelling (`Model_Trainable`,
`modelTrainable`): where it is not exactly one of the names below it is an error that gives the nearest
name, because a misspelt parameter that is silently ignored costs a training.
"""

import difflib
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Generic, TypeVar

from timelinelabels.labelstudio.config_values import (
    Boolean,
    Choice,
    Number,
    Rate,
    Text,
    Values,
    Whole,
    shown,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Nearer than this and a name is taken for a slip of the hand (`mode_trainable`), farther for a name
# that belongs to somebody else.
_SLIP = 0.9
_COMPARED = 64  # characters: comparing is quadratic
MAX_ATTRIBUTES = 200
# Of one network: training takes some 2 GB for so many, and trains several networks side by side.
MAX_WEIGHTS = 100_000_000


@dataclass(frozen=True, kw_only=True)
class Attribute(Generic[T]):
    """One row of the table."""

    # As it is written in the labeling config.
    name: str
    values: Values[T]
    # What holds where the attribute is left out.
    default: T
    # One sentence for the documentation.
    help: str


TRAINABLE = Attribute(
    name="model_trainable",
    values=Boolean(),
    default=False,
    help="Learn from the project's annotations; otherwise labels are matched to the classes that "
    "the YOLO model knows.",
)
CLASSIFIER_TYPE = Attribute(
    name="model_classifier_type",
    values=Choice("auto", "lstm", "tcn"),
    default="auto",
    help="The temporal network: `lstm` (the guide's), `tcn` (dilated convolutions), or `auto`, which "
    "trains both, and decision trees beside them, and keeps the mean or the one that is better on "
    "held-out videos.",
)
EPOCHS = Attribute(
    name="model_classifier_epochs",
    values=Whole(1, 100_000),
    default=1000,
    help="Most passes over the annotated videos in one training. A training makes 80 updates at most, "
    "each on 3.4 minutes of video: numbers above 80 change nothing. Trees have no passes.",
)
SEQUENCE_SIZE = Attribute(
    name="model_classifier_sequence_size",
    values=Whole(1, 100_000),
    default=16,
    help="Steps of 0.2 s in a training sequence. The LSTM learns from windows of 4 sequences "
    "(12.8 s), the TCN from windows of 16 (51.2 s), at most of the longest annotated video.",
)
HIDDEN_SIZE = Attribute(
    name="model_classifier_hidden_size",
    values=Whole(1, 1250),
    default=32,
    help="Size of the LSTM's hidden state in each direction; channels of the TCN. With more layers the "
    "largest is smaller.",
)
NUM_LAYERS = Attribute(
    name="model_classifier_num_layers",
    values=Whole(1, 16),
    default=1,
    help="LSTM layers on top of each other; stages of refinement of the TCN (in `auto` one fewer).",
)
F1_THRESHOLD = Attribute(
    name="model_classifier_f1_threshold",
    values=Number(0, 1),
    default=0.95,
    help="Training stops when the frame F1 reaches this, on held-out videos from three videos on.",
)
ACCURACY_THRESHOLD = Attribute(
    name="model_classifier_accuracy_threshold",
    values=Number(0, 1),
    default=1.0,
    help="Training stops when the frame accuracy reaches this, on held-out videos from three videos on.",
)
UNLABELED = Attribute(
    name="model_unlabeled",
    values=Choice("background", "ignore"),
    default="background",
    help="What time without a region means in an annotated video: that no label holds "
    "(`background`), or, before the first and after the last region, nothing (`ignore`).",
)
SCORE_THRESHOLD = Attribute[float | None](
    name="model_score_threshold",
    values=Number(0, 1),
    default=None,
    help="A label is predicted where its probability is at least this. Without it, and without the "
    "environment variable MODEL_SCORE_THRESHOLD, it is 0.5; each learned label has its own, from "
    "held-out videos. What lasts much shorter than people draw a learned label is left out.",
)
SAMPLE_FPS = Attribute[Fraction | None](
    name="model_sample_fps",
    values=Rate(1, 1000),
    default=None,
    help="Look at so many frames a second of a video, and say what lies between by interpolation. "
    "Without it, every frame is looked at.",
)
MODEL_PATH = Attribute[str | None](
    name="model_path",
    values=Text(),
    default=None,
    help="File of another YOLO classification model, relative to MODEL_ROOT.",
)
SKIP = Attribute(
    name="model_skip",
    values=Boolean(),
    default=False,
    help="Leave this control to people: nothing is learned or predicted for it.",
)

ATTRIBUTES: tuple[Attribute[Any], ...] = (
    TRAINABLE,
    CLASSIFIER_TYPE,
    EPOCHS,
    SEQUENCE_SIZE,
    HIDDEN_SIZE,
    NUM_LAYERS,
    F1_THRESHOLD,
    ACCURACY_THRESHOLD,
    UNLABELED,
    SCORE_THRESHOLD,
    SAMPLE_FPS,
    MODEL_PATH,
    SKIP,
)
DEPRECATED_SCORE_THRESHOLD = "score_threshold"


@dataclass(frozen=True, kw_only=True)
class ClassifierParams:
    """How the temporal network is built and trained (`model_classifier_*`)."""

    type: str = CLASSIFIER_TYPE.default
    epochs: int = EPOCHS.default
    # Steps of time in one sequence.
    sequence_size: int = SEQUENCE_SIZE.default
    hidden_size: int = HIDDEN_SIZE.default
    num_layers: int = NUM_LAYERS.default
    f1_threshold: float = F1_THRESHOLD.default
    accuracy_threshold: float = ACCURACY_THRESHOLD.default

    @property
    def weights(self) -> int:
        """About how many weights a TCN of this size has; the LSTM has fewer."""
        return 32 * self.hidden_size**2 * (self.num_layers + 1)


@dataclass(frozen=True, kw_only=True)
class ModelAttributes:
    """Every `model_*` attribute of one control, validated."""

    trainable: bool
    classifier: ClassifierParams
    # Whether time without a region means nothing, in place of "no label".
    ignores_unlabeled: bool
    # None: where neither the config nor the environment has one.
    score_threshold: float | None
    # Frames a second to look at; None: every frame.
    sample_fps: Fraction | None
    model_path: str | None
    skip: bool


def read_attributes(
    given: Mapping[str, str],
    where: str,
    problems: list[str],
    *,
    default_score_threshold: float | None,
) -> ModelAttributes:
    """Validate a control's attributes.

    Args:
        given: all attributes of the tag as written; Label Studio's own are passed over.
        where: how messages name the control, such as `TimelineLabels "label"`.
        problems: gets one sentence for each value or name that is not accepted.
        default_score_threshold: holds where the config gives no threshold.

    Returns:
        The attributes; meaningless where `problems` grew (defaults stand in for refused values).
    """
    problems.extend(_unknown_names(given, where))

    def value_of(attribute: Attribute[T], name: str | None = None) -> T:
        written = name or attribute.name
        if written not in given:
            return attribute.default
        text = given[written].strip()
        try:
            if not text:
                raise ValueError
            return attribute.values.read(text)
        except ValueError:
            problems.append(
                f"{where}: {written}={shown(given[written])} is not accepted; "
                f"give {attribute.values.accepted}, or leave it out"
            )
            return attribute.default

    threshold = default_score_threshold
    if SCORE_THRESHOLD.name in given:
        threshold = value_of(SCORE_THRESHOLD)
    if DEPRECATED_SCORE_THRESHOLD in given:
        logger.warning(
            "%s: %s is deprecated; write %s",
            where,
            DEPRECATED_SCORE_THRESHOLD,
            SCORE_THRESHOLD.name,
        )
        old = value_of(SCORE_THRESHOLD, DEPRECATED_SCORE_THRESHOLD)
        if SCORE_THRESHOLD.name in given and old != threshold:
            problems.append(
                f"{where}: {SCORE_THRESHOLD.name} and its deprecated alias "
                f"{DEPRECATED_SCORE_THRESHOLD} differ; keep {SCORE_THRESHOLD.name} only"
            )
        threshold = old
    classifier = ClassifierParams(
        type=value_of(CLASSIFIER_TYPE),
        epochs=value_of(EPOCHS),
        sequence_size=value_of(SEQUENCE_SIZE),
        hidden_size=value_of(HIDDEN_SIZE),
        num_layers=value_of(NUM_LAYERS),
        f1_threshold=value_of(F1_THRESHOLD),
        accuracy_threshold=value_of(ACCURACY_THRESHOLD),
    )
    if classifier.weights > MAX_WEIGHTS:
        problems.append(
            f"{where}: {HIDDEN_SIZE.name}={classifier.hidden_size} and {NUM_LAYERS.name}="
            f"{classifier.num_layers} make a network of {classifier.weights:,} weights; at most "
            f"{MAX_WEIGHTS:,} are accepted, so make one of the two smaller"
        )
    return ModelAttributes(
        trainable=value_of(TRAINABLE),
        classifier=classifier,
        ignores_unlabeled=value_of(UNLABELED) == "ignore",
        score_threshold=threshold,
        sample_fps=value_of(SAMPLE_FPS),
        model_path=value_of(MODEL_PATH),
        skip=value_of(SKIP),
    )


def claims_to_be_ours(name: str) -> bool:
    """Whether a name begins with "model", in any spelling."""
    return _plain(name).startswith("model")


def slip_of(name: str, known: Iterable[str]) -> str | None:
    """The known name that a name was meant to be, if it is not exactly one but nearly."""
    plain = {_plain(other): other for other in known}
    if name in plain.values():
        return None
    near = difflib.get_close_matches(_plain(name)[:_COMPARED], plain, n=1, cutoff=_SLIP)
    return plain[near[0]] if near else None


def _unknown_names(given: Mapping[str, str], where: str) -> list[str]:
    known = [attribute.name for attribute in ATTRIBUTES]
    accepted = {*known, DEPRECATED_SCORE_THRESHOLD}
    if len(given) > MAX_ATTRIBUTES:
        return [f"{where}: {len(given)} attributes; at most {MAX_ATTRIBUTES} are read"]
    problems = []
    for name in given:
        if name in accepted:
            continue
        nearest = slip_of(name, accepted)
        if nearest is None and claims_to_be_ours(name):
            nearest = _nearest(name[:_COMPARED], known)
        if nearest is not None:
            problems.append(
                f"{where}: unknown attribute {shown(name)}; the nearest known one is {nearest}; "
                f"accepted are {', '.join(known)}"
            )
    return problems


def _nearest(name: str, known: Iterable[str]) -> str:
    """The known name that shares most words with a name, then most letters (epochs → its full name)."""
    words = set(name.lower().split("_"))

    def likeness(other: str) -> tuple[int, float]:
        ratio = difflib.SequenceMatcher(None, _plain(name), _plain(other)).ratio()
        return len(words & set(other.split("_"))), ratio

    return max(known, key=likeness)


def _plain(name: str) -> str:
    """A name without case and separators: Model_Trainable, modelTrainable, model-trainable."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
