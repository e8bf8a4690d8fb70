"""Signs that a list of order numbers is about addresses after all, in any cell that is not read.

A request without addresses mails all domains of its order. So a list is one of order numbers alone
only if nothing in it names a domain or a mailbox, in whatever form a column of domains would be
repaired or split.
"""

import re
from functools import lru_cache

from batch_resend.intake.cells import is_nothing, trimmed
from batch_resend.intake.looks import has_address, is_domain
from batch_resend.intake.vocabulary import plain

# A cell without any of these names no domain and no mailbox. For speed: most cells have none.
_WORTH_A_LOOK = re.compile("[@.\uff20\uff0e\u3002\uff61]|at|dot|admin|master", re.I)
_DOT_IN_BRACKETS = re.compile(r"\s*[\[({<]\s*(?:\.|dot|punkt|point)\s*[\])}>]\s*|\s+dot\s+", re.I)
_AT_IN_BRACKETS = re.compile(r"\s*[\[({<]\s*(?:@|at|\u00e4t)\s*[\])}>]\s*", re.I)
_OTHER_DOTS = re.compile("[\uff0e\u3002\uff61]")
_NAME = re.compile(r"(?:\*\.)?[\w-]+(?:\.[\w-]+)+")
# The five mailboxes that the CA makes up of a domain (CA/Browser Forum, BR 3.2.2.4.4).
_MAILBOX = r"(?:admin|administrator|webmaster|hostmaster|postmaster)@?"
_MAILBOXES = re.compile(rf"{_MAILBOX}(?:[\s,;/|&+]+{_MAILBOX})*", re.I)
_COMPANIES = frozenset(("co.kg",))  # ends of names of companies that are written like a domain
_OF_ADDRESSES = re.compile(
    r"mailbox|approver|recipient|domain|hostname|postfach|empfanger|destinat|dominio|domane"
)
_SHORT_WORDS = frozenset(
    ("zone", "zones", "host", "hosts",
     "prefix", "prefixes", "fqdn", "fqdns", "www", "mail", "mails",
     "email", "emails", "san", "sans", "cn", "dns", "website", "url")
)  # fmt: skip
_WORDS = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


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
    words = {word.lower() for word in _WORDS.findall(_CAMEL.sub(" ", heading))}
    is_time = "time" in words
    by_word = not (words - {"zone"} if is_time else words).isdisjoint(_SHORT_WORDS)
    return by_word or _OF_ADDRESSES.search(plain(heading)) is not None or holds_domain(heading)
