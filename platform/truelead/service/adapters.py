"""The adapters of a service: which there are, and what is said of each before it is loaded."""

from __future__ import annotations

from pathlib import Path

from truelead.errors import ConfigError
from truelead.model.adapter_folder import AdapterManifest, read_adapter_manifest
from truelead.model.provenance import model_name, weights_sha256
from truelead.model.reliance_threshold import RelianceThreshold
from truelead.service.arguments import ServiceArguments
from truelead.service.wire import ModelDescription


def adapter_folders(arguments: ServiceArguments, base: Path) -> dict[str, str]:
    """The folders by name, absolute; each has been seen to hold an adapter of the base.

    Only the manifests are read: the files that they name are checked when they are loaded.

    Raises:
        ConfigError: an adapter is called as the base is.
        ModelError: a folder holds no adapter, or one of another base or format.
    """
    if not arguments.adapters:
        return {}
    digest, own_name = weights_sha256(base), model_name(base)
    folders: dict[str, str] = {}
    for name, path in arguments.adapters.items():
        if name == own_name:
            raise ConfigError(f"args: adapters: {name}: expected another name than the model's own")
        folder = path.expanduser().resolve()
        read_adapter_manifest(folder, digest)
        folders[name] = str(folder)
    return folders


def describe_adapter(
    name: str,
    manifest: AdapterManifest,
    base: ModelDescription,
    threshold: RelianceThreshold | None,
) -> ModelDescription:
    """What the service says of base and adapter together.

    Args:
        name: that the service knows it by.
        threshold: that its reliance is calibrated with, None where it is not.
    """
    return ModelDescription(
        name=name,
        digest=manifest.weights,
        data_digest=manifest.data,
        parameters=manifest.parameters,
        sampling_rate=base.sampling_rate,
        seconds=base.seconds,
        created=manifest.created,
        reliance_calibrated=threshold is not None,
        false_alarm_rate=None if threshold is None else threshold.false_alarm_rate,
        base_digest=manifest.base,
    )
