"""The parts of a prediction through Ray Data: tasks read, actors answer and write.

Ray Data starts no more parts than it has room for in its object store, so memory stays bounded
whatever the size of the set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from truelead.data.ray_session import ensure_ray
from truelead.errors import DataError, ModelError, ResourceError
from truelead.predict.jobs import PartJob
from truelead.predict.part_answering import AnsweringRules, PartAnswerer
from truelead.predict.part_file import PartEntry
from truelead.predict.part_reading import ReadingRules, read_row

READING_CPUS = 1.0
"""CPUs that must be left beside the actors: without one Ray Data would wait for ever."""

READING_BYTES = 512 * 2**20
"""What a reader reserves for itself, and for each ECG of its part: 10 s at 500 Hz, as read and as
sent."""
READING_BYTES_PER_ECG = 2 * 12 * 5000 * 4


def written_parts(
    jobs: Sequence[PartJob],
    reading: ReadingRules,
    answering: AnsweringRules,
    *,
    actors: int,
    gpus_per_actor: float,
) -> Iterator[PartEntry]:
    """Entries of the jobs' parts as they are written, in any order.

    Raises:
        DataError: a shard is damaged, or a part cannot be written.
        ModelError: the model cannot be used.
        ResourceError: the cluster cannot hold the actors.
    """
    # A local session on a machine of one CPU still has room for a reader beside the actor.
    ensure_ray(cpus=max(os.cpu_count() or 1, 2))
    import ray
    import ray.data

    actors = min(actors, len(jobs))
    room = READING_BYTES + max(job.count for job in jobs) * READING_BYTES_PER_ECG
    check_resources(
        [node["Resources"] for node in ray.nodes() if node["Alive"]],
        actors=actors,
        cpus_per_actor=answering.threads,
        gpus_per_actor=gpus_per_actor,
        reading_bytes=room,
    )
    rows = [{"job": job.model_dump_json()} for job in jobs]
    # One block a part: a part is the unit of work, of retry and of progress.
    stream = ray.data.from_items(rows, override_num_blocks=len(rows))
    stream.context.enable_progress_bars = False
    # With a reservation of its own, reading stays apart from the actors: Ray Data would run tasks
    # that ask for the same inside them, one after the other.
    stream = stream.map(partial(read_row, rules=reading), num_cpus=READING_CPUS, memory=room).map(
        PartAnswerer,
        fn_constructor_args=(answering,),
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_cpus=answering.threads,
        num_gpus=gpus_per_actor or None,
    )
    for row in stream.iter_rows():
        yield entry_of(row)


def entry_of(row: Mapping[str, Any]) -> PartEntry:
    """The entry of a part in a row of `PartAnswerer`.

    Raises:
        DataError, ModelError: the row holds the fault that stopped the part.
    """
    if row["fault"]:
        raise (ModelError if row["of_model"] else DataError)(row["fault"])
    return PartEntry.model_validate_json(row["entry"])


def check_resources(
    nodes: Sequence[Mapping[str, Any]],
    *,
    actors: int,
    cpus_per_actor: int,
    gpus_per_actor: float,
    reading_bytes: int,
) -> None:
    """Check that the actors fit the nodes and leave a CPU to the readers.

    Args:
        nodes: total resources of each living node, as `ray.nodes()` counts them.
        reading_bytes: that one reader reserves.

    Raises:
        ResourceError: Ray would wait for ever; the message says what to change. A cluster that
            adds nodes when asked (TRUELEAD_AUTOSCALED=1) is not limited by what it has now.
    """
    if os.environ.get("TRUELEAD_AUTOSCALED") == "1":
        return
    cpus = sum(node.get("CPU", 0.0) for node in nodes)
    asked = f"{actors} actor(s) x {cpus_per_actor} CPU"
    if actors * cpus_per_actor + READING_CPUS > cpus:
        raise ResourceError(
            f"predict: {asked} leave {max(0.0, cpus - actors * cpus_per_actor):g} of {cpus:g} CPUs "
            f"to read ECGs, expected at least {READING_CPUS:g}: lower --actors or --threads"
        )
    memory = max((node.get("memory", 0.0) for node in nodes), default=0.0)
    if memory < reading_bytes:
        raise ResourceError(
            f"predict: expected a node with {reading_bytes / 2**20:.0f} MiB for a reader, found "
            f"{memory / 2**20:.0f} MiB at most: lower --part-size"
        )
    places = sum(
        min(
            int(node.get("CPU", 0.0) // cpus_per_actor),
            int((node.get("GPU", 0.0) + 1e-9) // gpus_per_actor) if gpus_per_actor else actors,
        )
        for node in nodes
    )
    if places < actors:
        gpus = sum(node.get("GPU", 0.0) for node in nodes)
        found = f"{cpus:g} CPUs and {gpus:g} GPUs"
        raise ResourceError(
            f"predict: expected room for {asked} and {gpus_per_actor:g} GPU each, found "
            f"{len(nodes)} node(s) with {found}: lower --actors, --threads or --gpus-per-actor"
        )
