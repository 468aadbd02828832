"""Every error that timelinelabels raises on purpose.

::

    TimelineLabelsError
    ├── ConfigError                      the labeling config is wrong (HTTP 422)
    ├── SettingsError                    an environment variable is wrong
    ├── PayloadError                     a request or an export is not Label Studio's (HTTP 400)
    ├── MediaError                       the file behind a task cannot be had
    │   ├── MediaNotFoundError           it does not exist
    │   ├── MediaForbiddenError          the policy (MEDIA_ROOTS, ALLOWED_MEDIA_HOSTS) does not admit it
    │   ├── MediaTooLargeError           it is larger than MAX_MEDIA_GB
    │   └── DownloadError                the server did not deliver it
    ├── LabelStudioError                 Label Studio's API did not do what was asked
    │   ├── LabelStudioUnreachableError  it does not answer, or not in time
    │   ├── LabelStudioRefusedError      it does not accept the token, or forbids it this
    │   └── LabelStudioNotFoundError     it has no such thing, or none that the token may see
    ├── VideoError                       the file is there and is not a readable video
    │   └── NoVideoStreamError           audio only, an image-less container
    ├── CheckpointError                  a weights file cannot be used
    │   ├── WeightsNotFoundError         it is not there, or not yet
    │   │   └── UnknownWeightsError      nor does anybody publish it: model_path is wrong (HTTP 422)
    │   ├── WeightsForbiddenError        it is outside MODEL_ROOT, or custom weights are switched off
    │   ├── UnsafeCheckpointError        its pickle asks for something that a checkpoint never needs
    │   └── NotAClassificationCheckpointError   it holds a detector, a plain dict of tensors, …
    ├── DeviceMemoryError                a network has no memory for a single frame
    ├── FeatureStoreError                the cache folder cannot be written or read
    ├── ModelRegistryError               a model version cannot be written or read
    ├── TrainingError                    there is nothing to learn from
    ├── StoreError                       the database cannot be used
    └── AlreadyRunningError              another process owns the folders or the port

Messages say what is wrong, where, what is accepted, and what to do. `TimelineLabelsError.http_status`
is what the server answers when such an error reaches it.
"""


class TimelineLabelsError(Exception):
    """Base of every error raised on purpose; its message is meant for a person."""

    http_status = 500


class ConfigError(TimelineLabelsError):
    """The labeling config is wrong; names the control, the attribute and what is accepted."""

    http_status = 422


class SettingsError(TimelineLabelsError):
    """An environment variable has a value that is not accepted."""


class PayloadError(TimelineLabelsError):
    """A request body or an export file is not what Label Studio sends."""

    http_status = 400


class MediaError(TimelineLabelsError):
    """The media file behind a task cannot be had; names the source and the reason."""


class MediaNotFoundError(MediaError):
    """The media file does not exist."""


class MediaForbiddenError(MediaError):
    """The media policy does not admit the source."""


class MediaTooLargeError(MediaError):
    """The media file is larger than the limit."""


class DownloadError(MediaError):
    """The server that holds the media file did not deliver it."""


class LabelStudioError(TimelineLabelsError):
    """Label Studio's API did not do what was asked; names what was asked and what came back."""


class LabelStudioUnreachableError(LabelStudioError):
    """Label Studio does not answer, not in time, or with an error of its own (5xx)."""


class LabelStudioRefusedError(LabelStudioError):
    """Label Studio does not accept the token, or the token's user may not do this."""


class LabelStudioNotFoundError(LabelStudioError):
    """Label Studio has no such thing, or none that the token's user may see."""


class VideoError(TimelineLabelsError):
    """The file is not a video that can be read; names the file and the reason."""


class NoVideoStreamError(VideoError):
    """The file has no video stream (audio only)."""


class CheckpointError(TimelineLabelsError):
    """A weights file cannot be used as a backbone."""


class WeightsNotFoundError(CheckpointError):
    """The weights are not there: not downloaded yet, or not to be had from here."""


class UnknownWeightsError(WeightsNotFoundError):
    """The labeling config names weights that are not there and that Ultralytics does not publish."""

    http_status = 422


class WeightsForbiddenError(CheckpointError):
    """The weights lie outside MODEL_ROOT, or custom weights are switched off."""

    http_status = 422


class UnsafeCheckpointError(CheckpointError):
    """The pickle of the checkpoint asks for something that a checkpoint never needs."""

    http_status = 422


class NotAClassificationCheckpointError(CheckpointError):
    """The file is a checkpoint of another task, or not a YOLO checkpoint at all."""

    http_status = 422


class DeviceMemoryError(TimelineLabelsError):
    """What a network runs on has no memory for a single frame."""


class FeatureStoreError(TimelineLabelsError):
    """The feature cache cannot be written or read."""


class ModelRegistryError(TimelineLabelsError):
    """A model version cannot be written or read."""


class TrainingError(TimelineLabelsError):
    """There is nothing to learn from."""


class StoreError(TimelineLabelsError):
    """The database cannot be used."""


class AlreadyRunningError(TimelineLabelsError):
    """Another process already owns the folders or the port."""
