"""The web page in a real browser, against the real application."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.browser.conftest import TOKEN
from tests.service.conftest import LocalBackend
from truelead.service.examples import EXAMPLES, example
from truelead.service.wire import AskResponse
from truelead.service.wire_ecg import LeadsInput
from truelead.signal import write_record
from truelead.types import LEADS, Ecg

Page = Callable[..., Any]
ANSWERED = "!document.querySelector('#ask').disabled && document.querySelector('#given')"


def ecg_of(number: int) -> Ecg:
    """Example `number` as the generator has it."""
    wire = LeadsInput.model_validate(example(number)["ecg"])
    rows = [wire.leads[lead] for lead in LEADS]
    return Ecg(np.array(rows, np.float32), wire.sampling_rate)


def ask(browser: Any, question: str, *options: str) -> None:
    """Type a question with its options, ask, and wait for the answer to this question."""
    browser.value(
        f"document.querySelector('#question').value = {json.dumps(question)};"
        f"document.querySelector('#options').value = {json.dumps(chr(10).join(options))}"
    )
    browser.click("#ask")
    browser.wait(
        f"{ANSWERED} && document.querySelector('.asked').innerText === {json.dumps(question)}"
    )


def shares(browser: Any, within: str = "#answer-body") -> dict[str, str]:
    """Option -> percentage as the page writes it."""
    found: dict[str, str] = browser.value(
        f"""Object.fromEntries([...document.querySelectorAll({json.dumps(within)} + " > .bars li")]
            .map((item) => [item.querySelector(".option").innerText.replace("▸", "").trim(),
                            item.querySelector(".share").innerText]))"""
    )
    return found


def ink(browser: Any, place: int = 0) -> int:
    """Dark pixels of a paper: the traces, not the grid."""
    return int(
        browser.value(
            f"""(() => {{
                const canvas = document.querySelectorAll(".paper canvas")[{place}];
                const {{data}} = canvas.getContext("2d")
                    .getImageData(0, 0, canvas.width, canvas.height);
                let dark = 0;
                for (let at = 0; at < data.length; at += 4) dark += data[at] < 90;
                return dark;
            }})()"""
        )
    )


def test_the_page_comes_with_strict_headers_and_nothing_else(address: str) -> None:
    with httpx.Client(base_url=address, trust_env=False) as client:
        page = client.get("/")
        types = {
            name: client.get(f"/page/{name}").headers["content-type"]
            for name in ("main.js", "style.css", "icon.svg")
        }
        others = [
            client.get(path).status_code
            for path in ("/page/__init__.py", "/page/..%2Fapi.py", "/page/%2e%2e/api.py", "/page/")
        ]
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert types["main.js"].startswith("text/javascript")
    assert types["style.css"].startswith("text/css")
    assert types["icon.svg"] == "image/svg+xml"
    assert others == [404] * 4
    assert "http://" not in page.text
    assert "https://" not in page.text


def test_an_example_is_drawn_asked_about_and_answered(page: Page, address: str) -> None:
    browser = page()
    assert browser.text(".caption").startswith(f"example 0: {EXAMPLES[0][0]} · 10 s at 500 Hz")
    assert ink(browser) > 2000
    ask(browser, "Is there any sign of infarction?", "yes", "no")
    request = {"question": "Is there any sign of infarction?", "options": ["yes", "no"]}
    with httpx.Client(base_url=address, trust_env=False) as client:
        found = client.post("/v1/ask", json={**request, "ecgs": [example(0)["ecg"]]})
        expected = AskResponse.model_validate_json(found.content)
    assert browser.text("#given") == expected.answer
    assert shares(browser) == {
        option: f"{100 * share:.0f} %" for option, share in expected.option_probabilities.items()
    }
    verdict = browser.text("#reliance .verdict")
    assert expected.reliance.verdict.lower() in verdict.lower()
    assert browser.text("#digest") == expected.model_digest
    assert "Not for clinical use" in browser.text("#notice")
    assert browser.value("document.querySelectorAll('#asked .exchange').length") == 1
    # A free answer of the same ECG, then the first one brought back.
    ask(browser, "What changed?")
    assert shares(browser) == {}
    browser.click("#asked li:last-child button")
    assert browser.text(".asked") == request["question"]
    assert browser.complaints == []


def test_a_template_fills_question_and_options(page: Page) -> None:
    browser = page()
    browser.wait("document.querySelectorAll('#template option').length > 10")
    browser.value(
        """(() => {
            const option = [...document.querySelectorAll("#template optgroup")]
                .find((group) => group.label === "Which of several").children[0];
            const select = document.querySelector("#template");
            select.value = option.value;
            select.dispatchEvent(new Event("change"));
        })()"""
    )
    spoken = browser.value(
        """[...document.querySelectorAll("#template-slots select")]
            .map((select) => select.selectedOptions[0].textContent)"""
    )
    question = browser.value("document.querySelector('#question').value")
    options = browser.value("document.querySelector('#options').value").split("\n")
    assert "{" not in question
    assert len(set(spoken)) == len(spoken) >= 2
    assert all(words in question for words in spoken)
    assert options[-1] == "none"
    assert set(options[:-1]) <= set(spoken)
    assert browser.complaints == []


def test_the_random_ecg_is_asked_live(page: Page, address: str) -> None:
    browser = page()
    ask(browser, "Is there any sign of infarction?", "yes", "no")
    browser.click("#switch")
    browser.wait("document.querySelector('#random-words')")
    words = browser.text("#random-words")
    own, other = browser.value(
        "[...document.querySelectorAll('.side-by-side > .soft')].map((one) => one.innerText)"
    )
    assert own.startswith("example 0:")
    number = int(other.removeprefix("example ").partition(":")[0])
    assert number != 0
    request = {"question": "Is there any sign of infarction?", "options": ["yes", "no"]}
    with httpx.Client(base_url=address, trust_env=False) as client:
        found = [
            AskResponse.model_validate_json(
                client.post("/v1/ask", json={**request, "ecgs": [example(at)["ecg"]]}).content
            )
            for at in (0, number)
        ]
    first, second = (one.option_probabilities for one in found)
    if found[0].answer != found[1].answer:
        assert f"“{found[0].answer}” became “{found[1].answer}”" in words
    elif abs(first[found[0].answer] - second[found[0].answer]) < 0.1:
        assert "did not move" in words
    else:
        assert "its probability moved" in words
    assert browser.complaints == []


def test_two_ecgs_are_compared_and_swapped(page: Page, page_backend: LocalBackend) -> None:
    browser = page(1280, 1500)
    browser.click("#compare")
    browser.wait("document.querySelectorAll('.caption')[1].textContent")
    captions = "[...document.querySelectorAll('.caption')].map((one) => one.innerText)"
    first, second = browser.value(captions)
    assert first.startswith("First ECG: example 0")
    assert second.startswith("Second ECG: example 1")
    browser.wait("document.querySelectorAll('.paper canvas')[1].width > 400")
    assert min(ink(browser, 0), ink(browser, 1)) > 1000
    ask(browser, "What changed?", "yes", "no")
    there = shares(browser)
    assert browser.value("document.querySelectorAll('#answer .evidence, #answer h4').length") >= 2
    browser.click("#swap")
    first, second = browser.value(captions)
    assert first.startswith("First ECG: example 1")
    assert second.startswith("Second ECG: example 0")
    assert browser.value("document.querySelector('#given')") is None
    ask(browser, "What changed?", "yes", "no")
    assert set(shares(browser)) == set(there) == {"yes", "no"}
    program = browser.value("document.querySelector('#as-python').textContent")
    assert program.index("/v1/examples/1") < program.index("/v1/examples/0")
    assert '"/v1/compare"' in program
    assert browser.complaints == []


def test_files_are_drawn_and_asked_about(page: Page, tmp_path: Path) -> None:
    browser = page()
    signal_LT = ecg_of(1).signal_LT.copy()
    signal_LT[LEADS.index("V6")] = np.nan
    record = write_record(tmp_path, Ecg(signal_LT, 500.0), name="half")
    names = [record.with_suffix(suffix) for suffix in (".hea", ".dat")]
    browser.choose_files("input[type=file]", names)
    browser.wait("document.querySelector('.caption').innerText.includes('half')")
    assert "not recorded: V6" in browser.text(".caption")
    ask(browser, "Is there any sign of infarction?", "yes", "no")
    assert "V6" in browser.text("#answer-body")
    command = browser.value("document.querySelector('#as-curl').textContent")
    assert """-F 'files=@"half.hea"'""" in command
    # Two records at once are two ECGs to compare, in the order of their headers.
    other = write_record(tmp_path, ecg_of(2), name="other")
    names += [other.with_suffix(suffix) for suffix in (".hea", ".dat")]
    browser.choose_files("input[type=file]", names)
    browser.wait("document.querySelectorAll('.caption')[1].innerText.includes('2 of 2')")
    assert browser.text(".caption").endswith("not recorded: V6")
    browser.click("#compare")
    # Something that is no ECG: the refusal stands at the paper, whose ECG stays.
    nothing = tmp_path / "note.edf"
    nothing.write_text("no ECG")
    browser.choose_files("input[type=file]", [nothing])
    browser.wait("document.querySelector('.slot > .error').innerText")
    assert "half.hea" in browser.text(".caption")
    # The browser itself reports that a request was refused.
    assert all("422" in line for line in browser.complaints)


def test_what_a_file_does_not_say_the_reader_can(page: Page, tmp_path: Path) -> None:
    browser = page()
    table = tmp_path / "table.csv"
    rows_TL = ecg_of(3).signal_LT.T
    np.savetxt(table, rows_TL, delimiter=",", fmt="%.4f", header=",".join(LEADS), comments="")
    browser.choose_files("input[type=file]", [table])
    for field, value in (("units", "mV"), ("sampling_rate", "500")):
        browser.wait(f"document.activeElement.name === '{field}'")
        assert browser.text(".slot > .error")
        browser.value(f"document.activeElement.value = '{value}'")
        browser.click(".stated button")
    browser.wait("document.querySelector('.caption').innerText.includes('table.csv')")
    assert "10 s at 500 Hz" in browser.text(".caption")
    assert browser.value("document.querySelector('.stated').hidden")
    ask(browser, "Is there any sign of infarction?", "yes", "no")
    command = browser.value("document.querySelector('#as-curl').textContent")
    assert "--form-string 'sampling_rate=500'" in command
    assert "--form-string 'units=mV'" in command
    assert all("422" in line for line in browser.complaints)


def test_what_is_copied_asks_the_same(page: Page, address: str, tmp_path: Path) -> None:
    browser = page()
    ask(browser, 'It\'s "new"; `is it` $HOME \\(1)?', "yes, it's", "no")
    given = browser.text("#given")
    curl, program = browser.value(
        "['curl', 'python'].map((n) => document.querySelector(`#as-${n}`).textContent)"
    )
    assert address in curl
    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PATH": "", "NO_PROXY": "127.0.0.1"},
    )
    assert f"'answer': {given!r}" in found.stdout
    if not (shutil.which("curl") and shutil.which("jq")):
        # Read as a shell reads it, the words are those that were typed.
        assert "It'\\''s \\\"new\\\"; `is it` $HOME" in curl
        return
    found = subprocess.run(
        ["sh", "-c", curl], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(found.stdout)["answer"] == given


def test_the_keyboard_alone_is_enough(page: Page) -> None:
    browser = page()
    browser.press("Tab")
    assert browser.value("document.activeElement.className") == "skip"
    browser.press("Enter")
    browser.wait("document.activeElement.id === 'question' || location.hash === '#question'")
    browser.value("document.querySelector('#question').focus()")
    browser.value("document.querySelector('#question').select()")
    browser.type("Is there any sign of infarction?")
    browser.press("Enter")
    browser.wait(ANSWERED)
    browser.wait("document.querySelector('#spoken').textContent.startsWith('Answer: ')")
    assert "Reliance: " in browser.value("document.querySelector('#spoken').textContent")
    # The paper: calipers by key, moved by arrows; 1 mm is 40 ms, and 0.1 mV.
    browser.value("document.querySelector('.paper canvas').focus()")
    browser.press("c")
    browser.press("ArrowRight")
    browser.wait("document.querySelector('#reading').innerText.startsWith('1000 ms · 60 bpm')")
    browser.press("ArrowRight", 5, shift=True)
    browser.press("ArrowUp", 5)
    browser.wait(
        "document.querySelector('#reading').innerText.startsWith('2000 ms · 30 bpm · 1.50 mV')"
    )
    # Whatever can be operated has a name.
    nameless = browser.value(
        """[...document.querySelectorAll("button, input, select, textarea, canvas, [role=img]")]
            .filter((one) => !one.closest("[hidden]") && one.checkVisibility())
            .filter((one) => !(one.getAttribute("aria-label") || one.labels?.length
                || one.textContent.trim()))
            .map((one) => one.outerHTML.slice(0, 80))"""
    )
    assert nameless == []
    assert browser.complaints == []


def test_calipers_measure_what_the_pointer_spans(page: Page) -> None:
    browser = page()
    browser.click("#calipers")
    left, top, scale = browser.value(
        """(() => {
            const box = document.querySelector(".paper canvas").getBoundingClientRect();
            const scale = Math.floor((box.width / 270) * 5) / 5;
            return [box.x, box.y, scale];
        })()"""
    )
    at = lambda x, y: (left + x * scale, top + y * scale)  # noqa: E731
    browser.drag(at(40, 60), at(65, 50))
    browser.wait("document.querySelector('#reading').innerText")
    reading = browser.text("#reading")
    milliseconds, beats, millivolts = (float(part.split()[0]) for part in reading.split(" · "))
    assert milliseconds == pytest.approx(1000, abs=15)
    assert beats == pytest.approx(60, abs=1)
    assert millivolts == pytest.approx(1.0, abs=0.04)
    assert browser.complaints == []


def test_a_phone_shows_all_without_scrolling_sideways(page: Page) -> None:
    browser = page(360, 740, density=2.0, phone=True)
    ask(browser, "Is there any sign of infarction?", "yes", "no")
    browser.value("document.querySelector('#reproduce').open = true")
    shown = {
        "#switch": "document.querySelector('#random-words')",
        "#calipers": "document.querySelector('#reading').innerText",
        "#compare": "document.querySelectorAll('.caption')[1].textContent",
    }
    for press, ready in shown.items():
        browser.click(press)
        browser.wait(ready)
        for width in (320, 360, 400):
            browser.resize(width, 740, density=2.0, phone=True)
            assert browser.value("document.documentElement.scrollWidth") <= width, press
    assert browser.value("document.querySelector('#notice').getBoundingClientRect().top") >= 0
    assert browser.complaints == []


def test_the_token_is_asked_for_once_and_kept_nowhere(chromium: Any, guarded_address: str) -> None:
    chromium.complaints.clear()
    chromium.resize(1280, 900)
    chromium.open(guarded_address + "/", "!document.querySelector('#token-form').hidden")
    assert chromium.value("document.activeElement.id") == "token"
    chromium.type("a-wrong-token-of-some-length")
    chromium.press("Enter")
    chromium.wait("document.querySelector('#token-error').innerText")
    chromium.type(TOKEN)
    chromium.press("Enter")
    chromium.wait("document.querySelector('.caption').textContent")
    ask(chromium, "Is there any sign of infarction?", "yes", "no")
    kept = chromium.value(
        """JSON.stringify([localStorage, sessionStorage, document.cookie, location.href,
            document.documentElement.outerHTML])"""
    )
    assert TOKEN not in kept
    assert "$TRUELEAD_TOKEN" in chromium.value("document.querySelector('#as-curl').textContent")
    # The browser reports the refusals that the page handled.
    assert all("401" in line or "403" in line for line in chromium.complaints)


def test_a_refusal_is_said_in_plain_words_where_it_belongs(page: Page) -> None:
    browser = page()
    browser.value(
        "document.querySelector('#question').value = ''; document.querySelector('#ask').click()"
    )
    assert browser.text("#question-error").endswith("Write a question first.")
    browser.value(
        """document.querySelector('#question').value = 'Is it?';
           document.querySelector('#options').value = 'only one';
           document.querySelector('#ask').click()"""
    )
    browser.wait("document.querySelector('#options-error').innerText")
    assert "at least 2" in browser.text("#options-error")
    assert (
        browser.value("document.querySelector('#options').getAttribute('aria-invalid')") == "true"
    )
    assert all("422" in line for line in browser.complaints)
