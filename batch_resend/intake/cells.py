"""What one cell may hold: an order number, a domain, an e-mail address, a locale.

Each function takes a cell as a list has it, returns it as the CA shall get it, and raises
`Malformed` with a reason a person understands.
"""

import re
from functools import lru_cache

import idna
from email_validator import EmailNotValidError, validate_email

KNOWN_LOCALES = frozenset(
    ("de", "en", "es", "fr", "it", "ja", "ko", "pt", "ru", "zh_CN", "zh_TW")
)  # the languages the CA's own documentation is published in

_GROUPED_DIGITS = re.compile(r"\d{1,3}(?:[ ,.'\u2019\u00a0\u202f]\d{3})+")
_FLOAT_DIGITS = re.compile(r"(\d+)\.0+")
_SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?[eE][+-]?\d+")
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LOCALE = re.compile(r"[A-Za-z]{2,8}(?:[_-][A-Za-z]{2,8})?")


class Malformed(ValueError):
    """A cell does not hold what it should; the text is the reason."""


def shown(text: str) -> str:
    """Return a cell quoted and cut to a length that fits a message."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def order_number(value: object) -> str:
    """Return an order number as digits.

    Takes text or a JSON number; removes what spreadsheets add: blanks, an apostrophe in front,
    thousands marks, a decimal `.0`.
    """
    if value is None:
        raise Malformed("the order number is missing")
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
    if text is None:
        raise Malformed(f"the order number is {shown(str(value))}: digits are expected")
    if not (text.isascii() and text.isdigit()):
        text = _plain_digits(text)
    if len(text) > 20:
        raise Malformed(f"the order number {shown(text)} is too long: 20 digits at most")
    return text


def _plain_digits(text: str) -> str:
    stripped = text.strip().removeprefix("'").strip()
    if not stripped:
        raise Malformed("the order number is missing")
    if _SCIENTIFIC.fullmatch(stripped):
        raise Malformed(
            f"the order number {shown(stripped)} has lost digits in a spreadsheet: "
            "format the column as text and export it again"
        )
    if float_digits := _FLOAT_DIGITS.fullmatch(stripped):
        return float_digits[1]
    if _GROUPED_DIGITS.fullmatch(stripped):
        return re.sub(r"\D", "", stripped)
    if not (stripped.isascii() and stripped.isdigit()):
        raise Malformed(f"the order number is {shown(stripped)}: digits are expected")
    return stripped


@lru_cache(maxsize=65_536)
def domain_name(text: str) -> str:
    """Return a domain in lower case, as A-labels (IDNA 2008, UTS 46), without a final dot.

    A wildcard label in front (`*.`) stays.
    """
    name = text.strip().removesuffix(".").lower()
    wildcard, base = ("*.", name[2:]) if name.startswith("*.") else ("", name)
    if not base.isascii():
        try:
            base = idna.encode(base, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise Malformed(f"the domain {shown(text)} is not a name: {error}") from None
    labels = base.split(".")
    if len(labels) < 2 or labels[-1].isdigit() or len(base) > 253:
        raise Malformed(f"the domain {shown(text)} is not a full domain name")
    if not all(map(_LABEL.fullmatch, labels)):
        raise Malformed(f"the domain {shown(text)} has characters that no domain name has")
    return wildcard + base


def email_address(text: str) -> str:
    """Return an e-mail address, trimmed and otherwise as the list has it."""
    address = text.strip()
    local, at, domain = address.rpartition("@")
    if not at:
        raise Malformed(f"the e-mail address {shown(address)} has no @")
    if len(local) <= 64 and _LOCAL_PART.fullmatch(local) and not domain.startswith("*"):
        try:
            domain_name(domain)
        except Malformed:
            raise Malformed(
                f"the e-mail address {shown(address)} has no valid domain after the @"
            ) from None
        return address
    try:
        validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise Malformed(f"the e-mail address {shown(address)} is not valid: {error}") from None
    return address


@lru_cache(maxsize=1024)
def locale_code(text: str) -> str:
    """Return a locale code such as `en` or `zh_CN`.

    Codes the CA's documentation does not name pass: a newer one must not be blocked.
    """
    code = text.strip()
    if not _LOCALE.fullmatch(code):
        raise Malformed(f"the locale {shown(code)} is not a code such as en or zh_CN")
    return code
