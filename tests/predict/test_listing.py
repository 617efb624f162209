"""The listing: parts are fixed slices, and nothing is listed twice."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from truelead.errors import ConfigError, DataError
from truelead.predict.listing import is_stored, list_files, list_stored, read_list


def test_parts_of_shards_are_slices_across_shards(shard_folder: Path) -> None:
    assert is_stored([shard_folder])
    listing = list_stored(shard_folder)
    jobs = listing.parts(4, "plan")
    assert [(job.name, job.first, job.count) for job in jobs] == [
        ("predictions-00000.parquet", 0, 4),
        ("predictions-00001.parquet", 4, 4),
        ("predictions-00002.parquet", 8, 1),
    ]
    slices = [(rows.shard, rows.first, rows.count) for job in jobs for rows in job.stored]
    assert slices == [
        ("train-00000.parquet", 0, 3),
        ("train-00001.parquet", 0, 1),
        ("train-00001.parquet", 1, 2),
        ("train-00002.parquet", 0, 1),
        ("test-00000.parquet", 0, 1),
        ("test-00000.parquet", 1, 1),
    ]


def test_shards_by_split_and_limit(shard_folder: Path) -> None:
    assert len(list_stored(shard_folder, splits=["test"])) == 2
    assert len(list_stored(shard_folder, splits=["test"], limit=1)) == 1
    assert len(list_stored(shard_folder, limit=5)) == 5
    with pytest.raises(ConfigError, match="--split: expected one of train"):
        list_stored(shard_folder, splits=["tset"])
    with pytest.raises(DataError, match="found none"):
        list_stored(shard_folder, splits=["valid"])


def test_an_unfinished_ingest_is_no_folder_of_files(shard_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(shard_folder, tmp_path / "shards")
    (tmp_path / "shards" / "manifest.json").unlink()
    (tmp_path / "shards" / "plan.json").write_text("{}")
    assert is_stored([tmp_path / "shards"])
    with pytest.raises(DataError, match="resume the ingest"):
        list_stored(tmp_path / "shards")


def test_files_are_named_by_their_place_wherever_they_lie(ecg_folder: Path, tmp_path: Path) -> None:
    listing = list_files([ecg_folder])
    names = [file.record_id for file in listing.files]
    assert names == sorted(names)
    assert names[:3] == ["0/e00.hea", "0/e02.hea", "0/e04.edf"]
    assert len(names) == 12  # signal files belong to their headers
    moved = tmp_path / "moved"
    shutil.copytree(ecg_folder, moved)
    again = list_files([moved])
    assert again.sha256 == listing.sha256
    assert [job.digest for job in again.parts(5, "p")] == [
        job.digest for job in listing.parts(5, "p")
    ]
    signals = moved / "0" / "e00.dat"
    os.utime(signals, ns=(1, 1))
    assert list_files([moved]).sha256 != listing.sha256


def test_two_files_of_one_name_are_refused(ecg_folder: Path, tmp_path: Path) -> None:
    shutil.copy(ecg_folder / "1" / "e03.edf", tmp_path / "e03.edf")
    with pytest.raises(ConfigError, match="record_id: expected another"):
        list_files([ecg_folder / "1", tmp_path])


def test_a_list_names_files_beside_itself(ecg_folder: Path, tmp_path: Path) -> None:
    names = tmp_path / "list.txt"
    names.write_text(f"{ecg_folder / '1' / 'e03.edf'}\n\n{ecg_folder / '0' / 'e00'}\n")
    assert [file.record_id for file in list_files(read_list(names)).files] == ["e03.edf", "e00"]
    names.write_text("\n")
    with pytest.raises(ConfigError, match="one path a line"):
        read_list(names)


def test_nothing_to_list_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one ECG file"):
        list_files([tmp_path])
