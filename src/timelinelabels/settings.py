"""The environment, read once by the entry points into one frozen `Settings`.

Every variable is a field here; `docs/configuration.md` lists them in one table, which a test keeps
complete. Nothing else of the package reads the environment.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from timelinelabels.errors import SettingsError

GIB = 1024**3


def _split(value: Any, separator: str) -> Any:
    """A list variable as a tuple of its non-empty items."""
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(separator) if item.strip())
    return value


class Settings(BaseSettings):
    """All settings; a field's name in capitals is the environment variable that sets it."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, protected_namespaces=()
    )

    model_root: Path = Field(
        default=Path("models"), description="Folder of weights and of the model versions learned."
    )
    cache_dir: Path = Field(
        default=Path("cache_dir"), description="Folder of cached features and downloaded media."
    )
    cache_max_gb: float = Field(
        default=50, gt=0, description="Features beyond this size are dropped, oldest use first."
    )
    database_url: str = Field(
        default="",
        description="SQLAlchemy URL of the store; default: store.sqlite3 in MODEL_ROOT.",
    )
    label_studio_url: str | None = Field(
        default=None, description="Label Studio's address as this machine reaches it."
    )
    label_studio_api_key: SecretStr | None = Field(
        default=None, description="Access token (legacy or personal) to read uploaded media."
    )
    push_predictions: bool = Field(
        default=True,
        description="Whether new predictions are written to Label Studio; needs its API key.",
    )
    media_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(), description="Colon-separated folders whose files tasks may name by path."
    )
    allowed_media_hosts: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(),
        description="Comma-separated hosts (or host:port) that media may be downloaded from.",
    )
    max_media_gb: float = Field(default=20, gt=0, description="Largest media file downloaded.")
    media_cache_max_gb: float = Field(
        default=50,
        gt=0,
        description="Downloaded media beyond this size are dropped, oldest use first.",
    )
    media_timeout_seconds: float = Field(
        default=30, gt=0, description="A download that delivers nothing for so long is given up."
    )
    model_score_threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Default of the attribute model_score_threshold; unset: 0.5; each learned "
        "label has its own, from held-out videos.",
    )
    max_training_seconds: float = Field(
        default=600, ge=1, description="A training ends with what it has after so long."
    )
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:(0|[1-9][0-9]{0,2}))?)$")] = Field(
        default="auto",
        description="What networks of frames run on: auto, cpu, cuda or cuda:1; auto: a GPU if any.",
    )
    decode_on_gpu: bool = Field(
        default=False,
        description="Whether a GPU that runs the networks of frames decodes their videos, too.",
    )
    allow_custom_model_path: bool = Field(
        default=True, description="Whether a labeling config may choose weights by model_path."
    )
    keep_model_versions: int = Field(
        default=10, ge=2, description="Model versions kept for each control of a project."
    )
    predict_wait_seconds: float = Field(
        default=20,
        ge=0,
        le=90,
        description="How long /predict waits for missing features before it answers [].",
    )
    basic_auth_user: str | None = Field(default=None, description="User name of Basic auth.")
    basic_auth_pass: SecretStr | None = Field(default=None, description="Password of Basic auth.")
    host: str = Field(default="0.0.0.0", description="Address that `serve` listens on.")  # noqa: S104
    port: int = Field(default=9090, ge=1, le=65535, description="Port that `serve` listens on.")
    web_threads: int = Field(default=32, ge=4, le=512, description="Threads that answer requests.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="DEBUG, INFO, WARNING or ERROR."
    )

    @field_validator("device", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("media_roots", mode="before")
    @classmethod
    def _colon_separated(cls, value: Any) -> Any:
        return _split(value, ":")

    @field_validator("allowed_media_hosts", mode="before")
    @classmethod
    def _comma_separated(cls, value: Any) -> Any:
        hosts = _split(value, ",")
        return frozenset(host.lower() for host in hosts) if isinstance(hosts, tuple) else hosts

    @field_validator("label_studio_url")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/") if value else value

    @model_validator(mode="after")
    def _auth_is_whole(self) -> "Settings":
        if (self.basic_auth_user is None) != (self.basic_auth_pass is None):
            raise ValueError("BASIC_AUTH_USER and BASIC_AUTH_PASS go together: set both or none")
        return self

    @property
    def store_url(self) -> str:
        """The database URL, with its default filled in."""
        return self.database_url or f"sqlite:///{self.model_root.resolve() / 'store.sqlite3'}"

    @property
    def pushes_predictions(self) -> bool:
        """Whether predictions are written to Label Studio: it is wanted, and there is a key."""
        key = self.label_studio_api_key
        return self.push_predictions and self.label_studio_url is not None and key is not None

    @property
    def cache_max_bytes(self) -> int:
        """CACHE_MAX_GB in bytes."""
        return int(self.cache_max_gb * GIB)


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process's environment.

    Args:
        overrides: fields given on the command line; they win over the environment.

    Raises:
        SettingsError: a variable's value is not accepted; the message names each such variable.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']).upper() or 'environment'}: {item['msg']}"
            for item in error.errors()
        )
        raise SettingsError(
            f"{problems}. The table of all settings is in docs/configuration.md."
        ) from None
