"""A cell's text -> a value, or the reason why it holds none.

A character that is not what it looks like (a letter of another script, a raised digit of a
footnote) is one: what is mailed then is not what the eye sees.

Each function takes a cell as a list has it, returns it as the CA shall get it, and raises
`Malformed` with a reason a person understands.
"""

import re
import unicodedata
from functools import lru_cache
from json import dumps

import idna

from batch_resend.model import USUAL_LOCAL_PARTS, Call
from batch_resend.visible import FORMULA_SIGNS

# Letters of which a word looks like one in Latin letters: of Cyrillic and of Greek, as far as they
# are alike in the fonts of usual programs (Unicode Technical Standard 39, confusables.txt).
_LIKE_LATIN = frozenset(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501\u051b\u051d\u04cf"
    "\u03b1\u03bf\u03c1\u03bd\u03b9\u03ba\u03c5"
)
_OF_FULL_WIDTH = frozenset(map(chr, range(0xFF01, 0xFF61)))  # wider, and otherwise the same
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE")
_WORDS = re.compile(r"[^\W_]+")


def lookalike(text: str) -> str | None:
    """Return the first character that is not what it looks like, with its name, or None.

    `text`: an address or a domain.
    """
    return None if text.isascii() else _lookalike(text)


@lru_cache(maxsize=1024)
def _lookalike(text: str) -> str | None:
    for sign in text:
        if (
            not sign.isascii()
            and sign not in _OF_FULL_WIDTH
            and unicodedata.normalize("NFKC", sign).isascii()
        ):
            return named(sign)
    for word in _WORDS.findall(text.lower()):
        foreign = [sign for sign in word if _script(sign) not in ("LATIN", "")]
        scripts = {_script(sign) for sign in word} - {""}
        if foreign and (len(scripts) > 1 or all(sign in _LIKE_LATIN for sign in foreign)):
            return named(foreign[0])
    return None


def _script(sign: str) -> str:
    """Return the script of a letter, of those that are taken for one another."""
    name = unicodedata.name(sign, "")
    return next((script for script in _SCRIPTS if name.startswith(script)), "")


def named(sign: str) -> str:
    """Return a character as a message shows it: one that looks like another, with its name."""
    if sign.isascii():
        return repr(sign)
    name = unicodedata.name(sign, "a character without a name").lower()
    return f"{sign!r} (U+{ord(sign):04X}, {name})"


_BLANKS = " \t\r\n\u00a0\u2000\u2001\u2002\u2003\u2007\u2009\u202f\u3000"
_GROUPED_DIGITS = re.compile(r"[0-9]{1,3}([ ,.'\u2019\u00a0\u202f])[0-9]{3}(?:\1[0-9]{3})*")
_FLOAT_DIGITS = re.compile(r"([0-9]+)\.0+")
_MISSING = "the order number is missing: write it in each row of the order"
_SCIENTIFIC = re.compile(
    rf"[+-]?[0-9]+(?:[.,][0-9]*)?[{_BLANKS}]*[eE][{_BLANKS}]*[+-]?[{_BLANKS}]*[0-9]+"
)
_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_NAME = re.compile(rf"(?:{_LABEL}\.)+(?![0-9]+(?:\n|\Z)){_LABEL}")
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
# Most addresses are so plain that nothing in front of the @, or around it, need be looked at.
PLAIN_ADDRESS = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9_+-]*(?:\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9.-]*[A-Za-z0-9-]"
)
# Most pairs of a domain and an address are so plain that both cells are what they say.
_PLAIN_PAIR = re.compile(
    rf"(?:\*\.)?{_NAME.pattern}\n(?:{'|'.join(sorted(USUAL_LOCAL_PARTS))})@{_NAME.pattern}"
)
_LONGEST_PLAIN_PAIR = 253  # characters: neither of the two is then too long
_BETWEEN_TEXTS = re.compile(f"[;,{_BLANKS}]+")
_VISIBLE = re.compile(r"[!-~]+")
_NOTHING = frozenset(
    ("null", "nil", "none", "nan", "na", "n/a", "n.a.", "#n/v", "n/v", "n.v.", "k.a.", "k. a.", "-",
     "--", "\u2013", "\u2014", "?", "(null)", "(none)", "\\n", "undefined")
)  # fmt: skip
_YES = frozenset(("yes", "y", "true", "1", "x", "ja", "oui", "s\u00ed", "si", "s\u00ec"))
_NO = frozenset(("", "no", "n", "false", "0", "nein", "non"))
# Legal in front of an @, most of them, and there by a spreadsheet, as the bullet of a list, or to
# say something of the address.
_NO_BEGINNING = frozenset("=-\u2013\u2014\u2212*+#/?!~|&$%^`{}'")
NOT_COMPUTED = "#NOT-COMPUTED"  # how a workbook's formula without a value is read
_FAILED_FORMULA = re.compile(
    r"#(?:N/A|N/D|NV|REF!|BEZUG!|VALUE!|VALEUR!|WERT!|VALOR!|DIV/0!|NAME\?|NOM\s?\?|NULL!|NUM!|ZAHL!"
    r"|NOMBRE\s?!|SPILL!|CALC!|GETTING_DATA|FIELD!|BLOCKED!|CONNECT!|UNKNOWN!|ERROR!)|ERR:[0-9]{3}"
)
_FORMULA = re.compile(r"=\s*[A-Z][A-Z0-9_.]*\(")
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
# What is left of an encoding that has lost its sign: of `_x000D_`, `&nbsp;`, `%20`, `=3D`.
# Where it could begin a name as well, only before one of the five names that the CA makes up.
_LEFT_OVER = re.compile(
    r"(?:_?x00[0-9a-f]{2}_|nbsp|mailto|u00(?:[0-2][0-9a-f]|3[a-f]|40|5[b-f]|60|[7-9a-f][0-9a-f])(?=[a-z])"
    r"|(?:amp|quot|apos|lt|gt|u20[0-6][0-9a-f]|0[9ad]|2[0267f]|3[acde]|(?:c2)?a0)"
    rf"(?=(?:{'|'.join(USUAL_LOCAL_PARTS)})@))"
    r"|(?<=[a-z])u00[c-f][0-9a-f](?=[a-z])",
    re.IGNORECASE,
)


class Malformed(ValueError):
    """A cell does not hold what it should; the text is the reason."""


def shown(text: str) -> str:
    """Return a cell quoted and cut to a length that fits a message."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def trimmed(cell: str) -> str:
    """Return a cell without blanks around it. Control characters stay, to be refused."""
    return cell.strip(_BLANKS)


def is_nothing(text: str) -> bool:
    """Whether a cell says in a word that there is nothing in it."""
    return text.lower() in _NOTHING


def failed_formula(text: str) -> str:
    """Return what is wrong with a cell whose formula failed; empty where none did.

    Of spreadsheets in English, in German, French and Spanish.
    """
    word = trimmed(text).upper()
    if word == NOT_COMPUTED or _FORMULA.match(word):
        return (
            "holds a formula that was never computed: open the list in a spreadsheet program, "
            "save it there, and use that file"
        )
    if _FAILED_FORMULA.fullmatch(word):
        return f"is {shown(trimmed(text))}, a formula that failed: correct it in the spreadsheet"
    return ""


def several(cell: str) -> list[str]:
    """Return the texts of a cell, where `;`, `,` or blanks may stand between them."""
    text = trimmed(cell)
    if not _BETWEEN_TEXTS.search(text):
        return [text] if text else []
    return [one for one in _BETWEEN_TEXTS.split(text) if one]


def order_number(value: object) -> str:
    """Return an order number as digits, without zeros in front.

    Takes text or a JSON number; removes what spreadsheets add: blanks, an apostrophe in front,
    thousands marks, a decimal `.0`; and what is added for them, as in `="0815"`.
    """
    if value is None:
        raise Malformed(_MISSING)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Malformed(f"the order number is {shown(dumps(value))}: digits are expected")
    text = str(value)
    digits = text if text.isascii() and text.isdigit() else _plain_digits(text)
    if len(digits) > 20:
        raise Malformed(f"the order number {shown(digits)} is too long: 20 digits at most")
    return digits.lstrip("0") or _no_order(digits)


def domain_number(value: object) -> str:
    """Return the number of a domain at the CA, read as an order's."""
    try:
        return order_number(value)
    except Malformed as reason:
        raise Malformed(str(reason).replace("order", "domain")) from None


def _no_order(digits: str) -> str:
    raise Malformed(f"the order number is {shown(digits)}: no order has that number")


def _plain_digits(text: str) -> str:
    stripped = trimmed(trimmed(text).strip("'\u2019"))
    if stripped.startswith('="') and stripped.endswith('"'):  # so that Excel takes it for text
        stripped = stripped[2:-1]
    if not stripped:
        raise Malformed(_MISSING)
    # Also with as many decimals as the exponent asks for: a program that calculates with seven
    # digits writes 1.00200024E+08 for 100200025, too.
    if _SCIENTIFIC.fullmatch(stripped):
        raise Malformed(
            f"the order number {shown(stripped)} may have lost digits, because it is in scientific "
            "notation: format the column as text and export it again"
        )
    whole, grouped = _FLOAT_DIGITS.fullmatch(stripped), _GROUPED_DIGITS.fullmatch(stripped)
    if whole and grouped:
        raise Malformed(
            f"the order number {shown(stripped)} could be {whole[1]} or {whole[1]}000: "
            "format the column as text and export it again"
        )
    if whole:
        return whole[1]
    if grouped:
        return re.sub(r"[^0-9]", "", stripped)
    if not (stripped.isascii() and stripped.isdigit()):
        raise Malformed(f"the order number is {shown(stripped)}: digits are expected")
    return stripped


def domain_name(text: str) -> str:
    """Return a domain in lower case, as A-labels (IDNA 2008, UTS 46), without a final dot.

    A wildcard label in front (`*.`) stays.
    """
    return _domain_name(trimmed(text))


# The rows of an order name one over and over, and so does an address. Where all are different, to
# forget thousands takes longer than to read them again.
@lru_cache(maxsize=256)
def _domain_name(text: str) -> str:
    if not text.isascii() and (meant := _misread(text)):
        raise Malformed(f"the domain {shown(text)} was read in a wrong encoding; is it {meant}?")
    name = text.removesuffix(".").lower()
    wildcard, base = ("*.", name[2:]) if name.startswith("*.") else ("", name)
    if not base.isascii():
        if sign := lookalike(base):
            raise Malformed(
                f"the domain {shown(text)} has {sign}, which is not what it looks like: type the "
                "name again"
            )
        try:
            base = idna.encode(base, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise Malformed(f"the domain {shown(text)} is not valid: {error}") from None
    if len(base) > 253 or _NAME.fullmatch(base) is None:
        raise Malformed(f"the domain {shown(text)} {_why_no_name(base)}")
    return wildcard + base


def _why_no_name(base: str) -> str:
    if "@" in base and ":" not in base:  # which a URL with a user's name has
        return "is an e-mail address: are two columns swapped?"
    *labels, last = base.split(".")
    is_full = labels and not last.isdigit() and len(base) <= 253
    return "has characters that no domain name has" if is_full else "is not a full domain name"


# A repair asks it of a pair, and so does what is made of the pair next.
@lru_cache(maxsize=256)
def is_plain_pair(domain: str, email: str) -> bool:
    """Whether `domain_name` and `email_address` return both as they are: one of the usual five."""
    pair = f"{domain}\n{email}"
    return (
        len(pair) <= _LONGEST_PLAIN_PAIR
        and _PLAIN_PAIR.fullmatch(pair) is not None
        and not _left_over(email)
    )


def email_address(text: str) -> str:
    """Return an e-mail address: trimmed, and its domain as `domain_name` has it."""
    address = trimmed(text)
    if not (is_plain := PLAIN_ADDRESS.fullmatch(address) is not None):
        address = _fused(address)
        _refuse_odd_signs(address)
    local, at, domain = address.rpartition("@")
    if not at:
        raise Malformed(f"the e-mail address {shown(address)} has no @")
    if len(address) > 254:
        raise Malformed(f"the e-mail address {shown(address)} is too long: 254 at most")
    if not (is_plain or _VISIBLE.fullmatch(address) or _all_visible(address)):
        raise Malformed(f"the e-mail address {shown(address)} holds a blank or control character")
    if left := _left_over(address):
        raise Malformed(
            f"the e-mail address {shown(address)} has {left!r} in it, which may be left over from "
            "an encoding: write the plain address"
        )
    try:
        name = domain_name("" if domain.startswith("*") else domain)
    except Malformed:
        raise Malformed(
            f"the e-mail address {shown(address)} has no valid domain after the @"
        ) from None
    if len(local) > 64 or not (is_plain or _LOCAL_PART.fullmatch(local)):
        local = _odd_local_part(local, name)
    return f"{local}@{name}"


def _refuse_odd_signs(address: str) -> None:
    """Raise Malformed where an address has signs that something else than its owner put there."""
    if address[:1] in _NO_BEGINNING:
        raise Malformed(
            f"the e-mail address {shown(address)} begins with {address[0]!r}: is that right?"
        )
    if not address.isascii() and (sign := lookalike(address)):
        raise Malformed(
            f"the e-mail address {shown(address)} has {sign}, which is not what it looks like: "
            "type the address again"
        )
    if "%" in address and _PERCENT.search(address):
        raise Malformed(
            f"the e-mail address {shown(address)} is encoded as in a link: write the plain address"
        )
    if not address.isascii() and (meant := _misread(address)):
        raise Malformed(
            f"the e-mail address {shown(address)} was read in a wrong encoding; is it {meant}?"
        )


def _left_over(address: str) -> str:
    found = _LEFT_OVER.match(address) or ("u00" in address.lower() and _LEFT_OVER.search(address))
    return found[0] if found else ""


def _odd_local_part(local: str, domain: str) -> str:
    """Return what stands before the @, in other letters than ASCII's perhaps, in one spelling."""
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 - slow to load, and few addresses are so odd

    address = f"{local}@{domain}"
    try:
        found = validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise Malformed(f"the e-mail address {shown(address)} is not valid: {error}") from None
    return found.local_part


def _misread(text: str) -> str:
    """Return what a text was before UTF-8 was read as another encoding; empty where it was not."""
    for encoding in ("cp1252", "latin-1"):
        try:
            meant = text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        return shown(meant)
    return ""


def _fused(address: str) -> str:
    """Return an address without the apostrophe that keeps spreadsheets from running a formula."""
    return address[1:] if address[:1] == "'" and address[1:2] in FORMULA_SIGNS else address


def _all_visible(text: str) -> bool:
    """Whether no character is a control, a separator or one that takes no room."""
    return all(unicodedata.category(character)[0] not in "CZ" for character in text)


def yes_or_nothing(value: object) -> str:
    """Return "yes" of a cell that says so, and "" of one that says no, or is empty."""
    if isinstance(value, bool):
        value = "yes" if value else "no"
    text = trimmed(value).lower() if isinstance(value, str) else str(value or "")
    if text in _YES:
        return "yes"
    if text in _NO:
        return ""
    said = value if isinstance(value, str) else dumps(value)
    raise Malformed(f"{shown(said)} is neither yes nor no")


def call_name(text: str) -> str:
    """Return the name of one of the CA's calls, with `_` or `-` between its words."""
    try:
        return Call(trimmed(text).lower().replace("_", "-"))
    except ValueError:
        raise Malformed(
            f"the call {shown(trimmed(text))} does not exist: write {', '.join(Call)}, or leave "
            "it empty"
        ) from None
