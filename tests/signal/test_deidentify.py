"""Pseudonyms, and patients' names that must appear nowhere behind the reader."""

from __future__ import annotations

import hmac
import importlib.util

import pytest

from truelead.errors import ConfigError
from truelead.signal import deidentify
from truelead.signal.deidentify import KEY_VARIABLE, pseudonym, pseudonym_key

KEY = "a secret of enough characters"


def test_a_pseudonym_is_the_keyed_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    expected = hmac.new(KEY.encode(), b"Nemo", "sha256").hexdigest()[:32]
    assert pseudonym("Nemo") == pseudonym("Nemo", KEY.encode()) == expected
    assert pseudonym("Nemo ") != expected
    assert pseudonym("Nemo", b"another secret, long enough") != expected
    assert pseudonym("") == ""


def test_without_a_key_each_process_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert pseudonym("Nemo") == pseudonym("Nemo")
    assert len(pseudonym_key()) == 32
    # A second copy of the module is what another process has.
    specification = importlib.util.spec_from_file_location("another", deidentify.__file__)
    assert specification is not None
    assert specification.loader is not None
    another = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(another)
    assert len(another.pseudonym("Nemo")) == 32
    assert another.pseudonym("Nemo") != pseudonym("Nemo")


def test_a_short_key_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    with pytest.raises(ConfigError, match="at least 16 characters") as caught:
        pseudonym("Nemo")
    assert "secret" not in str(caught.value)
