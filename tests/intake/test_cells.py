"""What one cell may hold."""

import struct
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batch_resend.intake.cells import (
    Malformed,
    domain_name,
    email_address,
    order_number,
)
from batch_resend.intake.languages import locale_code


def fits_a_header(text: str) -> bool:
    """Whether no character is a control, a format sign, a surrogate or any kind of blank."""
    return not any(unicodedata.category(sign)[0] in "CZ" for sign in text)


# --- order numbers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        pytest.param("100200301", "100200301", id="digits are taken as they stand"),
        pytest.param(" 42\t", "42", id="blanks around it go"),
        pytest.param("\u00a042\u00a0", "42", id="no-break blanks around it go"),
        pytest.param("'100200301", "100200301", id="the apostrophe that makes a cell text goes"),
        pytest.param(" ' 42", "42", id="the apostrophe goes with blanks on both sides"),
        pytest.param("100200301.0", "100200301", id="the decimal of a number cell goes"),
        pytest.param("100200301.00", "100200301", id="two decimals of nought go"),
        pytest.param("1,234,567", "1234567", id="thousands marks: comma"),
        pytest.param("1.234.567", "1234567", id="thousands marks: point"),
        pytest.param("1 234 567", "1234567", id="thousands marks: blank"),
        pytest.param("1\u00a0234\u00a0567", "1234567", id="thousands marks: no-break blank"),
        pytest.param("1\u202f234\u202f567", "1234567", id="thousands marks: narrow blank"),
        pytest.param("1'234'567", "1234567", id="thousands marks: apostrophe"),
        pytest.param("1\u2019234\u2019567", "1234567", id="thousands marks: curly apostrophe"),
        pytest.param("9" * 20, "9" * 20, id="twenty digits pass"),
        pytest.param(7, "7", id="a JSON integer"),
        pytest.param(7.0, "7", id="a JSON number without decimals"),
    ],
)
def test_an_order_number_is_its_digits(cell: object, number: str) -> None:
    assert order_number(cell) == number


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        pytest.param(None, "missing", id="nothing"),
        pytest.param("", "missing", id="an empty cell"),
        pytest.param(" \u00a0\t", "missing", id="blanks"),
        pytest.param("'", "missing", id="only the apostrophe of a text cell"),
        pytest.param("12.5", "digits are expected", id="a fraction"),
        pytest.param("1,23", "digits are expected", id="marks that stand nowhere near thousands"),
        pytest.param("1,,234", "digits are expected", id="two marks in a row"),
        pytest.param("-5", "digits are expected", id="a sign"),
        pytest.param("+5", "digits are expected", id="a plus sign"),
        pytest.param("#100", "digits are expected", id="a mark in front"),
        pytest.param("12 13", "digits are expected", id="two numbers"),
        pytest.param("12\n13", "digits are expected", id="two numbers on two lines"),
        pytest.param("\uff11\uff12", "digits are expected", id="digits of another script"),
        pytest.param("\u200b12", "digits are expected", id="a sign no one sees"),
        pytest.param("12/../13", "digits are expected", id="a path"),
        pytest.param("9" * 21, "too long", id="more digits than any order has"),
        pytest.param(10**30, "too long", id="a JSON integer longer than any order"),
        pytest.param(-5, "digits are expected", id="a JSON integer below nought"),
        pytest.param(1.5, "digits are expected", id="a JSON fraction"),
        pytest.param(2.0**53, "digits are expected", id="a JSON number that has lost digits"),
        pytest.param(float("nan"), "digits are expected", id="JSON's NaN"),
        pytest.param(float("inf"), "digits are expected", id="JSON's Infinity"),
        pytest.param(True, "digits are expected", id="a JSON true is not order 1"),
        pytest.param([1], "digits are expected", id="a JSON array"),
        pytest.param({"id": 1}, "digits are expected", id="a JSON object"),
        pytest.param(
            "\uff11,\uff12\uff13\uff14",
            "digits are expected",
            id="digits of another script with thousands marks",
        ),
        pytest.param(
            "\u0661\u0662\u0663.0",
            "digits are expected",
            id="digits of another script with a decimal",
        ),
        pytest.param(
            "100,200,301.000",
            "100,200,301.000",
            id="marks of two kinds: three decimals would pass for thousands, another's order",
        ),
    ],
)
def test_what_is_no_order_number_is_refused_with_the_reason(cell: object, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        order_number(cell)


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param("1.002E+08", id="fewer decimals than the exponent asks for"),
        pytest.param("1e8", id="none, as programs write it"),
        pytest.param("1.00200005E+08", id="as many"),
        pytest.param("1.002000050E+08", id="a zero more"),
        pytest.param("1.002000054E+08", id="another digit more"),
        pytest.param("1,00200005E+08", id="a decimal comma"),
        pytest.param("1.00200005e8", id="in lower case, as Java writes it"),
        pytest.param("1.00200005E+008", id="three digits in the exponent"),
        pytest.param("1.00200005E-08", id="a negative exponent"),
        pytest.param("+1.00200005E+08", id="a plus sign"),
        pytest.param("-1.00200005E+08", id="a minus sign"),
        pytest.param(" 1.00200005E+08\t", id="blanks around it"),
        pytest.param("1.00200005 E +08", id="blanks in it"),
        pytest.param("'1.00200005E+08", id="the apostrophe of a text cell"),
        pytest.param('="1.00200005E+08"', id="a formula that keeps it a text"),
        pytest.param("100.200005E+06", id="an exponent of thousands"),
        pytest.param("1.E+08", id="a point without decimals"),
    ],
)
def test_scientific_notation_is_refused_whatever_digits_it_has(cell: str) -> None:
    with pytest.raises(Malformed, match="may have lost digits, because it is in scientific nota"):
        order_number(cell)


def test_of_two_order_numbers_single_precision_makes_one_of_as_many_digits() -> None:
    made = {f"{struct.unpack('f', struct.pack('f', n))[0]:.8E}" for n in (100200024, 100200025)}
    assert made == {"1.00200024E+08"}


@given(st.text() | st.text("0123456789\uff11\u0662 ,.'eE+-\u00a0") | st.floats() | st.integers())
@example("\uff11,\uff12\uff13\uff14")
def test_an_accepted_order_number_is_one_to_twenty_ascii_digits(cell: object) -> None:
    try:
        number = order_number(cell)
    except Malformed:
        return
    assert number.isascii()
    assert number.isdigit()
    assert len(number) <= 20


@given(st.text("0123456789 ,.'eE+-\u00a0\n"))
def test_the_digits_of_an_order_number_are_the_cells_and_in_its_order(cell: str) -> None:
    try:
        number = order_number(cell)
    except Malformed:
        return
    digits = "".join(sign for sign in cell if sign.isdigit()).lstrip("0")
    assert digits.startswith(number)
    assert set(digits[len(number) :]) <= {"0"}  # the decimals
    assert order_number(number) == number


# --- domains ------------------------------------------------------------------------------

LABEL_63 = "x" * 63


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        pytest.param("example.com", "example.com", id="a plain name"),
        pytest.param(" Shop.EXAMPLE.com\t", "shop.example.com", id="blanks go, case goes down"),
        pytest.param("example.com.", "example.com", id="the root's dot goes"),
        pytest.param("*.example.com", "*.example.com", id="a wildcard stays"),
        pytest.param("*.Bücher.example", "*.xn--bcher-kva.example", id="a wildcard of an IDN"),
        pytest.param("bücher.example", "xn--bcher-kva.example", id="an IDN becomes A-labels"),
        pytest.param("BÜCHER.example", "xn--bcher-kva.example", id="an IDN's case goes down"),
        pytest.param("xn--bcher-kva.example", "xn--bcher-kva.example", id="A-labels stay"),
        pytest.param("straße.example", "xn--strae-oqa.example", id="IDNA 2008 keeps the sharp s"),
        pytest.param("例え。テスト", "xn--r8jz45g.xn--zckzah", id="an ideographic full stop"),
        pytest.param("\uff45xample.com", "example.com", id="full-width letters (UTS 46)"),
        pytest.param("1and1.com", "1and1.com", id="a label may begin with a digit"),
        pytest.param("123.com", "123.com", id="a label may be all digits, but for the last"),
        pytest.param("a--b.c-d.com", "a--b.c-d.com", id="hyphens inside labels"),
        pytest.param(f"{LABEL_63}.com", f"{LABEL_63}.com", id="a label of 63"),
        pytest.param("a.test", "a.test", id="a reserved top level, for rehearsals"),
    ],
)
def test_a_domain_is_brought_to_one_spelling(cell: str, name: str) -> None:
    assert domain_name(cell) == name


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param("", id="nothing"),
        pytest.param(".", id="the root"),
        pytest.param("localhost", id="a single label"),
        pytest.param("*", id="a star alone"),
        pytest.param("*.com", id="a wildcard of a top level"),
        pytest.param("*.*.example.com", id="two wildcards"),
        pytest.param("www.*.example.com", id="a wildcard inside"),
        pytest.param("w*.example.com", id="a wildcard in part of a label"),
        pytest.param("a..example.com", id="an empty label"),
        pytest.param(".example.com", id="an empty label in front"),
        pytest.param("example.com..", id="two dots behind"),
        pytest.param("-a.example.com", id="a hyphen begins a label"),
        pytest.param("a-.example.com", id="a hyphen ends a label"),
        pytest.param("under_score.example.com", id="an underscore"),
        pytest.param(f"{'x' * 64}.com", id="a label of 64"),
        pytest.param(".".join(["x" * 49] * 6), id="longer than 253"),
        pytest.param(".".join(["é" * 30] * 9), id="an IDN longer than 253"),
        pytest.param("192.0.2.1", id="an IPv4 address"),
        pytest.param("\uff11\uff19\uff12.0.2.1", id="an IPv4 address in full-width digits"),
        pytest.param("2001:db8::1", id="an IPv6 address"),
        pytest.param("[2001:db8::1]", id="an IPv6 address in brackets"),
        pytest.param("example.123", id="a top level of digits"),
        pytest.param("example.com:443", id="a port"),
        pytest.param("https://example.com", id="a URL"),
        pytest.param("example.com/path", id="a path"),
        pytest.param("admin@example.com", id="an e-mail address"),
        pytest.param("exam ple.com", id="a blank inside"),
        pytest.param("a.com b.com", id="two names"),
        pytest.param("a.com,b.com", id="two names and a comma"),
        pytest.param("exam\nple.com", id="a line break inside"),
        pytest.param("exam\r\nX: y.com", id="a header's injection"),
        pytest.param("exam\x00ple.com", id="a NUL"),
        pytest.param("exam\x7fple.com", id="a control character"),
        pytest.param("é\u00a0a.com", id="a no-break blank inside an IDN"),
        pytest.param("i❤.ws", id="a symbol IDNA 2008 has not"),
        pytest.param("\ud800.com", id="half a character"),
        pytest.param("\u00ad.com", id="a label of nothing to see"),
    ],
)
def test_what_is_no_full_domain_name_is_refused(cell: str) -> None:
    with pytest.raises(Malformed, match="the domain"):
        domain_name(cell)


_label = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
_name = st.lists(_label, min_size=1, max_size=4).map(".".join).map(lambda name: f"{name}.example")


@given(st.text() | _name | st.tuples(st.text(), _name).map("".join) | _name.map(str.upper))
def test_an_accepted_domain_is_ascii_labels_and_its_own_spelling(cell: str) -> None:
    try:
        name = domain_name(cell)
    except Malformed:
        return
    assert name.isascii()
    assert fits_a_header(name)
    assert len(name.removeprefix("*.")) <= 253
    assert all(0 < len(label) <= 63 for label in name.split("."))
    assert domain_name(name) == name


@given(_name)
def test_every_host_name_is_accepted_whatever_its_case(name: str) -> None:
    assert domain_name(name.upper()) == name


# --- e-mail addresses ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("admin@example.com", id="a plain address"),
        pytest.param("Admin.Team@example.com", id="its case stays"),
        pytest.param("first.last+tag@example.com", id="a tag stays"),
        pytest.param("o'hara!#$%&*/=?^_`{|}~-@example.com", id="every sign a local part may have"),
        pytest.param("jürgen@example.com", id="an internationalised local part"),
        pytest.param("用户@xn--r8jz45g.xn--zckzah", id="an address all in another script"),
        pytest.param("admin@xn--bcher-kva.example", id="an IDN as A-labels"),
        pytest.param("a" * 64 + "@example.com", id="a local part of 64"),
        pytest.param("admin@example.test", id="a reserved top level, for rehearsals"),
        pytest.param("jürgen@example.test", id="a reserved top level, internationalised"),
    ],
)
def test_an_address_is_sent_as_the_list_has_it(address: str) -> None:
    assert email_address(f" {address}\t") == address


@pytest.mark.parametrize(
    ("cell", "address"),
    [
        ("Admin@EXAMPLE.com", "Admin@example.com"),
        ("admin@Bücher.example", "admin@xn--bcher-kva.example"),
        (unicodedata.normalize("NFD", "admin@bücher.example."), "admin@xn--bcher-kva.example"),
        ("admin@XN--Bcher-KVA.example", "admin@xn--bcher-kva.example"),
        ("用户@例え。テスト", "用户@xn--r8jz45g.xn--zckzah"),
        ("ju\u0308rgen@example.com", "j\u00fcrgen@example.com"),
    ],
)
def test_its_domain_is_brought_to_one_spelling_as_any_domain_is(cell: str, address: str) -> None:
    assert email_address(cell) == address


@pytest.mark.parametrize(
    "name",
    ["x000D_admin", "3dadmin", "20hostmaster", "nbspadmin", "nbspkim", "ltadmin", "ampwebmaster",
     "u003eadmin", "u003ekim", "u00e4admin", "mu00fcller", "mailtokim", "u200badmin"],
)  # fmt: skip
def test_what_is_left_of_an_encoding_is_no_part_of_an_address(name: str) -> None:
    with pytest.raises(Malformed, match="left over from an encoding"):
        email_address(f"{name}@a.example.com")


@pytest.mark.parametrize(
    "name",
    ["3dprint", "u0042", "u2012", "ampere", "lt.smith", "20years", "x000d", "nadmin", "badmin"],
)
def test_a_name_that_only_looks_so_is_one(name: str) -> None:
    assert email_address(f"{name}@a.example.com") == f"{name}@a.example.com"


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("admin at example.com", id="no @"),
        pytest.param("@example.com", id="no local part"),
        pytest.param("admin@", id="no domain"),
        pytest.param("admin@@example.com", id="two @"),
        pytest.param("admin@localhost", id="a single label"),
        pytest.param("admin@192.0.2.1", id="an IPv4 address"),
        pytest.param("admin@[192.0.2.1]", id="an IPv4 literal"),
        pytest.param("admin@[IPv6:2001:db8::1]", id="an IPv6 literal"),
        pytest.param("admin@*.example.com", id="a wildcard"),
        pytest.param("jürgen@*.example.com", id="a wildcard, internationalised"),
        pytest.param("admin@-a.example.com", id="a bad label"),
        pytest.param("a..b@example.com", id="two dots in a row"),
        pytest.param(".a@example.com", id="a dot in front"),
        pytest.param("a.@example.com", id="a dot before the @"),
        pytest.param('"a b"@example.com', id="a quoted local part"),
        pytest.param("Admin <admin@example.com>", id="a name and angle brackets"),
        pytest.param("<admin@example.com>", id="angle brackets"),
        pytest.param("mailto:admin@example.com", id="a link"),
        pytest.param("admin@example.com(comment)", id="a comment"),
        pytest.param("a@example.com,b@example.com", id="two addresses, comma"),
        pytest.param("a@example.com;b@example.com", id="two addresses, semicolon"),
        pytest.param("a@example.com b@example.com", id="two addresses, blank"),
        pytest.param("a b@example.com", id="a blank in the local part"),
        pytest.param("admin @example.com", id="a blank before the @"),
        pytest.param("admin@exam ple.com", id="a blank in the domain"),
        pytest.param("ad\nmin@example.com", id="a line break in the local part"),
        pytest.param("admin\r\nBcc: x@example.com", id="a header's injection before the @"),
        pytest.param("a@example.com\r\nBcc: x@example.org", id="a header's injection behind"),
        pytest.param("a@example.com\r\n.example.org", id="a header's injection in the domain"),
        pytest.param("ad\x00min@example.com", id="a NUL"),
        pytest.param("ad\x07min@example.com", id="a control character"),
        pytest.param("ad\u0085min@example.com", id="a control character beyond ASCII"),
        pytest.param("ad\u2028min@example.com", id="a line separator"),
        pytest.param("ad\u200bmin@example.com", id="a sign no one sees"),
        pytest.param("ad\u202emin@example.com", id="a sign that turns the direction"),
        pytest.param("\ud800@example.com", id="half a character"),
        pytest.param("é" * 500 + "@example.com", id="a local part of a thousand bytes"),
        pytest.param("jürgen@ example.com", id="a blank behind the @, internationalised"),
        pytest.param("admin@ example.com", id="a blank behind the @"),
        pytest.param("admin@\nexample.com", id="a line break behind the @"),
        pytest.param("admin@\r\n example.com", id="a folded header"),
        pytest.param("admin@\x1cexample.com", id="a control behind the @"),
        pytest.param("admin@ *.example.com", id="a wildcard and a blank"),
        pytest.param("admin@exam\u200bple.com", id="a sign no one sees in the domain"),
        pytest.param("admin@exam\u00adple.com", id="a soft hyphen in the domain"),
    ],
)
def test_what_is_no_single_bare_address_is_refused(address: str) -> None:
    with pytest.raises(Malformed, match="the e-mail address"):
        email_address(address)


_sign = st.characters() | st.sampled_from("\r\n\t \x1c\u0085\u200b\u00ad\u2028@.:,;<>\"'")
_local = st.from_regex(r"[a-z]{1,5}", fullmatch=True)
_behind = st.tuples(st.text(_sign, max_size=2), _name, st.text(_sign, max_size=2)).map("".join)


@given(st.tuples(_local | st.text(_sign), st.just("@"), _behind).map("".join))
@example("admin@\r\n example.com")
@example("admin@exam\u200bple.com")
def test_an_accepted_address_fits_into_one_header_line(cell: str) -> None:
    try:
        address = email_address(cell)
    except Malformed:
        return
    assert fits_a_header(address)
    local, _, domain = cell.strip().rpartition("@")
    assert address == f"{unicodedata.normalize('NFC', local)}@{domain_name(domain)}"
    assert email_address(address) == address


# --- reasons ------------------------------------------------------------------------------


@given(st.text(_sign), st.sampled_from([order_number, domain_name, email_address, locale_code]))
@example("\r\n" + "é" * 100_000, domain_name)
@example("é" * 100_000 + "@example.com", email_address)
@example("1" * 100_000, order_number)
def test_a_reason_is_one_short_line_whatever_the_cell(cell: str, check: object) -> None:
    assert callable(check)
    try:
        check(cell)
    except Malformed as reason:
        assert len(str(reason)) < 600
        assert str(reason).isprintable()
