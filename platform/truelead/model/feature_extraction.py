"""From an ECG in millivolts to the numbers that the encoder reads.

Shape suffixes: N ECGs in the batch, L leads (12), T samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers.feature_extraction_utils import BatchFeature, FeatureExtractionMixin

from truelead.signal import fit_duration, resample
from truelead.types import LEADS, Ecg

LEAD_SCALES_MILLIVOLTS: tuple[float, ...] = (
    0.16,
    0.17,
    0.16,
    0.14,
    0.14,
    0.14,
    0.24,
    0.34,
    0.35,
    0.31,
    0.28,
    0.26,
)
"""Root mean square of each lead about its mean, over 4,600 PTB-XL records (Wagner et al. 2020)."""


class EcgFeatureExtractor(FeatureExtractionMixin):
    """Brings every ECG to one rate and length, and every lead to a comparable scale.

    A lead is centred on its own mean and divided by a FIXED scale for that lead, not by its own
    standard deviation: low voltage and hypertrophy are judged by amplitude, which must survive.

    Args:
        sampling_rate: Hz that the encoder was trained at.
        seconds: length that the encoder was trained at.
        scales: mV a lead is divided by, in canonical order.
        limit: largest absolute value after scaling; larger ones (artefacts) are cut to it.
    """

    model_input_names = ["ecg_NLT"]  # noqa: RUF012  (the hub's own convention)

    def __init__(
        self,
        sampling_rate: float = 100.0,
        seconds: float = 10.0,
        scales: Sequence[float] = LEAD_SCALES_MILLIVOLTS,
        limit: float = 20.0,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("feature_extractor_type", None)
        super().__init__(**kwargs)
        assert len(scales) == len(LEADS)
        assert all(scale > 0 for scale in scales)
        self.sampling_rate = sampling_rate
        self.seconds = seconds
        self.scales = [float(scale) for scale in scales]
        self.limit = limit

    @property
    def samples(self) -> int:
        """T after standardisation."""
        return round(self.sampling_rate * self.seconds)

    def standardise(self, ecg: Ecg) -> NDArray[np.float32]:
        """float32 (12, T), dimensionless, without NaN: what was not recorded is 0."""
        if ecg.sampling_rate != self.sampling_rate:
            ecg = resample(ecg, self.sampling_rate)
        if ecg.signal_LT.shape[1] != self.samples:
            ecg = fit_duration(ecg, self.seconds)
        signal_LT = ecg.signal_LT.astype(np.float32)
        self._standardise_in_place(signal_LT)
        return signal_LT

    def standardise_all(
        self, signal_NLT: NDArray[np.float32], sampling_rate: float
    ) -> NDArray[np.float32]:
        """What `standardise` gives for each ECG, bit for bit; `signal_NLT` may be overwritten.

        Args:
            signal_NLT: mV, NaN where missing, leads in canonical order.
            sampling_rate: of all of them, in Hz.
        """
        if sampling_rate != self.sampling_rate or signal_NLT.shape[2] != self.samples:
            return np.stack([self.standardise(Ecg(x, sampling_rate)) for x in signal_NLT])
        # One ECG at a time stays in the processor's cache.
        for signal_LT in signal_NLT:
            self._standardise_in_place(signal_LT)
        return signal_NLT

    def _standardise_in_place(self, signal_LT: NDArray[np.float32]) -> None:
        scale_L = np.asarray(self.scales, dtype=np.float32)
        mean_L = signal_LT.sum(axis=1) / np.float32(signal_LT.shape[1])
        missing_LT = None
        if not np.isfinite(mean_L).all():
            missing_LT = ~np.isfinite(signal_LT)
            signal_LT[missing_LT] = 0.0
            count_L = np.maximum((~missing_LT).sum(axis=1), 1).astype(np.float32)
            mean_L = signal_LT.sum(axis=1) / count_L
        signal_LT -= mean_L[:, None]
        signal_LT /= scale_L[:, None]
        if missing_LT is not None:
            signal_LT[missing_LT] = 0.0
        np.clip(signal_LT, -self.limit, self.limit, out=signal_LT)

    def __call__(self, ecgs: Sequence[Ecg], return_tensors: str | None = "pt") -> BatchFeature:
        """ecg_NLT of the ECGs, in the form that the hub's processors return."""
        ecg_NLT = np.zeros((len(ecgs), len(LEADS), self.samples), dtype=np.float32)
        for index, ecg in enumerate(ecgs):
            ecg_NLT[index] = self.standardise(ecg)
        return BatchFeature({"ecg_NLT": ecg_NLT}, tensor_type=return_tensors)
