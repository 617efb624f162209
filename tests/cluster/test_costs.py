"""docs/costs.md is what deploy/costs.py computes, and that is what the page says it is."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from deploy.costs import ECGS, PARAMETERS, Assumptions, parse, plan, table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "costs.md"


def test_the_page_holds_the_table() -> None:
    _, shown, _ = PAGE.read_text(encoding="utf-8").split("<!-- costs -->\n")
    assert shown.strip() == table(Assumptions())
    assert len(shown.strip().splitlines()) == 2 + len(ECGS) * len(PARAMETERS)


def test_the_pages_example_by_hand() -> None:
    text = PAGE.read_text(encoding="utf-8")
    tokens = 800_035 * 4 * (16 + 8 * 64)
    flops = 6 * 8 * 10**9 * tokens
    hours = flops / (989 * 10**12 * 0.3) / 3600
    assert f"= {tokens:,}\n" in text
    assert f"= {flops:.2e}\n" in text
    assert f"= {hours:.2f}\n" in text
    found = plan(ECGS["MIMIC-IV-ECG"], PARAMETERS["8B"], Assumptions())
    assert (found.tokens, found.flops) == (tokens, flops)
    assert found.gpu_hours == pytest.approx(hours)
    assert found.gpus_for_state == 2  # 8e9 x 16 bytes = 119.2 GiB


def test_the_page_names_every_assumption_with_its_value() -> None:
    text = PAGE.read_text(encoding="utf-8")
    given = Assumptions()
    for field in fields(Assumptions):
        option = "--" + field.name.replace("_", "-")
        (row,) = re.findall(rf"^\| (.*) \| (.*) \| `{option}` \|", text, re.MULTILINE)
        value = getattr(given, field.name)
        assert row[1] == ("P" if value is None else f"{value:g}{' GiB' * (option == '--gpu-gib')}")
    for ecgs in ECGS.values():
        assert f"| {ecgs:,} |" in text


def test_sharing_saves_tokens_of_the_ecg_alone() -> None:
    given = Assumptions()
    assert plan(1, 1, given, shared=False).tokens == 640 * given.passes
    assert plan(1, 1, given).tokens == 528 * given.passes


def test_the_readers_price_is_used() -> None:
    given = parse(["--price", "2.5", "--utilisation", "0.15"])
    one = plan(ECGS["PTB-XL"], PARAMETERS["1B"], given)
    assert one.price == pytest.approx(2.5 * one.gpu_hours)
    assert one.gpu_hours == pytest.approx(
        2 * plan(ECGS["PTB-XL"], PARAMETERS["1B"], Assumptions()).gpu_hours
    )
    assert f"| {one.price:,.2f} |" in table(given)


@pytest.mark.parametrize("wrong", [["--utilisation", "1.1"], ["--passes", "0"], ["--price", "nan"]])
def test_impossible_assumptions_are_refused(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(wrong)
    assert caught.value.code == 2
    assert "expected" in capsys.readouterr().err
