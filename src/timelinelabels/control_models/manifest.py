"""manifest.json of a model version: what is written into it, and what is read out of it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from timelinelabels.control_models.examples import LeftOut
    from timelinelabels.control_models.timeline_labels import TimelineLabelsModel
    from timelinelabels.model_registry import ModelVersion
    from timelinelabels.neural_nets import Fit
    from timelinelabels.training import TrainedHead
    from timelinelabels.training.champion import HeldOutVideo, Loss
    from timelinelabels.training.progressive import FirstSight

LONGEST_CURVE = 200  # points of the learning curve that a manifest takes along


def manifest_of(
    model: TimelineLabelsModel,
    trained: TrainedHead,
    left_out: Sequence[LeftOut],
    *,
    before: ModelVersion | None,
    sight: FirstSight | None,
    loss: Loss | None,
) -> dict[str, Any]:
    """What is to be known of a trained head; docs/reference/manifest.md tells it in words.

    Args:
        model: that learned.
        trained: what it learned.
        left_out: tasks that could not be learned from.
        before: the version that has predicted up to now.
        sight: how well that one did on the videos that are new.
        loss: by how much the new one is clearly worse, and therefore kept back.
    """
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "project": model.project,
        "control": model.config.name,
        **_taught(model),
        "learned_from": {
            "videos": len(trained.media),
            "annotations": trained.annotations,
            "frames": trained.frames,
            "media": list(trained.media),
            "left_out": [vars(item) for item in left_out],
        },
        "training": {
            kind: {
                **_fit(fit),
                "folds": [
                    {**_fit(fold), "f1": round(fold.scores.f1, 4)}
                    for fold in trained.fold_fits.get(kind, ())
                ],
            }
            for kind, fit in trained.fits.items()
        },
        "rules": {
            label: trained.head.rules[column].as_json()
            for label, column in trained.head.label_map.items()
        },
        "scores": {
            "measured_on": trained.measured_on,
            "held_out_videos": len(trained.held_out),
            **trained.scores.rounded(),
            "by_video": {
                media_hash: {"score": round(video.score, 4), "truth": video.truth}
                for media_hash, video in trained.held_out.items()
            },
        },
        "learning_curve": _curve(before, sight),
        "kept_back": None if loss is None or before is None else _kept_back(before, loss),
    }


def kept_back_for(manifest: Mapping[str, Any]) -> int | None:
    """Number of the version that goes on predicting in place of this one; None: this one predicts."""
    kept_back = manifest.get("kept_back")
    return int(kept_back["instead_of"]) if kept_back else None


def teaches_the_same(manifest: Mapping[str, Any], model: TimelineLabelsModel) -> bool:
    """Whether a version has the labels, the parameters and the backbone that a model learns with now."""
    return all(manifest.get(key) == value for key, value in _taught(model).items())


def learned_media(manifest: Mapping[str, Any]) -> frozenset[str]:
    """Media hashes of the videos that a version has learned from."""
    return frozenset(manifest["learned_from"].get("media", ()))


def considered_media(manifest: Mapping[str, Any]) -> frozenset[str]:
    """Media hashes of the videos that a version has learned from, or left out though they were there."""
    left_out = (item.get("media") for item in manifest["learned_from"].get("left_out", ()))
    return learned_media(manifest) | frozenset(media for media in left_out if media)


def held_out_of(manifest: Mapping[str, Any]) -> dict[str, HeldOutVideo]:
    """Media hash → how well a version was scored on the video while it was held out."""
    from timelinelabels.training.champion import HeldOutVideo

    return {
        media_hash: HeldOutVideo(score=video["score"], truth=video["truth"])
        for media_hash, video in manifest["scores"]["by_video"].items()
        if isinstance(video, Mapping)  # earlier manifests tell no truth
    }


def _taught(model: TimelineLabelsModel) -> dict[str, Any]:
    backbone = model.backbone
    return {
        "labels": list(model.label_map),
        "backbone": {"name": backbone.name, "fingerprint": backbone.fingerprint},
        "parameters": {
            **vars(model.config.classifier),
            "sample_fps": str(model.config.sample_fps or "every frame"),
            "unlabeled": "ignore" if model.config.ignores_unlabeled else "background",
        },
    }


def _curve(before: ModelVersion | None, sight: FirstSight | None) -> list[dict[str, Any]]:
    """The points of the version before, and one more where it met new videos."""
    if before is None:
        return []
    curve = list(before.manifest.get("learning_curve", ()))
    if sight is not None:
        point = {
            "version": before.number,
            "learned_videos": before.manifest["learned_from"]["videos"],
            "new_videos": sight.videos,
            "frame_f1": round(sight.frame_f1, 4),
            "score": round(sight.score, 4),
        }
        curve.append(point)
    return curve[-LONGEST_CURVE:]


def _kept_back(before: ModelVersion, loss: Loss) -> dict[str, Any]:
    return {
        "instead_of": before.number,
        "videos": loss.videos,
        "score_before": round(loss.score_before, 4),
        "score": round(loss.score, 4),
    }


def _fit(fit: Fit) -> dict[str, Any]:
    return {"epochs": fit.epochs, "updates": fit.updates, "stopped_by": fit.stopped_by}
