"""SNOMED CT codes of the PhysioNet/CinC Challenge, and the SCP-ECG statement that some stand for.

Codes and names: dx_mapping_scored.csv and dx_mapping_unscored.csv of the Challenge 2021 (Reyna M.
et al., Computing in Cardiology 2021). A code has a statement where both say the same finding, or
the code a kind of it (a Mobitz block is a second degree block, ventricular bigeminy a bigeminal
pattern). Left and right bundle branch blocks are complete ones: the Challenge scores "left bundle
branch block" and "complete left bundle branch block" as one diagnosis, and right ones likewise.
Without a statement, because one would be a guess, are findings that PTB-XL has at another place or
not at all (axis, poor R wave progression, early repolarization), wider ones (bundle branch block,
myocardial infarction, supraventricular premature beats, which may be junctional), diagnoses that
the ECG itself need not show (paroxysmal or chronic atrial fibrillation), and atrial hypertrophy or
abnormality, which is not quite atrial enlargement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class SnomedCode:
    """One code.

    Attributes:
        code: SNOMED CT concept id.
        name: as the Challenge names it, in lower case.
        scp_code: the SCP-ECG statement of PTB-XL that it stands for, empty for none.
    """

    code: str
    name: str
    scp_code: str


_TABLE: tuple[tuple[str, str, str], ...] = (
    ("270492004", "1st degree av block", "1AVB"),
    ("195042002", "2nd degree av block", "2AVB"),
    ("164951009", "abnormal qrs", "ABQRS"),
    ("426434006", "anterior ischemia", "ISCAN"),
    ("54329005", "anterior myocardial infarction", "AMI"),
    ("251173003", "atrial bigeminy", "BIGU"),
    ("164889003", "atrial fibrillation", "AFIB"),
    ("164890007", "atrial flutter", "AFLT"),
    ("27885002", "complete heart block", "3AVB"),
    ("733534002", "complete left bundle branch block", "CLBBB"),
    ("713427006", "complete right bundle branch block", "CRBBB"),
    ("251120003", "incomplete left bundle branch block", "ILBBB"),
    ("713426002", "incomplete right bundle branch block", "IRBBB"),
    ("425419005", "inferior ischaemia", "ISCIN"),
    ("425623009", "lateral ischaemia", "ISCLA"),
    ("445118002", "left anterior fascicular block", "LAFB"),
    ("67741000119109", "left atrial enlargement", "LAO/LAE"),
    ("164909002", "left bundle branch block", "CLBBB"),
    ("445211001", "left posterior fascicular block", "LPFB"),
    ("164873001", "left ventricular hypertrophy", "LVH"),
    ("251146004", "low qrs voltages", "LVOLT"),
    ("54016002", "mobitz type i wenckebach atrioventricular block", "2AVB"),
    ("426183003", "mobitz type ii atrioventricular block", "2AVB"),
    ("698252002", "nonspecific intraventricular conduction disorder", "IVCD"),
    ("10370003", "pacing rhythm", "PACE"),
    ("67198005", "paroxysmal supraventricular tachycardia", "PSVT"),
    ("284470004", "premature atrial contraction", "PAC"),
    ("427172004", "premature ventricular contractions", "PVC"),
    ("164947007", "prolonged pr interval", "LPR"),
    ("111975006", "prolonged qt interval", "LNGQT"),
    ("164917005", "qwave abnormal", "QWAVE"),
    ("59118001", "right bundle branch block", "CRBBB"),
    ("89792004", "right ventricular hypertrophy", "RVH"),
    ("427393009", "sinus arrhythmia", "SARRH"),
    ("426177001", "sinus bradycardia", "SBRAD"),
    ("426783006", "sinus rhythm", "SR"),
    ("427084000", "sinus tachycardia", "STACH"),
    ("429622005", "st depression", "STD_"),
    ("164931005", "st elevation", "STE_"),
    ("251168009", "supraventricular bigeminy", "BIGU"),
    ("426761007", "supraventricular tachycardia", "SVTAC"),
    ("164934002", "t wave abnormal", "TAB_"),
    ("59931005", "t wave inversion", "INVT"),
    ("11157007", "ventricular bigeminy", "BIGU"),
    ("164884008", "ventricular ectopics", "PVC"),
    ("17338001", "ventricular premature beats", "PVC"),
    ("251180001", "ventricular trigeminy", "TRIGU"),
    ("74390002", "wolff parkinson white pattern", "WPW"),
    ("233892002", "accelerated atrial escape rhythm", ""),
    ("61277005", "accelerated idioventricular rhythm", ""),
    ("426664006", "accelerated junctional rhythm", ""),
    ("57054005", "acute myocardial infarction", ""),
    ("413444003", "acute myocardial ischemia", ""),
    ("251187003", "atrial escape beat", ""),
    ("195080001", "atrial fibrillation and flutter", ""),
    ("195126007", "atrial hypertrophy", ""),
    ("251268003", "atrial pacing pattern", ""),
    ("106068003", "atrial rhythm", ""),
    ("713422000", "atrial tachycardia", ""),
    ("50799005", "atrioventricular dissociation", ""),
    ("29320008", "atrioventricular junctional rhythm", ""),
    ("251166008", "atrioventricular node reentrant tachycardia", ""),
    ("233897008", "atrioventricular reentrant tachycardia", ""),
    ("233917008", "av block", ""),
    ("251170000", "blocked premature atrial contraction", ""),
    ("74615001", "brady tachy syndrome", ""),
    ("426627000", "bradycardia", ""),
    ("418818005", "brugada", ""),
    ("6374002", "bundle branch block", ""),
    ("698247007", "cardiac dysrhythmia", ""),
    ("426749004", "chronic atrial fibrillation", ""),
    ("413844008", "chronic myocardial ischemia", ""),
    ("61721007", "clockwise or counterclockwise vectorcardiographic loop", ""),
    ("251198002", "clockwise rotation", ""),
    ("204384007", "congenital incomplete atrioventricular heart block", ""),
    ("53741008", "coronary heart disease", ""),
    ("251199005", "countercolockwise rotation", ""),
    ("77867006", "decreased qt interval", ""),
    ("82226007", "diffuse intraventricular block", ""),
    ("428417006", "early repolarization", ""),
    ("164942001", "fqrs wave", ""),
    ("13640000", "fusion beats", ""),
    ("84114007", "heart failure", ""),
    ("368009", "heart valve disorder", ""),
    ("251259000", "high t-voltage", ""),
    ("49260003", "idioventricular rhythm", ""),
    ("251200008", "indeterminate cardiac axis", ""),
    ("704997005", "inferior st segment depression", ""),
    ("426995002", "junctional escape", ""),
    ("251164006", "junctional premature complex", ""),
    ("426648003", "junctional tachycardia", ""),
    ("253352002", "left atrial abnormality", ""),
    ("446813000", "left atrial hypertrophy", ""),
    ("39732003", "left axis deviation", ""),
    ("55827005", "left ventricular high voltage", ""),
    ("370365005", "left ventricular strain", ""),
    ("164865005", "myocardial infarction", ""),
    ("164861001", "myocardial ischemia", ""),
    ("428750005", "nonspecific st t abnormality", ""),
    ("164867002", "old myocardial infarction", ""),
    ("164912004", "p wave change", ""),
    ("251182009", "paired ventricular premature complexes", ""),
    ("282825002", "paroxysmal atrial fibrillation", ""),
    ("425856008", "paroxysmal ventricular tachycardia", ""),
    ("365413008", "poor r wave progression", ""),
    ("251205003", "prolonged p wave", ""),
    ("164921003", "r wave abnormal", ""),
    ("314208002", "rapid atrial fibrillation", ""),
    ("253339007", "right atrial abnormality", ""),
    ("67751000119106", "right atrial high voltage", ""),
    ("446358003", "right atrial hypertrophy", ""),
    ("47665007", "right axis deviation", ""),
    ("55930002", "s t changes", ""),
    ("49578007", "shortened pr interval", ""),
    ("65778007", "sinoatrial block", ""),
    ("5609005", "sinus arrest", ""),
    ("17366009", "sinus atrium to atrial wandering rhythm", ""),
    ("60423000", "sinus node dysfunction", ""),
    ("164930006", "st interval abnormal", ""),
    ("63593006", "supraventricular premature beats", ""),
    ("251139008", "suspect arm ecg leads reversed", ""),
    ("251223006", "tall p wave", ""),
    ("266257000", "transient ischemic attack", ""),
    ("164937009", "u wave abnormal", ""),
    ("75532003", "ventricular escape beat", ""),
    ("81898007", "ventricular escape rhythm", ""),
    ("164896001", "ventricular fibrillation", ""),
    ("111288001", "ventricular flutter", ""),
    ("266249003", "ventricular hypertrophy", ""),
    ("251266004", "ventricular pacing pattern", ""),
    ("195060002", "ventricular pre excitation", ""),
    ("164895002", "ventricular tachycardia", ""),
    ("195101003", "wandering atrial pacemaker", ""),
)

SNOMED_CODES: Mapping[str, SnomedCode] = MappingProxyType(
    {code: SnomedCode(code, name, scp_code) for code, name, scp_code in _TABLE}
)
"""Every code of the Challenge 2021."""

HEART_AXES: Mapping[str, str] = MappingProxyType({"39732003": "LAD", "47665007": "RAD"})
"""Left and right axis deviation -> PTB-XL's word for it in `Record.heart_axis`."""
