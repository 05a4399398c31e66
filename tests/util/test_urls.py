"""Masking removes user names and passwords."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidscan.util.urls import MASK, mask_credentials

quick = settings(max_examples=200, deadline=None)
schemes = st.sampled_from(("http", "https", "HTTP", "ftp", "s3", "svn+ssh"))
# Only secrets contain these letters, so a secret that survives is recognised.
secrets = st.text("XYZ", min_size=1, max_size=5)
hosts = st.sampled_from(("h", "a.example", "127.0.0.1", "[::1]", "a.example:80", "[::1]:8080"))
paths = st.text("/ab.jpg?=&#%", max_size=9).filter(lambda text: text[:1] in ("", "/", "?", "#"))


@st.composite
def passwords(draw: st.DrawFn) -> str:
    """Secret letters, perhaps with characters that a password in a URL must escape.

    Never an ``@`` with one of ``/?#`` after it: such a password looks like a host and a path.
    """
    delimiters = draw(st.sampled_from(("/?#:%&=.", "@:%&=.")))
    return draw(st.text("XYZ" + delimiters, max_size=8)) + draw(secrets)


@quick
@given(schemes, secrets, passwords(), hosts, paths)
def test_no_user_name_or_password_survives(
    scheme: str, user: str, password: str, host: str, path: str
) -> None:
    masked = mask_credentials(f"{scheme}://{user}:{password}@{host}{path}")
    assert not set(masked) & set("XYZ")
    assert masked == f"{scheme}://{MASK}@{host}{path}"


@quick
@given(schemes, secrets, hosts, paths)
def test_a_user_name_without_a_password_does_not_survive(
    scheme: str, user: str, host: str, path: str
) -> None:
    assert mask_credentials(f"{scheme}://{user}@{host}{path}") == f"{scheme}://{MASK}@{host}{path}"


@quick
@given(schemes, hosts, paths)
def test_a_url_without_credentials_is_unchanged(scheme: str, host: str, path: str) -> None:
    assert mask_credentials(f"{scheme}://{host}{path}") == f"{scheme}://{host}{path}"


@quick
@given(st.text(max_size=40) | st.text("htp:/@?#[]*.a1", max_size=40))
def test_masking_is_idempotent(text: str) -> None:
    for url in (text, f"http://{text}", f"http://me:{text}@h/"):
        masked = mask_credentials(url)
        assert mask_credentials(masked) == masked


@quick
@given(st.text(max_size=40))
def test_text_that_is_not_a_url_is_unchanged(text: str) -> None:
    assert mask_credentials(f"folder/{text}") == f"folder/{text}"


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("http://me:pass@word@h/a@b", "http://***@h/a@b"),
        ("http://me:pa/ss@h/a.jpg", "http://***@h/a.jpg"),
        ("http:/me:pass@h", "http:/***@h"),
        ("http://h:80/a@b", "http://h:80/a@b"),
        ("http://me:?secret@h", "http://***@h"),
        ("http://me:@/secret@h", "http://***@h"),
    ],
)
def test_examples(url: str, masked: str) -> None:
    assert mask_credentials(url) == masked
