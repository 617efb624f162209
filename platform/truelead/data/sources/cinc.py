"""The sets of the PhysioNet/CinC Challenges 2020 and 2021, in the Challenge's common layout.

CPSC and CPSC-Extra, St Petersburg INCART, PTB, PTB-XL, Georgia, Chapman-Shaoxing and Ningbo: WFDB
headers with .mat signals anywhere below the root, and in each header the comments "Age", "Sex" and
"Dx" with SNOMED CT codes. Sources: Perez Alday E. et al., Physiol Meas 41:124003 (2020); Reyna M.
et al., Computing in Cardiology 2021. `snomed_codes` says which code is which SCP-ECG statement.

The layout has no patient ids: each record stands for a patient of its own, so that serial ECGs of
one person may stand in different splits. The sets also differ in what they annotate: a code that
one of them never uses is not absent there but unlabelled.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from truelead.config import DataConfig
from truelead.data.sources.snomed_codes import HEART_AXES, SNOMED_CODES
from truelead.data.sources.splitting import check_split_by, hashed
from truelead.errors import DataError, RecordError
from truelead.signal import read_header
from truelead.types import Record

LOGGER = logging.getLogger(__name__)

PREFIX = "SNOMED:"
"""Before a SNOMED CT code in `Record.other_codes`."""

_SEXES = {"male": 0, "m": 0, "female": 1, "f": 1}
_UNKNOWN = frozenset({"", "unknown", "nan", "?"})
_OLDEST = 130


def load_records(root: Path, data: DataConfig) -> list[Record]:
    """Every record with a header below `root`, ordered by its path.

    All SNOMED CT codes of a record are kept in `other_codes` under "SNOMED:<code>"; the SCP-ECG
    statements that they stand for are its `scp_codes`, with likelihood 100, as the Challenge's
    labels know no other. A header that cannot be read gives a record without labels, which the
    ingest rejects with the reason.

    Raises:
        DataError: no header is there, two records have one name, a comment is not what the layout
            says, or `split_by` is not hash.
    """
    check_split_by(data, "cinc", ("hash",))
    root = Path(root)
    headers = sorted(path for path in root.rglob("*.hea") if path.is_file())
    if not headers:
        raise DataError(f"{root}: expected records of the CinC Challenge (*.hea), found none")
    records = [_record(root, header) for header in headers]
    path_of: dict[str, str] = {}
    for record in records:
        if path_of.setdefault(record.record_id, record.path) != record.path:
            raise DataError(
                f"{root / record.path}.hea: record: expected each name once, found it at "
                f"{path_of[record.record_id]}.hea too"
            )
    _log_unmapped(records)
    return hashed(records, data)


def _record(root: Path, header: Path) -> Record:
    relative = header.relative_to(root).with_suffix("")
    unlabelled = Record(
        record_id=header.stem, patient_id=header.stem, source="cinc", path=relative.as_posix()
    )
    try:
        comments = read_header(header).comments
    except RecordError:
        return unlabelled
    said = dict(_comments(comments))
    codes = _codes(header, said.get("dx", ""))
    known = [SNOMED_CODES[code] for code in codes if code in SNOMED_CODES]
    return Record(
        record_id=unlabelled.record_id,
        patient_id=unlabelled.patient_id,
        source=unlabelled.source,
        path=unlabelled.path,
        scp_codes={code.scp_code: 100.0 for code in known if code.scp_code},
        other_codes={
            PREFIX + code: SNOMED_CODES[code].name if code in SNOMED_CODES else "" for code in codes
        },
        report="; ".join(code.name for code in known),
        age=_age(header, said.get("age", "")),
        sex=_sex(header, said.get("sex", "")),
        heart_axis=_heart_axis(codes),
    )


def _comments(comments: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Key in lower case and value of each comment "Key: value"; the sets differ in blanks."""
    for comment in comments:
        key, separator, value = comment.partition(":")
        if separator:
            yield key.strip().lower(), value.strip()


def _codes(header: Path, text: str) -> list[str]:
    if text.lower() in _UNKNOWN:
        return []
    codes = list(dict.fromkeys(code.strip() for code in text.split(",")))
    if not all(code.isascii() and code.isdigit() for code in codes):
        raise DataError(f"{header}: comment Dx: expected SNOMED CT codes, comma-separated")
    return codes


def _age(header: Path, text: str) -> float | None:
    if text.lower() in _UNKNOWN:
        return None
    try:
        age = float(text)
    except ValueError:
        raise DataError(f"{header}: comment Age: expected a number or unknown") from None
    # PTB-XL's 300 for patients above 89 came along into the Challenge.
    if not (0 <= age <= _OLDEST or age == 300):
        LOGGER.warning("%s: comment Age: expected years 0..%d, kept as unknown", header, _OLDEST)
        return None
    return age


def _sex(header: Path, text: str) -> int | None:
    if text.lower() in _UNKNOWN:
        return None
    if text.lower() not in _SEXES:
        raise DataError(f"{header}: comment Sex: expected male, female or unknown")
    return _SEXES[text.lower()]


def _heart_axis(codes: Iterable[str]) -> str:
    """PTB-XL's word, where the codes say exactly one axis."""
    axes = {HEART_AXES[code] for code in codes if code in HEART_AXES}
    return axes.pop() if len(axes) == 1 else ""


def _log_unmapped(records: Iterable[Record]) -> None:
    """How often codes without a statement occur: they are kept, but nothing asks about them."""
    counts = Counter(
        code
        for record in records
        for code in record.other_codes
        if not (known := SNOMED_CODES.get(code.removeprefix(PREFIX))) or not known.scp_code
    )
    if counts:
        shown = ", ".join(f"{code} {count}" for code, count in counts.most_common())
        LOGGER.info("cinc: codes without an SCP-ECG statement, kept as other_codes: %s", shown)
