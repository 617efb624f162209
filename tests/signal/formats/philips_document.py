"""Philips documents, written apart from the package: by the schemas, with an own XLI encoder."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import numpy as np

from truelead.signal.generator import generate_ecg
from truelead.types import LEADS

PATIENT = ("Zebulon-Quagmire", "MRN-8812345")
NAMESPACE = "http://www3.medical.philips.com"


def compress_lzw(content: bytes) -> bytes:
    """Codes of 10 bits, high bit first, the table full at 1022, 1023 behind the data."""
    table = {bytes([value]): value for value in range(256)}
    codes, current = [], b""
    for value in content:
        longer = current + bytes([value])
        if longer in table:
            current = longer
            continue
        codes.append(table[current])
        if len(table) < 1023:
            table[longer] = len(table)
        current = bytes([value])
    codes += [table[current], 1023]
    bits = "".join(f"{code:010b}" for code in codes)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[start : start + 8], 2) for start in range(0, len(bits), 8))


def compress_chunk(samples: Sequence[int]) -> bytes:
    """One lead: second differences as words, their high bytes first, behind a header."""
    x = [int(value) for value in samples]
    steps = [2 * x[n - 1] - x[n - 2] - x[n] for n in range(2, len(x))]
    words = [*x[:2], *(step + 64 for step in steps[1:]), 0]
    high = bytes((word >> 8) & 0xFF for word in words)
    data = compress_lzw(high + bytes(word & 0xFF for word in words))
    header = len(data).to_bytes(4, "little") + (1).to_bytes(2, "little")
    return header + steps[0].to_bytes(2, "little", signed=True) + data


def remainders(leads: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a device stores of the limb leads; halves rounded towards zero."""

    def half(values: np.ndarray) -> np.ndarray:
        return np.array([int(value / 2) for value in values.tolist()])

    first, second, third = leads["I"], leads["II"], leads["III"]
    return {
        **leads,
        "III": second - first - third,
        "aVR": -leads["aVR"] - half(first + second),
        "aVL": half(first - third) - leads["aVL"],
        "aVF": half(second + third) - leads["aVF"],
    }


def compress(leads: Mapping[str, np.ndarray]) -> bytes:
    return b"".join(compress_chunk(lead_T.tolist()) for lead_T in remainders(leads).values())


def digits_of(seconds: float = 2.0) -> dict[str, np.ndarray]:
    """Lead -> int (T,): a generated ECG at 500 Hz in units of 5 uV."""
    ecg = generate_ecg(6, {}, sampling_rate=500, seconds=seconds).ecg
    return {
        lead: np.rint(lead_T / 0.005).astype(int)
        for lead, lead_T in zip(LEADS, ecg.signal_LT, strict=True)
    }


def document(
    data: str,
    attributes: str,
    *,
    version: str = "1.04",
    kind: str = "PhilipsECG",
    characteristics: str = "",
) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<restingecgdata xmlns="{NAMESPACE}">'
        f"<documentinfo><documenttype>{kind}</documenttype>"
        f"<documentversion>{version}</documentversion></documentinfo>"
        f"<patient><patientid>{PATIENT[1]}</patientid><lastname>{PATIENT[0]}</lastname></patient>"
        f"<dataacquisition><signalcharacteristics>{characteristics}</signalcharacteristics>"
        f"</dataacquisition><waveforms><parsedwaveforms {attributes}>\n{data}</parsedwaveforms>"
        '<repbeats dataencoding="Base64"><repbeat leadname="I">AAAA</repbeat></repbeats>'
        "</waveforms></restingecgdata>"
    )


def version_1_04(
    leads: Mapping[str, np.ndarray],
    data: str,
    *,
    how: str = 'dataencoding="Base64" compression="XLI"',
    resolution: str = "5",
    version: str = "1.04",
) -> str:
    samples = next(iter(leads.values())).size
    attributes = (
        f'{how} numberofleads="{len(leads)}" leadlabels="{" ".join(leads)}" '
        f'durationperchannel="{samples * 2}" samplespersecond="500" resolution="{resolution}" '
        'signaloffset="0" signalsigned="True" bitspersample="16"'
    )
    return document(data, attributes, version=version)


def version_1_03(leads: Mapping[str, np.ndarray], data: str, flag: str = "True") -> str:
    samples = next(iter(leads.values())).size
    characteristics = (
        "<samplingrate>500</samplingrate><signalresolution>5</signalresolution>"
        "<acquisitiontype>STD-12</acquisitiontype><bitspersample>16</bitspersample>"
        "<signaloffset>0</signaloffset><signalsigned>True</signalsigned>"
        "<numberchannelsallocated>12</numberchannelsallocated>"
    )
    attributes = (
        f'compressflag="{flag}" compressmethod="XLI" filterflag="True" dataencoding="Base64" '
        f'durationperchannel="{samples * 2}" nbitspersample="16"'
    )
    return document(
        data, attributes, version="1.03", kind="SierraECG", characteristics=characteristics
    )


def text_of(content: bytes) -> str:
    return base64.encodebytes(content).decode()


def plain_of(leads: Mapping[str, np.ndarray]) -> bytes:
    return b"".join(lead_T.astype("<i2").tobytes() for lead_T in leads.values())


def whole(leads: Mapping[str, np.ndarray]) -> str:
    return version_1_04(leads, text_of(compress(leads)))
