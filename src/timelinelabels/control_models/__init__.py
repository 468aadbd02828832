"""Where Label Studio's side and the learning side meet: one model for each control tag."""

from timelinelabels.control_models.control_model import ControlModel
from timelinelabels.control_models.project_model import ProjectModel
from timelinelabels.control_models.resources import FeatureSource, Resources
from timelinelabels.control_models.timeline_labels import TimelineLabelsModel

__all__ = ["ControlModel", "FeatureSource", "ProjectModel", "Resources", "TimelineLabelsModel"]
