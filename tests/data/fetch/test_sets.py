"""The known sets, and what may be named instead of one."""

from __future__ import annotations

import pytest

from truelead.data.fetch.listing import LISTINGS
from truelead.data.fetch.sets import KNOWN_SETS, EcgSet, resolve_set
from truelead.errors import ConfigError


@pytest.mark.parametrize("ecg_set", KNOWN_SETS.values(), ids=KNOWN_SETS)
def test_every_known_set_can_be_fetched_securely(ecg_set: EcgSet) -> None:
    assert KNOWN_SETS[ecg_set.name] is ecg_set
    assert ecg_set.listing in LISTINGS
    assert ecg_set.licence
    for url in (ecg_set.page, ecg_set.listing_url, ecg_set.files_url):
        assert url.startswith("https://")
    assert ecg_set.files_url.endswith("/")


def test_a_mirror_is_a_folder_with_checksums_whatever_the_set() -> None:
    for name in ("ptb-xl", "code-15", "ecg-qa"):
        mirrored = resolve_set(name, "https://mirror.example/sets/x")
        assert mirrored.listing_url == "https://mirror.example/sets/x/SHA256SUMS.txt"
        assert mirrored.files_url == "https://mirror.example/sets/x/"
        assert (mirrored.listing, mirrored.files_suffix) == ("sha256sums", "")


@pytest.mark.parametrize(
    ("name", "base_url", "expected"),
    [
        ("ptbxl", None, "expected one of ptb-xl"),
        ("ftp://host.example/x", None, "expected http"),
        ("https:///x", None, "expected http"),
        ("https://host.example:port/x", None, "expected http"),
        ("https://ada:hidden-one@host.example/x", None, "expected no user name or password"),
        ("https://host.example/x?token=hidden-one", None, "found a query"),
        ("https://host.example/x", "https://mirror.example", "expected with a known set"),
        ("ptb-xl", "mirror.example", "expected http"),
    ],
)
def test_what_is_not_a_set_is_one_line_without_secrets(
    name: str, base_url: str | None, expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        resolve_set(name, base_url)
    assert "hidden-one" not in str(caught.value)
