"""Datasets of an HDF5 file of a stranger: found over hard links alone, checked, read in part.

HDF5 File Format Specification, The HDF Group. A link to another file, external storage, a virtual
dataset or a filter that would load a plug-in is refused; sizes are compared with the file's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truelead.errors import RecordTooLarge, TruncatedSignal, UnsupportedFormat

MAXIMUM_OBJECTS = 1_000
MAXIMUM_DEPTH = 8
MAXIMUM_CHUNK_BYTES = 256 * 2**20
MAXIMUM_CHUNKS = 4_096
# Gzip, shuffle, Fletcher's checksum, scale-offset and LZF, all part of HDF5 or of h5py itself.
_FILTERS = frozenset((1, 2, 3, 6, 32_000))


def hard_linked(group: Any, name: str) -> Any | None:
    """The member of a group, None where it has none or one that is no hard link."""
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return None
    return group[name]


def dataset_at(root: Any, name: str) -> Any | None:
    """The dataset of that path, None where there is none over hard links."""
    import h5py

    found = root
    for part in filter(None, name.split("/")):
        found = hard_linked(found, part) if isinstance(found, h5py.Group) else None
        if found is None:
            return None
    return found if isinstance(found, h5py.Dataset) else None


def datasets(root: Any, *, path: Path) -> list[Any]:
    """All datasets that are reached over hard links.

    Raises:
        RecordTooLarge: more members, or deeper groups, than any ECG needs.
    """
    found = []
    for count, member in enumerate(_members(root, 0, path)):
        if count >= MAXIMUM_OBJECTS:
            raise RecordTooLarge(
                path, field="members", expected=f"at most {MAXIMUM_OBJECTS} groups and datasets"
            )
        if member is not None:
            found.append(member)
    return found


def _members(group: Any, depth: int, path: Path) -> Iterator[Any]:
    """Each dataset, and None for each other member, so that all can be counted."""
    import h5py

    if depth > MAXIMUM_DEPTH:
        raise RecordTooLarge(path, field="groups", expected=f"at most {MAXIMUM_DEPTH} levels")
    for name in group:
        member = hard_linked(group, name)
        if isinstance(member, h5py.Dataset):
            yield member
            continue
        yield None
        if isinstance(member, h5py.Group):
            yield from _members(member, depth + 1, path)


def read_part(dataset: Any, index: int | None, *, path: Path, file_bytes: int) -> NDArray[Any]:
    """All of a dataset, or one element of its first axis; only that much is read.

    The caller has checked type and shape.

    Raises:
        UnsupportedFormat: the samples lie outside the file or behind a foreign filter.
        RecordTooLarge: a chunk is larger than the limit, or there are too many of them.
        TruncatedSignal: samples were never written, or the file ends before them.
    """
    if dataset.external or dataset.is_virtual:
        raise UnsupportedFormat(path, field="dataset", expected="samples inside the file")
    plist = dataset.id.get_create_plist()
    filters = {plist.get_filter(number)[0] for number in range(plist.get_nfilters())}
    if not filters <= _FILTERS:
        raise UnsupportedFormat(
            path, field="dataset", expected="no compression, gzip, LZF or scale-offset"
        )
    if dataset.chunks is None:
        _check_contiguous(dataset, path, file_bytes)
    else:
        _check_chunks(dataset, index, path, file_bytes)
    part = dataset[()] if index is None else dataset[index]
    return np.asarray(part)


def _check_contiguous(dataset: Any, path: Path, file_bytes: int) -> None:
    needed = math.prod(dataset.shape) * dataset.dtype.itemsize
    offset = dataset.id.get_offset()
    # Compact data has no offset: it lies in the header.
    end = needed if offset is None else offset + needed
    if dataset.id.get_storage_size() < needed or end > file_bytes:
        raise TruncatedSignal(
            path, field="dataset", expected=f"{needed} bytes of samples", found="fewer"
        )


def _check_chunks(dataset: Any, index: int | None, path: Path, file_bytes: int) -> None:
    chunks = dataset.chunks
    if math.prod(chunks) * dataset.dtype.itemsize > MAXIMUM_CHUNK_BYTES:
        raise RecordTooLarge(path, field="chunk", expected=f"at most {MAXIMUM_CHUNK_BYTES} bytes")
    starts = [range(0, length, chunk) for length, chunk in zip(dataset.shape, chunks, strict=True)]
    if index is not None:
        starts[0] = range(index - index % chunks[0], index + 1, chunks[0])
    if math.prod(len(start) for start in starts) > MAXIMUM_CHUNKS:
        raise RecordTooLarge(path, field="chunks", expected=f"at most {MAXIMUM_CHUNKS}")
    for corner in itertools.product(*starts):
        stored = dataset.id.get_chunk_info_by_coord(corner)
        if stored.byte_offset is None or stored.byte_offset + stored.size > file_bytes:
            raise TruncatedSignal(
                path, field="dataset", expected="all chunks of samples", found="some missing"
            )
