"""A service of several models: the page lets its reader choose, and asks the chosen one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import served
from tests.browser.test_page import ask
from tests.service.test_adapters import Several
from truelead.service.access import Access
from truelead.service.api import create_api
from truelead.service.model_replica import ModelReplica


@pytest.fixture
def several_address(model_folder: Path, adapters: dict[str, Path]) -> Iterator[str]:
    folders = {name: str(folder) for name, folder in adapters.items()}
    replica = ModelReplica(str(model_folder), adapters=folders)
    with served(create_api(Several(replica), Access())) as url:
        yield url


def test_one_model_is_no_choice(page: Callable[..., Any]) -> None:
    browser = page()
    browser.wait("/finetune/.test(document.querySelector('#model').textContent)")
    assert browser.value("document.querySelector('#models').hidden")


def test_the_chosen_model_answers(chromium: Any, several_address: str) -> None:
    chromium.complaints.clear()
    chromium.resize(390, 844)
    chromium.open(several_address + "/", "document.querySelector('.caption').textContent")
    chromium.wait("!document.querySelector('#models').hidden")
    listed = chromium.value(
        "[...document.querySelector('#model-choice').options].map((one) => one.textContent)"
    )
    assert listed == ["arm/finetune", "first", "second"]
    label = "document.querySelector('#model-choice').labels[0].textContent"
    assert chromium.value(label) == "Model that answers"
    # Nothing is wider than a phone.
    assert chromium.value("document.documentElement.scrollWidth <= innerWidth")
    for name in ("second", ""):
        chromium.value(f"document.querySelector('#model-choice').value = '{name}'")
        ask(chromium, f"Is it normal, {name or 'base'}?", "yes", "no")
        assert chromium.value("document.querySelector('.digest dd').innerText") == (
            name or "arm/finetune"
        )
        copied = chromium.value("document.querySelector('#as-curl').textContent")
        assert ('"model":"second"' in copied) == bool(name)
    # An earlier question comes back with its model.
    chromium.click("#asked li:last-child button")
    assert chromium.value("document.querySelector('#model-choice').value") == "second"
    assert chromium.complaints == []
