"""Records written on the spot for the tests of `truelead.signal`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from truelead.types import LEADS, Ecg

EcgFactory = Callable[..., Ecg]


@pytest.fixture
def make_ecg() -> EcgFactory:
    """make_ecg(samples=500, rate=100.0, seed=0): noise of about 1 mV in all leads, on a uV grid."""

    def make(samples: int = 500, rate: float = 100.0, seed: int = 0, name: str = "made") -> Ecg:
        noise = np.random.default_rng(seed).normal(size=(len(LEADS), samples))
        millivolts = (np.round(noise * 1000) / 1000).astype(np.float32)
        return Ecg(millivolts, rate, record_id=name)

    return make


@pytest.fixture
def written(tmp_path: Path, make_ecg: EcgFactory) -> Path:
    """A sound record of 12 leads in `tmp_path`; the path has no extension."""
    from truelead.signal import write_record

    return write_record(tmp_path, make_ecg())


@pytest.fixture
def edit_header(written: Path) -> Callable[..., Path]:
    """edit_header((old, new), ...): change the written record's header; every `old` must occur."""

    def edit(*changes: tuple[str, str]) -> Path:
        header = written.with_suffix(".hea")
        text = header.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        header.write_text(text)
        return written

    return edit
