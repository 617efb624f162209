"""Ray Serve's application: an ingress that checks requests, and the model in its replicas.

`serve run serve/config.yaml` and `truelead.service.run` both call `build`.
"""

from __future__ import annotations

from typing import Any

from ray import serve
from ray.serve import Application

from truelead.service.adapters import adapter_folders
from truelead.service.arguments import (
    EncoderArguments,
    ReplicaArguments,
    ServiceArguments,
    access_rule,
    model_folder,
    parse_arguments,
)
from truelead.service.batcher import BatchBounds
from truelead.service.encoder_replica import EncoderReplica
from truelead.service.ingress import api_builder
from truelead.service.model_replica import HeldModel, ModelReplica

MODEL, ENCODER, INGRESS = "Model", "Encoder", "Ingress"


def build(args: dict[str, Any]) -> Application:
    """The application, from the `args` of serve/config.yaml.

    Raises:
        ConfigError: an argument is unknown or does not fit, or the token cannot be used.
        ModelError: the model's folder holds no model; an adapter's folder holds none of it.
    """
    arguments = parse_arguments(args)
    folder = model_folder(arguments)
    access = access_rule(arguments)
    model = _model_deployment(arguments).bind(
        str(folder),
        threads=arguments.threads_per_replica,
        batch_size=arguments.batch.size,
        batch_tokens=arguments.batch.tokens,
        cache_bytes=arguments.cache_mebibytes * 2**20,
        prefix_cache_bytes=arguments.prefix_cache_mebibytes * 2**20,
        with_reliance=arguments.reliance,
        engine=arguments.engine,
        adapters=adapter_folders(arguments, folder),
        adapters_in_memory=arguments.adapters_in_memory,
    )
    in_flight = (
        arguments.maximum_queued_requests
        + arguments.replicas.maximum * arguments.maximum_ongoing_requests
    )

    make_api = api_builder(
        MODEL,
        access,
        timeout_seconds=arguments.timeout_seconds,
        maximum_body_bytes=arguments.maximum_body_bytes,
        maximum_in_flight=in_flight,
        allowed_origins=arguments.allowed_origins,
        audit=None if arguments.audit is None else str(arguments.audit.expanduser().resolve()),
        bounds=BatchBounds(
            size=arguments.batch.size,
            wait_seconds=arguments.batch.wait_seconds,
            at_once=arguments.calls_in_flight,
            waiting=arguments.maximum_queued_requests,
        ),
        known_bytes=arguments.known_mebibytes * 2**20,
        traces=arguments.traces,
        encoder=None if arguments.encoder is None else ENCODER,
        door=None if arguments.door is None else (arguments.door.host, arguments.door.port),
    )
    ingress = serve.deployment(
        serve.ingress(make_api)(),
        name=INGRESS,
        autoscaling_config=_autoscaling(arguments.ingress),
        # The gate itself answers 429, so Serve must let through what it is to refuse.
        max_ongoing_requests=2 * in_flight,
        max_queued_requests=in_flight,
        ray_actor_options={"num_cpus": 0.1},
        # The new ones are there before the old ones go.
        max_surge_percent=100,
        # An open door answers what it has been asked before it closes.
        graceful_shutdown_timeout_s=30,
        graceful_shutdown_wait_loop_s=0.5,
    )
    if arguments.encoder is None:
        return ingress.bind(model)
    return ingress.bind(model, _encoder_deployment(arguments, arguments.encoder, str(folder)))


def _model_deployment(arguments: ServiceArguments) -> serve.Deployment:
    kind = _multiplexed(arguments.adapters_in_memory) if arguments.adapters else ModelReplica
    return serve.deployment(
        kind,
        name=MODEL,
        autoscaling_config=_autoscaling(arguments.replicas),
        max_ongoing_requests=arguments.maximum_ongoing_requests,
        max_queued_requests=arguments.maximum_queued_requests,
        ray_actor_options={
            "num_cpus": arguments.cpus_per_replica,
            "num_gpus": arguments.gpus_per_replica,
        },
        max_surge_percent=100,
        health_check_period_s=5,
        health_check_timeout_s=30,
        graceful_shutdown_timeout_s=10,
        graceful_shutdown_wait_loop_s=0.5,
    )


def _multiplexed(in_memory: int) -> type[ModelReplica]:
    """A replica that keeps the adapters asked last, and tells Serve which, to be sent their calls.

    Serve loads one at a time, once however many ask, and lets go the one not asked for longest.
    """

    class MultiplexedReplica(ModelReplica):
        @serve.multiplexed(max_num_models_per_replica=in_memory)
        async def load_adapter(self, name: str) -> HeldModel:
            return await ModelReplica.load_adapter(self, name)

    return MultiplexedReplica


def _encoder_deployment(
    arguments: ServiceArguments, encoder: EncoderArguments, folder: str
) -> Application:
    deployment = serve.deployment(
        EncoderReplica,
        name=ENCODER,
        autoscaling_config=_autoscaling(encoder),
        max_ongoing_requests=arguments.maximum_ongoing_requests,
        max_queued_requests=arguments.maximum_queued_requests,
        ray_actor_options={
            "num_cpus": encoder.cpus_per_replica,
            "num_gpus": encoder.gpus_per_replica,
        },
        max_surge_percent=100,
        health_check_period_s=5,
        health_check_timeout_s=30,
        graceful_shutdown_timeout_s=10,
        graceful_shutdown_wait_loop_s=0.5,
    )
    return deployment.bind(
        folder, threads=arguments.threads_per_replica, batch_size=arguments.batch.size
    )


def _autoscaling(replicas: ReplicaArguments) -> dict[str, Any]:
    return {
        "min_replicas": replicas.minimum,
        "max_replicas": replicas.maximum,
        "target_ongoing_requests": replicas.target_ongoing_requests,
        "upscale_delay_s": replicas.upscale_delay_seconds,
        "downscale_delay_s": replicas.downscale_delay_seconds,
        # How often replicas tell how busy they are, so that short delays can be kept.
        "metrics_interval_s": max(0.1, min(10.0, replicas.upscale_delay_seconds / 2)),
        "look_back_period_s": max(0.2, min(30.0, replicas.upscale_delay_seconds)),
    }
