"""From settings to the objects that every shell needs; constructed once, passed down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from timelinelabels.control_models.resources import Backbones, Resources
from timelinelabels.features import FeatureStore
from timelinelabels.importing import collector_paused
from timelinelabels.labelstudio.media import MediaPolicy, MediaResolver
from timelinelabels.model_registry import ModelRegistry
from timelinelabels.processors import usable_processors
from timelinelabels.settings import GIB, Settings

if TYPE_CHECKING:
    from timelinelabels.control_models.project_model import ProjectModel
    from timelinelabels.labelstudio.client import LabelStudioClient
    from timelinelabels.store import Store


def build_resources(settings: Settings, *, download_weights: bool) -> Resources:
    """What the control models of this process share.

    Args:
        settings: of this process.
        download_weights: whether default weights may be downloaded here (never while a person waits).
    """
    key = settings.label_studio_api_key
    policy = MediaPolicy(
        media_roots=settings.media_roots,
        label_studio_url=settings.label_studio_url,
        api_key=key.get_secret_value() if key else None,
        allowed_hosts=settings.allowed_media_hosts,
        max_bytes=int(settings.max_media_gb * GIB),
        read_timeout=settings.media_timeout_seconds,
    )
    features = FeatureStore(
        settings.cache_dir,
        max_bytes=settings.cache_max_bytes,
        decode_on_gpu=settings.decode_on_gpu,
    )
    return Resources(
        backbones=Backbones(
            settings.model_root,
            allow_custom=settings.allow_custom_model_path,
            download=download_weights,
            memo=features.hashes,
            device=settings.device,
        ),
        features=features,
        registry=ModelRegistry(settings.model_root, keep=settings.keep_model_versions),
        media=MediaResolver(
            policy,
            settings.cache_dir / "media",
            max_bytes=int(settings.media_cache_max_gb * GIB),
        ),
        default_score_threshold=settings.model_score_threshold,
        max_training_seconds=settings.max_training_seconds,
    )


def prepare_computation(device: str = "cpu") -> None:
    """Import torch and set its threads for the whole process; an entry point calls it once.

    Args:
        device: DEVICE, in a process that will extract features: an error now is better than then.

    Raises:
        SettingsError: there is no such device.

    One thread for each network call, and several calls at a time: a call of many threads waits for
    the slowest at every layer, and on a busy machine that costs a factor of ten.
    """
    with collector_paused():
        import torch

    torch.set_num_threads(1)
    if device not in {"cpu", "auto"}:
        from timelinelabels.backbones.devices import chosen_device

        chosen_device(device)


def videos_at_once() -> int:
    """How many videos to extract side by side: one decoder feeds a few processors, not more.

    Two fill two processors better than one where videos are short (benchmarks/queue_of_clips.py); that
    four processors need another one is an estimate.
    """
    return max(2, usable_processors() // 4)


def label_studio_client(settings: Settings) -> LabelStudioClient | None:
    """Label Studio's API, where its address and a key are set."""
    url, key = settings.label_studio_url, settings.label_studio_api_key
    if url is None or key is None:
        return None
    from timelinelabels.labelstudio.client import LabelStudioClient

    return LabelStudioClient(url, key.get_secret_value())


def open_store(settings: Settings) -> Store:
    """The store, its schema brought up to date."""
    from timelinelabels.store import Store  # a quarter of a second

    settings.model_root.mkdir(parents=True, exist_ok=True)
    store = Store(settings.store_url)
    store.migrate()
    return store


def model_version(store: Store, project: ProjectModel) -> str:
    """The version that /setup and /predict report: fixed when first seen, the same in every process.

    It changes with whatever changes predictions: a new training, another config, other weights.
    """
    description = project.describe()
    if not project.predicts:
        return description
    return store.model_version(
        project.project,
        project.prediction_fingerprint(),
        lambda number: f"v{number} · {description}",
    )
