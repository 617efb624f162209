"""Damage a valid ECG file in seeded ways; its reader must then return an ECG or a typed error.

Tests call `run_mutations` with a few hundred mutations of each format, the bench with thousands:

    outcome = run_mutations(FORMAT, content, count=200, seed=1, folder=tmp_path)
    assert not outcome.failures, outcome.failures
"""

from __future__ import annotations

import re
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from truelead.errors import RecordError
from truelead.signal.formats.base import DEFAULT_LIMITS, NOTHING_STATED, Format, StatedSignal
from truelead.signal.wfdb_record import ReadLimits
from truelead.types import Ecg

Change = Callable[[bytes, np.random.Generator], bytes]

_RECORD_ID = "mutated"
_TAG = re.compile(rb"<[^<>]{1,400}>")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{40,}={0,2}")
_DIGITS = re.compile(rb"[0-9]+")
_VALUE = re.compile(rb"(?<=[\">])[^<>\"]{1,40}(?=[\"<])")
_HOSTILE_NUMBERS = (
    b"0", b"-1", b"1", b"65535", b"65536", b"2147483647", b"4294967296", b"99999999999999999999",
    b"nan", b"inf", b"-inf", b"1e308", b"1e-320", b"",
)  # fmt: skip
# White space and the UTF-8 byte order mark.
_XML_START = b" \t\r\n\xef\xbb\xbf"
_EDGE_BYTES = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)


@dataclass
class MutationOutcome:
    """What the reader made of the damaged files.

    Attributes:
        same: files read as the undamaged one was.
        other: files read as another valid ECG.
        refused: `RecordError.reason` -> files refused so.
        failures: one line for each file that broke the rules, with the number of the mutation
            (`mutation(content, seed, number)` makes it again) and the name of its kind.
        slowest_seconds: the longest read, in seconds of processor time.
    """

    same: int = 0
    other: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0

    @property
    def total(self) -> int:
        """All mutations that were tried."""
        return self.same + self.other + sum(self.refused.values()) + len(self.failures)


def run_mutations(
    format: Format,
    content: bytes,
    count: int,
    seed: int,
    *,
    folder: Path | None = None,
    limits: ReadLimits = DEFAULT_LIMITS,
    stated: StatedSignal = NOTHING_STATED,
    seconds: float = 1.0,
    secrets: tuple[str, ...] = (),
) -> MutationOutcome:
    """Read `count` damaged copies of a file of one format.

    Allowed ends are a valid `Ecg` (finite or NaN, within the limits, its id the file's name, no
    patient id) and a `RecordError` of one line. Any other exception, a warning, a read of more
    than `seconds`, or a secret in an error or an id goes to `failures`.

    Args:
        format: whose `read` is tried; a record must be one file.
        content: a valid file; it is read first and must succeed.
        count: number of damaged copies.
        seed: the same seed makes the same copies.
        folder: where the copies are written, one at a time; a temporary folder where None.
        limits: given to the reader.
        stated: given to the reader.
        seconds: of processor time that a read may take.
        secrets: patient data inside `content` that no error or id may repeat.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as made:
            return run_mutations(
                format, content, count, seed, folder=Path(made), limits=limits, stated=stated,
                seconds=seconds, secrets=secrets,
            )  # fmt: skip
    path = folder / f"{_RECORD_ID}{format.suffixes[0]}"
    path.write_bytes(content)
    whole = format.read(path, limits=limits, stated=stated)
    outcome = MutationOutcome()
    for number in range(count):
        kind, damaged = mutation(content, seed, number)
        path.write_bytes(damaged)
        problem = _read(format, path, whole, outcome, limits, stated, seconds, secrets)
        if problem:
            outcome.failures.append(f"mutation {number} ({kind}): {problem}")
    path.unlink()
    return outcome


def _read(
    format: Format,
    path: Path,
    whole: Ecg,
    outcome: MutationOutcome,
    limits: ReadLimits,
    stated: StatedSignal,
    seconds: float,
    secrets: tuple[str, ...],
) -> str:
    """What was wrong, "" if nothing; a good end is counted in `outcome`."""
    ecg: Ecg | None = None
    refusal: RecordError | None = None
    begun = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ecg = format.read(path, limits=limits, stated=stated)
    except RecordError as error:
        refusal = error
    except Exception as error:  # noqa: BLE001 - any other kind is what is looked for
        return f"{type(error).__name__}: {error}"[:300]
    finally:
        took = time.process_time() - begun
        outcome.slowest_seconds = max(outcome.slowest_seconds, took)
    if took > seconds:
        return f"took {took:.2f} s"
    if ecg is None:
        assert refusal is not None
        message = str(refusal)
        if len(message.splitlines()) != 1:
            return "the error has several lines"
        if any(secret in message for secret in secrets):
            return "the error repeats patient data"
        outcome.refused[refusal.reason] += 1
        return ""
    problem = _invalid(ecg, limits, secrets)
    if problem:
        return problem
    if ecg.sampling_rate == whole.sampling_rate and np.array_equal(
        ecg.signal_LT, whole.signal_LT, equal_nan=True
    ):
        outcome.same += 1
    else:
        outcome.other += 1
    return ""


def _invalid(ecg: Ecg, limits: ReadLimits, secrets: tuple[str, ...]) -> str:
    if np.isinf(ecg.signal_LT).any():
        return "infinite voltage"
    if ecg.signal_LT.shape[1] > limits.maximum_samples:
        return "more samples than the limit"
    if ecg.record_id != _RECORD_ID or ecg.patient_id in secrets:
        return "an id from inside the file"
    return ""


def mutation(content: bytes, seed: int, number: int) -> tuple[str, bytes]:
    """(name of the kind, damaged copy) of one mutation; kinds that need text skip binary files."""
    generator = np.random.default_rng((seed, number))
    kinds = list(_XML_CHANGES if content.lstrip(_XML_START).startswith(b"<") else _BINARY_CHANGES)
    for name in generator.permutation(kinds):
        damaged = _CHANGES[str(name)](content, generator)
        if damaged != content:
            return str(name), damaged
    return "truncate", content[:-1]


def mutations(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """The damaged copies alone."""
    for number in range(count):
        yield mutation(content, seed, number)[1]


def _flip_bits(content: bytes, generator: np.random.Generator) -> bytes:
    damaged = bytearray(content)
    for position in _positions(len(content), int(generator.integers(1, 9)), generator):
        damaged[position] ^= 1 << int(generator.integers(8))
    return bytes(damaged)


def _set_bytes(content: bytes, generator: np.random.Generator) -> bytes:
    damaged = bytearray(content)
    start = _positions(len(content), 1, generator)[0]
    value = int(generator.choice(_EDGE_BYTES))
    stop = min(len(content), start + int(generator.choice((1, 2, 4, 8))))
    damaged[start:stop] = bytes([value]) * (stop - start)
    return bytes(damaged)


def _truncate(content: bytes, generator: np.random.Generator) -> bytes:
    return content[: int(generator.integers(0, len(content)))]


def _delete_block(content: bytes, generator: np.random.Generator) -> bytes:
    start = _positions(len(content), 1, generator)[0]
    return content[:start] + content[start + int(generator.integers(1, 257)) :]


def _double_block(content: bytes, generator: np.random.Generator) -> bytes:
    start = _positions(len(content), 1, generator)[0]
    stop = start + int(generator.integers(1, 257))
    return content[:stop] + content[start:]


def _append(content: bytes, generator: np.random.Generator) -> bytes:
    return content + generator.bytes(int(generator.integers(1, 1025)))


def _change_number(content: bytes, generator: np.random.Generator) -> bytes:
    """One digit, or a whole number, of those that stand as text."""
    found = list(_DIGITS.finditer(content))
    if not found:
        return content
    place = found[_skewed(len(found), generator)]
    if generator.random() < 0.5:
        position = int(generator.integers(place.start(), place.end()))
        return content[:position] + b"%d" % generator.integers(10) + content[position + 1 :]
    new = _HOSTILE_NUMBERS[int(generator.integers(len(_HOSTILE_NUMBERS)))]
    return content[: place.start()] + new + content[place.end() :]


def _delete_tag(content: bytes, generator: np.random.Generator) -> bytes:
    place = _one(_TAG, content, generator)
    return content if place is None else content[: place[0]] + content[place[1] :]


def _delete_element(content: bytes, generator: np.random.Generator) -> bytes:
    """From a start tag through the next end tag of its name, so that the XML stays well-formed."""
    place = _one(_TAG, content, generator)
    if place is None:
        return content
    name = re.match(rb"<([\w:.-]+)", content[place[0] :])
    if name is None:
        return content
    if content[: place[1]].endswith(b"/>"):
        return content[: place[0]] + content[place[1] :]
    end_tag = b"</" + name[1] + b">"
    stop = content.find(end_tag, place[1])
    return content if stop < 0 else content[: place[0]] + content[stop + len(end_tag) :]


def _double_element(content: bytes, generator: np.random.Generator) -> bytes:
    without = _delete_element(content, generator)
    if without == content:
        return content
    start = next(
        (n for n, (old, new) in enumerate(zip(content, without, strict=False)) if old != new),
        len(without),
    )
    stop = start + len(content) - len(without)
    return content[:stop] + content[start:]


def _swap_values(content: bytes, generator: np.random.Generator) -> bytes:
    """One attribute's or element's short value replaced by another's, or by a hostile number."""
    first = _one(_VALUE, content, generator)
    second = _one(_VALUE, content, generator)
    if first is None or second is None:
        return content
    new = content[second[0] : second[1]]
    if generator.random() < 0.3:
        new = _HOSTILE_NUMBERS[int(generator.integers(len(_HOSTILE_NUMBERS)))]
    return content[: first[0]] + new + content[first[1] :]


def _damage_base64(content: bytes, generator: np.random.Generator) -> bytes:
    """A long run of base64 with a character changed, dropped, made illegal, or cut short."""
    found = list(_BASE64.finditer(content))
    if not found:
        return content
    place = found[int(generator.integers(len(found)))]
    position = int(generator.integers(place.start(), place.end()))
    # The headers of compressed data lie first.
    if generator.random() < 0.4:
        position = place.start() + int(generator.integers(min(40, place.end() - place.start())))
    after = position + 1
    new: bytes = (b"A", b"/", b"", b"*", b"=", b" ", b"\xc3\xa9")[int(generator.integers(7))]
    if generator.random() < 0.15:
        new, after = b"", place.end()
    return content[:position] + new + content[after:]


def _positions(length: int, count: int, generator: np.random.Generator) -> list[int]:
    """Places in a file; half of them in its first tenth, where headers lie."""
    reach = length if generator.random() < 0.5 else max(1, length // 10)
    return [int(position) for position in generator.integers(0, reach, size=count)]


def _skewed(length: int, generator: np.random.Generator) -> int:
    """A place in a list; half of them in its first 300, as samples as text outnumber headers."""
    reach = length if generator.random() < 0.5 else min(length, 300)
    return int(generator.integers(reach))


def _one(
    pattern: re.Pattern[bytes], content: bytes, generator: np.random.Generator
) -> tuple[int, int] | None:
    found = list(pattern.finditer(content))
    return found[int(generator.integers(len(found)))].span() if found else None


_CHANGES: dict[str, Change] = {
    "flip-bits": _flip_bits,
    "set-bytes": _set_bytes,
    "truncate": _truncate,
    "delete-block": _delete_block,
    "double-block": _double_block,
    "append": _append,
    "change-number": _change_number,
    "delete-tag": _delete_tag,
    "delete-element": _delete_element,
    "double-element": _double_element,
    "swap-values": _swap_values,
    "damage-base64": _damage_base64,
}
_BINARY_CHANGES = (
    "flip-bits", "set-bytes", "truncate", "delete-block", "double-block", "append", "change-number",
)  # fmt: skip
# Three times as often: changes that leave XML well-formed and so reach the format's own checks.
_XML_CHANGES = (
    *_CHANGES,
    *2 * ("change-number", "delete-element", "double-element", "swap-values", "damage-base64"),
)
