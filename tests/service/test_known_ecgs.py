"""An ECG that was sent once is found again by its bytes or its reference, by nothing else."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from truelead.errors import ServiceError
from truelead.model.feature_extraction import EcgFeatureExtractor
from truelead.service import known_ecgs
from truelead.service.feature_cache import ecg_key
from truelead.service.known_ecgs import KnownEcgs, fitted
from truelead.service.wire_ecg import KnownInput, LeadsInput, WfdbInput
from truelead.signal import write_record
from truelead.types import Ecg

Send = Callable[..., httpx.Response]


def wfdb_of(ecg: Ecg, folder: Path) -> WfdbInput:
    path = write_record(folder, ecg, name="ecg")
    header, signal = path.with_suffix(".hea").read_bytes(), path.with_suffix(".dat").read_bytes()
    return WfdbInput.model_validate({"wfdb": {"header": header, "signal": signal}})


def test_the_same_files_are_decoded_once(
    ecgs: list[Ecg], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    whole = known_ecgs.decode_ecg

    def decode(sent: Any, *, where: str) -> Ecg:
        decoded.append(where)
        return whole(sent, where=where)

    monkeypatch.setattr(known_ecgs, "decode_ecg", decode)
    known = KnownEcgs()
    sent = wfdb_of(ecgs[0], tmp_path)
    first = known.read(sent, where="ecgs.0")
    assert known.read(sent, where="ecgs.1") is first
    assert decoded == ["ecgs.0"]
    assert first.key == ecg_key(first.ecg)
    found = known.read(KnownInput(known=first.summary.reference), where="ecgs.0")
    assert found is first
    other = known.read(wfdb_of(ecgs[1], tmp_path), where="ecgs.0")
    assert other.summary.reference != first.summary.reference
    slower = known_ecgs.describe_ecg(Ecg(first.ecg.signal_LT, 50.0))
    assert slower.summary.sha256 == first.summary.sha256
    assert slower.summary.reference != first.summary.reference


def test_what_is_forgotten_must_be_sent_again(ecgs: list[Ecg], body: Callable[..., Any]) -> None:
    known = KnownEcgs(2 * ecgs[0].signal_LT.nbytes)
    read = [
        known.read(LeadsInput.model_validate(body(number)["ecgs"][0]), where="ecgs.0")
        for number in range(3)
    ]
    assert known.read(KnownInput(known=read[2].summary.reference), where="ecgs.0") is read[2]
    with pytest.raises(ServiceError, match="send it again") as refused:
        known.read(KnownInput(known=read[0].summary.reference), where="ecgs.0")
    assert refused.value.status == 404


@pytest.mark.parametrize(("rate", "seconds"), [(500.0, 10.0), (100.0, 10.0), (250.0, 7.3)])
def test_an_ecg_fitted_beforehand_is_what_the_model_sees(rate: float, seconds: float) -> None:
    signal_LT = np.random.default_rng(1).normal(0, 0.3, (12, round(rate * seconds)))
    signal_LT[3] = np.nan
    signal_LT[5, 40:60] = np.nan
    ecg = Ecg(signal_LT.astype(np.float32), rate)
    extractor = EcgFeatureExtractor()
    expected = extractor.standardise(ecg)
    found = extractor.standardise(fitted(ecg, extractor.sampling_rate, extractor.seconds))
    np.testing.assert_array_equal(found, expected)


def test_a_further_question_names_the_ecg(send: Send, body: Callable[..., Any]) -> None:
    first = send("POST", "/v1/ask", json=body(0)).json()
    reference = first["ecgs"][0]["reference"]
    again = send("POST", "/v1/ask", json=body(ecgs=[{"known": reference}]))
    assert again.status_code == 200, again.text
    assert again.json()["option_probabilities"] == first["option_probabilities"]
    both = send("POST", "/v1/compare", json=body(ecgs=[{"known": reference}, body(1)["ecgs"][0]]))
    assert both.status_code == 200
    unknown = send("POST", "/v1/ask", json=body(ecgs=[{"known": "0" * 64}]))
    assert unknown.status_code == 404
    for wrong in ("x", "0" * 63, base64.b64encode(b"0" * 48).decode()):
        assert send("POST", "/v1/ask", json=body(ecgs=[{"known": wrong}])).status_code == 422
