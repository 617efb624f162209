"""Millivolts to the 16-bit integers of a file, in the finest step that holds a lead.

Shape suffixes: T samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from truelead.errors import InvalidEcg

LARGEST = 32767
STEPS_MICROVOLTS = (1, 2, 10)
MISSING = -32768
"""What stands for a missing sample, in formats that have such a value."""


def stored_in_16_bits(
    row_T: NDArray[np.float32], lead: str, *, where: object
) -> tuple[int, NDArray[np.int16]]:
    """(microvolts of one unit, samples) of one lead; NaN becomes `MISSING`.

    One unit is 1 uV up to 32.767 mV, so that rounding is at most 0.5 uV; beyond, 2 uV
    (65.534 mV) or 10 uV (327.67 mV).

    Raises:
        InvalidEcg: a voltage is larger.
    """
    missing_T = np.isnan(row_T)
    microvolts_T = np.where(missing_T, 0.0, row_T.astype(np.float64) * 1000)
    largest = float(np.abs(microvolts_T).max())
    for step in STEPS_MICROVOLTS:
        if largest / step < LARGEST + 0.5:
            stored_T = np.rint(microvolts_T / step).astype("<i2")
            stored_T[missing_T] = MISSING
            return step, stored_T
    raise InvalidEcg(
        where,
        field=f"lead {lead}",
        expected=f"at most {LARGEST * STEPS_MICROVOLTS[-1] / 1000:g} mV",
        found=f"{largest / 1000:g} mV",
    )
