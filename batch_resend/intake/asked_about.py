"""Columns and keys that are not read, but could say whom to mail or not to mail: asked about.

Passed over, `send?` with no in it would have its row mailed, and so would a remark `only www`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from batch_resend.errors import InputError
from batch_resend.intake.cells import failed_formula, is_nothing, trimmed
from batch_resend.intake.exports import is_own_heading
from batch_resend.intake.fields import (
    Field,
    is_close_to_all_domains,
    known_field,
    plain,
    second_fields,
)
from batch_resend.intake.looks import has_address, holds_domain, is_domain, looked_for
from batch_resend.intake.suggestions import COLUMN, ignore_flag, map_flag, pair_flags

_NO_LETTER = re.compile(r"[\W\d_]+")
# Headings of whether a row is to be sent at all.
_WHETHER = re.compile(
    r"(?:(?:do|dont|donot|not|no|to|please|pls|zu|bitte|nicht|ne pas)*"
    r"(?:re)?(?:send|skip|exclude|include|omit|ignore|notify|suppress|mailit|senden|versenden"
    r"|verschicken|uberspringen|ueberspringen|auslassen|ausschlie(?:ss|ß)en|ignorieren|envoyer"
    r"|ignorer|exclure|invia|inviare|escludere|saltare|enviar|omitir|excluir)"
    r"(?:e?d|it|them|this|me|now|mails?|emails?|yn|yesno|janein|again|nochmal)*)"
    r"|(?:do|dont|donot|not?)(?:e?mail|contact|touch)|optout|unsubscribed?|wanted|gewunscht"
)
_SEND = re.compile(r"(?:to|please|pls|zu|bitte)*(?:re)?(?:send|senden|notify|include[ds]?|wanted)")
_LIVE = frozenset(("active", "enabled", "confirmed", "verified", "checked"))
_REMARKS = re.compile(
    r"(?:my|internal|our|interne?)?(?:notes?|remarks?|comments?|todo|actions?|instructions?"
    r"|bemerkung(?:en)?|kommentare?|notiz(?:en)?|hinweise?|anmerkung(?:en)?|remarques?"
    r"|commentaires?|nota|osservazion[ei]|comentarios?)"
)
# Headings of what has become of a row: one that is marked there may need no mail any more.
_LONGEST_MARK = 40  # characters
_STATE = re.compile(
    r"(?:is|was|has|been|already|to|be|do|date|when|schon|bereits|datum|deja)*"
    r"(?:done|cancel(?:l?ed|lation)?|approved?|sent|resent|mailed|emailed|notified|contacted|resolved"
    r"|solved|completed?|finished|closed|blocked|hold|onhold|paused?|stopped|archived?|deleted?"
    r"|removed?|inactive|disabled?|expired?|revoked?|rejected|failed|skipped|omitted|dropped|excluded?|ignored?|obsolete"
    r"|drop(?:ped)?|void(?:ed)?|withdrawn|unneeded|denied|suspended|terminated|nolongerneeded|notneeded"
    r"|retired|issued|confirmed|verified|validated|processed|handled|checked|active|enabled"
    r"|erledigt|gesendet|versandt|verschickt|storniert|abgeschlossen|fertig|gesperrt|geloscht"
    r"|genehmigt|freigegeben|archiviert|gemailt|ok|fait|termin[e\u00e9]|envoyee?s?|annulee?s?|approuvee?s?"
    r"|bloquee?s?|supprimee?s?|hecho|enviad[oa]|cancelad[oa]|aprobad[oa]|terminad[oa]|bloquead[oa]"
    r"|fatto|inviat[oa]|annullat[oa]|approvat[oa]|completat[oa]|gedaan|verzonden|geannuleerd"
    r"|afgerond|goedgekeurd|feito|concluid[oa])"
    r"(?:at|on|by|date|time|yn|yesno|janein|flag|am|von|le|mark)*"
)
# A heading of what stands in a row a second time.
_NUMBERED = re.compile(
    r"([^\W\d]+)\d{1,2}|(?:2nd|3rd|second|secondary|third|another|zweite[rs]?|weitere[rs]?"
    r"|deuxieme|second[ao]|autre)(.+)"
)
_IN_WORDS = {
    Field.ORDER_ID: "order number",
    Field.DOMAIN: "domain",
    Field.EMAIL: "address",
    Field.EMAIL_DOMAIN: "e-mail domain",
    Field.LOCALE: "language",
}
_ROW_OF_ITS_OWN = "Give each domain and address a row of their own, with the order's number"
_HOW_ONE_MORE = {
    Field.ORDER_ID: "Give each order a row of its own",
    Field.DOMAIN: _ROW_OF_ITS_OWN,
    Field.EMAIL: f"{_ROW_OF_ITS_OWN}, or write several addresses into one cell (a; b)",
    Field.EMAIL_DOMAIN: _ROW_OF_ITS_OWN,
    Field.LOCALE: "Give each language a row of its own",
}
_NO = frozenset(("no", "n", "false", "nein", "non"))
_STOP = frozenset(("skip", "hold", "exclude", "ignore", "never", "stop", "nicht", "cancel"))
# Anywhere in a text.
_NOT_TO_SEND = re.compile(
    r"\b(?:do not|don['\u2019 ]?t|never|no need to|(?:not|no longer|never) to be"
    r"|(?:must|should|shall) (?:not|no longer) be)\s+(?:be\s+)?"
    r"(?:re)?(?:send|sent|e?-?mail(?:ed)?|contact(?:ed)?|notif(?:y|ied))\b"
    r"|\b(?:please|bitte)\s+(?:skip|ignore|exclude|überspringen|auslassen)\b"
    r"|\bnicht (?:mehr )?(?:zu )?(?:(?:ver)?(?:senden|schicken)|(?:an)?mailen|anschreiben"
    r"|kontaktieren)\b"
    r"|\bne (?:pas|plus) (?:r?envoyer|contacter)\b|\bno (?:re)?enviar\b|\bnon (?:re)?inviare\b"
    r"|\bniet (?:meer )?(?:ver)?(?:sturen|zenden|mailen)\b",
    re.IGNORECASE,
)
_LETTERS = re.compile(r"[^\W\d_]{2}")
_LONG_NUMBER = re.compile(r"\d{6}")
_YES = frozenset(("yes", "y", "true", "ja", "oui", "si", "s\u00ed", "x", "send", "ok", "senden"))


def ask_about(
    names: Sequence[str],
    places: Mapping[Field, Sequence[int]],
    sample: Sequence[Sequence[str]],
    where: str,
    *,
    orders_only: bool,
) -> None:
    """Raise InputError where a column, or a key, may say whom or what to mail, and is not read.

    `places`: of those that are; `sample`: some rows; `orders_only`: of an export of the
    CA, to which somebody added a column.
    """
    taken = {at for indexes in places.values() for at in indexes}
    _refuse_one_more(names, places, sample, where)
    for at, name in enumerate(names):
        if not name or at in taken:
            continue
        if Field.ALL_DOMAINS not in places and is_close_to_all_domains(name):
            raise InputError(
                f"{where}: is {name!r} the column {Field.ALL_DOMAINS}? If it is: "
                f"{map_flag(Field.ALL_DOMAINS, name)}; if not: {ignore_flag(name)}"
            )
        if is_own_heading(name):
            continue
        if says_whether(name):
            raise InputError(
                f"{where}: {name!r} may say which rows are to be sent, and is not read. Take out "
                f"the rows that are not; then {ignore_flag(name)}"
            )
        if orders_only:
            cells = [trimmed(row[at]) for row in sample if at < len(row) and trimmed(row[at])]
            _refuse_added(name, cells, where)


def _refuse_one_more(
    names: Sequence[str],
    places: Mapping[Field, Sequence[int]],
    sample: Sequence[Sequence[str]],
    where: str,
) -> None:
    taken = {at for indexes in places.values() for at in indexes}
    more: dict[Field, list[int]] = {}
    for at, name in enumerate(names):
        if at not in taken and not is_own_heading(name) and (which := one_more_of(name)):
            more.setdefault(which, []).append(at)
    for which, (at, *_) in more.items():
        flags = [
            flag
            for field, indexes in more.items()
            for flag in _for_one(field, indexes, places, names, sample)
        ]
        raise InputError(
            f"{where}: {names[at]!r} seems to hold one more {_IN_WORDS[which]} of a row, and is "
            f"not read. {_HOW_ONE_MORE[which]}. To have one alone read: {' '.join(flags)}"
        )


def _for_one(
    which: Field,
    indexes: Sequence[int],
    places: Mapping[Field, Sequence[int]],
    names: Sequence[str],
    sample: Sequence[Sequence[str]],
) -> Iterator[str]:
    """Yield the options that have one column of a field read alone."""
    read = places.get(which, ())
    known = {field: at for field, (at, *_) in places.items() if field is not which}
    right = _right_of((*read, *indexes), which, known, names, sample)
    if right not in read:
        yield map_flag(which, COLUMN if right is None else names[right])
    yield from (ignore_flag(names[at]) for at in indexes if right not in (None, at))


def _right_of(
    indexes: Sequence[int],
    which: Field,
    known: Mapping[Field, int],
    names: Sequence[str],
    sample: Sequence[Sequence[str]],
) -> int | None:
    """Return which of several columns is plainly the one; the first, where all may be it."""
    if which not in (Field.DOMAIN, Field.EMAIL):
        return indexes[0]
    for among in (indexes, indexes[:1]):
        if (right := looked_for(sample, names, known, among).get(which)) is not None:
            return right
    return None


def one_more_of(name: str) -> Field | None:
    """Return the field that a heading numbers, as `domain 2` or `second e-mail`; None: none."""
    found = _NUMBERED.fullmatch(plain(name))
    if found is None or found[1] == "id" or found[2] == "id":
        return None
    which = known_field(found[1] or found[2])
    return which if which in _IN_WORDS else None


def says_whether(name: str) -> bool:
    """Whether a heading is one of whether a row is to be sent."""
    return _WHETHER.fullmatch(_NO_LETTER.sub("", plain(name))) is not None


@lru_cache(maxsize=1024)
def says_state(name: str) -> bool:
    """Whether a heading is one of what has become of a row: `done`, `cancelled at`."""
    return _STATE.fullmatch(_NO_LETTER.sub("", plain(name))) is not None


def says_not_to_send(name: str) -> bool:
    """Whether a name is one of what is not to be sent, or has been: `excluded`, `done`."""
    if is_live(name):
        return False
    return says_state(name) or (
        says_whether(name) and _SEND.fullmatch(_NO_LETTER.sub("", plain(name))) is None
    )


def is_live(name: str) -> bool:
    """Whether a name is one of a state in which a mail may be wanted all the same."""
    return plain(name) in _LIVE


def is_remark(name: str) -> bool:
    """Whether a heading is one of what a person remarks."""
    return _REMARKS.fullmatch(_NO_LETTER.sub("", plain(name))) is not None


def is_no(text: str) -> bool:
    """Whether a text is a plain no."""
    return trimmed(text).lower() in _NO


def is_yes(text: str) -> bool:
    """Whether a text is a plain yes."""
    return trimmed(text).lower() in _YES


def is_mark(text: str) -> bool:
    """Whether a text says that something is not to be sent, or needs no mail any more."""
    if _NOT_TO_SEND.search(text):
        return True
    word = text.strip(" \t\r\n!.,:;-_#*()[]\"'").lower()
    return word in _STOP or (
        0 < len(word) <= _LONGEST_MARK and word != "ok" and says_not_to_send(word)
    )


def is_title(text: str) -> bool:
    """Whether a cell in the place of a number may be a title of the rows below it."""
    word = trimmed(text)
    if not _LETTERS.search(word) or _LONG_NUMBER.search(word):
        return False
    return not (is_nothing(word) or failed_formula(word) or is_domain(word) or has_address(word))


def says_not_to_send_these(title: str) -> bool:
    """Whether a title says of the rows below it that they are not to be sent."""
    return is_mark(title) or any(map(is_mark, title.split()))


def _refuse_added(name: str, cells: Sequence[str], where: str) -> None:
    if is_remark(name) and cells:
        raise InputError(
            f"{where}: {name!r} is no column of the CA's and is not read, and all domains of each "
            f"order would be mailed. If nothing in it says otherwise: {ignore_flag(name)}"
        )
    if any(map(has_address, cells)):
        return  # row by row it is said which
    if any(map(holds_domain, cells)):
        raise InputError(
            f"{where}: {name!r} is no column of the CA's and holds domains. If these are to be "
            f"mailed: {pair_flags(name, None)}; if the CA is to mail all domains of each order "
            f"that wait: {ignore_flag(name)}"
        )


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
    r"|^duedate|^vat$|^tax(?:es)?$|^ust$"
)


def refuse_other_trade(
    names: Sequence[str], read: Iterable[int], where: str
) -> None:  # fmt: skip
    """Raise InputError where a list that names nobody may be no list of the CA's orders.

    `names`: of its columns, or keys; `read`: which are known.
    """
    known = set(read)
    others = [
        name
        for at, name in enumerate(names)
        if name and at not in known and not is_own_heading(name)
    ]
    for at, field in second_fields(others).items():
        raise InputError(
            f"{where}: {others[at]!r} may be the {field}, and no address is in the list. If it is: "
            f"{map_flag(field, others[at])}; if not: {ignore_flag(others[at])}"
        )
    if of_shop := next((name for name in others if _OF_SHOPS.search(plain(name))), None):
        raise InputError(
            f"{where}: {of_shop!r} is a column that lists of shops have, and no address is in the "
            "list: are these orders of the CA's? If they are, --all-domains has it mail all "
            f"domains of each that wait{_or_ignored(others)}"
        )


def _or_ignored(names: Sequence[str]) -> str:
    """Return how to say that columns are about nothing else, where they are few."""
    return f"; or {' '.join(map(ignore_flag, names))}" if len(names) <= 2 else ""
