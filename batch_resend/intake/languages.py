"""Languages by their names, and what of a locale is a country instead.

Names stand for a code only where there is one: `Chinese` could be zh_CN or zh_TW. Codes are those
of ISO 639-1; which of them the CA takes beyond the eleven of its documentation is not known.
"""

import re
from functools import lru_cache

# In English, in German, French, Italian, Spanish and Portuguese, and as they call themselves.
_NAMES = {
    "en": "english englisch anglais inglese inglés inglês eng",
    "de": "german deutsch allemand tedesco alemán alemão duits tyska niemiecki deu ger",
    "fr": "french französisch français francese francés francês frans franska francuski fra fre",
    "es": "spanish spanisch espagnol spagnolo español espanhol castellano spaans spanska spa",
    "it": "italian italienisch italien italiano italiaans italienska ita",
    "ja": "japanese japanisch japonais giapponese japonés japonês 日本語 jpn",
    "ko": "korean koreanisch coréen coreano 한국어 한국말 kor",
    "pt": "portuguese portugiesisch portugais portoghese portugués português por",
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

_OF_A_SYSTEM = re.compile(r"([a-z]{2})[_-]([A-Za-z]{2})(?:\.[A-Za-z0-9-]+)?(?:@[a-z]+)?", re.I)
_WITH_COUNTRY = re.compile(r"([^()]+?)\s*\(([^()]+)\)")
_TWO = re.compile(r"(.+?)\s+[-\u2013]\s+(.+)")


@lru_cache(maxsize=1024)
def code_of_language(text: str, known: frozenset[str]) -> str | None:
    """Return the code that a language's name stands for; None: it is no name, or not one alone.

    `known`: the codes that the CA's documentation has. Takes `English (US)`, `de (German)`,
    `DE - Deutsch`, and a system's `de_DE.UTF-8`.
    """
    word = " ".join(text.split()).lower()
    if code := _CODE_OF_NAME.get(word.replace(" ", "_")):
        return code
    if ("." in word or "@" in word) and (found := _OF_A_SYSTEM.fullmatch(word)):
        both = f"{found[1]}_{found[2].upper()}"
        return both if both in known else found[1] if found[1] in known else both
    if found := _WITH_COUNTRY.fullmatch(word):
        both = f"{found[1]}_{found[2]}".replace(" ", "_")
        one, other = _code(found[1], known), _code(found[2], known)
        if code := _CODE_OF_NAME.get(both):
            return code
        return one if one is not None and other in (None, one) else None
    if found := _TWO.fullmatch(word):
        one, other = _code(found[1], known), _code(found[2], known)
        return one if one == other else None
    return None


def _code(word: str, known: frozenset[str]) -> str | None:
    code = _CODE_OF_NAME.get(word)
    return code or (word if word in known and len(word) == 2 else None)


def is_no_language(code: str) -> bool:
    """Whether a locale code, of two letters before any `_` or `-`, names no language.

    Mostly those letters are a country's.
    """
    language = re.split("[_-]", code)[0]
    if len(language) != 2:
        return False
    if language.lower() not in _ISO_639_1 or language.upper() in _COUNTRIES_IN_ANY_CASE:
        return True
    return len(code) == 2 and code in _RATHER_COUNTRIES
