"""What the routes call: projects, versions and events, in terms of the store and the models."""

import logging

from timelinelabels.control_models.project_model import ProjectModel
from timelinelabels.control_models.resources import Resources
from timelinelabels.errors import CheckpointError, ConfigError, PayloadError, WeightsNotFoundError
from timelinelabels.labelstudio.payloads import ProjectRef, WebhookEvent
from timelinelabels.runtime import model_version
from timelinelabels.store import Store
from timelinelabels.weights_download import want_weights

logger = logging.getLogger(__name__)

LOCAL_PROJECT = "local"  # where a request names no project


class Service:
    """The backend without HTTP.

    Args:
        store: annotations, versions, work.
        resources: shared by the models of this process.
    """

    def __init__(self, store: Store, resources: Resources) -> None:
        self.store = store
        self.resources = resources

    def project(self, ref: ProjectRef | None, label_config: str | None) -> ProjectModel:
        """The project's model as it is published now.

        Args:
            ref: None is the project of the command line.
            label_config: None is the one seen last.

        Raises:
            ConfigError: the labeling config is wrong.
            CheckpointError: its backbone cannot be used.
            PayloadError: there is no labeling config.
        """
        key = self.store.resolve_project(ref or ProjectRef.parse(LOCAL_PROJECT))
        if label_config is None:
            label_config = self.store.label_config(key)
        if label_config is None:
            raise PayloadError(
                "label_config: missing, and no labeling config of this project is known yet"
            )
        project = ProjectModel.create(
            label_config,
            resources=self.resources,
            project=key,
            heads=self.store.heads(key),
        )
        try:
            project.check()
        except WeightsNotFoundError:
            model_paths = {control.model_path for control in project.controls if not control.skip}
            failed = want_weights(self.store, self.resources, model_paths)
            if failed is not None:
                raise WeightsNotFoundError(failed) from None
            raise
        return project

    def setup(self, ref: ProjectRef, label_config: str) -> str:
        """Note the project's labeling config; the model version that predicts now.

        Raises:
            ConfigError: the labeling config is wrong.
            CheckpointError: its backbone cannot be used.
        """
        project = self.project(ref, label_config)
        version = model_version(self.store, project)
        self.store.note_label_config(
            project.project, label_config, project.training_fingerprint(), updated_at=None
        )
        return version

    def record(self, event: WebhookEvent) -> None:
        """Keep what a webhook says, in one transaction."""
        if event.project is None:
            return  # an action that means nothing here
        self.store.record(event, training_fingerprint=self._training_fingerprint(event))

    def _training_fingerprint(self, event: WebhookEvent) -> str | None:
        """None where the config that came along cannot be used: /setup says why to a person."""
        if event.label_config is None or event.project is None:
            return None
        try:
            project = ProjectModel.create(
                event.label_config, resources=self.resources, project=event.project.key
            )
            return project.training_fingerprint()
        except (ConfigError, CheckpointError) as error:
            logger.warning("Project %s: %s", event.project.key, error)
            return None
