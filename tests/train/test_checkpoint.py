"""Checkpoints of one worker: what counts as whole, what a resume gives, what a failed save does."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from tests.train.stand_in import train_once
from truelead.config import TrainConfig
from truelead.data.storage import Folder
from truelead.errors import CheckpointError
from truelead.train import checkpoint, checkpoint_store
from truelead.train.checkpoint import AgreedCheckpointError
from truelead.train.checkpoint_store import DAMAGED, MANIFEST, MARKER, CheckpointStore
from truelead.train.progress import NOTICES

STEPS = 6
Train = Callable[..., dict[str, Any]]
pytestmark = pytest.mark.usefixtures("one_worker")


def train(folder: Path, **options: Any) -> dict[str, Any]:
    """Train the stand-in there, or go on with it."""
    told = {name: options.pop(name) for name in ("key", "optimizer") if name in options}
    config = TrainConfig(checkpoint_every=2, keep_checkpoints=3, in_process=True, **options)
    return train_once({"train": config, "folder": str(folder), "steps": STEPS, **told})


@pytest.fixture(scope="module")
def trained(
    process_group: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A finished training with its checkpoints of steps 2, 4 and 6; copy it before use."""
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.items():
        os.environ[name] = value
    folder = tmp_path_factory.mktemp("trained")
    return folder, train(folder)


@pytest.fixture
def run(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    shutil.copytree(trained[0], tmp_path / "run")
    return tmp_path / "run"


def _newest(run: Path) -> Path:
    store = CheckpointStore(run / "checkpoints")
    return run / "checkpoints" / str(store.marked()[0])


def _shard(folder: Path) -> Path:
    return next(folder.glob("shard-*.safetensors"))


def _truncate(folder: Path) -> None:
    shard = _shard(folder)
    shard.write_bytes(shard.read_bytes()[:-1])


def _flip(folder: Path) -> None:
    content = bytearray(_shard(folder).read_bytes())
    content[len(content) // 2] ^= 1
    _shard(folder).write_bytes(content)


def _swap(folder: Path) -> None:
    """The shard of the checkpoint before, as large and as sound."""
    before = sorted(folder.parent.glob("step_*"))[-2]
    shutil.copyfile(_shard(before), _shard(folder))


def _another_place(folder: Path) -> None:
    """The whole checkpoint before, in this one's place."""
    before = sorted(folder.parent.glob("step_*"))[-2]
    shutil.rmtree(folder)
    shutil.copytree(before, folder)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (_truncate, "bytes"),
    "flipped": (_flip, "SHA-256"),
    "missing": (lambda at: _shard(at).unlink(), "found none"),
    "swapped": (_swap, "SHA-256"),
    "in another's place": (_another_place, "found that of step_00000004"),
    "extra file": (lambda at: (at / "more").write_text("x"), "expected no such file"),
    "manifest changed": (
        lambda at: (at / MANIFEST).write_text((at / MANIFEST).read_text() + " "),
        "its marker",
    ),
    "marker changed": (lambda at: (at / MARKER).write_text("{"), "expected JSON"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_checkpoint_is_passed_over(
    run: Path, trained: tuple[Path, dict[str, Any]], damage: str
) -> None:
    newest = _newest(run)
    act, reason = DAMAGES[damage]
    act(newest)
    resumed = train(run)
    assert resumed["first"] == 4
    assert resumed["digest"] == trained[1]["digest"]
    notices = (run / NOTICES).read_text()
    assert str(newest) in notices
    assert reason in notices
    # The step saved again has a name of its own; the damaged one, which stood in for none, is gone.
    names = CheckpointStore(run / "checkpoints").names()
    assert [(name.step, name.attempt) for name in names] == [(6, 1), (4, 0), (2, 0)]


def test_a_damaged_checkpoint_set_aside_stays_until_a_newer_one_is_whole(run: Path) -> None:
    store = CheckpointStore(run / "checkpoints")
    newest, before, oldest = store.marked()
    store.set_aside(newest, "why")
    assert (run / "checkpoints" / str(newest) / DAMAGED).read_text() == "why\n"
    assert store.marked() == [before, oldest]
    store.remove_unfinished()
    store.prune(1)
    assert store.names() == [newest, before]


def test_without_its_marker_it_never_was(run: Path) -> None:
    newest = _newest(run)
    (newest / MARKER).unlink()
    assert train(run)["first"] == 4
    assert not newest.exists()
    assert not (run / NOTICES).exists()


def test_all_damaged_begins_anew(run: Path, trained: tuple[Path, dict[str, Any]]) -> None:
    for folder in (run / "checkpoints").glob("step_*"):
        _truncate(folder)
    resumed = train(run)
    assert (resumed["first"], resumed["digest"]) == (0, trained[1]["digest"])


def test_a_hostile_manifest_reaches_nothing_outside(run: Path) -> None:
    """Even one that fits its marker names files of the folder only, all of them and no others."""
    newest = _newest(run)
    manifest = json.loads((newest / MANIFEST).read_text())
    manifest["files"]["../../metrics.jsonl"] = {"sha256": "0" * 64, "bytes": 1}
    text = json.dumps(manifest)
    (newest / MANIFEST).write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    (newest / MARKER).write_text(json.dumps({"manifest_sha256": digest}))
    store = CheckpointStore(run / "checkpoints")
    with pytest.raises(CheckpointError, match="expected a file, found none"):
        store.verify(store.marked()[0])


def test_manifest_is_not_read_beyond_its_limit(run: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(checkpoint_store, "LARGEST_MANIFEST_BYTES", 100)
    store = CheckpointStore(run / "checkpoints")
    with pytest.raises(CheckpointError, match="expected at most 100 bytes"):
        store.verify(store.marked()[0])


def test_it_holds_no_pickle_and_no_frozen_parameter(run: Path) -> None:
    files = {path.name for path in _newest(run).iterdir()}
    shard = "shard-00000-of-00001.safetensors"
    assert files == {MANIFEST, MARKER, shard}
    with safe_open(_newest(run) / shard, framework="pt") as file:
        names = {key.split("|")[2] for key in file.keys()}  # noqa: SIM118
        kinds = {key.split("|")[0] for key in file.keys()}  # noqa: SIM118
    assert "head.weight" in names
    assert not any(name.startswith("frozen") for name in names)
    assert kinds == {"weight", "state.exp_avg", "state.exp_avg_sq"}


@pytest.mark.parametrize(
    ("optimizer", "dtype", "stage", "other"),
    [
        ("adamw", "float32", 0, 2),
        ("muon", "float32", 2, 3),
        ("muon", "bfloat16", 3, 1),
        ("adamw", "bfloat16", 1, 0),
    ],
)
def test_another_stage_of_zero_goes_on_where_one_left(
    tmp_path: Path, optimizer: str, dtype: str, stage: int, other: int
) -> None:
    options = {"optimizer": optimizer, "dtype": dtype}
    whole = train(tmp_path / "a", zero_stage=stage, **options)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    for run in (tmp_path / "a", tmp_path / "b"):
        shutil.rmtree(_newest(run))
    same = train(tmp_path / "a", zero_stage=stage, **options)
    assert (same["first"], same["digest"]) == (4, whole["digest"])
    changed = train(tmp_path / "b", zero_stage=other, **options)
    assert changed["first"] == 4
    tolerance = 1e-6 if dtype == "float32" else 2e-3
    assert changed["squares"] == pytest.approx(whole["squares"], rel=tolerance)


def test_checkpoint_of_another_configuration_is_refused(run: Path) -> None:
    with pytest.raises(AgreedCheckpointError, match="another's"):
        train(run, key="changed")


def test_another_shape_is_refused_by_name(run: Path) -> None:
    """The key of a stage rules this out; the reader says it all the same."""
    newest = _newest(run)
    shard = _shard(newest)
    with safe_open(shard, framework="pt") as file:
        metadata = json.loads(file.metadata()["truelead"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    metadata["shapes"]["head.weight"] = [16, 3]
    from safetensors.torch import save_file

    save_file(tensors, shard, metadata={"truelead": json.dumps(metadata)})
    content = shard.read_bytes()
    store = CheckpointStore(run / "checkpoints")
    name = store.marked()[0]
    manifest = json.loads((newest / MANIFEST).read_text())
    facts = {k: v for k, v in manifest.items() if k not in ("schema", "name", "files")}
    written = checkpoint_store.WrittenFile(hashlib.sha256(content).hexdigest(), len(content))
    store.finish(name, {shard.name: written}, facts)
    with pytest.raises(CheckpointError, match=r"head\.weight: expected shape \[3, 16\]"):
        train(run)


def test_saves_that_fail_cost_no_training_until_they_are_too_many(
    tmp_path: Path, trained: tuple[Path, dict[str, Any]], monkeypatch: Any
) -> None:
    write = checkpoint.write_shard

    def full(path: Path, snapshot: Any) -> None:
        path.write_bytes(b"a part of it")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(checkpoint, "write_shard", full)
    found = train(tmp_path, max_failed_saves=4)
    assert found["digest"] == trained[1]["digest"]
    notices = (tmp_path / NOTICES).read_text().splitlines()
    assert len(notices) == 3
    for step, line in zip((2, 4, 6), notices, strict=True):
        assert f"checkpoint of step {step} not saved: [Errno 28] No space left" in line
        assert line.endswith("training goes on, there is no good one yet")
    assert not list((tmp_path / "checkpoints").glob("step_*")), "nothing half-written is left"

    with pytest.raises(AgreedCheckpointError, match="2 in a row have failed"):
        train(tmp_path, max_failed_saves=2)
    assert not list((tmp_path / "checkpoints").glob("step_*"))
    monkeypatch.setattr(checkpoint, "write_shard", write)
    assert train(tmp_path)["digest"] == trained[1]["digest"]


def test_a_failed_save_leaves_the_good_one_before(
    tmp_path: Path, trained: tuple[Path, dict[str, Any]], monkeypatch: Any
) -> None:
    placed = Folder.placed

    def full(self: Folder, name: str) -> Any:
        if "step_00000004" in self.path and name == MANIFEST:
            raise OSError(errno.ENOSPC, "No space left on device")
        return placed(self, name)

    monkeypatch.setattr(Folder, "placed", full)
    found = train(tmp_path)
    assert found["digest"] == trained[1]["digest"]
    assert "step 4 not saved" in (tmp_path / NOTICES).read_text()
    assert [n.step for n in CheckpointStore(tmp_path / "checkpoints").names()] == [6, 2]


def test_a_fault_of_the_program_ends_the_training(tmp_path: Path, monkeypatch: Any) -> None:
    def wrong(*arguments: Any) -> None:
        raise ValueError("wrong")

    monkeypatch.setattr("truelead.train.checkpoint.write_shard", wrong)
    with pytest.raises(ValueError, match="wrong"):
        train(tmp_path)


def test_checkpoints_lie_where_the_url_says(
    tmp_path: Path, trained: tuple[Path, dict[str, Any]]
) -> None:
    """Any of fsspec's: here a folder in memory."""
    url = f"memory://{tmp_path.name}"
    first = train(tmp_path, checkpoints_url=url, key="of-a-stage")
    store = CheckpointStore(f"{url}/of-a-stage")
    assert [name.step for name in store.marked()] == [6, 4, 2]
    assert not (tmp_path / "checkpoints").exists()
    store.remove(store.marked()[0])
    folder = store.folder(store.marked()[0])
    shard = next(name for name in folder.names() if name.startswith("shard"))
    content = bytearray(folder.read(shard))
    content[-1] ^= 1
    folder.filesystem.pipe_file(f"{folder.path}/{shard}", bytes(content))
    again = train(tmp_path, checkpoints_url=url, key="of-a-stage")
    assert again["first"] == 2
    assert again["digest"] == first["digest"] == trained[1]["digest"]


def test_snapshot_is_a_copy(tmp_path: Path) -> None:
    from truelead.train.checkpoint_shard import Fragment, ShardReader, Snapshot, write_shard

    values = torch.arange(6.0)
    parts = [Fragment("a", "weight", 4, values[4:]), Fragment("a", "weight", 0, values[:4])]
    snapshots = [Snapshot([part], {"a": (2, 3)}).to_host() for part in parts]
    values.zero_()
    paths = [tmp_path / f"{n}.safetensors" for n in range(2)]
    for path, snapshot in zip(paths, snapshots, strict=True):
        write_shard(path, snapshot)
    with ShardReader(paths) as reader:
        assert reader.whole("a", "weight").tolist() == [[0, 1, 2], [3, 4, 5]]
        assert reader.read("a", "weight", 3, 2).tolist() == [3, 4]
    with pytest.raises(CheckpointError, match="expected element 0 next, found 4"):
        ShardReader(paths[:1])
    with pytest.raises(CheckpointError, match="expected 6 elements, found 4"):
        ShardReader(paths[1:])
    paths[0].write_bytes(b"no shard")
    with pytest.raises(CheckpointError, match="expected a shard"):
        ShardReader(paths)
