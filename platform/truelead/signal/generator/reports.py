"""Short report texts in German or English, in the telegraphic manner of ECG machines."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from truelead.signal.generator.finding import Finding

# (German, English) of what a finding is called.
_PHRASES: dict[str, tuple[str, str]] = {
    "SR": ("sinusrhythmus", "sinus rhythm"),
    "SBRAD": ("sinusbradykardie", "sinus bradycardia"),
    "STACH": ("sinustachykardie", "sinus tachycardia"),
    "SARRH": ("sinusarrhythmie", "sinus arrhythmia"),
    "AFIB": ("vorhofflimmern mit unregelmäßiger überleitung", "atrial fibrillation"),
    "AFLT": ("vorhofflattern", "atrial flutter"),
    "PVC": ("ventrikuläre extrasystolen", "ventricular premature beats"),
    "PAC": ("supraventrikuläre extrasystolen", "atrial premature beats"),
    "BIGU": ("bigeminus", "bigeminy"),
    "1AVB": ("av-block 1. grades", "first degree av block"),
    "LAO/LAE": ("belastung des linken vorhofs", "left atrial enlargement"),
    "CLBBB": ("kompletter linksschenkelblock", "complete left bundle branch block"),
    "CRBBB": ("kompletter rechtsschenkelblock", "complete right bundle branch block"),
    "IRBBB": ("inkompletter rechtsschenkelblock", "incomplete right bundle branch block"),
    "LAFB": ("linksanteriorer hemiblock", "left anterior fascicular block"),
    "IMI": ("inferiorer infarkt", "inferior myocardial infarction"),
    "ILMI": ("inferolateraler infarkt", "inferolateral myocardial infarction"),
    "ASMI": ("anteroseptaler infarkt", "anteroseptal myocardial infarction"),
    "AMI": ("vorderwandinfarkt", "anterior myocardial infarction"),
    "ALMI": ("anterolateraler infarkt", "anterolateral myocardial infarction"),
    "LVH": ("linksventrikuläre hypertrophie", "left ventricular hypertrophy"),
    "VCLVH": ("hohe linksventrikuläre spannung", "voltage criteria for left ventricular load"),
    "ISC_": ("ischämische st-t-veränderung", "ischaemic st-t changes"),
    "ISCAL": ("ischämie anterolateral", "ischaemia in anterolateral leads"),
    "ISCIN": ("ischämie inferior", "ischaemia in inferior leads"),
    "STD_": ("st-senkung", "st depression"),
    "NST_": ("unspezifische st-veränderung", "non-specific st changes"),
    "NDT": ("uncharakteristische t-abflachung", "non-diagnostic t wave flattening"),
    "INVT": ("t-negativierung", "inverted t waves"),
    "LOWT": ("t flach", "low t waves"),
    "LNGQT": ("verlängertes qt", "long qt interval"),
    "LVOLT": ("niedervoltage", "low qrs voltage"),
    "QWAVE": ("q-zacken", "q waves present"),
    "ABQRS": ("qrs abnorm", "abnormal qrs"),
}
_AXES: dict[str, tuple[str, str]] = {
    "MID": ("lagetyp normal", "normal axis"),
    "LAD": ("linkstyp", "left axis"),
    "ALAD": ("überdrehter linkstyp", "marked left axis deviation"),
    "RAD": ("rechtstyp", "right axis deviation"),
    "ARAD": ("überdrehter rechtstyp", "marked right axis deviation"),
    "AXL": ("extreme achsenlage nach links", "extreme left axis"),
    "AXR": ("extreme achsenlage nach rechts", "extreme right axis"),
}
_STAGES: dict[str, tuple[str, str]] = {
    "Stadium I": ("frisch", "acute"),
    "Stadium II": ("subakut", "subacute"),
    "Stadium II-III": ("in rückbildung", "recent"),
    "Stadium III": ("alt", "old"),
    "unknown": ("alter unbekannt", "of unknown age"),
}
_RHYTHMS = ("SR", "SBRAD", "STACH", "SARRH", "AFIB", "AFLT")


def write_report(
    codes: Mapping[str, float],
    findings: Mapping[str, Finding],
    axis: str,
    random: np.random.Generator,
) -> str:
    """One lower-case report: rhythm, axis, findings with stage and doubt, or 'normal'."""
    language = int(random.random() < 0.4)
    doubt = ("möglich", "possible")[language]
    likely = ("wahrscheinlich", "probable")[language]
    parts = [_PHRASES[code][language] for code in _RHYTHMS if code in codes]
    if axis in _AXES and (axis != "MID" or random.random() < 0.4):
        parts.append(_AXES[axis][language])
    for code, percent in codes.items():
        if code in _RHYTHMS or code == "NORM":
            continue
        phrase = _PHRASES[code][language]
        stage = findings[code].stage if code in findings else ""
        if stage:
            phrase = f"{phrase} {_STAGES[stage][language]}"
        if 0 < percent < 80:
            phrase = f"{phrase} {doubt}"
        elif percent == 80:
            phrase = f"{phrase} {likely}"
        parts.append(phrase)
    if codes.get("NORM") == 100.0:
        parts.append(("normales ekg", "normal ecg")[language])
    elif "NORM" in codes:
        parts.append(("sonst normales ekg", "otherwise normal ecg")[language])
    return ". ".join(parts) + "." if language else " ".join(parts)
