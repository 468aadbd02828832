"""The base of the models behind Label Studio's control tags."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self


class ControlModel(ABC):
    """One control tag of a labeling config, as something that predicts regions and learns."""

    # The control tag and the object tag that a model is for.
    control_tag: ClassVar[str]
    object_tag: ClassVar[str]

    @classmethod
    def is_control_matched(cls, control: Any) -> bool:
        """Whether this model is for a control tag of label-studio-sdk's `LabelInterface`."""
        objects = getattr(control, "objects", None) or []
        return getattr(control, "tag", None) == cls.control_tag and any(
            getattr(item, "tag", None) == cls.object_tag for item in objects
        )

    @classmethod
    @abstractmethod
    def create(cls, *args: Any, **kwargs: Any) -> Self:
        """A model for one control."""

    @abstractmethod
    def predict_regions(self, video_path: Path | str) -> list[dict[str, Any]]:
        """The regions that this control would have on a media file."""

    def fit(self, event: str, data: Mapping[str, Any], **kwargs: Any) -> bool:
        """Learn from an event; True if something was learned. The base learns nothing."""
        return False
