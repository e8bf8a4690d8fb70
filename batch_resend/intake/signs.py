"""What a heading, or a cell, that is not read may say of whom to mail, and whether to.

For columns of tables and keys of records alike. A list is one of order numbers alone only if
nothing in it names a domain or a mailbox, in whatever form a column of domains would be repaired or
split; and passed over, `send?` with no in it would have its row mailed.
"""

import re
from collections.abc import Sequence
from enum import Enum, auto
from functools import lru_cache

from batch_resend.intake.cells import failed_formula, is_nothing, trimmed
from batch_resend.intake.fields import plain, words_of
from batch_resend.intake.looks import has_address, is_domain
from batch_resend.intake.signatures import SEPARATORS, is_signature, parts_of, unsigned
from batch_resend.intake.states import (
    BY,
    is_live_state,
    is_state,
    is_state_by_somebody,
    is_wanted,
    letters_of,
)
from batch_resend.model import USUAL_LOCAL_PARTS

# --- whether to mail at all ---------------------------------------------------------------

# Headings of whether a row is to be sent at all.
_WHETHER = re.compile(
    r"(?:(?:do|dont|donot|not|no|to|please|pls|zu|bitte|nicht|ne pas)*"
    r"(?:re)?(?:send|skip|exclude|include|omit|ignore|notify|suppress|mailit|senden|versenden"
    r"|verschicken|uberspringen|ueberspringen|auslassen|ausschlie(?:ss|ß)en|ignorieren|envoyer"
    r"|ignorer|exclure|invia|inviare|escludere|saltare|enviar|omitir|excluir)"
    r"(?:e?d|it|them|this|me|now|mails?|emails?|yn|yesno|janein|again|nochmal)*)"
    r"|(?:do|dont|donot|not?)(?:e?mail|contact|touch)|opt(?:ed)?out|unsubscribed?|wanted|gewunscht|dryrun|istest|testonly"
)
_SEND = re.compile(r"(?:to|please|pls|zu|bitte)*(?:re)?(?:send|senden|notify|include[ds]?|wanted)")
_is_not_to_send = re.compile(rf"(?!(?:{_SEND.pattern})\Z)(?:{_WHETHER.pattern})").fullmatch
_REMARKS = re.compile(
    r"(?:my|internal|our|interne?)?(?:notes?|remarks?|comments?|todo|actions?|instructions?"
    r"|bemerkung(?:en)?|kommentare?|notiz(?:en)?|hinweise?|anmerkung(?:en)?|remarques?"
    r"|commentaires?|nota|osservazion[ei]|comentarios?)"
)
# A no, and below a yes, in the languages in which the CA mails and some more; and what forms tick.
_NO = frozenset(
    ("no", "n", "false", "nein", "falsch", "non", "faux", "falso", "nao", "não", "нет", "н",
     "いいえ", "否", "不是", "아니오", "아니요", "nee", "nej", "nei", "nie", "nem",
     "✗", "✘", "✖", "❌", "☐", "☒", "\u00d7")
)  # fmt: skip
_LONGEST_MARK = 80  # characters
_AROUND = " \t\r\n!.,:;-_#*()[]\"'"
_STOP = frozenset(("skip", "hold", "exclude", "ignore", "never", "stop", "nicht", "cancel"))
# Behind a no: that a mail is missing, so it is wanted.
_NOT_MAILED = r"(?! (?:re)?(?:sent|e?-?mailed|contacted|notified)\b)"
_NOT_ARRIVED = r"(?! (?:(?:was|were|has|have|been) )*(?:(?:re)?sent|received|arrived|came)\b)"
_NOT_MAILED_DE = (
    r"(?! (?:(?:erneut|wieder) )?(?:(?:ab|zu)?ge(?:sendet|schickt|sandt|mailt)"
    r"|ver(?:sendet|schickt|sandt)|benachrichtigt|angeschrieben|kontaktiert)\b)"
)
# Anywhere in a text.
_NOT_TO_SEND = re.compile(
    rf"\b(?:do not|don['\u2019 ]?t|never{_NOT_MAILED}|no need to"
    r"|(?:not|no longer|never) to be|(?:must|should|shall) (?:not|no longer) be)\s+(?:be\s+)?"
    r"(?:re)?(?:send|sent|e?-?mail(?:ed)?|contact(?:ed)?|notif(?:y|ied))\b"
    r"|\b(?:please|bitte)\s+(?:skip|ignore|exclude|überspringen|auslassen|weglassen"
    r"|raus(?:nehmen|lassen)|streichen)\b"
    r"|\bnicht mehr (?:gebraucht|benötigt|gewünscht|erwünscht|verwendet|im einsatz|in betrieb)\b"
    r"|\bwill (?:das|es|die|keine?) (?:nicht|mails?)\b|\b(?:nein|no),? (?:danke|thanks|thank you)\b"
    r"|\bnicht dies(?:e[nrs]?)?\b|\bfinger weg\b|\bhands off\b"
    r"|\berst nach (?:rück|freigabe|absprache|genehmigung|klärung)"
    r"|\bnicht (?:mehr )?(?:zu )?(?:(?:ver)?(?:senden|schicken)|(?:an)?mailen|anschreiben"
    r"|kontaktieren)\b"
    r"|\bne (?:pas|plus) (?:r?envoyer|contacter)\b|\bno (?:re)?enviar\b|\bnon (?:re)?inviare\b"
    r"|\bniet (?:meer )?(?:ver)?(?:sturen|zenden|mailen)\b"
    r"|\bnot to (?:re)?(?:send|mail)\b"
    r"|\bleave (?:(?:it|this|these|them|that)(?: ones?)? )?out\b|\bnot this one\b"
    rf"|\bno (?:more )?e?-?mails?\b{_NOT_ARRIVED}"
    rf"|\b(?:bitte|vorerst) nicht\b|\bnoch nicht\b{_NOT_MAILED_DE}|\bnão (?:re)?enviar\b"
    r"|\binte skicka\b|\bikke sende?\b|\bnie wysyła|\bneodesíl|\bälä lähet|\bgönderme"
    "|не отправля|不要发送|不要發送|送信しない|送信不要",
    re.IGNORECASE,
)
# Each of these texts has one of these words in it, if it has no other letters than ASCII's. For
# speed: the search takes twenty times as long, and of all cells that are not read few have any.
_IN_NOT_TO_SEND = frozenset(
    ("not", "don", "dont", "never", "no", "please", "bitte", "nicht", "ne", "non", "niet", "leave",
     "inte", "ikke", "nie", "nein", "will", "finger", "erst", "hands")
)  # fmt: skip
_WORD = re.compile("[a-z]+")
# Of some of what is meant, and not of the rest; in the same languages.
_ONLY = re.compile(
    r"\b(?:only|except|excluding|without|nur|au(?:ß|ss)er|ohne|seulement|uniquement|sauf|solo"
    r"|soltanto|s[óo]lo|tranne|eccetto|excepto|salvo|apenas|somente|exceto|только|кроме|alleen"
    r"|behalve|endast|utom|undtagen|unntatt|tylko|oprócz|pouze|kromě|paitsi|csak|kivéve|sadece)\b"
    r"|仅|僅|只|のみ|だけ|以外|만(?!\w)|제외",
    re.IGNORECASE,
)
_IN_A_NAME = re.compile(r"\w[.@]\w")  # only.example.com says nothing of the kind
_RULE = re.compile(r"\s*(?:-{3,}|={3,}|\*{3,}|_{3,}|#{3,}|~{3,})\s*")  # drawn between rows
_LETTERS = re.compile(r"[^\W\d_]{2}")
_LONG_NUMBER = re.compile(r"\d{6}")
_YES = frozenset(
    ("yes", "y", "true", "ja", "j", "wahr", "oui", "vrai", "si", "s\u00ed", "s\u00ec", "vero",
     "verdadero", "sim", "verdadeiro", "да", "д", "はい", "是", "是的", "예", "네", "tak", "igen",
     "✓", "✔", "☑", "✅", "○", "x", "send", "ok", "senden")
)  # fmt: skip


# Of names and words that stand in row after row it is worked out once what they say.
_once = lru_cache(maxsize=256)


@_once
def says_whether(name: str) -> bool:
    """Whether a heading is one of whether a row is to be sent."""
    return _WHETHER.fullmatch(letters_of(name)) is not None


@_once
def says_state(name: str) -> bool:
    """Whether a heading is one of what has become of a row: `done`, `cancelled at`."""
    letters = letters_of(name)
    return letters == "ok" or is_state(letters)  # a cell that says so says nothing


@_once
def says_not_to_send(name: str) -> bool:
    """Whether a name is one of what is not to be sent, or has been: `excluded`, `done`."""
    return not is_live(name) and (says_state(name) or bool(_is_not_to_send(letters_of(name))))


@_once
def is_live(name: str) -> bool:
    """Whether a name is one of a state in which a mail may be wanted all the same."""
    return is_live_state(letters_of(name))


@_once
def is_remark(name: str) -> bool:
    """Whether a heading is one of what a person remarks."""
    return _REMARKS.fullmatch(letters_of(name)) is not None


class Says(Enum):
    """What a cell that is not read says of whether its row is to be sent."""

    NOTHING = auto()  # it is empty, or says so
    NO = auto()
    YES = auto()
    MARK = auto()  # it is not to be sent, or needs no mail any more
    ELSE = auto()


def said_by(text: str) -> Says:
    """Return what a text says of whether to send."""
    return Says.ELSE if text.isdigit() else _said_by(text)


@_once
def _said_by(text: str) -> Says:
    word = trimmed(text)
    if not word or is_nothing(word):
        return Says.NOTHING
    word = word.lower().strip(".!?")
    if word in _NO:
        return Says.NO
    if word in _YES:
        return Says.YES
    return Says.MARK if _is_mark(text.strip(_AROUND)) else Says.ELSE


def is_no(text: str) -> bool:
    """Whether a text is a plain no."""
    return said_by(text) is Says.NO


def is_mark(text: str) -> bool:
    """Whether a text says that something is not to be sent, or needs no mail any more."""
    return said_by(text) is Says.MARK


def _is_mark(text: str) -> bool:
    if tells_not_to_send(text):
        return True
    if "\n" in text and any(map(is_mark, text.splitlines())):  # such as of a ticket
        return True
    if len(text) > _LONGEST_MARK:
        return False
    is_one = _is_plain_mark(text) or ((rest := unsigned(text)) and _is_plain_mark(rest))
    # Most have no separator, and cost less for it.
    is_one = is_one or (not SEPARATORS.isdisjoint(text) and _is_signed_mark(parts_of(text)))
    return bool(is_one) and not is_wanted(text)


def _is_plain_mark(text: str) -> bool:
    """Whether a text is a mark, perhaps with `by` and somebody's name."""
    word = text.lower()
    letters = letters_of(word)
    if letters in _STOP or _is_not_to_send(letters):
        return True
    if is_state(letters):
        return not is_live_state(letters)
    # Split for speed: few cells that are not read have such a word.
    return not BY.isdisjoint(word.split()) and is_state_by_somebody(word)


def _is_signed_mark(parts: Sequence[str]) -> bool:
    """Whether the parts of a text are a mark, and nothing else but who made it, when or how."""
    marks = [part for part in parts if _is_part_a_mark(part)]
    return bool(marks) and all(part in marks or _is_beside_a_mark(part) for part in parts)


@_once
def _is_part_a_mark(part: str) -> bool:
    return _is_plain_mark(part) or bool((rest := unsigned(part)) and _is_plain_mark(rest))


def _is_beside_a_mark(part: str) -> bool:
    word = part.lower().strip(" .!?")
    if word in _NO or _SEND.fullmatch(word):
        return False
    return word in _YES or is_signature(part)


def is_title(text: str) -> bool:
    """Whether a cell in the place of a number may be a title of the rows below it."""
    word = trimmed(text)
    if _RULE.fullmatch(word):
        return True
    if not _LETTERS.search(word) or _LONG_NUMBER.search(word):
        return False
    return not (is_nothing(word) or failed_formula(word) or is_domain(word) or has_address(word))


def narrows(text: str) -> bool:
    """Whether what is written about a list says in words that not all of it is to be mailed.

    As a title or a remark, as the name of its sheet, or beside its records.
    """
    words = [word for word in text.replace("_", " ").split() if not _IN_A_NAME.search(word)]
    said = " ".join(words)
    return is_mark(said) or any(map(is_mark, words)) or bool(_ONLY.search(said))


def tells_not_to_send(text: str) -> bool:
    """Whether a text tells in words not to send something, whatever else it says."""
    if text.isascii() and _IN_NOT_TO_SEND.isdisjoint(_WORD.findall(text.lower())):
        return False
    return _NOT_TO_SEND.search(text) is not None


def may_narrow(text: str) -> bool:
    """Whether what is written about a list may say that, by a domain as well."""
    return narrows(text) or holds_domain(text)


# --- whom to mail ------------------------------------------------------------------------

# A cell without any of these names no domain and no mailbox. For speed: most cells have none.
_WORTH_A_LOOK = re.compile("[@.\uff20\uff0e\u3002\uff61]|at|dot|admin|master", re.I)
_DOT_IN_BRACKETS = re.compile(r"\s*[\[({<]\s*(?:\.|dot|punkt|point)\s*[\])}>]\s*|\s+dot\s+", re.I)
_AT_IN_BRACKETS = re.compile(r"\s*[\[({<]\s*(?:@|at|\u00e4t)\s*[\])}>]\s*", re.I)
_OTHER_DOTS = re.compile("[\uff0e\u3002\uff61]")
_NAME = re.compile(r"(?:\*\.)?[\w-]+(?:\.[\w-]+)+")
_MAILBOX = rf"(?:{'|'.join(USUAL_LOCAL_PARTS)})@?"
_MAILBOXES = re.compile(rf"{_MAILBOX}(?:[\s,;/|&+]+{_MAILBOX})*", re.I)
_COMPANIES = frozenset(("co.kg",))  # ends of names of companies that are written like a domain
_OF_ADDRESSES = re.compile(
    r"mailbox|approver|recipient|domain|hostname|postfach|empfanger|destinat|dominio|domane"
)
_SHORT_WORDS = frozenset(
    ("zone", "zones", "host", "hosts",
     "prefix", "prefixes", "fqdn", "fqdns", "www", "mail", "mails",
     "email", "emails", "san", "sans", "cn", "dns", "website", "url",
     "only", "except", "subset", "scope", "names", "apex")
)  # fmt: skip


def may_name_addresses(text: str) -> bool:
    """Whether a text is worth a closer look by the functions below."""
    return _WORTH_A_LOOK.search(text) is not None


def holds_address(text: str) -> bool:
    """Whether an e-mail address stands in a text, also one written with `(at)`."""
    return has_address(text) or has_address(_AT_IN_BRACKETS.sub("@", text))


def holds_domain(text: str) -> bool:
    """Whether a domain stands in a text, alone or among others: in a URL, a list, a sentence."""
    if not may_name_addresses(text):
        return False
    clear = _OTHER_DOTS.sub(".", _AT_IN_BRACKETS.sub("@", _DOT_IN_BRACKETS.sub(".", text)))
    names = (found[0].strip("-_") for found in _NAME.finditer(clear))
    return any(is_domain(name) and name.lower() not in _COMPANIES for name in names)


def is_mailbox(text: str) -> bool:
    """Whether a text is nothing but names of mailboxes in front of an @."""
    return _MAILBOXES.fullmatch(trimmed(text)) is not None


def has_content(text: str) -> bool:
    """Whether a cell says anything."""
    word = trimmed(text)
    return bool(word) and not is_nothing(word)


@lru_cache(maxsize=1024)
def is_of_addresses(heading: str) -> bool:
    """Whether a heading, or a key, has a word in it for what requests name: `sub-domain`, `zone`.

    A domain in the place of a heading is one of these, too.
    """
    words = set(map(str.lower, words_of(heading)))
    is_time = "time" in words
    by_word = not (words - {"zone"} if is_time else words).isdisjoint(_SHORT_WORDS)
    return by_word or _OF_ADDRESSES.search(plain(heading)) is not None or holds_domain(heading)
