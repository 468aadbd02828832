"""The story of a project by mouse; the steps build on each other.

Screenshots are kept in e2e-output/: docs/tutorial.md shows them.
"""

from dataclasses import dataclass
from typing import Any

import pytest

from e2e.backend import Backend
from e2e.browser import Annotator
from e2e.label_studio import Api, eventually
from e2e.story import LABELS, label_config, outstanding, requests_answered
from timelinelabels.demo.scene import Scene

NEW_LABEL = "Goal"


@dataclass
class Story:
    """A project on its way."""

    person: Annotator
    api: Api
    backend: Backend
    project: int
    tasks: list[int]
    clips: list[Scene]

    def versions(self) -> list[str]:
        (ml,) = self.api("GET", f"/api/ml?project={self.project}")
        return self.api("GET", f"/api/ml/{ml['id']}/versions")["versions"]

    def annotations(self, number: int) -> list[dict[str, Any]]:
        return self.api("GET", f"/api/tasks/{self.tasks[number]}/annotations/")

    def learned(self, videos: int, *, after: str) -> str:
        """The newest version, once it is another one, of so many videos, and no training is due."""

        def fits() -> str:
            version = next(iter(self.versions()), "")
            new = version != after and f" {videos} videos " in version
            return version if new and not outstanding(self.backend.url) else ""

        return eventually(fits)

    def versions_of(self, task: int) -> list[str]:
        return [prediction["model_version"] for prediction in self.api.predictions(task)]


@pytest.fixture(scope="module")
def story(annotator: Annotator, api: Api, served: Backend, clips: list[Scene]) -> Story:
    project = api.project("Football", label_config())
    for clip in clips:
        api.upload(project, clip.path)
    tasks = [task["id"] for task in api.tasks(project)]
    return Story(annotator, api, served, project, tasks, clips)


def stored_bars(annotation: dict[str, Any]) -> list[tuple[str, int, int]]:
    """(Label, first frame, last frame) of each region."""
    return sorted(
        (region["value"]["timelinelabels"][0], span["start"], span["end"])
        for region in annotation["result"]
        for span in region["value"]["ranges"]
    )


def test_a_person_connects_the_model(story: Story) -> None:
    story.person.log_in()
    story.person.connect_model(story.project, story.backend.url)
    story.person.page.get_by_text("Connected", exact=True).wait_for()
    story.person.picture("model-connected")
    assert not story.person.errors()


def test_an_untrained_task_opens_without_error(story: Story) -> None:
    story.person.open_task(story.project, story.tasks[0])
    assert story.person.timeline() == []
    assert not story.person.errors()
    assert story.api.predictions(story.tasks[0]) == []
    story.person.picture("untrained")


def test_a_person_draws_and_submits(story: Story) -> None:
    person, task, clip = story.person, story.tasks[0], story.clips[0]
    person.open_task(story.project, task)
    drawn = sorted((label, *span) for label, spans in clip.truth.items() for span in spans)
    for label, start, end in drawn:
        person.draw(label, start, end)
    assert eventually(person.timeline) == drawn
    person.picture("drawn")
    person.submit()
    (annotation,) = story.annotations(0)
    assert stored_bars(annotation) == drawn


def test_an_unlabelled_task_opens_with_regions_at_the_right_frames(story: Story) -> None:
    for number in (1, 2):  # others annotate, too
        story.api.annotate(story.tasks[number], story.clips[number].annotation_result())
    newest = story.learned(3, after="")

    def opened() -> list[tuple[str, int, int]]:
        there = story.versions_of(story.tasks[3])
        if there and newest not in there:
            return []  # what was learned from fewer videos is about to be replaced
        # A person who finds no regions yet, because they are still in the making, looks again.
        story.person.open_task(story.project, story.tasks[3])
        story.person.page.wait_for_timeout(3000)
        return story.person.timeline()

    bars = eventually(opened, 90)
    story.person.picture("predicted")
    truth = story.clips[3].truth
    for label in LABELS:
        (start, end), found = truth[label][0], [bar for bar in bars if bar[0] == label]
        # The longest bar of each label is where the label is, to three frames.
        _, first, last = max(found, key=lambda bar: bar[2] - bar[1])
        assert abs(first - start) <= 3, bars
        assert abs(last - end) <= 3, bars


def test_an_accepted_prediction_is_learned(story: Story) -> None:
    story.person.submit()
    eventually(lambda: any(" 4 videos " in text for text in story.versions()))


def test_a_person_asks_for_predictions_of_all_tasks(story: Story) -> None:
    story.person.predict_all(story.project)
    newest = story.versions()[0]
    eventually(lambda: all(newest in story.versions_of(task) for task in story.tasks), 60)
    story.person.open_data_manager(story.project)
    story.person.picture("data-manager")


def test_a_skipped_task_teaches_nothing(story: Story) -> None:
    before = story.learned(4, after="")
    heard = requests_answered(story.backend.url, "/webhook")["total"]
    skipped = story.person.skip_next(story.project)
    assert skipped == story.tasks[4]  # the only one that nobody has annotated
    assert story.api.tasks(story.project)[4]["cancelled_annotations"] == 1
    eventually(lambda: requests_answered(story.backend.url, "/webhook")["total"] > heard)
    assert story.learned(4, after="") == before


def test_an_annotation_that_a_person_updates_is_learned_anew(story: Story) -> None:
    before = story.learned(4, after="")
    story.person.open_annotation(story.project, story.tasks[0])
    bars = eventually(story.person.timeline)
    story.person.draw(LABELS[1], 2, 5)
    added = sorted([*bars, (LABELS[1], 2, 5)])
    eventually(lambda: story.person.timeline() == added)
    story.person.update()
    (annotation,) = story.annotations(0)
    assert stored_bars(annotation) == added
    story.learned(4, after=before)


def test_an_annotation_that_a_person_deletes_is_forgotten(story: Story) -> None:
    before = story.learned(4, after="")
    story.person.open_annotation(story.project, story.tasks[0])
    story.person.delete_annotation()
    assert story.annotations(0) == []
    story.learned(3, after=before)


def test_a_label_that_a_person_adds_is_drawn_and_learned(story: Story) -> None:
    before = story.learned(3, after="")
    story.person.add_label(story.project, NEW_LABEL)
    config = story.api("GET", f"/api/projects/{story.project}")["label_config"]
    assert f'value="{NEW_LABEL}"' in config
    changed = story.learned(3, after=before)
    story.person.open_annotation(story.project, story.tasks[1])
    eventually(story.person.timeline)
    story.person.draw(NEW_LABEL, 2, 5)
    story.person.update()
    (annotation,) = story.annotations(1)
    assert (NEW_LABEL, 2, 5) in stored_bars(annotation)
    story.learned(3, after=changed)


def test_a_person_starts_a_training(story: Story) -> None:
    before = story.learned(3, after="")
    story.person.start_training(story.project)
    story.person.picture("start-training")
    story.learned(3, after=before)


def test_a_wrong_config_is_told_in_our_words_on_the_model_page(story: Story) -> None:
    wrong = label_config(attributes='model_trainable="true" model_clasifier_epochs="3"')
    project = story.api.project("A typing error", wrong)
    story.person.connect_model(project, story.backend.url)
    told = story.person.page.get_by_text("the nearest known one is model_classifier_epochs")
    told.first.wait_for()
    story.person.picture("wrong-config")


def test_a_config_that_turns_wrong_later_is_told_there_too(story: Story) -> None:
    wrong = label_config(attributes='model_trainable="true" model_score_threshold="high"')
    story.api("PATCH", f"/api/projects/{story.project}", {"label_config": wrong})
    story.person.open_model_page(story.project)
    story.person.page.get_by_text("Error", exact=True).wait_for()
    # Label Studio keeps why, and says it where the connection is looked at.
    story.person.validate_model(story.project)
    told = story.person.page.get_by_text('model_score_threshold="high"')
    told.first.wait_for()
    story.person.picture("config-turned-wrong")
