"""The work of `timelinelabels annotate`."""

from collections.abc import Iterator

from rich.console import Console

from timelinelabels.cli.console import print_error, progress_bars
from timelinelabels.cli.side_by_side import Wanted, extracted
from timelinelabels.control_models.project_model import ProjectModel
from timelinelabels.errors import (
    ConfigError,
    LabelStudioError,
    LabelStudioRefusedError,
    LabelStudioUnreachableError,
    MediaError,
    TimelineLabelsError,
    TrainingError,
    VideoError,
)
from timelinelabels.labelstudio.api_records import PredictedTask
from timelinelabels.labelstudio.client import LabelStudioClient
from timelinelabels.labelstudio.placing import is_placed, place_prediction
from timelinelabels.runtime import build_resources, model_version, open_store
from timelinelabels.settings import Settings


def annotate_project(
    settings: Settings,
    client: LabelStudioClient,
    project_id: int,
    *,
    only_unlabeled: bool,
    console: Console,
) -> int:
    """Predict a project's tasks and write the predictions; how many tasks could not be predicted.

    Raises:
        LabelStudioError: Label Studio is away or refuses.
        ConfigError: the project's labeling config is wrong.
        TrainingError: nothing was learned yet, or something newer meanwhile.
    """
    project = client.project(project_id)
    resources, store = build_resources(settings, download_weights=True), open_store(settings)
    key = store.resolve_project(project.ref)
    model = ProjectModel.create(
        project.label_config, resources=resources, project=key, heads=store.heads(key)
    )
    model.check()
    if not model.predicts:
        raise TrainingError(
            f"Project {project_id} has no trained model in MODEL_ROOT={settings.model_root.resolve()}: "
            "annotate some of its tasks first while the backend is connected, and see that MODEL_ROOT "
            "and DATABASE_URL are the backend's"
        )
    version = model_version(store, model)
    ours = frozenset(record.text for record in store.versions(key))
    total = project.tasks - (project.annotated_tasks if only_unlabeled else 0)
    written = had = failed = 0

    def unpredicted() -> Iterator[Wanted[PredictedTask]]:
        nonlocal had, failed
        for task in client.tasks(project_id, only_unlabeled=only_unlabeled):
            if is_placed(task.predictions, version, ours):
                had += 1
                progress.advance(bar)
                continue
            try:
                sources = sorted(model.sources(task.data), key=str)
            except MediaError as error:
                failed += 1
                print_error(console, _of_task(task.id, error))
                progress.advance(bar)
                continue
            yield Wanted(item=task, name=f"Task {task.id}", sources=sources, task_id=str(task.id))

    with (
        progress_bars(console) as progress,
        extracted(resources, unpredicted(), progress) as results,
    ):
        bar = progress.add_task("Predicting", total=total, note=version)
        for want, features in results:
            task = want.item
            try:
                if isinstance(features, TimelineLabelsError):
                    raise features
                prediction = model.predict(task.data, features)
                if store.heads(key) != model.heads:
                    raise TrainingError(
                        f"A version newer than {version} was published meanwhile. Run the command again"
                    )
                if prediction is not None:
                    place_prediction(client, task.id, prediction, version, ours)
                    written += 1
            except (LabelStudioUnreachableError, LabelStudioRefusedError) as error:
                raise type(error)(f"{error}. Run the command again to go on") from None
            except (MediaError, VideoError, ConfigError, LabelStudioError) as error:
                failed += 1  # also of a task that was deleted meanwhile
                print_error(console, _of_task(task.id, error))
            progress.advance(bar)
    console.print(
        f"{version}: {written} predictions written, {had} were there, {failed} tasks failed"
    )
    return failed


def _of_task(task_id: int, error: TimelineLabelsError) -> TimelineLabelsError:
    return type(error)(f"task {task_id}: {error}")
