"""Columns, and keys, that are not read by their headings, but may say whom to mail: asked about.

Shops have orders, too, and half of the sample tables of this world are of them. Without addresses a
request mails all domains of its order, to all whom the CA knows: so such a list has nothing that
shops have, or it is asked about.
"""

import re
from collections.abc import Collection, Container, Iterator, Mapping, Sequence

from batch_resend.errors import InputError
from batch_resend.intake.exports import is_own_heading, is_state_of_another_trade
from batch_resend.intake.fields import (
    ADDRESSES,
    Field,
    in_one_line,
    is_close_to_all_domains,
    known_field,
    misspelled,
    plain,
    second_fields,
)
from batch_resend.intake.looks import (
    columns_of_languages,
    filled,
    has_address,
    holds_languages,
    looked_for,
)
from batch_resend.intake.reading import Reading
from batch_resend.intake.signs import (
    holds_domain,
    is_live,
    is_mailbox,
    is_of_addresses,
    is_remark,
    may_narrow,
    says_whether,
    tells_not_to_send,
)
from batch_resend.intake.suggestions import (
    Head,
    ignore_flag,
    map_flag,
    needs_no_mail,
    pair_flags,
    unnamed,
)

# A heading of what stands in a row a second time.
_NUMBERED = re.compile(
    r"([^\W\d]+)\d{1,2}|(?:2nd|3rd|second|secondary|third|another|zweite[rs]?|weitere[rs]?"
    r"|deuxieme|second[ao]|autre)(.+)"
)
_ROW_OF_ITS_OWN = "Give each domain and address a row of their own, with the order's number"
_ONE_MORE = {  # of a row: what it is, and where to write it
    Field.ORDER_ID: ("order number", "Give each order a row of its own"),
    Field.DOMAIN: ("domain", _ROW_OF_ITS_OWN),
    Field.EMAIL: (
        "address",
        f"{_ROW_OF_ITS_OWN}, or write several addresses into one cell (a; b)",
    ),
    Field.EMAIL_DOMAIN: ("e-mail domain", _ROW_OF_ITS_OWN),
    Field.LOCALE: ("language", "Give each language a row of its own"),
}


def ask_about(
    head: Head, places: Mapping[Field, Sequence[int]], reading: Reading, *, orders_only: bool
) -> None:
    """Raise InputError where a column, or a key, may say whom or what to mail, and is not read.

    `places`: of those that are; `orders_only`: of an export of the CA, to which somebody added a
    column.
    """
    taken = {at for indexes in places.values() for at in indexes}
    _refuse_one_more(head, places, _one_more(head, taken, reading))
    if reading.numbers_only:
        return
    by_word = Field.ALL_DOMAINS in places
    for at, name in enumerate(head.names):
        if not name or at in taken:
            continue
        if not by_word and is_close_to_all_domains(name):
            raise InputError(
                f"{head.where}: is {name!r} the {head.noun.word} {Field.ALL_DOMAINS}? If it is: "
                f"{map_flag(Field.ALL_DOMAINS, name, head.noun)}; if not: {ignore_flag(name)}"
            )
        if why := _why_asked(name, filled(head.sample, at) if orders_only else ()):
            raise InputError(f"{head.where}: {why}")


def _one_more(head: Head, taken: Collection[int], reading: Reading) -> dict[Field, list[int]]:
    """Return which columns, or keys, seem to hold one more of a field that is read."""
    more: dict[Field, list[int]] = {}
    for at, name in enumerate(head.names):
        which = None if at in taken or is_own_heading(name) else one_more_of(name)
        if which is not None and reading.reads(which):
            more.setdefault(which, []).append(at)
    return more


def _refuse_one_more(
    head: Head, places: Mapping[Field, Sequence[int]], more: Mapping[Field, Sequence[int]]
) -> None:
    for which, (at, *_) in more.items():
        flags = [
            flag
            for field, indexes in more.items()
            for flag in _for_one(field, indexes, places, head)
        ]
        what, how = _ONE_MORE[which]
        raise InputError(
            f"{head.where}: {head.names[at]!r} seems to hold one more {what} of a row, and is not "
            f"read. {how}. To read only one: {' '.join(flags)}"
        )


def _for_one(
    which: Field, indexes: Sequence[int], places: Mapping[Field, Sequence[int]], head: Head
) -> Iterator[str]:
    """Yield the options that have one column of a field read alone."""
    read = places.get(which, ())
    known = {field: at for field, (at, *_) in places.items() if field is not which}
    right = _right_of((*read, *indexes), which, known, head)
    if right not in read:
        yield map_flag(which, None if right is None else head.names[right], head.noun)
    yield from (ignore_flag(head.names[at]) for at in indexes if right not in (None, at))


def _right_of(
    indexes: Sequence[int], which: Field, known: Mapping[Field, int], head: Head
) -> int | None:
    """Return which of several columns is plainly the one; the first, where all may be it."""
    if which not in (Field.DOMAIN, Field.EMAIL):
        return indexes[0]
    for among in (indexes, indexes[:1]):
        right = looked_for(head.sample, head.names, known, among).get(which)
        if right is not None:
            return right
    return None


def one_more_of(name: str) -> Field | None:
    """Return the field that a heading numbers, as `domain 2` or `second e-mail`; None: none."""
    found = _NUMBERED.fullmatch(plain(name))
    if found is None or found[1] == "id" or found[2] == "id":
        return None
    which = known_field(found[1] or found[2])
    return which if which in _ONE_MORE else None


def _why_asked(name: str, added: Sequence[str]) -> str:
    """Return what to ask about a column that is not read; empty where there is nothing to.

    `added`: cells of a column that somebody added to an export of the CA.
    """
    if is_own_heading(name):
        return ""
    if says_whether(name) or tells_not_to_send(name):
        return (
            f"{name!r} may say which rows are to be sent, and is not read. Remove the rows that "
            f"are not, then add {ignore_flag(name)}"
        )
    if is_remark(name) and added:
        return (
            f"{name!r} is not one of the CA's columns and is not read, so every pending domain of "
            f"each order would be mailed. If nothing in it says otherwise: {ignore_flag(name)}"
        )
    # Of addresses it is said row by row which they are.
    if any(map(holds_domain, added)) and not any(map(has_address, added)):
        return (
            f"{name!r} is not one of the CA's columns and holds domains. If these are to be "
            f"mailed: {pair_flags(name, None)}; if the CA is to mail every pending domain of each "
            f"order: {ignore_flag(name)}"
        )
    return ""


def why_narrower(called: str, name: str, names: Collection[str], texts: Collection[str]) -> str:
    """Return what to ask about a column, or a key, that may narrow what its record asks for.

    `called`: in the message; `name`: for --ignore; `names`: its heading, or the key and those below
    it; `texts`: what it says. Empty: there is nothing to ask.
    """
    if any(map(is_of_addresses, names)) or any(map(is_mailbox, texts)):
        why = (
            "may say which domains or addresses are meant, and is not read: every pending domain "
            "of each order would be mailed. If that is right:"
        )
    elif any(map(is_state_of_another_trade, texts)):
        why = (
            "holds a status of shop orders, and the list has no address: are these orders of the "
            "CA? If they are:"
        )
    elif why_other := why_not_each(called, name, names):
        return why_other
    elif any(map(is_remark, names)) and any(map(may_narrow, texts)):
        why = (
            "may say what not to mail, and is not read: every pending domain of each order would "
            "be mailed. If nothing in it says otherwise:"
        )
    else:
        return ""
    return f"{called} {why} {ignore_flag(name)}"


def why_not_each(called: str, name: str, names: Collection[str]) -> str:
    """Return what to ask about a column, or a key, that may say which records are meant.

    --all-domains says which domains are meant, not which orders.
    """
    return needs_no_mail(called, name) if any(map(is_live, names)) else ""


# What headings of shops begin with, or hold, in the form that `plain` gives them.
_OF_SHOPS = re.compile(
    r"^ship(?!.*cert)|shipp|shipment|freight|quantit|^qty|qty$|price|amount|discount|^(?:sub|grand)?total"
    r"|currency|payment|invoice|^employee|^supplier|^sku$|^cart|tocart|deliver|^carrier|warehouse"
    r"|coupon|refund|revenue|profit|^sales|unitcost|^(?:customer|client|item|cust)(?:id|no|number)$"
    r"|menge$|preis|betrag|rabatt|versand|^liefer|rechnung|zahlung|^artikel|mwst|kundennummer"
    r"|kundennr|^prix|montant|livraison|facture|remise|prezzo|importo|consegna|fattura|sconto"
    r"|spedizion|cantidad|precio|importe|^envio|factura|descuento|^aantal|prijs|bedrag|levering"
    r"|verzend|korting|factuur|^antal|belopp|frakt|^ilosc|^cena|kwota|quantidade|preco|entrega"
    r"|fulfil|^track(?:ing)?(?:id|no|nr|number|code)?$|parcel|courier|weight|gewicht|sendung"
    r"|^zip|postcode|postal|^plz$|postleitzahl|codepostal"
    r"|phone|^tel(?:no|nr)?$|telefon|^mobile|^fax|billing|^articles?(?:$|id|no|num)|^ean$|^barcode"
    r"|^asin$|^(?:in)?stock|^(?:size|colou?r|brand|category)$|^severity|^assignee|^reporter|^sla"
    r"|^duedate|^vat$|^tax(?:es)?$|^ust$|^paid|^isbn|^seats?$|^voucher|^dish|^patient|^symbol$|^gift"
    r"|^returnreason|金額|単価|数量"
)


def refuse_other_trade(head: Head, read: Collection[int]) -> None:
    """Raise InputError where a list that names nobody may be no list of the CA's orders.

    `read`: which of its columns, or keys, are known.
    """
    names, noun = head.names, head.noun
    others = {
        at: name
        for at, name in enumerate(names)
        if name and at not in read and not is_own_heading(name)
    }
    if near := _near_addresses(head, others):
        what = " and ".join(f"{names[at]!r} may be the {field}" for field, at in near.items())
        are = "they are" if len(near) > 1 else "it is"
        flags = " ".join(map_flag(field, names[at], noun) for field, at in near.items())
        raise InputError(
            f"{head.where}: {what}, and no {noun.word} is known to hold an address. If {are}: "
            f"{flags}; {_if_not(head, near.values())}"
        )
    if of_shop := next((n for n in others.values() if _OF_SHOPS.search(plain(n))), None):
        raise InputError(
            f"{head.where}: {of_shop!r} is a {noun.word} that lists of shops have, and the list "
            "has no address: are these orders of the CA? If they are, --all-domains has it mail "
            f"every pending domain of each{_or_ignored([*others.values()])}"
        )


def _if_not(head: Head, near: Collection[int]) -> str:
    """Return what to do where columns are not read for addresses, which they may hold."""
    cells = [cell for at in near for cell in filled(head.sample, at)]
    flags = " ".join(ignore_flag(head.names[at]) for at in near)
    if any(has_address(cell) or holds_domain(cell) for cell in cells):
        return f"if the CA is to mail every pending domain of each order: --all-domains {flags}"
    return f"if not: {flags}"


def _near_addresses(head: Head, others: Mapping[int, str]) -> dict[Field, int]:
    """Return which of the columns that are not read may hold which part of a pair.

    By a name that is misspelled or of many meanings; then, by what it holds, the other part, too.
    """
    second = second_fields(head.names)
    near: dict[Field, int] = {}
    for at, name in others.items():
        field = second.get(at) or misspelled(name)
        if field in ADDRESSES:
            near.setdefault(field, at)
    if near:
        found = looked_for(head.sample, head.names, near, others)
        near |= {field: at for field, at in found.items() if field in ADDRESSES}
    return near


def _or_ignored(names: Sequence[str]) -> str:
    """Return how to say that columns are about nothing else, where they are few."""
    return f"; or {' '.join(map(ignore_flag, names))}" if len(names) <= 2 else ""


# Half of the codes of languages are codes of countries as well.
_COUNTRIES = frozenset(
    ("country", "countrycode", "land", "landercode", "landerkurzel", "pays", "paese", "pais",
     "nation", "region", "state")
)  # fmt: skip


def ask_for_language(
    heading: Sequence[str], read: Collection[int], sample: Sequence[Sequence[str]], where: str
) -> None:
    """Raise InputError where a column seems to hold the languages; `read`: those not to look at."""
    for at, name in enumerate(map(in_one_line, heading)):
        if at in read or not name or plain(name) in _COUNTRIES:
            continue
        if holds_languages(at, sample):
            raise InputError(_whether_of_languages(where, f"the column {name!r}", name, name))


def ask_for_language_by_position(
    read: Collection[int], ignored: Container[str], sample: Sequence[Sequence[str]], where: str
) -> None:
    """Do the same for a list without a heading row."""
    for at in columns_of_languages(sample):
        if at not in read and unnamed(at) not in ignored:
            raise InputError(_whether_of_languages(where, unnamed(at), str(at + 1), unnamed(at)))


def _whether_of_languages(where: str, called: str, mapped: str, ignored: str) -> str:
    """Return what to ask about a column; `called`: in the message; the others: for options."""
    return (
        f"{where}: {called} seems to hold languages, and no other column is known to. If they are "
        f"the languages of the mails: {map_flag(Field.LOCALE, mapped)}; if not: "
        f"{ignore_flag(ignored)}"
    )
