"""The 71 SCP-ECG statements as PTB-XL tables them (scp_statements.csv).

Codes, names and classes are those of the SCP-ECG standard (EN 1064) and of Wagner et al., PTB-XL,
Sci Data 2020. Columns that PTB-XL fills from other vocabularies (AHA, aECG, CDISC, DICOM) stay
empty: no step reads them.
"""

from __future__ import annotations

from typing import NamedTuple

COLUMNS = (
    "",
    "description",
    "diagnostic",
    "form",
    "rhythm",
    "diagnostic_class",
    "diagnostic_subclass",
    "Statement Category",
    "SCP-ECG Statement Description",
    "AHA code",
    "aECG REFID",
    "CDISC Code",
    "DICOM Code",
)
"""Header of scp_statements.csv; the first column is the code."""


class Statement(NamedTuple):
    """One statement: `kinds` holds d (diagnostic), f (form), r (rhythm)."""

    description: str
    kinds: str
    diagnostic_class: str = ""
    diagnostic_subclass: str = ""


STATEMENTS: dict[str, Statement] = {
    "NDT": Statement("non-diagnostic T abnormalities", "df", "STTC", "STTC"),
    "NST_": Statement("non-specific ST changes", "df", "STTC", "NST_"),
    "DIG": Statement("digitalis-effect", "df", "STTC", "STTC"),
    "LNGQT": Statement("long QT-interval", "df", "STTC", "STTC"),
    "NORM": Statement("normal ECG", "d", "NORM", "NORM"),
    "IMI": Statement("inferior myocardial infarction", "d", "MI", "IMI"),
    "ASMI": Statement("anteroseptal myocardial infarction", "d", "MI", "AMI"),
    "LVH": Statement("left ventricular hypertrophy", "d", "HYP", "LVH"),
    "LAFB": Statement("left anterior fascicular block", "d", "CD", "LAFB/LPFB"),
    "ISC_": Statement("non-specific ischemic", "d", "STTC", "ISC_"),
    "IRBBB": Statement("incomplete right bundle branch block", "d", "CD", "IRBBB"),
    "1AVB": Statement("first degree AV block", "d", "CD", "_AVB"),
    "IVCD": Statement(
        "non-specific intraventricular conduction disturbance (block)", "d", "CD", "IVCD"
    ),
    "ISCAL": Statement("ischemic in anterolateral leads", "d", "STTC", "ISCA"),
    "CRBBB": Statement("complete right bundle branch block", "d", "CD", "CRBBB"),
    "CLBBB": Statement("complete left bundle branch block", "d", "CD", "CLBBB"),
    "ILMI": Statement("inferolateral myocardial infarction", "d", "MI", "IMI"),
    "LAO/LAE": Statement("left atrial overload/enlargement", "d", "HYP", "LAO/LAE"),
    "AMI": Statement("anterior myocardial infarction", "d", "MI", "AMI"),
    "ALMI": Statement("anterolateral myocardial infarction", "d", "MI", "AMI"),
    "ISCIN": Statement("ischemic in inferior leads", "d", "STTC", "ISCI"),
    "INJAS": Statement("subendocardial injury in anteroseptal leads", "d", "MI", "AMI"),
    "LMI": Statement("lateral myocardial infarction", "d", "MI", "LMI"),
    "ISCIL": Statement("ischemic in inferolateral leads", "d", "STTC", "ISCI"),
    "LPFB": Statement("left posterior fascicular block", "d", "CD", "LAFB/LPFB"),
    "ISCAS": Statement("ischemic in anteroseptal leads", "d", "STTC", "ISCA"),
    "INJAL": Statement("subendocardial injury in anterolateral leads", "d", "MI", "AMI"),
    "ISCLA": Statement("ischemic in lateral leads", "d", "STTC", "ISCA"),
    "RVH": Statement("right ventricular hypertrophy", "d", "HYP", "RVH"),
    "ANEUR": Statement("ST-T changes compatible with ventricular aneurysm", "d", "STTC", "STTC"),
    "RAO/RAE": Statement("right atrial overload/enlargement", "d", "HYP", "RAO/RAE"),
    "EL": Statement("electrolytic disturbance or drug (former EDIS)", "d", "STTC", "STTC"),
    "WPW": Statement("Wolf-Parkinson-White syndrome", "d", "CD", "WPW"),
    "ILBBB": Statement("incomplete left bundle branch block", "d", "CD", "ILBBB"),
    "IPLMI": Statement("inferoposterolateral myocardial infarction", "d", "MI", "IMI"),
    "ISCAN": Statement("ischemic in anterior leads", "d", "STTC", "ISCA"),
    "IPMI": Statement("inferoposterior myocardial infarction", "d", "MI", "IMI"),
    "SEHYP": Statement("septal hypertrophy", "d", "HYP", "SEHYP"),
    "INJIN": Statement("subendocardial injury in inferior leads", "d", "MI", "IMI"),
    "INJLA": Statement("subendocardial injury in lateral leads", "d", "MI", "AMI"),
    "PMI": Statement("posterior myocardial infarction", "d", "MI", "PMI"),
    "3AVB": Statement("third degree AV block", "d", "CD", "_AVB"),
    "INJIL": Statement("subendocardial injury in inferolateral leads", "d", "MI", "IMI"),
    "2AVB": Statement("second degree AV block", "d", "CD", "_AVB"),
    "ABQRS": Statement("abnormal QRS", "f"),
    "PVC": Statement("ventricular premature complex", "f"),
    "STD_": Statement("non-specific ST depression", "f"),
    "VCLVH": Statement("voltage criteria (QRS) for left ventricular hypertrophy", "f"),
    "QWAVE": Statement("Q waves present", "f"),
    "LOWT": Statement("low amplitude T-waves", "f"),
    "NT_": Statement("non-specific T-wave changes", "f"),
    "PAC": Statement("atrial premature complex", "f"),
    "LPR": Statement("prolonged PR interval", "f"),
    "INVT": Statement("inverted T-waves", "f"),
    "LVOLT": Statement("low QRS voltages in the frontal and horizontal leads", "f"),
    "HVOLT": Statement("high QRS voltage", "f"),
    "TAB_": Statement("T-wave abnormality", "f"),
    "STE_": Statement("non-specific ST elevation", "f"),
    "PRC(S)": Statement("premature complex(es)", "f"),
    "SR": Statement("sinus rhythm", "r"),
    "AFIB": Statement("atrial fibrillation", "r"),
    "STACH": Statement("sinus tachycardia", "r"),
    "SARRH": Statement("sinus arrhythmia", "r"),
    "SBRAD": Statement("sinus bradycardia", "r"),
    "PACE": Statement("normal functioning artificial pacemaker", "r"),
    "SVARR": Statement("supraventricular arrhythmia", "r"),
    "BIGU": Statement("bigeminal pattern (unknown origin, SV or Ventricular)", "r"),
    "AFLT": Statement("atrial flutter", "r"),
    "SVTAC": Statement("supraventricular tachycardia", "r"),
    "PSVT": Statement("paroxysmal supraventricular tachycardia", "r"),
    "TRIGU": Statement("trigeminal pattern (unknown origin, SV or Ventricular)", "r"),
}


def statement_rows() -> list[tuple[str, ...]]:
    """The rows of scp_statements.csv below its header."""
    rows = []
    for code, statement in STATEMENTS.items():
        flags = ("1.0" if kind in statement.kinds else "" for kind in "dfr")
        rows.append(
            (
                code,
                statement.description,
                *flags,
                statement.diagnostic_class,
                statement.diagnostic_subclass,
                "",
                statement.description,
                "",
                "",
                "",
                "",
            )
        )
    return rows
