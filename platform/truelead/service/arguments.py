"""The service's arguments, as serve/config.yaml and the command line give them."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from truelead.config import Frozen
from truelead.errors import ConfigError, ModelError
from truelead.service import limits
from truelead.service.access import Access, is_loopback, token_sha256
from truelead.service.wire_errors import first_line

TOKEN_VARIABLE = "TRUELEAD_TOKEN"  # noqa: S105  (a variable's name)


Origin = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.\-]+(:[0-9]{1,5})?$")]


AdapterName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}$")]
MOST_ADAPTERS = 64


class ReplicaArguments(Frozen):
    """How many copies of the model run."""

    minimum: int = Field(1, ge=1)
    maximum: int = Field(1, ge=1)
    target_ongoing_requests: float = Field(
        0.8, gt=0, description="calls (batches) that a replica has on average; more add one"
    )
    upscale_delay_seconds: float = Field(5.0, ge=0)
    downscale_delay_seconds: float = Field(60.0, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> ReplicaArguments:
        if self.maximum < self.minimum:
            raise ValueError("expected maximum >= minimum")
        return self


class BatchArguments(Frozen):
    """How questions that arrive together are answered together."""

    size: int = Field(16, ge=1, le=256)
    tokens: int = Field(16_384, ge=64, description="of the questions of one batch of a replica")
    wait_seconds: float = Field(0.01, ge=0, le=1)


class EncoderArguments(ReplicaArguments):
    """The ECG encoder as a deployment of its own, beside the language model's."""

    cpus_per_replica: float = Field(1.0, ge=0)
    gpus_per_replica: float = Field(0.0, ge=0, description="a fraction shares a GPU")


class DoorArguments(Frozen):
    """Where the ingress replicas listen themselves."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65_535)


class IngressArguments(ReplicaArguments):
    """How many processes read requests, and how much work they hand on at once."""

    target_ongoing_requests: float = Field(32.0, gt=0, description="a replica; more add one")
    calls_in_flight: int = Field(
        0, ge=0, description="batches that are with the replicas at once; 0: one a replica"
    )


class ServiceArguments(Frozen):
    """Everything that `truelead.service.application.build` takes."""

    model: Path = Path("runs/tiny/debiased/finetune")
    token_file: Path | None = Field(None, description="file with the bearer token, mode 0600")
    token_sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    replicas: ReplicaArguments = ReplicaArguments()
    batch: BatchArguments = BatchArguments()
    cpus_per_replica: float = Field(1.0, ge=0)
    gpus_per_replica: float = Field(0.0, ge=0, description="a fraction shares a GPU")
    threads_per_replica: int = Field(1, ge=1)
    maximum_ongoing_requests: int = Field(64, ge=1, description="a replica, in all its batches")
    maximum_queued_requests: int = Field(128, ge=1, description="more are answered 429")
    maximum_body_bytes: int = Field(limits.MAXIMUM_BODY_BYTES, ge=1024)
    timeout_seconds: float = Field(30.0, gt=0)
    cache_mebibytes: int = Field(256, ge=0, description="of ECGs' features, a replica")
    prefix_cache_mebibytes: int = Field(
        256, ge=0, description="of ECGs as the language model has read them, a replica"
    )
    known_mebibytes: int = Field(256, ge=0, description="of ECGs as they were sent, an ingress")
    reliance: bool = Field(True, description="whether answers come with their reliance")
    door: DoorArguments | None = Field(
        None, description="listen in the ingress replicas themselves, past Serve's proxy"
    )
    encoder: EncoderArguments | None = Field(
        None, description="a deployment of its own for the encoder"
    )
    ingress: IngressArguments = Field(default_factory=IngressArguments)
    allowed_origins: tuple[Origin, ...] = Field((), description="web pages that may ask")
    audit: Path | None = Field(None, description="folder for the digests of each answer")
    traces: bool = Field(False, description="OpenTelemetry spans, over OTLP")
    engine: Literal["transformers", "vllm"] = Field(
        "transformers", description="what runs the language model; vllm wants a GPU"
    )
    adapters: dict[AdapterName, Path] = Field(
        default_factory=dict,
        max_length=MOST_ADAPTERS,
        description="folders by name (`truelead export --served-adapter`), each of this model",
    )
    adapters_in_memory: int = Field(
        4, ge=1, le=MOST_ADAPTERS, description="of those asked last, a replica"
    )

    @model_validator(mode="after")
    def _one_token(self) -> ServiceArguments:
        if self.token_file is not None and self.token_sha256 is not None:
            raise ValueError("expected token_file or token_sha256, found both")
        if self.adapters and self.engine != "transformers":
            raise ValueError("expected engine: transformers with adapters")
        if self.door is not None and self.ingress.minimum != self.ingress.maximum:
            raise ValueError(
                "expected ingress.minimum = ingress.maximum with a door, past which Serve counts "
                "no requests"
            )
        return self

    @property
    def calls_in_flight(self) -> int:
        """Batches that an ingress has with the replicas at once."""
        return self.ingress.calls_in_flight or self.replicas.maximum


def parse_arguments(tree: Mapping[str, Any]) -> ServiceArguments:
    """Check the arguments; Serve itself lets unknown ones through.

    Raises:
        ConfigError: a key is unknown or a value does not fit; one line names it.
    """
    try:
        return ServiceArguments.model_validate(dict(tree))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        if first["type"] == "extra_forbidden":
            key = ".".join(map(str, first["loc"]))
            raise ConfigError(
                f"args: unknown key {key!r} (expected {', '.join(_keys(first['loc'][:-1]))})"
            ) from None
        raise ConfigError(f"args: {first_line([first], foreign=False)}") from None


def model_folder(arguments: ServiceArguments) -> Path:
    """The folder of the model, absolute, so that replicas elsewhere in the file system find it.

    Raises:
        ModelError: it holds no model.
    """
    folder = arguments.model.expanduser().resolve()
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder}: expected a model folder with config.json, found none (train one with "
            "`truelead run` or `make demo`, or name another)"
        )
    return folder


def access_rule(arguments: ServiceArguments) -> Access:
    """Who may ask: by the token of the arguments or of the environment's TRUELEAD_TOKEN.

    Raises:
        ConfigError: the token's file cannot be read, may be read by others, or is too short.
    """
    access = _access(arguments)
    door = arguments.door
    if door is not None and not access.token_sha256 and not is_loopback(door.host):
        raise ConfigError("args: door.host: expected 127.0.0.1, or a token to be reached by")
    return access


def _access(arguments: ServiceArguments) -> Access:
    if arguments.token_sha256 is not None:
        return Access(arguments.token_sha256)
    if arguments.token_file is not None:
        return Access(token_sha256(_read_token(arguments.token_file.expanduser())))
    token = os.environ.get(TOKEN_VARIABLE, "")
    return Access(token_sha256(token)) if token else Access()


def _read_token(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"token_file: expected a readable ASCII file at {path}, found {type(error).__name__}"
        ) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"token_file: expected {path} to be its owner's only (chmod 600)")
    return text


def _keys(location: tuple[int | str, ...]) -> list[str]:
    model: Any = ServiceArguments
    for part in location:
        model = model.model_fields[part].annotation
        # Of a part that may be left out, the one that is not None.
        model = next((one for one in get_args(model) if one is not type(None)), model)
    return list(model.model_fields)
