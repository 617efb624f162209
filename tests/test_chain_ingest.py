"""The stage ingest with shards and records that lie at a URL, and an append."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from truelead import chain
from truelead.config import Recipe, parse_recipe
from truelead.data.local_copy import local_copy
from truelead.data.store import ShardStore

pytestmark = pytest.mark.ray


def recipe(output: Path, **data: object) -> Recipe:
    tree = {"name": "here", "output": str(output), "data": {"records_per_shard": 16, **data}}
    return parse_recipe(tree)


def test_records_and_shards_at_urls(generated_set: Path, tmp_path: Path) -> None:
    """Set and shards behind a filesystem of fsspec; first some records, then all of them."""
    bucket = f"dir::file://{tmp_path}/bucket"
    # Through the filesystem itself, which knows where below its folder the path lies.
    filesystem, place = fsspec.core.url_to_fs(f"{bucket}/set")
    filesystem.makedirs(place.rsplit("/", 1)[0], exist_ok=True)
    filesystem.put(str(generated_set), place, recursive=True)
    remote = {"root": f"{bucket}/set", "shards_url": f"{bucket}/shards"}
    first = chain.ingest(recipe(tmp_path / "run", **remote, limit=20))
    assert (first.accepted, len(first.parts)) == (20, 1)
    grown = chain.ingest(recipe(tmp_path / "run", **remote), append=True)
    assert len(grown.parts) == 2
    store = ShardStore(tmp_path / "run" / "shards")
    assert store.manifest == grown
    assert not (tmp_path / "run" / "shards" / "plan.json").exists()
    whole = chain.ingest(recipe(tmp_path / "local", root=str(generated_set)))
    assert store.records == ShardStore(tmp_path / "local" / "shards").records
    assert whole.accepted == grown.accepted
    assert chain.migrate(f"{bucket}/shards") == grown
    assert local_copy(f"{bucket}/shards", tmp_path / "run" / "shards")
