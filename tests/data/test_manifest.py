"""The manifest: what must be said when it is missing, damaged or of another version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from truelead.data.manifest import (
    MANIFEST_NAME,
    Manifest,
    Part,
    PlanSummary,
    content_digest,
    read_manifest,
    write_manifest,
)
from truelead.data.schema import SCHEMA_VERSION
from truelead.errors import DataError


@pytest.fixture
def manifest() -> Manifest:
    plan = PlanSummary(
        schema_version=SCHEMA_VERSION,
        sampling_rate=100,
        duration_seconds=10,
        samples=1000,
        records_per_shard=8,
        listed=0,
        records_sha256="",
    )
    digest = content_digest(plan, ())
    part = Part(plan=plan, digest=digest, accepted=0, rejected=0, sources=(), shards=())
    return Manifest(
        schema_version=SCHEMA_VERSION,
        digest=digest,
        parts=(part,),
        accepted=0,
        rejected=0,
        rejected_by_reason={},
        splits={},
        versions={},
    )


def edit(folder: Path, **changes: Any) -> None:
    path = folder / MANIFEST_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_round_trip(tmp_path: Path, manifest: Manifest) -> None:
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest


def test_another_schema_version(tmp_path: Path, manifest: Manifest) -> None:
    write_manifest(tmp_path, manifest)
    edit(tmp_path, schema_version=SCHEMA_VERSION + 1, of_the_future=True)
    expected = f"schema_version: expected {SCHEMA_VERSION}, found"
    newer = rf"{expected} {SCHEMA_VERSION + 1}: a newer TrueLead wrote it"
    with pytest.raises(DataError, match=newer):
        read_manifest(tmp_path)
    edit(tmp_path, schema_version=SCHEMA_VERSION - 1)
    with pytest.raises(DataError, match=f"{expected} {SCHEMA_VERSION - 1}: truelead migrate"):
        read_manifest(tmp_path)
    edit(tmp_path, schema_version="two")
    with pytest.raises(DataError, match=f"{expected} 'two': ingest anew"):
        read_manifest(tmp_path)


def test_missing_and_damaged(tmp_path: Path, manifest: Manifest) -> None:
    with pytest.raises(DataError, match=r"manifest.json: expected this file, found none"):
        read_manifest(tmp_path)
    write_manifest(tmp_path, manifest)
    edit(tmp_path, accepted="many")
    with pytest.raises(DataError, match="accepted: "):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST_NAME).write_text('{"schema_version": 1')
    with pytest.raises(DataError, match="expected JSON, found a damaged file"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST_NAME).write_text("[]")
    with pytest.raises(DataError, match="expected a JSON object"):
        read_manifest(tmp_path)
