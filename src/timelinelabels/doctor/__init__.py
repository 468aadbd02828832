"""What keeps a backend and a Label Studio from working together, found one by one.

Each check yields findings; a check whose basis is missing is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from timelinelabels.control_models.resources import Resources
from timelinelabels.doctor.connection import check_connection, check_webhook
from timelinelabels.doctor.findings import Finding, Verdict, fail, ok, worst
from timelinelabels.doctor.labeling import check_labeling
from timelinelabels.doctor.machine import check_backend, check_clock, check_disk, check_weights
from timelinelabels.errors import LabelStudioError
from timelinelabels.labelstudio.api_records import LabelStudioProject
from timelinelabels.labelstudio.client import LabelStudioClient
from timelinelabels.labelstudio.connecting import BasicAuth, refusal_help

__all__ = ["Doctor", "Finding", "Verdict", "worst"]


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Examines one backend, one Label Studio and, where it is named, one project."""

    client: LabelStudioClient
    resources: Resources
    # The backend's address as Label Studio reaches it.
    backend_url: str
    basic_auth: BasicAuth | None
    folders: tuple[Path, ...]
    project_id: int | None
    # Whether the webhook may be created or mended.
    fix: bool

    def examine(self) -> Iterator[Finding]:
        """All findings, as they are made."""
        yield from check_disk(self.folders)
        if self.project_id is None:  # else the project says which weights it needs
            yield check_weights(self.resources.backbones, None)
        yield check_backend(self.backend_url, self.basic_auth)
        try:
            yield ok(f"Label Studio {self.client.version()} answers at {self.client.url}")
            kind, user = self.client.access.kind, self.client.user()
            yield ok(f"It accepts the {kind} of {user}")
            yield from check_clock(self.client)
            if self.project_id is None:
                return
            project = self.client.project(self.project_id)
        except LabelStudioError as error:
            yield fail(str(error), "Nothing further can be checked before this is put right")
            return
        yield ok(f'Project {project.id} "{project.title}" has {project.tasks} tasks')
        for check in (self._connection, self._webhook, self._labeling):
            try:
                yield from check(project)
            except LabelStudioError as error:
                hint = refusal_help(str(error), self.backend_url)
                yield fail(str(error), hint or "Label Studio's own log says more")

    def _connection(self, project: LabelStudioProject) -> Iterator[Finding]:
        return check_connection(self.client, project, self.backend_url, self.basic_auth)

    def _webhook(self, project: LabelStudioProject) -> Iterator[Finding]:
        return check_webhook(self.client, project, self.backend_url, self.basic_auth, fix=self.fix)

    def _labeling(self, project: LabelStudioProject) -> Iterator[Finding]:
        return check_labeling(self.client, project, self.resources)
