"""Validated settings, and the secret."""

import sys
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from batch_resend.errors import SettingsError
from batch_resend.settings import (
    InDoubt,
    Region,
    Settings,
    default_journal,
    make_account,
    make_settings,
)
from batch_resend.windows import CA_WINDOWS, Window

KEY = "S3CR3T-0123456789-abcdefgh"


def error_of(**values: object) -> str:
    """Return the words with which settings are refused."""
    with pytest.raises(SettingsError) as caught:
        make_settings(**({"api_key": KEY} | values))
    return str(caught.value)


# --- defaults -----------------------------------------------------------------------------


def test_only_the_key_is_needed_and_the_rest_is_as_the_design_says() -> None:
    made = make_settings(api_key=KEY)
    assert made.base_url == "https://www.digicert.com/services/v2"
    assert made.windows == CA_WINDOWS
    assert (made.concurrency, made.timeout_s) == (32, 30.0)
    assert (made.max_attempts, made.max_elapsed_s) == (6, 3600.0)
    assert (made.in_doubt, made.cooldown_s) == (InDoubt.RETRY, 20 * 3600.0)
    assert made.journal == default_journal()
    assert error_of(api_key="") == "api_key: the API key is empty"
    with pytest.raises(SettingsError, match="no api_key, and no account that has one"):
        make_settings()


def test_where_accounts_have_keys_there_need_be_no_other_and_then_none_is_made_up() -> None:
    made = make_settings(accounts={"shop": make_account(api_key=KEY)})
    assert made.names == ("shop",)
    assert [key.title for key in made.keys(made.names)] == ["shop"]
    assert made.key("shop").names == ("shop",)
    with pytest.raises(SettingsError, match="no API key for rows that name no account"):
        made.account(None)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other folders")
def test_the_journal_is_in_the_users_state_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_journal() == tmp_path / "batch-resend" / "journal.db"


def test_the_platforms_are_where_the_cas_pages_say() -> None:
    assert Region("us").base_url == "https://www.digicert.com/services/v2"
    assert Region("eu").base_url == "https://certcentral.digicert.eu/services/v2"
    assert all(make_settings(api_key=KEY, base_url=r.base_url) for r in Region)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        make_settings(api_key=KEY).concurrency = 1000


# --- where to -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_url", "base_url"),
    [
        ("https://ca.example/services/v2/", "https://ca.example/services/v2"),
        ("  https://ca.example\n", "https://ca.example"),
        ("HTTPS://ca.example/v2//", "https://ca.example/v2"),
        ("https://ca.example:8443/v2", "https://ca.example:8443/v2"),
        ("http://localhost:8080/services/v2", "http://localhost:8080/services/v2"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://[::1]:8080/v2/", "http://[::1]:8080/v2"),
    ],
)
def test_a_base_url_is_https_or_loopback_and_loses_its_last_slash(
    given_url: str, base_url: str
) -> None:
    assert make_settings(api_key=KEY, base_url=given_url).base_url == base_url


@pytest.mark.parametrize(
    "host",
    ["ca.example", "www.digicert.com", "192.0.2.1", "10.0.0.1", "0.0.0.0", "[::]", "[2001:db8::1]",
     "localhost.example", "127.0.0.1.example", "notlocalhost", "localhost.", "localhost%2eexample",
     "128.0.0.1", "localhost;x.example"],
)  # fmt: skip
def test_plain_http_goes_to_loopback_only(host: str) -> None:
    refused = error_of(base_url=f"http://{host}/services/v2")
    assert "over https only" in refused or "is not a base URL" in refused


@given(st.ip_addresses(v=4))
def test_of_all_ipv4_addresses_only_127_may_be_plain_http(address: object) -> None:
    url = f"http://{address}:8080"
    if str(address).startswith("127."):
        assert make_settings(api_key=KEY, base_url=url).base_url == url
    else:
        assert "over https only" in error_of(base_url=url)


@pytest.mark.parametrize(
    "url",
    ["", "/", "ca.example/services/v2", "//ca.example", "ftp://ca.example", "file:///etc", "https:",
     "https://", "https://:443", "https:///v2", "https://ca.example?x=1", "https://ca.example#x",
     "http://[::1", "javascript:alert(1)", "unix:/socket"],
)  # fmt: skip
def test_what_is_no_base_url_is_refused(url: str) -> None:
    assert error_of(base_url=url).startswith("base_url: ")


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@ca.example",
        "https://user@ca.example",
        "http://localhost@ca.example",
        "http://127.0.0.1:80@ca.example/v2",
        "http://localhost\\@ca.example",
    ],
)
def test_a_base_url_with_a_user_is_refused_without_showing_the_password(url: str) -> None:
    message = error_of(base_url=url)
    assert "not contain a user name or password" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "url",
    ["https://ca.example:x", "https://ca.example:99999", "http://localhost:80:81",
     "https://ca example", "http://ca.example[::1]/v2",
     "http://[::1].ca.example/v2"],
)  # fmt: skip
def test_a_base_url_no_request_can_be_sent_to_is_refused_before_the_run(url: str) -> None:
    assert error_of(base_url=url).startswith("base_url: ")


@pytest.mark.parametrize(
    "url",
    ["https://WWW.DigiCert.com/services/v2", "https://www.digicert.com:443/services/v2"],
)
def test_one_ca_has_one_spelling(url: str) -> None:
    assert make_settings(api_key=KEY, base_url=url).base_url == Region.US.base_url


# --- the key ------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [KEY, f"{KEY}\n", f"{KEY}\r\n", f" \t{KEY} \n\n", KEY * 20])
def test_a_key_is_trimmed_as_its_file_may_end_in_a_line_break(text: str) -> None:
    assert make_settings(api_key=text).api_key.get_secret_value() == text.strip()


BAD_KEYS = [
    pytest.param("", id="nothing"),
    pytest.param(" \r\n", id="blanks"),
    pytest.param(f"{KEY}\nX-Other: 1", id="a line break inside"),
    pytest.param(f"{KEY}\r{KEY}", id="a carriage return inside"),
    pytest.param(f"{KEY} {KEY}", id="a blank inside"),
    pytest.param(f"{KEY}\t{KEY}", id="a tab inside"),
    pytest.param(f"{KEY}\0", id="a NUL"),
    pytest.param(f"{KEY}\x7f", id="a control character"),
    pytest.param(f"{KEY}é", id="a letter no header takes"),
    pytest.param(f"\ufeff{KEY}", id="a byte order mark"),
    pytest.param(f"{KEY}\ud800", id="half a character"),
    pytest.param([KEY], id="a list"),
    pytest.param({"key": KEY}, id="an object"),
    pytest.param(KEY.encode() + b"\xff", id="bytes"),
    pytest.param(None, id="none"),
]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_key_that_fits_no_header_is_refused_in_one_line_that_does_not_show_it(
    key: object,
) -> None:
    with pytest.raises(SettingsError) as caught:
        make_settings(api_key=key, concurrency=0)
    first, second = str(caught.value).splitlines()
    assert first.startswith("api_key: ")
    assert second.startswith("concurrency: ")
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("key", BAD_KEYS)
def test_not_even_the_models_own_error_shows_the_key(key: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"api_key": key, "key": key})
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert KEY not in repr(caught.value)


def test_a_key_given_under_another_name_is_refused_without_showing_it() -> None:
    message = error_of(apikey=KEY, base_url="https://ca.example")
    assert message.startswith("apikey: ")
    assert KEY not in message


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8))
def test_settings_look_the_same_whatever_their_key_when_printed_logged_or_dumped(
    text: str,
) -> None:
    made, other = make_settings(api_key=text), make_settings(api_key=KEY)
    assert made.api_key.get_secret_value() == text
    for show in (repr, str, Settings.model_dump_json, lambda it: str(it.model_dump())):
        assert show(made) == show(other)
    assert KEY not in repr(other)


# --- every bad value ----------------------------------------------------------------------

BAD_VALUES: list[tuple[str, object, str]] = [
    ("api_key", "a b", "api_key: the API key contains blanks"),
    ("base_url", "http://ca.example", "base_url: 'http://ca.example'"),
    ("windows", ["100/5s", "5 a second"], "windows: '5 a second' is not a limit"),
    ("concurrency", 0, "concurrency: "),
    ("timeout_s", 0, "timeout: "),
    ("max_attempts", 0, "max_attempts: "),
    ("max_elapsed_s", -1, "max_elapsed: "),
    ("patience_s", -0.1, "patience: "),
    ("in_doubt", "perhaps", "in_doubt: "),
    ("cooldown_s", "soon", "cooldown: "),
    ("journal", 7, "journal: "),
    ("colour", "blue", "colour: "),
]


def test_every_bad_value_is_named_in_one_line() -> None:
    lines = error_of(**{name: value for name, value, _ in BAD_VALUES}).splitlines()
    assert len(lines) == len(BAD_VALUES)
    for line, (_, _, beginning) in zip(lines, BAD_VALUES, strict=True):
        assert line.startswith(beginning)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("concurrency", 10_001),
        ("concurrency", 1.5),
        ("concurrency", "many"),
        ("timeout_s", -1),
        ("timeout_s", float("nan")),
        ("cooldown_s", -1),
        ("cooldown_s", float("nan")),
        ("max_attempts", -1),
        ("max_attempts", None),
        ("windows", "100/5s"),
        ("windows", ["none"]),
        ("windows", [5]),
        ("windows", ["0/5s"]),
        ("windows", ["100/0s"]),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_name(name: str, value: object) -> None:
    message = error_of(**{name: value})
    assert message.startswith(f"{name.removesuffix('_s')}: ")
    assert "\n" not in message


def test_a_setting_that_does_not_exist_is_named_as_it_was_given() -> None:
    assert error_of(max_seconds=5).startswith("max_seconds: ")


@pytest.mark.parametrize("window", [(0, 5.0), (-1, 5.0), (1, 0.0), (1, -5.0), (1, float("nan"))])
def test_a_window_that_lets_nothing_through_or_has_no_length_is_refused(
    window: tuple[int, float],
) -> None:
    with pytest.raises((SettingsError, ValueError)):
        make_settings(api_key=KEY, windows=[Window(*window)])


def test_windows_may_be_text_or_windows_or_none_at_all() -> None:
    made = make_settings(api_key=KEY, windows=["100/5s", Window(7, 1.5)])
    assert made.windows == (Window(100, 5.0), Window(7, 1.5))
    assert make_settings(api_key=KEY, windows=()).windows == ()


def test_a_cooldown_of_nothing_is_allowed() -> None:
    assert make_settings(api_key=KEY, cooldown_s=0).cooldown_s == 0


# --- accounts -----------------------------------------------------------------------------


def test_a_budget_names_the_key_at_its_ca_and_does_not_tell_it() -> None:
    key = "a-key-that-nobody-guesses"
    one = make_settings(api_key=key)
    assert one.budget == make_settings(api_key=f" {key} ", concurrency=5).budget
    assert one.budget != make_settings(api_key=key, base_url=Region.EU.base_url).budget
    assert one.budget != make_settings(api_key=f"{key}2").budget
    assert key not in one.budget


def test_an_account_that_nobody_describes_is_an_error_that_names_it() -> None:
    with pytest.raises(SettingsError, match="'shop'"):
        make_settings(api_key="k").account("shop")
