"""Characters in an address or a domain that are not what they look like.

A letter of another script in the middle of a word, a raised digit of a footnote: what is mailed
then is not what the eye sees.
"""

import re
import unicodedata
from functools import lru_cache

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
            return _named(sign)
    for word in _WORDS.findall(text.lower()):
        foreign = [sign for sign in word if _script(sign) not in ("LATIN", "")]
        scripts = {_script(sign) for sign in word} - {""}
        if foreign and (len(scripts) > 1 or all(sign in _LIKE_LATIN for sign in foreign)):
            return _named(foreign[0])
    return None


def _script(sign: str) -> str:
    """Return the script of a letter, of those that are taken for one another."""
    name = unicodedata.name(sign, "")
    return next((script for script in _SCRIPTS if name.startswith(script)), "")


def _named(sign: str) -> str:
    name = unicodedata.name(sign, "a character without a name").lower()
    return f"{sign!r} (U+{ord(sign):04X}, {name})"
