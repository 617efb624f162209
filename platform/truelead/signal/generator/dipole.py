"""The heart as one current dipole, seen by twelve leads.

Body axes (Frank's vectorcardiogram): x to the patient's left, y to the feet, z to the back.
Limb lead III and the augmented leads are computed from I and II, so Einthoven's and
Goldberger's identities hold exactly whatever the dipole does.

Shape suffixes: L leads (12), T samples, 3 body axes, W waves.

Sources: Frank, Circulation 1956 (axes); Dower, Machado and Osborne, Clin Cardiol 1980 (lead
vectors); Edenbrandt and Pahlm, J Electrocardiol 1988 (their inversion).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LIMB_23 = np.array([[0.632, -0.235, 0.059], [0.235, 1.066, -0.132]])
"""Dower's lead vectors of I and II."""

_PRECORDIAL_63 = np.array(
    [
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)
"""Dower's lead vectors of V1 to V6."""


def limb_leads(leads_2T: Array) -> Array:
    """I and II, shape (2, T) -> I, II, III, aVR, aVL, aVF, shape (6, T).

    III = II - I (Einthoven); aVR = -(I + II) / 2, aVL = I - II / 2, aVF = II - I / 2 (Goldberger).
    """
    one, two = leads_2T
    return np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2])


def lead_field(electrode_shift_6: Array | None = None) -> Array:
    """Lead vectors of the twelve leads, shape (12, 3), in mV per mV of dipole.

    Args:
        electrode_shift_6: how far each precordial electrode is misplaced along the row V1..V6,
            in distances between neighbours (+0.2: a fifth of the way to the next one).
    """
    precordial_63 = _PRECORDIAL_63
    if electrode_shift_6 is not None:
        place_6 = np.clip(np.arange(6) + electrode_shift_6, 0, 5)
        precordial_63 = np.stack(
            [np.interp(place_6, np.arange(6), _PRECORDIAL_63[:, axis]) for axis in range(3)], axis=1
        )
    return np.concatenate([limb_leads(_LIMB_23), precordial_63])


def project(dipole_3T: Array, field_L3: Array) -> Array:
    """Potentials of the twelve leads, shape (12, T) in mV; the limb identities are exact."""
    leads_LT = field_L3 @ dipole_3T
    leads_LT[:6] = limb_leads(leads_LT[:2])
    return leads_LT


# The frontal plane as the ECG's axis sees it: lead I at 0 degrees, aVF at +90 degrees. An
# augmented lead is sqrt(3)/2 as strong as a bipolar one, so aVF is scaled up before comparing.
_FIELD = lead_field()
_FRONTAL_33 = np.stack([_FIELD[0], 2 / np.sqrt(3) * _FIELD[5], np.array([0.0, 0.0, 1.0])])
_FROM_FRONTAL_33 = np.linalg.inv(_FRONTAL_33)


def rotate_frontal(vectors_W3: Array, degrees: float) -> Array:
    """Turn dipoles so that the electrical axis in the frontal plane grows by `degrees`.

    Positive is clockwise as the reader sees the patient (towards the feet, then the right).
    """
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn_33 = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    rotated: Array = vectors_W3 @ (_FROM_FRONTAL_33 @ turn_33 @ _FRONTAL_33).T
    return rotated


def rotate_horizontal(vectors_W3: Array, degrees: float) -> Array:
    """Turn dipoles about the body's long axis; positive turns left towards the back."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn_33 = np.array([[cosine, 0.0, -sine], [0.0, 1.0, 0.0], [sine, 0.0, cosine]])
    rotated: Array = vectors_W3 @ turn_33.T
    return rotated


def axis_degrees(leads_LT: Array) -> float:
    """Electrical axis of a QRS complex from the net amplitude (R + S) in I and aVF, -180..180."""
    net_L = leads_LT.max(axis=1).clip(min=0) + leads_LT.min(axis=1).clip(max=0)
    return float(np.degrees(np.arctan2(2 / np.sqrt(3) * net_L[5], net_L[0])))
