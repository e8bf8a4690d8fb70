"""What a cell looks like, whatever stands above it: an address, a domain, an order's number.

The addresses that the CA makes up itself for a domain are admin@, administrator@, webmaster@,
hostmaster@ and postmaster@ the domain or one of its parents, up to the registrable domain (Baseline
Requirements 3.2.2.4.4). Others may pass too: they may stand in the domain's DNS. So what is said of
them is a warning and never an error.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING

from batch_resend.intake.cells import is_nothing, several
from batch_resend.intake.fields import Field, may_be_for
from batch_resend.intake.languages import is_language
from batch_resend.model import USUAL_LOCAL_PARTS

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList


def is_parent(parent: str, domain: str) -> bool:
    """Whether `domain` is a subdomain of `parent`. Both in lower case; wildcards don't count."""
    return domain.removeprefix("*.").endswith(f".{parent}")


def is_at(mail_domain: str, domain: str) -> bool:
    """Whether an address lives at a domain, or at a parent of it. Wildcards don't count."""
    return mail_domain == domain.removeprefix("*.") or is_parent(mail_domain, domain)


def is_constructed(local_part: str, mail_domain: str, domain: str) -> bool:
    """Whether an address is one of the five at `domain` or at a parent that can be registered.

    `mail_domain` and `domain` are A-labels in lower case.
    """
    if local_part.lower() not in USUAL_LOCAL_PARTS:
        return False
    if mail_domain == domain.removeprefix("*."):
        return True
    return is_parent(mail_domain, domain) and not _is_public(mail_domain)


@lru_cache(maxsize=4_096)
def _is_public(domain: str) -> bool:
    """Whether names right below `domain` are for anybody to register, as below co.uk."""
    return _public_list().privatesuffix(domain) is None


@lru_cache(maxsize=1)
def _public_list() -> "PublicSuffixList":
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415 - 80 ms; few lists need it

    # As the CAs read it: only what registries say, not what hosting companies add.
    return PublicSuffixList(only_icann=True)


_ADDRESS = re.compile("[^\\s@\uff20]\\s*[@\uff20]\\s*[^\\s@\uff20]")
_AT_DOMAIN = re.compile(r"[@\uff20]([\w.-]+\w)")
_ORDER_NUMBER = re.compile(r"\s*[#'\u2019]?\s*[0-9][0-9 ]*(?:\.0+)?\s*")
_DOMAIN = re.compile(r"\s*(?:\*\.)?[\w-]+(?:\.[\w-]+)+\.?\s*")
# Digits of an order number that is suggested: a telephone's has more, a count of rows fewer.
_SHORTEST_NUMBER, _LONGEST_NUMBER = 5, 10
# Top-level names of RFC 2606 and 6761, which lists made for trying things out have.
_RESERVED = frozenset(("example", "test", "invalid", "localhost", "local", "internal"))


def has_address(text: str) -> bool:
    """Whether a text holds what looks like an e-mail address."""
    return ("@" in text or "\uff20" in text) and _ADDRESS.search(text) is not None


def is_domain(text: str) -> bool:
    """Whether a text is a domain name below a top-level domain that exists."""
    if "." not in text or _DOMAIN.fullmatch(text) is None:
        return False
    name = text.strip().strip(".").lower()
    return name.rpartition(".")[2] in _RESERVED or _is_registered(name.removeprefix("*."))


def is_order_number(text: str) -> bool:
    """Whether a text could be the number of an order."""
    return _ORDER_NUMBER.fullmatch(text) is not None


def separated_otherwise(cells: Sequence[str], width: int) -> str:
    """Return what separates the cells of a whole row where all seem to be one; empty: nothing."""
    if len(cells) != 1 < width:
        return ""
    for between in ",;\t|":
        parts = cells[0].split(between)
        if len(parts) == width and any(map(is_order_number, parts)) and all(map(str.strip, parts)):
            return between
    return ""


def looked_for(
    rows: Sequence[Sequence[str]],
    names: Sequence[str],
    known: Mapping[Field, int] = MappingProxyType({}),
    among: Collection[int] | None = None,
) -> dict[Field, int]:
    """Return which column of some rows plainly holds what, counted from 0.

    `names`: their headings; `known`: the columns that are known; `among`: the only ones in
    question. Where two may hold the same, none is named; nor is an address that is not at its
    domain, nor one whose heading says that it is somebody else's.
    """
    asked = set(range(len(names))) - set(known.values())
    if among is not None:
        asked &= set(among)
    columns = {at: filled(rows, at) for at in sorted(asked)}
    found = _by_looks(columns, names)
    found |= _in_pairs(rows, {**found, **{field: [at] for field, at in known.items()}})
    one_each = {field: set(places) for field, places in found.items() if field not in known}
    return {field: places.pop() for field, places in one_each.items() if len(places) == 1}


def filled(rows: Sequence[Sequence[str]], at: int) -> list[str]:
    """Return the cells of one column of some rows that are not blank."""
    return [row[at] for row in rows if at < len(row) and row[at].strip()]


def _by_looks(
    columns: Mapping[int, Sequence[str]], names: Sequence[str]
) -> dict[Field, list[int]]:  # fmt: skip
    """Return which columns look like which field, and may be for it by their headings."""
    found: dict[Field, list[int]] = {}
    for at, cells in columns.items():
        field = _looks_like(cells)
        if field is not None and may_be_for(field, names[at]):
            found.setdefault(field, []).append(at)
    if numbers := found.get(Field.ORDER_ID):
        # The longest are the CA's: others count rows, or are years.
        most = max(_length(columns[at]) for at in numbers)
        found[Field.ORDER_ID] = [at for at in numbers if _length(columns[at]) == most]
    return found


def _in_pairs(
    rows: Sequence[Sequence[str]], found: Mapping[Field, Sequence[int]]
) -> dict[Field, list[int]]:
    """Return which columns of domains and addresses belong together."""
    domains, emails = found.get(Field.DOMAIN, ()), found.get(Field.EMAIL, ())
    if not domains:
        return {Field.EMAIL: [at for at in emails if all(map(_is_usual, filled(rows, at)))]}
    if not emails:
        return {}
    pairs = [pair for pair in product(domains, emails) if _are_pairs(rows, *pair)]
    return {Field.DOMAIN: [d for d, _ in pairs], Field.EMAIL: [e for _, e in pairs]}


def _are_pairs(rows: Sequence[Sequence[str]], domain: int, email: int) -> bool:
    """Whether each address in some rows is at its domain, or at a parent of it."""
    both = [
        (row[domain].strip().strip(".").lower(), _AT_DOMAIN.findall(row[email].lower()))
        for row in rows
        if max(domain, email) < len(row) and row[domain].strip() and row[email].strip()
    ]
    return bool(both) and all(
        is_at(mail, name) for names, mails in both for name in several(names) for mail in mails
    )


def _is_usual(cell: str) -> bool:
    """Whether a cell holds one of the five addresses that the CA makes up."""
    return cell.partition("@")[0].strip().lower() in USUAL_LOCAL_PARTS


def holds_alone(at: int, field: Field, rows: Sequence[Sequence[str]]) -> bool:
    """Whether one column of some rows has domains, or addresses, and no other column has any."""
    looks = has_address if field is Field.EMAIL else is_domain
    there = {place for row in rows for place, cell in enumerate(row) if looks(cell)}
    return there == {at}


def holds_languages(at: int, rows: Sequence[Sequence[str]]) -> bool:
    """Whether one column of some rows has languages, and nothing else."""
    cells = [cell for cell in filled(rows, at) if not is_nothing(cell)]
    return bool(cells) and all(map(is_language, cells))


def columns_of_languages(rows: Sequence[Sequence[str]]) -> list[int]:
    """Return which columns of a list without a heading row hold languages.

    What stands in its first row matters little: it may be a heading after all.
    """
    width = max(map(len, rows), default=0)
    return [at for at in range(width) if holds_languages(at, rows) or holds_languages(at, rows[1:])]


def _looks_like(cells: Sequence[str]) -> Field | None:
    """Return what all cells of a column look like."""
    if not cells:
        return None
    if all(map(is_order_number, cells)):
        is_long_enough = _SHORTEST_NUMBER <= _length(cells) <= _LONGEST_NUMBER
        may_be = is_long_enough and not any(map(_is_phone, cells))
        return Field.ORDER_ID if may_be else None
    if all(map(has_address, cells)):
        return Field.EMAIL
    return Field.DOMAIN if all(_DOMAIN.fullmatch(cell) for cell in cells) else None


def _is_phone(cell: str) -> bool:
    return cell.strip().startswith("0") and len(cell.strip()) > 1


def _length(cells: Sequence[str]) -> int:
    return max(sum(map(str.isdigit, cell.partition(".")[0])) for cell in cells)


def _is_registered(name: str) -> bool:
    return _public_list().publicsuffix(name, accept_unknown=False) is not None
