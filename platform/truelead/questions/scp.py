"""PTB-XL's 71 SCP-ECG statements under the names that ECG-QA asks for them by.

Sources: the statements and their classes are scp_statements.csv of PTB-XL (Wagner P. et al., Sci
Data 2020, CC BY 4.0); the names are ECG-QA's attributes (Oh J. et al., NeurIPS 2023, CC BY 4.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from truelead.errors import QuestionError

SUPERCLASSES: Mapping[str, str] = MappingProxyType(
    {
        "CD": "conduction disturbance",
        "HYP": "hypertrophy",
        "MI": "myocardial infarction",
        "STTC": "st/t change",
    }
)
"""Abnormal diagnostic superclass -> ECG-QA's name."""

NORMAL = "NORM"
"""The statement of a normal ECG: diagnostic, but no symptom."""


@dataclass(frozen=True)
class ScpStatement:
    """One SCP-ECG statement.

    Attributes:
        code: e.g. CLBBB.
        name: ECG-QA's attribute name, e.g. "complete left bundle branch block".
        diagnostic, form, rhythm: the kinds of statement it is; four are diagnostic and form.
        diagnostic_class: NORM, CD, HYP, MI or STTC; empty where not diagnostic.
        diagnostic_subclass: PTB-XL's finer class; empty where not diagnostic.
    """

    code: str
    name: str
    diagnostic: bool
    form: bool
    rhythm: bool
    diagnostic_class: str
    diagnostic_subclass: str


# code, ECG-QA name, kinds (d diagnostic, f form, r rhythm), superclass, subclass
_TABLE: tuple[tuple[str, str, str, str, str], ...] = (
    ("NDT", "non-diagnostic t abnormalities", "df", "STTC", "STTC"),
    ("NST_", "non-specific st changes", "df", "STTC", "NST_"),
    ("DIG", "digitalis effect", "df", "STTC", "STTC"),
    ("LNGQT", "long qt-interval", "df", "STTC", "STTC"),
    ("NORM", "normal ecg", "d", "NORM", "NORM"),
    ("IMI", "myocardial infarction in inferior leads", "d", "MI", "IMI"),
    ("ASMI", "myocardial infarction in anteroseptal leads", "d", "MI", "AMI"),
    ("LVH", "left ventricular hypertrophy", "d", "HYP", "LVH"),
    ("LAFB", "left anterior fascicular block", "d", "CD", "LAFB/LPFB"),
    ("ISC_", "non-specific ischemic", "d", "STTC", "ISC_"),
    ("IRBBB", "incomplete right bundle branch block", "d", "CD", "IRBBB"),
    ("1AVB", "first degree av block", "d", "CD", "_AVB"),
    ("IVCD", "non-specific intraventricular conduction disturbance (block)", "d", "CD", "IVCD"),
    ("ISCAL", "ischemic in anterolateral leads", "d", "STTC", "ISCA"),
    ("CRBBB", "complete right bundle branch block", "d", "CD", "CRBBB"),
    ("CLBBB", "complete left bundle branch block", "d", "CD", "CLBBB"),
    ("ILMI", "myocardial infarction in inferolateral leads", "d", "MI", "IMI"),
    ("LAO/LAE", "left atrial overload/enlargement", "d", "HYP", "LAO/LAE"),
    ("AMI", "myocardial infarction in anterior leads", "d", "MI", "AMI"),
    ("ALMI", "myocardial infarction in anterolateral leads", "d", "MI", "AMI"),
    ("ISCIN", "ischemic in inferior leads", "d", "STTC", "ISCI"),
    ("INJAS", "subendocardial injury in anteroseptal leads", "d", "MI", "AMI"),
    ("LMI", "myocardial infarction in lateral leads", "d", "MI", "LMI"),
    ("ISCIL", "ischemic in inferolateral leads", "d", "STTC", "ISCI"),
    ("LPFB", "left posterior fascicular block", "d", "CD", "LAFB/LPFB"),
    ("ISCAS", "ischemic in anteroseptal leads", "d", "STTC", "ISCA"),
    ("INJAL", "subendocardial injury in anterolateral leads", "d", "MI", "AMI"),
    ("ISCLA", "ischemic in lateral leads", "d", "STTC", "ISCA"),
    ("RVH", "right ventricular hypertrophy", "d", "HYP", "RVH"),
    ("ANEUR", "st-t changes compatible with ventricular aneurysm", "d", "STTC", "STTC"),
    ("RAO/RAE", "right atrial overload/enlargement", "d", "HYP", "RAO/RAE"),
    ("EL", "electrolytic disturbance or drug (former edis)", "d", "STTC", "STTC"),
    ("WPW", "wolff-parkinson-white syndrome", "d", "CD", "WPW"),
    ("ILBBB", "incomplete left bundle branch block", "d", "CD", "ILBBB"),
    ("IPLMI", "myocardial infarction in inferoposterolateral leads", "d", "MI", "IMI"),
    ("ISCAN", "ischemic in anterior leads", "d", "STTC", "ISCA"),
    ("IPMI", "myocardial infarction in inferoposterior leads", "d", "MI", "IMI"),
    ("SEHYP", "septal hypertrophy", "d", "HYP", "SEHYP"),
    ("INJIN", "subendocardial injury in inferior leads", "d", "MI", "IMI"),
    ("INJLA", "subendocardial injury in lateral leads", "d", "MI", "AMI"),
    ("PMI", "myocardial infarction in posterior leads", "d", "MI", "PMI"),
    ("3AVB", "third degree av block", "d", "CD", "_AVB"),
    ("INJIL", "subendocardial injury in inferolateral leads", "d", "MI", "IMI"),
    ("2AVB", "second degree av block", "d", "CD", "_AVB"),
    ("ABQRS", "abnormal qrs", "f", "", ""),
    ("PVC", "ventricular premature complex", "f", "", ""),
    ("STD_", "non-specific st depression", "f", "", ""),
    ("VCLVH", "voltage criteria (qrs) for left ventricular hypertrophy", "f", "", ""),
    ("QWAVE", "q waves present", "f", "", ""),
    ("LOWT", "low amplitude t-wave", "f", "", ""),
    ("NT_", "non-specific t-wave changes", "f", "", ""),
    ("PAC", "atrial premature complex", "f", "", ""),
    ("LPR", "prolonged pr interval", "f", "", ""),
    ("INVT", "inverted t-waves", "f", "", ""),
    ("LVOLT", "low qrs voltages in the frontal and horizontal leads", "f", "", ""),
    ("HVOLT", "high qrs voltage", "f", "", ""),
    ("TAB_", "t-wave abnormality", "f", "", ""),
    ("STE_", "non-specific st elevation", "f", "", ""),
    ("PRC(S)", "premature complex(es)", "f", "", ""),
    ("SR", "sinus rhythm", "r", "", ""),
    ("AFIB", "atrial fibrillation", "r", "", ""),
    ("STACH", "sinus tachycardia", "r", "", ""),
    ("SARRH", "sinus arrhythmia", "r", "", ""),
    ("SBRAD", "sinus bradycardia", "r", "", ""),
    ("PACE", "normal functioning artificial pacemaker", "r", "", ""),
    ("SVARR", "supraventricular arrhythmia", "r", "", ""),
    ("BIGU", "bigeminal pattern (unknown origin, supraventricular, or ventricular)", "r", "", ""),
    ("AFLT", "atrial flutter", "r", "", ""),
    ("SVTAC", "supraventricular tachycardia", "r", "", ""),
    ("PSVT", "paroxysmal supraventricular tachycardia", "r", "", ""),
    ("TRIGU", "trigeminal pattern (unknown origin, supraventricular, or ventricular)", "r", "", ""),
)

SCP_STATEMENTS: Mapping[str, ScpStatement] = MappingProxyType(
    {
        code: ScpStatement(code, name, "d" in kinds, "f" in kinds, "r" in kinds, top, sub)
        for code, name, kinds, top, sub in _TABLE
    }
)
"""Every statement of PTB-XL by its code, in PTB-XL's order."""

_CODE_OF_NAME = {statement.name: code for code, statement in SCP_STATEMENTS.items()}


def code_of(code_or_name: str) -> str:
    """The code of a statement named by its code or by ECG-QA's name.

    Raises:
        QuestionError: it is neither.
    """
    if code_or_name in SCP_STATEMENTS:
        return code_or_name
    code = _CODE_OF_NAME.get(code_or_name.lower())
    if code is None:
        raise QuestionError(f"attribute: expected an SCP statement, found {code_or_name!r}")
    return code
