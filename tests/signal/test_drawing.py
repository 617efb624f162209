"""The drawing is measured in its own millimetres, as a reader would with a ruler."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from truelead.errors import InvalidEcg
from truelead.signal import draw_png, draw_svg, read_record
from truelead.types import LEADS, Ecg

NAMESPACE = "{http://www.w3.org/2000/svg}"


def paths(svg: str) -> dict[str, list[list[np.ndarray]]]:
    """data-name -> one entry a path: its lines, each (points, 2) in mm."""
    found: dict[str, list[list[np.ndarray]]] = {}
    for element in ElementTree.fromstring(svg).iter(f"{NAMESPACE}path"):  # noqa: S314
        lines = [
            np.array(line.split(), dtype=float).reshape(-1, 2)
            for line in element.attrib["d"].split("M")[1:]
        ]
        found.setdefault(element.attrib.get("data-name", ""), []).append(lines)
    return found


def words(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)  # noqa: S314
    return [element.text or "" for element in root.iter(f"{NAMESPACE}text")]


@pytest.fixture
def square_wave() -> Ecg:
    """1 mV for 0.2 s in every second, at 100 Hz."""
    row = (np.arange(1000) % 100 < 20).astype(np.float32)
    return Ecg(np.tile(row, (12, 1)), 100.0, record_id="square")


@pytest.mark.parametrize("layout", ["3x4", "12x1"])
def test_one_millivolt_is_10_mm_and_one_second_25_mm(square_wave: Ecg, layout: str) -> None:
    found = paths(draw_svg([square_wave], layout=layout))  # type: ignore[arg-type]
    strip = found["lead II"][-1][0]
    assert np.ptp(strip[:, 1]) == pytest.approx(10.0, abs=0.011)
    assert strip[100, 0] - strip[0, 0] == pytest.approx(25.0, abs=0.011)
    pulse = found["calibration 1 mV"][0][0]
    assert np.ptp(pulse[:, 1]) == pytest.approx(10.0)
    # A positive voltage goes up, which is a smaller y.
    assert strip[5, 1] < strip[50, 1]
    # The zero line of the trace is that of its calibration pulse.
    zero = found["calibration 1 mV"][3 if layout == "3x4" else LEADS.index("II")][0][0, 1]
    assert strip[50, 1] == pytest.approx(zero, abs=0.011)


def test_the_sheet_has_its_true_size_and_a_whole_grid(square_wave: Ecg) -> None:
    svg = draw_svg([square_wave])
    root = ElementTree.fromstring(svg)  # noqa: S314
    width, height = root.attrib["width"], root.attrib["height"]
    assert root.attrib["viewBox"] == f"0 0 {width[:-2]} {height[:-2]}"
    assert width.endswith("mm")
    assert height.endswith("mm")
    for name, step in (("grid 1 mm", 1.0), ("grid 5 mm", 5.0)):
        columns = [line[0, 0] for line in paths(svg)[name][0] if line[0, 0] == line[1, 0]]
        np.testing.assert_allclose(np.diff(columns), step)


def test_three_rows_of_four_leads_and_a_rhythm_strip(square_wave: Ecg) -> None:
    found = paths(draw_svg([square_wave]))
    traces = {name: lines for name, lines in found.items() if name.startswith("lead ")}
    assert set(traces) == {f"lead {lead}" for lead in LEADS}
    assert len(traces["lead II"]) == 2
    tops = {name: lines[0][0] for name, lines in traces.items()}
    for row in (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6")):
        lefts = [tops[f"lead {lead}"][0, 0] for lead in row]
        np.testing.assert_allclose(np.diff(lefts), 62.5, atol=0.011)
    assert np.ptp(traces["lead II"][1][0][:, 0]) == pytest.approx(249.75, abs=0.011)


def test_the_columns_go_on_in_time() -> None:
    ramp = np.arange(1000, dtype=np.float32) / 1000  # 0 to 1 mV in 10 s
    found = paths(draw_svg([Ecg(np.tile(ramp, (12, 1)), 100.0)]))
    first, last = found["lead I"][0][0], found["lead V4"][0][0]
    assert first[0, 1] - last[0, 1] == pytest.approx(7.5, abs=0.02)


def test_missing_leads_and_gaps_are_shown_as_such(square_wave: Ecg) -> None:
    signal_LT = square_wave.signal_LT.copy()
    signal_LT[LEADS.index("aVL")] = np.nan
    signal_LT[LEADS.index("V1"), 600:650] = np.nan
    signal_LT[LEADS.index("V1"), 620] = 0.0
    svg = draw_svg([Ecg(signal_LT, 100.0)])
    found = paths(svg)
    assert "lead aVL" not in found
    assert "missing lead aVL" in found
    assert words(svg).count("not recorded") == 1
    assert [len(line) for line in found["lead V1"][0]] == [100, 2, 101]


def test_two_ecgs_stand_one_above_the_other(square_wave: Ecg, make_ecg: Callable[..., Ecg]) -> None:
    svg = draw_svg([square_wave, make_ecg(1000, name="noise")], "What changed?")
    shown = words(svg)
    assert "What changed?" in shown
    first, second = shown.index("First ECG: square"), shown.index("Second ECG: noise")
    assert first < second
    found = paths(svg)
    assert len(found["lead V1"]) == 2
    lowest_of_first = max(lines[0][:, 1].max() for lines in (found["lead V3"][0],))
    assert lowest_of_first < found["divider"][0][0][0, 1] < found["lead I"][1][0][:, 1].min()


def test_it_says_that_it_is_not_for_clinical_use(square_wave: Ecg) -> None:
    assert any("not for clinical use" in text for text in words(draw_svg([square_wave])))
    assert any(text.startswith("25 mm/s    10 mm/mV") for text in words(draw_svg([square_wave])))


def test_titles_and_captions_are_text_never_markup(square_wave: Ecg) -> None:
    svg = draw_svg(
        [square_wave], '<script>"&\x00 $x$', captions=["</text><script>alert(1)</script>"]
    )
    assert "<script>" not in svg
    assert '<script>"& $x$' in words(svg)
    assert draw_png([square_wave], "$\\frac{$ <b>", dots_per_inch=30).startswith(b"\x89PNG")


def test_long_short_and_fast_recordings(make_ecg: Callable[..., Ecg]) -> None:
    long = draw_svg([make_ecg(3000)])
    assert any("first 10 s of 30 s" in text for text in words(long))
    short = draw_svg([make_ecg(100)])
    assert words(short).count("not recorded") == 9
    assert len(draw_svg([make_ecg(20_000, rate=20_000.0)])) < 200_000


@pytest.mark.parametrize("count", [0, 3])
def test_other_numbers_of_ecgs(square_wave: Ecg, count: int) -> None:
    with pytest.raises(InvalidEcg, match=f"ecgs: expected one or two, found {count}"):
        draw_svg([square_wave] * count)


def test_captions_must_match(square_wave: Ecg) -> None:
    with pytest.raises(InvalidEcg, match="captions: expected 1, found 2"):
        draw_png([square_wave], captions=["a", "b"])


def test_png_has_the_same_size_and_the_trace_where_the_svg_has_it(square_wave: Ecg) -> None:
    from matplotlib.image import imread

    dots_per_inch = 101.6  # 4 dots a mm
    image = imread(io.BytesIO(draw_png([square_wave], dots_per_inch=dots_per_inch)))
    svg = draw_svg([square_wave])
    root = ElementTree.fromstring(svg)  # noqa: S314
    size = float(root.attrib["height"][:-2]) * 4, float(root.attrib["width"][:-2]) * 4
    np.testing.assert_allclose(image.shape[:2], size, atol=1)
    x, y = paths(svg)["lead I"][0][0][60]
    around = image[int(4 * y) - 2 : int(4 * y) + 3, int(4 * x), :3]
    assert around.min() < 0.4  # ink
    assert image[int(4 * y) - 14, int(4 * x) + 2, :3].min() > 0.6  # paper


@pytest.mark.real_data
def test_a_real_ecg_is_drawn(real_data: Path) -> None:
    header = sorted((real_data / "ptbxl" / "records500").glob("*/*.hea"))[0]
    ecg = read_record(header)
    found = paths(draw_svg([ecg], layout="12x1"))
    for lead, row in zip(LEADS, ecg.signal_LT, strict=True):
        drawn = np.concatenate(found[f"lead {lead}"][0])
        assert np.ptp(drawn[:, 1]) == pytest.approx(10 * np.ptp(row), abs=0.021)
