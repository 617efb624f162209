"""The four limb leads that follow from I and II, for formats that leave them to be computed.

Einthoven's law (III = II - I) and Goldberger's definitions of the augmented leads hold exactly for
leads that are recorded at the same time, which is why devices store eight leads of twelve.

Shape suffixes: L leads (12), T samples.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from truelead.types import LEADS

WEIGHTS_OF_I_AND_II: dict[str, tuple[float, float]] = {
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}


def with_limb_leads(signal_LT: NDArray[np.float32], stored: Collection[str]) -> NDArray[np.float32]:
    """The signal with III, aVR, aVL and aVF computed where the file has I and II, but not them.

    Args:
        signal_LT: float32 (12, T) in mV, changed in place.
        stored: names of the leads that the file holds; they are never changed.

    Returns:
        the same array. A computed sample is NaN where I or II is.
    """
    if "I" in stored and "II" in stored:
        first_T, second_T = signal_LT[:2].astype(np.float64)
        for lead, (of_first, of_second) in WEIGHTS_OF_I_AND_II.items():
            if lead not in stored:
                signal_LT[LEADS.index(lead)] = of_first * first_T + of_second * second_T
    return signal_LT
