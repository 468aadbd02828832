"""What every backbone offers: frames → features → class probabilities, and how to prepare frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SMALLEST_SIDE, LARGEST_SIDE = 8, 4096
"""Pixels; what lies outside is a damaged or hostile checkpoint, not an input size."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a picture becomes the backbone's input; belongs to the weights, so it is data.

    Scaling is bilinear and antialiased. Sizes round as torchvision's `Resize` and `CenterCrop` do
    (torchvision/transforms/functional.py), so that pictures are cut at the same pixels.

    Raises:
        ValueError: a size or a statistic is out of range, or the crop is larger than the picture.
    """

    resize: int | tuple[int, int]
    """Pixels. One number: the length of the short side; two: exactly (height, width)."""
    crop: tuple[int, int]
    """(height, width) in pixels, cut from the centre."""
    mean: tuple[float, float, float]
    """Of the RGB channels, on the scale of 0 to 1."""
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        height, width = (self.resize, self.resize) if isinstance(self.resize, int) else self.resize
        for side in (height, width, *self.crop):
            if not SMALLEST_SIDE <= side <= LARGEST_SIDE:
                raise ValueError(
                    f"a side of {side} pixels is not between {SMALLEST_SIDE} and {LARGEST_SIDE}"
                )
        if self.crop[0] > height or self.crop[1] > width:
            raise ValueError(
                f"a crop of {self.crop} does not fit into pictures of {(height, width)}"
            )
        if not all(0 <= mean <= 1 for mean in self.mean):
            raise ValueError(f"the channel means {self.mean} are not between 0 and 1")
        if not all(1e-3 <= std <= 1e3 for std in self.std):
            raise ValueError(f"the channel deviations {self.std} are not between 0.001 and 1000")

    def scaled_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) to which a picture of this size, in pixels, is scaled."""
        if not isinstance(self.resize, int):
            return self.resize[1], self.resize[0]
        # torchvision truncates the long side: int(size * long / short).
        if width <= height:
            return self.resize, int(self.resize * height / width)
        return int(self.resize * width / height), self.resize

    def crop_box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) to keep of a scaled picture, pixels."""
        crop_height, crop_width = self.crop
        left, top = round((width - crop_width) / 2), round((height - crop_height) / 2)
        return left, top, left + crop_width, top + crop_height


class Backbone(Protocol):
    """A frozen network that describes one frame by D numbers."""

    @property
    def name(self) -> str:
        """What a person calls it: the file's stem, "yolov8n-cls"."""

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of whatever changes features; known without building the network."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How frames are scaled and cropped before `embed`."""

    @property
    def feature_dim(self) -> int:
        """D."""

    @property
    def batch_frames(self) -> int:
        """How many frames to give to one call of `embed`; any number is accepted."""

    @property
    def device(self) -> str:
        """What `embed` computes on, as torch names it: "cpu", "cuda:0"."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the columns of `class_probabilities`, in order."""

    def warm_up(self) -> None:
        """Make ready what the first `embed` would have to; it raises what that would."""

    def embed(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (N, D) of RGB frames (N, H, W, 3), already scaled and cropped."""

    def class_probabilities(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Probabilities (T, n_classes), rows summing to 1, of features (T, D)."""


class FeatureNetwork(Protocol):
    """Layers of a classifier, ready to run; threads may share it."""

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (N, D) of frames (N, H, W, 3), computed all at once."""
