"""Languages: codes, names, and what is neither."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.intake.cells import Malformed
from batch_resend.intake.languages import KNOWN_LOCALES, locale_code


@pytest.mark.parametrize("code", [*sorted(KNOWN_LOCALES), "nl", "pt_BR", "fil", "sr_Latn"])
def test_a_code_is_passed_on_whether_known_or_newer(code: str) -> None:
    assert locale_code(f" {code} ") == code


@pytest.mark.parametrize(
    ("cell", "code"),
    [("DE_de", "de"), ("en-us", "en"), ("EN_gb", "en"), ("de_DE.UTF-8", "de"), ("de-at", "de_AT"),
     ("pt-br", "pt_BR"), ("SV", "sv"), ("sv-se", "sv_SE"), ("zh-cn", "zh_CN"), ("ZH_tw", "zh_TW"),
     ("zh-Hans", "zh_CN"), ("zh_hant_HK", "zh_TW"), ("sr-latn", "sr_Latn")],
)  # fmt: skip
def test_a_code_is_brought_to_the_spelling_of_the_ca(cell: str, code: str) -> None:
    assert locale_code(cell) == code


NO_CODE = "is not a code such as en or zh_CN"
NO_LANGUAGE = "is not a language: write the language"
REFUSED = {
    NO_CODE: ["", "e", "english language", "en_", "_US", "en__US", "en_english", "en\nUS", "\u00e9",
              "12"],
    NO_LANGUAGE: ["und", "mul", "zxx", "qaa", "qps-ploc", "C", "POSIX", "posix", "default", "root"],
    "could be zh_CN or zh_TW: write which": ["Chinese", "\u4e2d\u6587"],
    "could be nl or nl_BE: write which": ["Flemish"],
    "could be sr, hr or bs: write which": ["Serbo-Croatian"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "reason"), [(cell, reason) for reason, cells in REFUSED.items() for cell in cells]
)
def test_what_is_no_code_or_one_of_several_is_refused_with_the_reason(
    cell: str, reason: str
) -> None:
    with pytest.raises(Malformed, match=reason):
        locale_code(cell)


@given(st.text() | st.text("aZ_-\n \u00e9", max_size=8))
def test_an_accepted_locale_is_letters_with_at_most_one_mark(cell: str) -> None:
    try:
        code = locale_code(cell)
    except Malformed:
        return
    assert code.isascii()
    assert code.replace("_", "", 1).replace("-", "", 1).isalpha()
    assert locale_code(code) == code
