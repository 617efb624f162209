"""From what a recording shows to what PTB-XL says about it: codes, axis, annotations, severity.

Shape suffixes: L leads (12).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from truelead.signal.generator.conditions import INFARCTIONS
from truelead.signal.generator.dipole import Array
from truelead.signal.generator.finding import Finding
from truelead.signal.generator.heart import Heart
from truelead.signal.generator.recording import Recording
from truelead.signal.generator.statements import STATEMENTS

AXES = ("MID", "LAD", "ALAD", "RAD", "ARAD", "AXL", "AXR")
"""PTB-XL's codes of the heart axis that the generator writes (not SAG, the sagittal type)."""

# Findings that leave the rest of the ECG normal: PTB-XL then writes NORM with 80 %.
_OTHERWISE_NORMAL = {"SBRAD", "STACH", "SARRH", "PAC", "left-axis", "right-axis"}
_OWN_REPOLARISATION = {"CLBBB", "CRBBB"}


def likelihood(strength: float) -> float:
    """PTB-XL's likelihood in percent of a diagnostic statement that shows this plainly."""
    for least, percent in ((0.75, 100.0), (0.6, 80.0), (0.45, 50.0), (0.35, 35.0)):
        if strength >= least:
            return percent
    return 15.0


def scp_codes(findings: Mapping[str, Finding], recording: Recording) -> dict[str, float]:
    """SCP statements with likelihoods: diagnostic, then form, then rhythm statements."""
    named = {code for code in findings if code in STATEMENTS}
    likelihoods = {
        code: likelihood(findings[code].strength) if "d" in STATEMENTS[code].kinds else 0.0
        for code in named
    }
    for code in _seen_forms(findings, recording.heart):
        likelihoods.setdefault(code, 0.0)
    diagnoses = [code for code in likelihoods if "d" in STATEMENTS[code].kinds]
    others = {code for code in (*likelihoods, *findings) if code not in diagnoses}
    if not diagnoses and others <= _OTHERWISE_NORMAL:
        likelihoods["NORM"] = 80.0 if others else 100.0
    if recording.rhythm.atria == "sinus" and not {"SBRAD", "STACH", "SARRH"} & named:
        likelihoods["SR"] = 0.0
    order = {"d": 0, "f": 1, "r": 2}
    return dict(
        sorted(
            likelihoods.items(),
            key=lambda item: (order[STATEMENTS[item[0]].kinds[0]], -item[1], item[0]),
        )
    )


def _seen_forms(findings: Mapping[str, Finding], heart: Heart) -> set[str]:
    """Form statements that follow from what can be measured, whatever caused it."""
    codes: set[str] = set()
    infarctions = [findings[code].strength for code in INFARCTIONS if code in findings]
    if infarctions:
        codes.add("ABQRS" if max(infarctions) >= 0.75 else "QWAVE")
    if "LVH" in findings and findings["LVH"].strength < 0.75:
        codes.add("VCLVH")
    acute = any(findings[code].stage == "Stadium I" for code in INFARCTIONS if code in findings)
    if acute or _OWN_REPOLARISATION & set(findings):
        return codes
    st_L, t_L = repolarisation(heart)
    # I, II, aVL, aVF, V3 to V6: where an upright T and a level ST segment are expected.
    if (st_L[[0, 1, 4, 5, 8, 9, 10, 11]] <= -0.1).sum() >= 2:
        codes.add("STD_")
    if (t_L[[0, 1, 8, 9, 10, 11]] <= -0.1).sum() >= 2:
        codes.add("INVT")
    if np.abs(t_L[[0, 1, 9, 10, 11]]).max() < 0.09:
        codes.add("LOWT")
    return codes


def repolarisation(heart: Heart) -> tuple[Array, Array]:
    """(ST level, T amplitude) of the twelve leads in mV."""
    return heart.field_L3 @ heart.st, heart.field_L3 @ heart.t


def heart_axis(degrees: float) -> str:
    """PTB-XL's axis code of an electrical axis in degrees.

    MID to RAD have the limits measured on PTB-XL's own records: ALAD beyond -30 degrees, LAD up to
    0, RAD from 90, ARAD from 120. AXL and AXR are the extreme axis, as ECG-QA reads them.
    """
    for limit, code in (
        (-150, "AXR"),
        (-90, "AXL"),
        (-30, "ALAD"),
        (0, "LAD"),
        (90, "MID"),
        (120, "RAD"),
        (150, "ARAD"),
    ):
        if degrees < limit:
            return code
    return "AXR"


def severity(codes: Mapping[str, float]) -> int:
    """0 no abnormal superclass, 1 one, 2 an infarction or at least two (PTB-XL's superclasses)."""
    classes = {STATEMENTS[code].diagnostic_class for code in codes} - {"", "NORM"}
    return 2 if "MI" in classes or len(classes) >= 2 else len(classes)


def extra_beats(recording: Recording, random: np.random.Generator) -> str:
    """PTB-XL's annotation of premature beats ('2ES', 'VES', 'SVES'), empty without one."""
    kinds = [beat.kind for beat in recording.beats]
    ventricular, atrial = kinds.count("ventricular"), kinds.count("atrial")
    if atrial:
        return "SVES"
    if not ventricular:
        return ""
    return "VES" if ventricular > 5 or random.random() < 0.25 else f"{ventricular}ES"
