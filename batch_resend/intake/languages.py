"""Languages by their names, and what of a locale is a country instead.

Names stand for a code only where there is one: `Chinese` could be zh_CN or zh_TW. Codes are those
of ISO 639-1; which of them the CA takes beyond the eleven of its documentation is not known.
"""

import re
from functools import lru_cache

from batch_resend.intake.cells import Malformed, shown, trimmed

KNOWN_LOCALES = frozenset(
    ("de", "en", "es", "fr", "it", "ja", "ko", "pt", "ru", "zh_CN", "zh_TW")
)  # the languages the CA's own documentation is published in
# In English, in German, French, Italian, Spanish and Portuguese, and as they call themselves.
_NAMES = {
    "en": "english american_english british_english englisch anglais inglese inglés inglês eng",
    "de": "german deutsch allemand tedesco alemán alemão duits tyska niemiecki deu ger",
    "fr": "french französisch français francese francés francês frans franska francuski fra fre",
    "es": "spanish spanisch espagnol spagnolo español espanhol castellano spaans spanska spa",
    "it": "italian italienisch italien italiano italiaans italienska ita",
    "ja": "japanese japanisch japonais giapponese japonés japonês 日本語 jpn",
    "ko": "korean koreanisch coréen coreano 한국어 한국말 kor",
    "pt": "portuguese portugiesisch portugais portoghese portugués português por "
    "brazilian brazilian_portuguese",
    "ru": "russian russisch russe russo ruso русский rus",
    "zh_CN": "simplified_chinese chinese_simplified 简体中文 中文简体 简体 "
    "vereinfachtes_chinesisch",
    "zh_TW": "traditional_chinese chinese_traditional 繁體中文 繁体中文 中文繁體 繁體 "
    "traditionelles_chinesisch",
    "ar": "arabic arabisch arabe arabo العربية",
    "bg": "bulgarian bulgarisch български",
    "cs": "czech tschechisch tchèque ceco checo čeština česky",
    "da": "danish dänisch danois danese danés dansk",
    "el": "greek griechisch grec greco griego ελληνικά",
    "et": "estonian estnisch eesti",
    "fi": "finnish finnisch finnois finlandese finlandés suomi",
    "he": "hebrew hebräisch עברית",
    "hr": "croatian kroatisch hrvatski",
    "hu": "hungarian ungarisch hongrois ungherese húngaro magyar",
    "lt": "lithuanian litauisch lietuvių",
    "lv": "latvian lettisch latviešu",
    "nl": "dutch niederländisch néerlandais olandese neerlandés holandés nederlands",
    "no": "norwegian norwegisch norvégien norvegese noruego norsk",
    "pl": "polish polnisch polonais polacco polaco polski",
    "ro": "romanian rumänisch roumain română",
    "sk": "slovak slowakisch slovenčina",
    "sl": "slovenian slowenisch slovenščina",
    "sv": "swedish schwedisch suédois svedese sueco svenska",
    "th": "thai thailändisch ไทย",
    "tr": "turkish türkisch turc turco türkçe",
    "uk": "ukrainian ukrainisch українська",
    "vi": "vietnamese vietnamesisch",
}
_CODE_OF_NAME = {name: code for code, names in _NAMES.items() for name in names.split()}
_OF_SEVERAL_CODES = {
    name: codes
    for names, codes in (
        ("chinese chinesisch chinois cinese chino chin\u00eas mandarin cantonese \u4e2d\u6587",
         "zh_CN or zh_TW"),
        ("flemish fl\u00e4misch flamand fiammingo flamenco vlaams", "nl or nl_BE"),
        ("serbo-croatian serbokroatisch", "sr, hr or bs"),
        ("belgian belgisch belge", "nl, fr or de"),
        ("swiss schweizerisch suisse svizzero", "de, fr or it"),
    )
    for name in names.split()
}  # fmt: skip
# Where these are at home: `de_DE` says no more than `de`, which the CA is known to take.
_AT_HOME = {
    "de": "DE", "en": "US GB", "es": "ES", "fr": "FR", "it": "IT", "ja": "JP", "ko": "KR",
    "pt": "PT", "ru": "RU",
}  # fmt: skip
_CHINESE = {"Hans": "zh_CN", "Hant": "zh_TW"}

_ISO_639_1_CODES = """
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs
    cu cv cy da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha
    he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn
    ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb
    nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd
    se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw
    ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
_ISO_639_1 = frozenset(_ISO_639_1_CODES.split())
# Codes of countries, which are those of other languages as well. In capitals they are countries
# rather; the last three, however they are written: few speak Breton, Chamorro, Northern Sami, and
# Kanuri, Twi are no more likely than Korea, Taiwan.
_RATHER_COUNTRIES = frozenset(
    ("AM", "AR", "BE", "BR", "CA", "CH", "CY", "EE", "IE", "KR", "LA", "MY", "NE", "SA", "SE", "SI",
     "TW", "UK")
)  # fmt: skip
_COUNTRIES_IN_ANY_CASE = frozenset(("BR", "CH", "KR", "SE", "TW"))

# What a system, or a browser, knows a language by: `de_DE.UTF-8`, `zh-Hant-TW`, `sr@latin`.
_OF_A_SYSTEM = re.compile(
    r"([a-z]{2,3})(?:[_-]([a-z]{4}))?(?:[_-]([a-z]{2}))?(?:\.[a-z0-9-]+)?(?:@[a-z]+)?", re.I
)
# A code of two letters, or of three that no word is: one of more is a language's name, or a yes.
_LOCALE = re.compile(
    r"(?:[A-Za-z]{2}|(?!yes|not|nix|tbd|any|all)[a-z]{3})(?:[_-](?:[A-Za-z]{2}|[A-Za-z]{4}))?"
)
_NO_LANGUAGE = re.compile(r"und|mul|mis|zxx|q[a-t][a-z]|c|posix|root|default")
_WITH_COUNTRY = re.compile(r"([^()]+?)\s*\(([^()]+)\)")
_TWO = re.compile(r"(.+?)\s+[-\u2013]\s+(.+)")


@lru_cache(maxsize=1024)
def locale_code(text: str) -> str:
    """Return a locale code such as `en` or `zh_CN`, in the CA's spelling; of a language's name too.

    Codes the CA's documentation does not name pass: a newer one must not be blocked.
    """
    word = trimmed(text)
    if codes := _OF_SEVERAL_CODES.get(_plain(word), ""):
        raise Malformed(f"the locale {shown(word)} could be {codes}: write which")
    code = _code_of_name(word) or word
    if _is_no_language(code):
        perhaps = ", but perhaps a country" if len(code) == 2 else ""
        raise Malformed(
            f"the locale {shown(word)} is not a language{perhaps}: write the language, such as en "
            "or zh_CN, or nothing"
        )
    if not _LOCALE.fullmatch(code):
        raise Malformed(f"the locale {shown(word)} is not a code such as en or zh_CN")
    return code.lower() if len(code) == 2 else code


def is_language(text: str) -> bool:
    """Whether a cell holds a language: its name, or a code that is known."""
    return code_of(text) in KNOWN_LOCALES


def code_of(text: str) -> str | None:
    """Return a locale code as `locale_code` does; None where a text is none."""
    try:
        return locale_code(text)
    except Malformed:
        return None


def _code_of_name(text: str) -> str | None:
    """Return the code that a language's name stands for; None: it is no name, or not one alone.

    Takes `English (US)`, `de (German)`, `DE - Deutsch`, and a system's `de_DE.UTF-8`.
    """
    word = _plain(text)
    if code := _CODE_OF_NAME.get(word.replace(" ", "_")):
        return code
    if found := _OF_A_SYSTEM.fullmatch(text):
        return _in_usual_spelling(found)
    if found := _WITH_COUNTRY.fullmatch(word):
        both = f"{found[1]}_{found[2]}".replace(" ", "_")
        one, other = _code(found[1]), _code(found[2])
        if code := _CODE_OF_NAME.get(both):
            return code
        return one if one is not None and other in (None, one) else None
    if found := _TWO.fullmatch(word):
        one, other = _code(found[1]), _code(found[2])
        return one if one == other else None
    return None


def _in_usual_spelling(found: re.Match[str]) -> str:
    """Return a code as the CA writes them: `zh_CN`; a language alone where it is spoken at home."""
    language, script, country = (part or "" for part in found.groups())
    if not (script or country):
        return found[0]  # in capitals it may be a country, which is for another to see
    language, script, country = language.lower(), script.title(), country.upper()
    if by_script := _CHINESE.get(script) if language == "zh" else None:
        return by_script
    if country in _AT_HOME.get(language, ""):
        country = ""
    return "_".join(filter(None, (language, script or country)))


def _plain(text: str) -> str:
    return " ".join(text.split()).lower()


def _code(word: str) -> str | None:
    code = _CODE_OF_NAME.get(word)
    return code or (word if word in KNOWN_LOCALES and len(word) == 2 else None)


def _is_no_language(code: str) -> bool:
    """Whether a locale code names no language.

    Mostly its two letters are a country's; of three letters there are some for none, for several
    and for private use (ISO 639-2).
    """
    language = re.split("[_-]", code)[0]
    if len(language) != 2 or not language.isalpha():
        return _NO_LANGUAGE.fullmatch(language.lower()) is not None
    if language.lower() not in _ISO_639_1 or language.upper() in _COUNTRIES_IN_ANY_CASE:
        return True
    return len(code) == 2 and code in _RATHER_COUNTRIES
