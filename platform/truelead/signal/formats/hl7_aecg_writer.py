"""Write an `Ecg` as an HL7 annotated ECG without anything about a patient.

Standard: HL7 aECG Implementation Guide, 21 March 2005. Fields that the schema demands and that
could name someone carry the null flavour MSK (masked); the document's id is made from the samples.

Shape suffixes: L leads (12), T samples.
"""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from truelead.errors import InvalidEcg
from truelead.signal.one_step import write_in_one_step
from truelead.types import LEADS, Ecg

MAXIMUM_SETS = 1_000

# Microvolts a digit: the first on whose grid all samples lie, else the last.
_SCALES = ("1", "0.1", "0.01")
_LARGEST_DIGIT = 2**31 - 1
_ACT, _MDC, _CPT = "2.16.840.1.113883.5.4", "2.16.840.1.113883.6.24", "2.16.840.1.113883.6.12"
_START = f"""<?xml version="1.0" encoding="UTF-8"?>
<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<id root="{{identity}}"/>
<code code="93000" codeSystem="{_CPT}" codeSystemName="CPT-4"/>
<effectiveTime nullFlavor="MSK"/>
<componentOf><timepointEvent><componentOf><subjectAssignment>
<subject><trialSubject><id nullFlavor="MSK"/></trialSubject></subject>
<componentOf><clinicalTrial><id nullFlavor="MSK"/></clinicalTrial></componentOf>
</subjectAssignment></componentOf></timepointEvent></componentOf>
<component><series>
<code code="RHYTHM" codeSystem="{_ACT}" codeSystemName="ActCode"/>
<effectiveTime nullFlavor="MSK"/>
"""
_END = "</series></component>\n</AnnotatedECG>\n"


def write(ecg: Ecg, path: Path) -> Path:
    """Write the leads that hold samples, in one step; see `hl7_aecg.read` for the way back.

    Samples on the grid of 1, 0.1 or 0.01 uV come back unchanged, others rounded to 0.01 uV. Each
    stretch of samples without a gap is a sequence set, placed by its relative time.

    Raises:
        InvalidEcg: no sample at all, a voltage beyond 21 V, no lead at the first or the last
            sample, or more than `MAXIMUM_SETS` stretches.
    """
    recorded_LT = np.isfinite(ecg.signal_LT)
    if np.isinf(ecg.signal_LT).any():
        raise InvalidEcg(path, field="signal", expected="finite voltages or NaN")
    if not (recorded_LT[:, 0].any() and recorded_LT[:, -1].any()):
        # aECG states no length: samples missing at an end in all leads would be lost.
        raise InvalidEcg(path, field="signal", expected="a lead at the first and the last sample")
    stretches = _stretches(recorded_LT)
    if len(stretches) > MAXIMUM_SETS:
        raise InvalidEcg(
            path,
            field="gaps",
            expected=f"at most {MAXIMUM_SETS} stretches without a gap",
            found=f"{len(stretches)}",
        )
    scale, digits_LT = _digits(ecg.signal_LT, path)
    samples = hashlib.sha256(digits_LT.tobytes()).hexdigest()
    identity = uuid.uuid5(uuid.NAMESPACE_OID, f"{samples} {scale} {ecg.sampling_rate!r}")
    parts = [_START.format(identity=identity)]
    for (start, stop), rows in stretches.items():
        parts.append("<component><sequenceSet>\n")
        parts.append(
            _sequence(
                f'code="TIME_RELATIVE" codeSystem="{_ACT}" codeSystemName="ActCode"',
                "GLIST_PQ",
                f'<head value="{start / ecg.sampling_rate!r}" unit="s"/>'
                f'<increment value="{1 / ecg.sampling_rate!r}" unit="s"/>',
            )
        )
        for row in rows:
            digits = " ".join(map(str, digits_LT[row, start:stop].tolist()))
            parts.append(
                _sequence(
                    f'code="MDC_ECG_LEAD_{LEADS[row].upper()}" codeSystem="{_MDC}" '
                    'codeSystemName="MDC"',
                    "SLIST_PQ",
                    f'<origin value="0" unit="uV"/><scale value="{scale}" unit="uV"/>'
                    f"<digits>{digits}</digits>",
                )
            )
        parts.append("</sequenceSet></component>\n")
    parts.append(_END)
    return write_in_one_step(path, "".join(parts).encode())


def _sequence(code: str, kind: str, value: str) -> str:
    return (
        f"<component><sequence><code {code}/>"
        f'<value xsi:type="{kind}">{value}</value></sequence></component>\n'
    )


def _stretches(recorded_LT: NDArray[np.bool_]) -> dict[tuple[int, int], list[int]]:
    """(first sample, sample behind the last) -> rows that are recorded exactly there."""
    stretches: dict[tuple[int, int], list[int]] = {}
    for row, recorded_T in enumerate(recorded_LT):
        edges = np.flatnonzero(np.diff(recorded_T.astype(np.int8), prepend=0, append=0))
        for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            stretches.setdefault((start, stop), []).append(row)
    return dict(sorted(stretches.items()))


def _digits(signal_LT: NDArray[np.float32], path: Path) -> tuple[str, NDArray[np.int64]]:
    """(microvolts a digit, digits), 0 where not recorded."""
    millivolts_LT = np.nan_to_num(signal_LT.astype(np.float64), nan=0.0)
    for scale in _SCALES:
        step = float(scale) * 1e-3
        digits_LT = np.rint(millivolts_LT / step)
        if np.abs(digits_LT).max() > _LARGEST_DIGIT:
            raise InvalidEcg(
                path,
                field="signal",
                expected=f"at most {_LARGEST_DIGIT * step:g} mV at {scale} uV a digit",
            )
        if np.array_equal((digits_LT * step).astype(np.float32), np.nan_to_num(signal_LT)):
            break
    return scale, digits_LT.astype(np.int64)
