"""Who made a mark, and when: what people write beside `done`.

A cell with a mark and nothing else but these is still the mark: `done, Kim`, `Kim: done`, `done
MM`. Names are in no vocabulary. They are known by their form and by their place: apart from the
mark, short, and with capitals.
"""

import re

from batch_resend.intake.states import BY, changes_nothing, letters_of

SEPARATORS = frozenset(
    ",;:?!*=/|()[]{}<>\n_、\uff0c\uff1b\uff1a\uff08\uff09\u2013\u2014.-@~+"
)  # one of these is in every separator
# In Chinese and Japanese, too. A hyphen within a word separates nothing: `re-sent`.
_SEPARATOR = re.compile(
    r"[,;:?!*=/|()\[\]{}<>\n_、\uff0c\uff1b\uff1a\uff08\uff09\u2013\u2014]|\.\s|\s[-@~+]+|-+\s"
)
_MOST_PARTS = 6
_MOST_WORDS = 4
_NAME = re.compile(r"[^\W\d_][\w.'\u2019-]*")
_INITIALS = re.compile(r"[^\W\d_](?:\.?[^\W\d_]){0,2}\.?")
_IDEOGRAPHS = re.compile(r"[\u4e00-\u9fff\uac00-\ud7af]{1,4}")  # have no capitals
_NOT_YET = re.compile(r"[未不没沒無无非안미]")
_IN_NAMES = frozenset(
    ("von", "van", "vom", "de", "der", "den", "di", "da", "del", "la", "le", "du")
)
# What companies have behind their names. The short ones may be somebody's initials as well.
_COMPANY = frozenset(
    ("gmbh", "mbh", "ohg", "ltd", "limited", "inc", "llc", "llp", "plc", "corp", "corporation",
     "company", "group", "holding", "sarl", "sas", "srl", "spa", "lda", "ltda", "aps", "oyj",
     "pty", "gbr")
)  # fmt: skip
_COMPANY_OR_INITIALS = frozenset(
    ("ag", "kg", "eg", "ev", "se", "ug", "ab", "as", "asa", "bv", "nv", "sa", "sl", "oy", "co",
     "it", "uk", "us", "usa", "eu", "ai", "io", "tv")
)  # fmt: skip
# Of one of these a state says nothing of the order; and what says that it is not over.
_NO_NAMES = frozenset(
    ("domain", "domains", "website", "webseite", "server", "webserver", "host", "dns", "mx", "caa",
     "mailbox", "postfach", "account", "konto", "invoice", "rechnung", "payment", "zahlung",
     "vertrag", "contract", "project", "projekt", "ca", "csr", "dcv",
     "open", "offen", "pending", "wait", "waiting", "wartet", "warten", "bounce", "bounced",
     "error", "fehler", "check", "pruefen", "prufen", "again", "resend", "send", "senden", "todo",
     "tbd", "tbc", "not", "nicht", "nok", "unklar", "teilweise", "partly", "partially", "noch",
     "rueckfrage", "ruckfrage", "undelivered", "unzustellbar")
)  # fmt: skip


def parts_of(text: str) -> list[str]:
    """Return what stands apart in a text; nothing where it is one piece, or too many."""
    parts = [part.strip(" !?.*#'\"") for part in _SEPARATOR.split(text)]
    parts = [part for part in parts if part]
    return parts if 1 < len(parts) <= _MOST_PARTS else []


def is_signature(part: str) -> bool:
    """Whether a text apart from a mark only says who made it, when or how."""
    words = [word for word in part.split() if letters_of(word)]
    letters = letters_of(part)
    if letters in _NO_NAMES or letters in _COMPANY:
        return False
    return changes_nothing(letters) or (len(words) <= _MOST_WORDS and _is_named(words))


def _is_named(words: list[str]) -> bool:
    names = [word for word in words if word not in _IN_NAMES]
    if names and all(map(_is_name, names)):
        return True
    # In small letters only two, and alone: a longer word may say that a mail is missing.
    return len(words) == 1 and words[0].islower() and len(letters_of(words[0])) == 2


def _is_name(word: str) -> bool:
    if word[0].isupper():
        return _NAME.fullmatch(word) is not None and _is_free(word)
    return _IDEOGRAPHS.fullmatch(word) is not None and not _NOT_YET.search(word)


def _is_free(word: str) -> bool:
    return letters_of(word) not in _NO_NAMES


def unsigned(text: str) -> str:
    """Return a text without the initials at its end, or a name behind small letters; or "".

    Behind a capital, a name may be the rest of a company's: `Done Deal`, `Complete IT`.
    """
    before, _, last = text.rstrip(" .0123456789").rpartition(" ")
    if not last[:1].isupper() or (before[:1].isupper() and not last.isupper()):
        return ""  # as most
    return before if _is_signed_by(last, before) else ""


def _is_signed_by(last: str, before: str) -> bool:
    letters = letters_of(last)
    if letters in _COMPANY or letters in _NO_NAMES or before.lower().rpartition(" ")[2] in BY:
        return False
    if not before[:1].isupper():
        return _NAME.fullmatch(last) is not None
    is_short = len(letters) > 1 and _INITIALS.fullmatch(last) is not None
    return is_short and letters not in _COMPANY_OR_INITIALS
