"""The ECGs that were sent last, decoded: what was sent once is not parsed again.

An ECG is found again by its bytes, or by its reference: the digest that an answer names it with
(`ecgs[].reference`). A further question can so be asked without sending the ECG again.

Shape suffixes: L leads (12), T samples.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass

import numpy as np

from truelead.errors import ServiceError
from truelead.service.byte_cache import ByteCache
from truelead.service.ecg_input import decode_ecg, signal_sha256
from truelead.service.exchange import EcgKey
from truelead.service.wire import EcgSummary
from truelead.service.wire_ecg import EcgInput, FileInput, KnownInput, WfdbInput
from truelead.signal import fit_duration, resample
from truelead.types import Ecg

KNOWN_BYTES = 256 * 2**20


@dataclass(frozen=True, eq=False)
class KnownEcg:
    """A decoded ECG.

    Attributes:
        ecg: as it was sent.
        summary: what an answer says of it.
    """

    ecg: Ecg
    summary: EcgSummary

    @property
    def key(self) -> EcgKey:
        """What the replicas know it by."""
        return self.summary.sha256, float(self.ecg.sampling_rate)

    @property
    def nbytes(self) -> int:
        """Memory of the samples."""
        return int(self.ecg.signal_LT.nbytes)


class KnownEcgs:
    """Decodes the ECGs of requests and keeps those that were used last; for many threads.

    Args:
        maximum_bytes: of all samples together.
    """

    def __init__(self, maximum_bytes: int = KNOWN_BYTES) -> None:
        self._by_reference: ByteCache[str, KnownEcg] = ByteCache(maximum_bytes)
        self._references: ByteCache[bytes, _Reference] = ByteCache(maximum_bytes // 100)
        self._lock = threading.Lock()

    def read(self, sent: EcgInput, *, where: str) -> KnownEcg:
        """The ECG of a request.

        Raises:
            RecordError: it cannot be used.
            ServiceError: 404, a reference to an ECG that is not kept.
        """
        if isinstance(sent, KnownInput):
            with self._lock:
                known = self._by_reference.get(sent.known)
            if known is None:
                raise ServiceError(
                    f"{where}.known: expected an ECG that was sent a short while ago, found "
                    "another: send it again",
                    status=404,
                )
            return known
        name = _name_of(sent)
        if name is not None:
            with self._lock:
                found = self._references.get(name)
                known = None if found is None else self._by_reference.get(found.reference)
            if known is not None:
                return known
        known = describe_ecg(decode_ecg(sent, where=where))
        with self._lock:
            self._by_reference.put(known.summary.reference, known)
            if name is not None:
                self._references.put(name, _Reference(known.summary.reference))
        return known


def fitted(ecg: Ecg, sampling_rate: float, seconds: float) -> Ecg:
    """The ECG at a model's own rate and length, as its feature extractor makes it."""
    ecg = resample(ecg, sampling_rate)
    if ecg.signal_LT.shape[1] != round(sampling_rate * seconds):
        ecg = fit_duration(ecg, seconds)
    return Ecg(np.ascontiguousarray(ecg.signal_LT, np.float32), ecg.sampling_rate)


def describe_ecg(ecg: Ecg) -> KnownEcg:
    """An ECG with what an answer says of it."""
    digest = signal_sha256(ecg)
    named = hashlib.sha256(f"{digest} at {float(ecg.sampling_rate)!r} Hz".encode()).hexdigest()
    summary = EcgSummary(
        sampling_rate=ecg.sampling_rate,
        seconds=ecg.duration_seconds,
        sha256=digest,
        reference=named,
    )
    return KnownEcg(ecg, summary)


@dataclass(frozen=True)
class _Reference:
    reference: str
    nbytes: int = 200


def _name_of(sent: EcgInput) -> bytes | None:
    """Digest of the bytes of files and of all that was stated of them; None for numbers."""
    if isinstance(sent, WfdbInput):
        parts = [b"wfdb", sent.wfdb.header, sent.wfdb.signal]
    elif isinstance(sent, FileInput):
        stated = sent.file.model_dump_json(exclude={"content"})
        parts = [b"file", stated.encode(), sent.file.content]
    else:
        return None
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
