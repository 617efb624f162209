"""Every condition is recognised in the signal by simple measurements of the tests' own.

Shape suffixes: L leads (12), T samples, B beats.
"""

from __future__ import annotations

import numpy as np
import pytest

from truelead.signal.generator import CONDITIONS, Finding, GeneratedEcg, generate_ecg
from truelead.types import LEADS

RATE = 500
SEEDS = range(6)


def ecg_with(seed: int, *codes: str, stage: str = "", strength: float = 1.0) -> GeneratedEcg:
    findings = {code: Finding(strength, stage) for code in codes}
    return generate_ecg(seed, findings, sampling_rate=RATE)


def lead(name: str) -> int:
    return LEADS.index(name)


def r_times(generated: GeneratedEcg) -> np.ndarray:
    """QRS complexes in seconds, found by the energy of the slope in all leads."""
    signal_LT = generated.clean.signal_LT.astype(float)
    energy_T = (np.diff(signal_LT, axis=1) ** 2).sum(axis=0)
    energy_T = np.convolve(energy_T, np.ones(50) / 50, "same")
    threshold = 0.2 * np.percentile(energy_T, 99)
    edges = np.flatnonzero(np.diff((energy_T > threshold).astype(int)) == 1)
    starts = edges[np.diff(np.concatenate([[-(10**6)], edges])) > 0.2 * RATE]
    return starts / RATE


def average_beat(generated: GeneratedEcg) -> tuple[np.ndarray, int, int]:
    """(leads of the median normal beat (12, T), sample of QRS onset, sample of QRS offset)."""
    bounds = generated.boundaries
    signal_LT = generated.clean.signal_LT.astype(float)
    duration_B = bounds.qrs_offset - bounds.qrs_onset
    normal = np.flatnonzero(
        (bounds.qrs_onset > 60)
        & (bounds.qrs_offset > 0)
        & (bounds.qrs_onset + 400 < signal_LT.shape[1])
        & (duration_B <= np.median(duration_B) + 4)
    )
    beats = np.stack(
        [signal_LT[:, bounds.qrs_onset[b] - 50 : bounds.qrs_onset[b] + 350] for b in normal]
    )
    beat_LT = np.median(beats, axis=0)
    beat_LT = beat_LT - beat_LT[:, 44:48].mean(axis=1, keepdims=True)
    return beat_LT, 50, 50 + int(np.median(duration_B[normal]))


def qrs_of(generated: GeneratedEcg) -> np.ndarray:
    beat_LT, onset, offset = average_beat(generated)
    return beat_LT[:, onset : offset + 1]


def st_of(generated: GeneratedEcg) -> np.ndarray:
    beat_LT, _, offset = average_beat(generated)
    return beat_LT[:, offset + 20]


def t_of(generated: GeneratedEcg) -> np.ndarray:
    bounds = generated.boundaries
    delay = int(np.median((bounds.t_peak - bounds.qrs_onset)[bounds.t_peak > 0]))
    return average_beat(generated)[0][:, 50 + delay]


def axis_of(generated: GeneratedEcg) -> float:
    qrs_LT = qrs_of(generated)
    net_L = qrs_LT.max(axis=1) + qrs_LT.min(axis=1)
    return float(np.degrees(np.arctan2(net_L[lead("aVF")] * 2 / np.sqrt(3), net_L[lead("I")])))


def qrs_seconds(generated: GeneratedEcg) -> float:
    """QRS duration from the energy alone: the central 99.5 % of the QRS's squared slope."""
    beat_LT, onset, offset = average_beat(generated)
    margin = 20
    slope_T = (np.diff(beat_LT[:, onset - margin : offset + margin], axis=1) ** 2).sum(axis=0)
    share_T = np.cumsum(slope_T) / slope_T.sum()
    return float(np.searchsorted(share_T, 0.9975) - np.searchsorted(share_T, 0.0025)) / RATE


def pr_seconds(generated: GeneratedEcg) -> float:
    bounds = generated.boundaries
    both = (bounds.p_onset >= 0) & (bounds.qrs_onset >= 0)
    return float(np.median(bounds.qrs_onset[both] - bounds.p_onset[both])) / RATE


@pytest.mark.parametrize("seed", SEEDS)
def test_a_healthy_heart_is_within_normal_limits(seed: int) -> None:
    healthy = ecg_with(seed)
    assert healthy.record.scp_codes == {"NORM": 100.0, "SR": 0.0}
    assert healthy.severity == 0
    intervals = np.diff(r_times(healthy))
    assert 60 / 101 < intervals.mean() < 60 / 59
    assert intervals.std() / intervals.mean() < 0.08
    assert 0.055 < qrs_seconds(healthy) < 0.11
    assert 0.11 < pr_seconds(healthy) < 0.20
    assert -30 < axis_of(healthy) < 95
    assert np.abs(st_of(healthy)).max() < 0.1
    t_L = t_of(healthy)
    assert t_L[lead("aVR")] < 0 < min(t_L[lead("II")], t_L[lead("V4")], t_L[lead("V5")])
    qrs_LT = qrs_of(healthy)
    # R grows from V1 to V4, S shrinks from V2 to V6.
    assert qrs_LT[lead("V1")].max() < qrs_LT[lead("V4")].max()
    assert qrs_LT[lead("V2")].min() < qrs_LT[lead("V6")].min()


@pytest.mark.parametrize("seed", SEEDS)
def test_heart_rates(seed: int) -> None:
    assert 60 / np.diff(r_times(ecg_with(seed, "SBRAD"))).mean() < 60
    assert 60 / np.diff(r_times(ecg_with(seed, "STACH"))).mean() > 100
    arrhythmia = np.diff(r_times(ecg_with(seed, "SARRH")))
    assert arrhythmia.max() - arrhythmia.min() > 0.12


@pytest.mark.parametrize("seed", SEEDS)
def test_fibrillation_is_irregular_and_has_no_p(seed: int) -> None:
    fibrillating = ecg_with(seed, "AFIB")
    intervals = np.diff(r_times(fibrillating))
    assert intervals.std() / intervals.mean() > 0.10
    assert (fibrillating.boundaries.p_onset == -1).all()
    # Between the beats the atria move at 4 to 9 Hz.
    bounds = fibrillating.boundaries
    signal_T = fibrillating.clean.signal_LT[lead("V1")].astype(float)
    pieces = [
        signal_T[start : start + 150] - signal_T[start : start + 150].mean()
        for start, end in zip(bounds.t_offset[:-1], bounds.qrs_onset[1:], strict=True)
        if start > 0 and end - start > 150
    ]
    if pieces:
        power = np.mean([np.abs(np.fft.rfft(piece, 1000)) ** 2 for piece in pieces], axis=0)
        peak_hertz = np.fft.rfftfreq(1000, 1 / RATE)[power.argmax()]
        assert 3 < peak_hertz < 10


@pytest.mark.parametrize("seed", SEEDS)
def test_flutter_waves_run_at_about_300_a_minute(seed: int) -> None:
    flutter = ecg_with(seed, "AFLT")
    assert (flutter.boundaries.p_onset == -1).all()
    signal_T = flutter.clean.signal_LT[lead("aVF")].astype(float)
    power = np.abs(np.fft.rfft(signal_T - signal_T.mean(), 50000)) ** 2
    hertz = np.fft.rfftfreq(50000, 1 / RATE)
    band = (hertz > 3.9) & (hertz < 6)
    peak = hertz[band][power[band].argmax()]
    assert 4.4 < peak < 5.4
    ratios = np.diff(flutter.boundaries.qrs_onset) / RATE * peak
    assert np.abs(ratios - np.round(ratios)).max() < 0.15
    assert set(np.round(ratios)) <= {2.0, 3.0, 4.0}


@pytest.mark.parametrize("seed", SEEDS)
def test_first_degree_block_and_left_atrium(seed: int) -> None:
    assert pr_seconds(ecg_with(seed, "1AVB")) > 0.20
    enlarged, healthy = ecg_with(seed, "LAO/LAE"), ecg_with(seed)
    bounds = enlarged.boundaries
    duration = np.median(bounds.p_offset - bounds.p_onset) / RATE
    usual = np.median(healthy.boundaries.p_offset - healthy.boundaries.p_onset) / RATE
    assert usual < 0.12 <= duration


@pytest.mark.parametrize("seed", SEEDS)
def test_left_bundle_branch_block(seed: int) -> None:
    block = ecg_with(seed, "CLBBB")
    bounds = block.boundaries
    assert np.median(bounds.qrs_offset - bounds.qrs_onset) / RATE >= 0.12
    assert qrs_seconds(block) > 0.105
    qrs_LT, st_L, t_L = qrs_of(block), st_of(block), t_of(block)
    for name in ("I", "V6"):
        before_st = int(0.85 * qrs_LT.shape[1])
        assert qrs_LT[lead(name), :before_st].min() > -0.05, "no q wave and no S wave"
        assert st_L[lead(name)] < 0 > t_L[lead(name)], "discordant"
    assert qrs_LT[lead("V1")].min() < -0.6
    assert st_L[lead("V1")] > 0 < t_L[lead("V1")]
    # A notch: V6 has two maxima with a dip between them.
    course = qrs_LT[lead("V6")]
    peaks = [i for i in range(1, len(course) - 1) if course[i - 1] < course[i] >= course[i + 1]]
    assert len(peaks) >= 2


@pytest.mark.parametrize("seed", SEEDS)
def test_right_bundle_branch_block(seed: int) -> None:
    block = ecg_with(seed, "CRBBB")
    bounds = block.boundaries
    assert np.median(bounds.qrs_offset - bounds.qrs_onset) / RATE >= 0.12
    assert qrs_seconds(block) > 0.105
    qrs_LT = qrs_of(block)
    half = qrs_LT.shape[1] // 2
    v1 = qrs_LT[lead("V1")]
    trough = int(v1.argmin())
    assert v1[:trough].max() > 0.02, "r"
    assert v1[trough:].max() > v1[:trough].max(), "R' is larger"
    for name in ("I", "V6"):
        course = qrs_LT[lead(name)]
        assert course[half:].min() < -0.15
        assert (course < -0.05).sum() / RATE >= 0.035, "the S wave is wide"
    incomplete = ecg_with(seed, "IRBBB")
    duration = np.median(incomplete.boundaries.qrs_offset - incomplete.boundaries.qrs_onset) / RATE
    assert 0.10 < duration < 0.12
    assert qrs_of(incomplete)[lead("V1")][20:].max() > 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_left_anterior_hemiblock(seed: int) -> None:
    block = ecg_with(seed, "LAFB")
    assert -90 < axis_of(block) < -44
    qrs_LT = qrs_of(block)
    for name in ("II", "III", "aVF"):
        course = qrs_LT[lead(name)]
        assert course.argmax() < course.argmin(), "r before S"
        assert course.max() > 0.03
        assert -course.min() > course.max()
    avl = qrs_LT[lead("aVL")]
    assert avl.argmin() < avl.argmax()
    assert avl.max() > -avl.min() > 0.02, "qR"


@pytest.mark.parametrize(
    ("code", "low", "high"),
    [("left-axis", -47, -30), ("right-axis", 90, 135), ("extreme-axis", -180, -90)],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_axis_deviations(seed: int, code: str, low: float, high: float) -> None:
    assert low <= axis_of(ecg_with(seed, code)) <= high


@pytest.mark.parametrize("seed", range(20))
def test_the_written_axis_is_the_measured_one(seed: int) -> None:
    code = ("left-axis", "right-axis", "LAFB", "IMI", "CRBBB")[seed % 5]
    generated = ecg_with(seed, code)
    limits = {
        "MID": (0, 90),
        "LAD": (-30, 0),
        "ALAD": (-90, -30),
        "RAD": (90, 120),
        "ARAD": (120, 150),
    }
    written = generated.record.heart_axis
    if written in limits:
        low, high = limits[written]
        assert low - 4 <= axis_of(generated) <= high + 4


INFARCTIONS = [
    ("IMI", ("II", "III", "aVF"), ("aVL",)),
    ("ASMI", ("V1", "V2"), ()),
    ("AMI", ("V2", "V3"), ()),
    ("ALMI", ("I", "V5"), ("III",)),
    ("ILMI", ("II", "V6"), ()),
]


@pytest.mark.parametrize(("code", "leads", "mirror"), INFARCTIONS)
@pytest.mark.parametrize("seed", SEEDS)
def test_infarction_stages(
    seed: int, code: str, leads: tuple[str, ...], mirror: tuple[str, ...]
) -> None:
    acute, recent, old = (
        ecg_with(seed, code, stage=stage)
        for stage in ("Stadium I", "Stadium II-III", "Stadium III")
    )
    assert acute.severity == recent.severity == old.severity == 2
    for name in leads:
        assert st_of(acute)[lead(name)] > 0.1, "acute: ST elevation"
        assert abs(st_of(old)[lead(name)]) < 0.1, "old: ST level"
        assert t_of(recent)[lead(name)] < -0.04, "recent: T inversion"
        for later in (recent, old):
            course = qrs_of(later)[lead(name)]
            negative_first = int(np.flatnonzero(np.abs(course) > 0.04)[0])
            assert course[negative_first] < 0, "the QRS begins downwards"
            upwards = np.flatnonzero(course[negative_first:] > 0)
            width = upwards[0] if len(upwards) else len(course) - negative_first
            assert width / RATE >= 0.02
            early = course[: negative_first + width]
            assert early.min() < -0.1, "a deep Q wave"
    for name in mirror:
        assert st_of(acute)[lead(name)] < -0.04, "reciprocal depression"


@pytest.mark.parametrize("seed", SEEDS)
def test_left_ventricular_hypertrophy(seed: int) -> None:
    def sokolow(generated: GeneratedEcg) -> float:
        qrs_LT = qrs_of(generated)
        return float(-qrs_LT[lead("V1")].min() + qrs_LT[[lead("V5"), lead("V6")]].max())

    plain = ecg_with(seed, "LVH")
    assert sokolow(plain) > 3.5
    assert st_of(plain)[lead("V6")] < -0.02
    assert t_of(plain)[lead("V6")] < 0
    unsure = ecg_with(seed, "LVH", strength=0.5)
    assert unsure.record.scp_codes["LVH"] == 50.0
    assert "VCLVH" in unsure.record.scp_codes
    assert sokolow(unsure) > 3.5
    assert sokolow(ecg_with(seed)) < 3.5


@pytest.mark.parametrize("seed", SEEDS)
def test_low_voltage(seed: int) -> None:
    sizes_L = np.ptp(qrs_of(ecg_with(seed, "LVOLT")), axis=1)
    assert sizes_L[:6].max() < 0.5
    assert sizes_L[6:].max() < 1.0
    assert np.ptp(qrs_of(ecg_with(seed)), axis=1)[:6].max() > 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_st_t_changes(seed: int) -> None:
    v5, v6, second = lead("V5"), lead("V6"), lead("II")
    assert st_of(ecg_with(seed, "STD_"))[v5] < -0.07
    assert -0.13 < st_of(ecg_with(seed, "NST_"))[v5] < -0.015
    ischaemic = ecg_with(seed, "ISC_")
    assert st_of(ischaemic)[v5] < -0.05
    assert t_of(ischaemic)[v5] < 0.05
    anterolateral = ecg_with(seed, "ISCAL")
    assert st_of(anterolateral)[v5] < -0.04
    assert t_of(anterolateral)[v5] < -0.05
    inferior = ecg_with(seed, "ISCIN")
    assert st_of(inferior)[lead("aVF")] < -0.05
    assert t_of(inferior)[lead("aVF")] < -0.05
    assert abs(t_of(ecg_with(seed, "NDT"))[v5]) < 0.6 * t_of(ecg_with(seed))[v5]
    assert t_of(ecg_with(seed, "INVT"))[[second, v5, v6]].max() < 0
    bounds = ecg_with(seed, "LNGQT").boundaries
    qt = np.median((bounds.t_offset - bounds.qrs_onset)[bounds.t_offset > 0]) / RATE
    rr = np.diff(bounds.qrs_onset).mean() / RATE
    assert qt / rr ** (1 / 3) > 0.46


@pytest.mark.parametrize("seed", SEEDS)
def test_premature_beats(seed: int) -> None:
    ventricular = ecg_with(seed, "PVC").boundaries
    duration_B = (ventricular.qrs_offset - ventricular.qrs_onset) / RATE
    wide = np.flatnonzero(duration_B >= 0.12)
    wide = wide[(wide > 0) & (wide < len(duration_B) - 1)]
    assert len(wide) >= 1
    onset_B = ventricular.qrs_onset / RATE
    usual = np.median(np.diff(onset_B))
    for beat in wide:
        assert ventricular.p_onset[beat] == -1
        assert onset_B[beat] - onset_B[beat - 1] < 0.9 * usual
        pause = onset_B[beat + 1] - onset_B[beat - 1]
        assert pause == pytest.approx(2 * usual, rel=0.12), "compensatory"

    atrial = ecg_with(seed, "PAC").boundaries
    intervals = np.diff(atrial.qrs_onset) / RATE
    usual = np.median(intervals)
    early = int(intervals.argmin())
    assert intervals[early] < 0.85 * usual
    assert ((atrial.qrs_offset - atrial.qrs_onset) / RATE).max() < 0.12
    assert atrial.p_onset[early + 1] > 0
    if early + 1 < len(intervals):
        assert intervals[early] + intervals[early + 1] < 1.95 * usual, "not compensatory"
    bigeminy = ecg_with(seed, "BIGU").boundaries
    assert 0.3 < np.mean((bigeminy.qrs_offset - bigeminy.qrs_onset) / RATE > 0.12) < 0.7


@pytest.mark.parametrize("code", sorted(CONDITIONS))
def test_every_condition_changes_the_ecg_it_is_named_in(code: str) -> None:
    healthy, ill = ecg_with(3), ecg_with(3, code)
    assert healthy.record.scp_codes != ill.record.scp_codes or code.endswith("-axis")
    assert np.isfinite(ill.ecg.signal_LT).all()
    assert np.abs(ill.clean.signal_LT - healthy.clean.signal_LT).max() > 0.05
    if code.isupper():
        assert code in ill.record.scp_codes
        assert ill.record.scp_codes.get("NORM", 80.0) == 80.0
