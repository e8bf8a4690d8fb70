"""What people plainly mean is repaired and counted; what may be meant otherwise is rejected."""

import json

import pytest

from batch_resend.errors import SettingsError
from batch_resend.intake import ListSource, Reading, RecordSource
from batch_resend.model import RejectedRow, Row
from tests.intake.conftest import standard_input

ADMIN, HOST = "admin@a.example.com", "hostmaster@a.example.com"


def came_of(domain: str, email: str, locale: str = "") -> tuple[Row | RejectedRow, dict[str, int]]:
    """Return what becomes of a row, in JSON, and what was repaired in it."""
    record = {"order_id": 7, "domain": domain, "email": email, "locale": locale}
    with standard_input(json.dumps(record).encode()):
        source = ListSource("-")
        (row,) = source
    return row, dict(source.form.remarks)


ADDRESSES = {
    f"{ADMIN} (Bob)": [ADMIN],
    f"{ADMIN} (Bob Smith)": [ADMIN],
    f"({ADMIN})": [ADMIN],
    f"[{ADMIN}]": [ADMIN],
    f"{{{ADMIN}}}": [ADMIN],
    f"<{ADMIN}>": [ADMIN],
    f"Bob Smith ({ADMIN})": [ADMIN],
    f"Bob [{ADMIN}]": [ADMIN],
    f"smtp:{ADMIN}": [ADMIN],
    f"SMTP:{ADMIN}; smtp:{HOST}": [ADMIN, HOST],
    f"To: {ADMIN}": [ADMIN],
    f"E-Mail: {ADMIN}": [ADMIN],
    f"mailto://{ADMIN}": [ADMIN],
    f"mailto:{ADMIN}?subject=x%20y": [ADMIN],
    f"mailto:%61{ADMIN[1:]}": [ADMIN],
    f"[Bob](mailto:{ADMIN})": [ADMIN],
    f"{ADMIN} / {HOST}": [ADMIN, HOST],
    f"{ADMIN}/{HOST}": [ADMIN, HOST],
    f"{ADMIN} | {HOST}": [ADMIN, HOST],
    f"{ADMIN} & {HOST}": [ADMIN, HOST],
    f"{ADMIN} and {HOST}": [ADMIN, HOST],
    f'"Smith, Bob" <{ADMIN}>': [ADMIN],
    f"'Smith, Bob' <{ADMIN}>; Kim <{HOST}>": [ADMIN, HOST],
    f"> {ADMIN}": [ADMIN],
    f"* {ADMIN}": [ADMIN],
    f"+ {ADMIN}": [ADMIN],
    f"\u2192 {ADMIN}": [ADMIN],
    f"1. {ADMIN}": [ADMIN],
    f"2) {ADMIN}": [ADMIN],
    f"`{ADMIN}`": [ADMIN],
    "ad\u200bmin@a.example.com\ufeff": [ADMIN],
    f"\u202a{ADMIN}\u202c": [ADMIN],
    f"_x000D_{ADMIN}": [ADMIN],
    f"{ADMIN}_x000D_\n": [ADMIN],
    f"&nbsp;{ADMIN}&#160;": [ADMIN],
    f"Bob &lt;{ADMIN}&gt;": [ADMIN],
    f"%20{ADMIN}": [ADMIN],
    "mailto%3Aadmin%40a.example.com": [ADMIN],
    f"=20{ADMIN}=0D=0A": [ADMIN],
    f"\\u0020{ADMIN}\\r\\n": [ADMIN],
    "admin&#64;a.example.com": [ADMIN],
    "b\\u00fcro@a.example.com": ["b\u00fcro@a.example.com"],
}


@pytest.mark.parametrize(("cell", "addresses"), ADDRESSES.items(), ids=ADDRESSES)
def test_what_stands_around_an_address_is_taken_away_and_counted(
    cell: str, addresses: list[str]
) -> None:
    row, remarks = came_of("a.example.com", cell)
    assert isinstance(row, Row), row
    assert [entry.email for entry in row.entries] == addresses
    assert remarks
    assert all(remark.startswith("repaired_") for remark in remarks)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        *((f"{sign}{ADMIN}", f"begins with {sign!r}") for sign in "*+#/?!~|&$%=-"),
        (f"# {ADMIN}", "'#'"),
        (f"! {ADMIN}", "'!'"),
        (f"? {ADMIN}", "'?'"),
        (f"{ADMIN}\u00b9", "superscript one"),
        ("admin\u00b2@a.example.com", "superscript two"),
        ("\u0430dmin@a.example.com", "cyrillic small letter a"),
        ("admin@\u0430.example.com", "cyrillic small letter a"),
        ("\u03bfffice@a.example.com", "greek small letter omicron"),
        ("%61dmin@a.example.com", "%"),
        (f"=3D{ADMIN}", "'='"),
        (f"amp;{ADMIN}", "'amp'"),
        ("ad\u202emin@a.example.com", "control character"),
        (f"{ADMIN}=", "no valid domain"),
        # Said of the address, and no name.
        (f"{ADMIN} (old)", "(old)"),
        (f"{ADMIN} (do not use)", "(do"),
        (f"{ADMIN} (Nicht senden)", "(Nicht"),
        (f"{ADMIN} (Bounced)", "(Bounced)"),
        (f"not {ADMIN[:0]}<{ADMIN}>", "not"),
        (f"old <{ADMIN}>", "old"),
        (f"{ADMIN} or {HOST}", "'or'"),
        (f"{ADMIN} oder {HOST}", "'oder'"),
        (f"cc: {ADMIN}", "cc:"),
        (f"\u2610 {ADMIN}", "\u2610"),
        (f"\u2717 {ADMIN}", "\u2717"),
        ("#REF!", "a formula that failed"),
        ("#N/A", "a formula that failed"),
        ("#NAME?", "a formula that failed"),
        ("Err:508", "a formula that failed"),
        ("#NOT-COMPUTED", "never computed"),
    ],
)
def test_what_may_be_no_address_is_rejected_with_what_is_odd_in_it(cell: str, said: str) -> None:
    row, _ = came_of("a.example.com", cell)
    assert isinstance(row, RejectedRow), row
    assert said in row.reason


DOMAINS = {
    "a.example.com:443": ["a.example.com"],
    "//a.example.com": ["a.example.com"],
    "//a.example.com/x": ["a.example.com"],
    "ftp://a.example.com/": ["a.example.com"],
    "a.example.com/login": ["a.example.com"],
    "a.example.com:8443/x": ["a.example.com"],
    "DNS:a.example.com": ["a.example.com"],
    "DNS Name=a.example.com": ["a.example.com"],
    "DNS:a.example.com, DNS:www.a.example.com": ["a.example.com", "www.a.example.com"],
    "CN=a.example.com": ["a.example.com"],
    "CN = a.example.com, O = Example Ltd, C = US": ["a.example.com"],
    "Domain: a.example.com": ["a.example.com"],
    "[a.example.com]": ["a.example.com"],
    "<a.example.com>": ["a.example.com"],
    "a.example.com / www.a.example.com": ["a.example.com", "www.a.example.com"],
    "a.example.com & www.a.example.com": ["a.example.com", "www.a.example.com"],
    "1. a.example.com": ["a.example.com"],
    "a.exam\u00adple.com": ["a.example.com"],
    "con\ufb01g.a.example.com": ["config.a.example.com"],
    "https%3A%2F%2Fa.example.com%2Fx": ["a.example.com"],
    "a.example.com_x000D_": ["a.example.com"],
    "&nbsp;a.example.com": ["a.example.com"],
}


@pytest.mark.parametrize(("cell", "domains"), DOMAINS.items(), ids=DOMAINS)
def test_what_stands_around_a_domain_is_taken_away_and_counted(
    cell: str, domains: list[str]
) -> None:
    row, remarks = came_of(cell, ADMIN)
    assert isinstance(row, Row), row
    assert [entry.domain for entry in row.entries] == domains
    assert remarks
    assert all(remark.startswith("repaired_") for remark in remarks)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("a.example.com\u00b9", "superscript one"),
        ("\u0430.example.com", "cyrillic small letter a"),
        ("a.ex\u0430mple.com", "cyrillic small letter a"),
        ("\u24d0.example.com", "circled latin small letter a"),
        ("\u03b1.example.com", "greek small letter alpha"),
        ("a.example.com/www.example.com", "a.example.com/www"),
        ("a.example.com (www)", "(www)"),
        ("#a.example.com", "#a"),
        ("u:p@a.example.com", "u:p"),
        ("a_b.example.com", "a_b"),
        ("CN=a.example.com, CN=b.example.com", "CN"),
        ("#REF!", "a formula that failed"),
    ],
)
def test_what_may_be_no_domain_is_rejected(cell: str, said: str) -> None:
    row, _ = came_of(cell, "admin@example.com")
    assert isinstance(row, RejectedRow), row
    assert said in row.reason


@pytest.mark.parametrize(
    ("cell", "encoded"),
    [
        ("b\u00fccher.example.com", "xn--bcher-kva.example.com"),
        ("\u043f\u043e\u0447\u0442\u0430.example.com", "xn--80a1acny.example.com"),
        ("\u03b5\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac.example.com",
         "xn--hxargifdar.example.com"),
    ],
)  # fmt: skip
def test_a_name_in_the_letters_of_one_language_is_none_that_looks_like_another(
    cell: str, encoded: str
) -> None:
    row, remarks = came_of(cell, "admin@example.com")
    assert isinstance(row, Row), row
    assert row.entries[0].domain == encoded
    assert not remarks


LANGUAGES = {
    "English (US)": "en",
    "English (United Kingdom)": "en",
    "German (de)": "de",
    "de (German)": "de",
    "DE - Deutsch": "de",
    "Polish": "pl",
    "Dutch": "nl",
    "\u0420\u0443\u0441\u0441\u043a\u0438\u0439": "ru",
    "\u65e5\u672c\u8a9e": "ja",
    "\ud55c\uad6d\uc5b4": "ko",
    "\u7b80\u4f53\u4e2d\u6587": "zh_CN",
    "Chinese (Traditional)": "zh_TW",
    "Simplified Chinese": "zh_CN",
    "Portugu\u00eas (Brasil)": "pt",
    "de_DE.UTF-8": "de",
    "de_DE@euro": "de",
    "zh_CN.UTF-8": "zh_CN",
    "de\u200b": "de",
    '"de"': "de",
    "'de'": "de",
    "DE_de": "de",
    "en-US": "en",
    "Brazilian": "pt",
    "k.A.": None,
    "k. A.": None,
    "n/v": None,
    "NULL": None,
}


@pytest.mark.parametrize(("cell", "code"), LANGUAGES.items(), ids=LANGUAGES)
def test_a_language_by_its_name_is_its_code(cell: str, code: str | None) -> None:
    row, remarks = came_of("a.example.com", ADMIN, cell)
    assert isinstance(row, Row), row
    assert row.locale == code
    assert remarks


@pytest.mark.parametrize(
    "cell",
    ["UK", "US", "GB", "AT", "CH", "ch", "xx", "us", "gb", "JP", "jp", "CN", "cn", "BR", "br", "CZ",
     "dk", "BE", "CA", "us_EN", "Chinese", "\u4e2d\u6587", "English/German", "en, de", "de;en",
     "Deutschland", "default", "C", "yes"],
)  # fmt: skip
def test_a_country_and_what_may_be_two_languages_is_no_locale(cell: str) -> None:
    row, _ = came_of("a.example.com", ADMIN, cell)
    assert isinstance(row, RejectedRow), row
    assert row.problem == "locale"
    with pytest.raises(SettingsError, match="locale"):
        Reading(locale=cell)


@pytest.mark.parametrize("cell", ["en", "DE", "zh-tw", "uk", "nl", "SV", "de_AT", "pt-BR", "zh"])
def test_codes_of_languages_go_as_they_are(cell: str) -> None:
    row, remarks = came_of("a.example.com", ADMIN, cell)
    assert isinstance(row, Row), row
    assert row.locale is not None
    assert row.locale.lower().replace("_", "-") == cell.lower().replace("_", "-")
    assert not remarks


NUMBERS = {  # an order's number as lists have it, and what of it is repaired
    "1100161": [],
    " 1100161 ": [],
    "1 100 161": ["repaired_number"],
    "1,100,161": ["repaired_number"],
    "1'100'161": ["repaired_number"],
    "1100161.0": ["repaired_number"],
    "001100161": ["repaired_number"],
    "'1100161": ["repaired_signs"],
    "#1100161": ["repaired_signs"],
    "#1 100 161": ["repaired_signs", "repaired_number"],
    "\uff11100161": ["repaired_width"],
}


@pytest.mark.parametrize(("cell", "repairs"), NUMBERS.items())
def test_an_order_number_is_plain_digits_and_what_was_removed_is_counted(
    cell: str, repairs: list[str]
) -> None:
    record = {"order_id": cell, "domain": "a.example.com", "email": ADMIN}
    with standard_input(json.dumps(record).encode()):
        source = ListSource("-")
        (row,) = source
    assert isinstance(row, Row), row
    assert row.order_id == "1100161"
    assert source.form.remarks == dict.fromkeys(repairs, 1)


@pytest.mark.parametrize(("word", "code"), [("German", "de"), ("de_DE.UTF-8", "de"), ("FR", "fr")])
@pytest.mark.asyncio
async def test_options_and_programs_may_name_a_language_too(word: str, code: str) -> None:
    assert Reading(locale=word).locale == code
    assert Reading(accounts={"shop": word}).accounts["shop"] == code
    record = {"order_id": 7, "domain": "a.example.com", "email": ADMIN}
    (row,) = [row async for row in RecordSource([record], locale=word)]
    assert isinstance(row, Row)
    assert row.locale == code


def test_what_was_repaired_in_a_row_that_is_rejected_is_not_counted() -> None:
    rows = [f"{n},a.example.com,{ADMIN}" for n in range(100200301, 100200304)]
    with standard_input("\n".join(["order_id,domain,email", *rows, f"#{rows[0]}", ""]).encode()):
        source = ListSource("-")
        *_, last = source
    assert isinstance(last, RejectedRow)
    assert not source.form.remarks


@pytest.mark.parametrize("between", ["/", " | ", " & ", " and "])
def test_what_stands_between_addresses_is_counted_as_that(between: str) -> None:
    row, remarks = came_of("a.example.com", f"{ADMIN}{between}{HOST}")
    assert isinstance(row, Row), row
    assert remarks == {"repaired_between": 1}
