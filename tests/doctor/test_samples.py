"""A sample shows how the CA answers, and nothing of what it says."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.doctor.shapes import (
    DCV_METHODS,
    KNOWN_KEYS,
    MOST_ITEMS,
    WORD_KEYS,
    kind_of,
    sanitized,
)
from batch_resend.listed import STATUSES
from tests.doctor.answers import (
    CHANGES_BODY,
    KEYS_BODY,
    LIST_BODY,
    ORDER_BODY,
    THEIRS,
    USER_BODY,
    VALIDATION_BODY,
)

KEY = "4f7a0c5e_of_a_test"  # shaped like a word, as a key could be
KIND = re.compile(
    r"<(email|domain|url|address|decimal|number|object|empty text"
    r"|(digits|text|blank|list of) [0-9]+"
    r"|date [9T:.Z+ -]+|and [0-9]+ more)>|0000-00-00( 00:00:00)?"
)
NAMES = ["Jill Valentine", "Müller & Söhne GmbH", "acme", "Straße 7", "555-555-5555", "x" * 300]
PLACES = ["jill@acme.example", "shop.acme.example", "*.acme.example", "10.1.2.3", "2001:db8::1"]
NUMBERS = [
    "100200301",
    "0B6A2F3E90",
    "2026-10-16T17:29:56+00:00",
    "2026-10-16",
    "\u0661\u0662\u0663\u0664-\u0660\u0665-\u0660\u0666",
]
WORDS = ["Acme_Prod", "acme-internal.example", f"x{KEY}", KEY, KEY[3:11], "tom2026"]

# What names somebody or something, whatever form it has.
theirs = st.one_of(st.sampled_from([*NAMES, *PLACES, *NUMBERS]), st.text(), st.emails())
word_keys = st.sampled_from(sorted(WORD_KEYS))
text_keys = st.sampled_from(sorted(KNOWN_KEYS - WORD_KEYS))


def answers(texts: st.SearchStrategy[str], keys: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Return answers of any form, with these texts under these keys."""
    leaf = st.one_of(texts, st.integers(), st.floats(allow_nan=False), st.booleans(), st.none())
    return st.recursive(
        leaf, lambda part: st.lists(part, max_size=4) | st.dictionaries(keys, part, max_size=4)
    )


def words_of(sample: Any) -> list[str]:
    """Return every text in a sample, the names of its fields too."""
    if isinstance(sample, dict):
        return [*sample, *(word for part in sample.values() for word in words_of(part))]
    if isinstance(sample, list):
        return [word for part in sample for word in words_of(part)]
    return [sample] if isinstance(sample, str) else []


@given(answers(theirs, text_keys))
def test_of_any_answer_only_kinds_and_the_names_of_known_fields_are_left(answer: Any) -> None:
    sample = sanitized(answer, KEY)
    assert [w for w in words_of(sample) if not KIND.fullmatch(w) and w not in KNOWN_KEYS] == []
    assert not any(isinstance(leaf, int | float) for leaf in leaves(sample) if leaf is not True
                   and leaf is not False)  # fmt: skip
    json.dumps(sample)  # it is to be sent


@given(answers(theirs, st.one_of(text_keys, theirs)))
def test_where_names_of_theirs_stand_as_fields_they_are_left_out_too(answer: Any) -> None:
    for word in words_of(sanitized(answer, KEY)):
        is_field = re.fullmatch(r"[a-z]+(_[a-z]+){0,7}[0-9]?", word) is not None
        assert KIND.fullmatch(word) or word in KNOWN_KEYS or is_field


@given(st.sampled_from([*NAMES, *PLACES, *NUMBERS, *WORDS]), word_keys, text_keys)
def test_where_the_ca_has_its_words_none_of_theirs_comes_through(
    text: str, word_key: str, text_key: str
) -> None:
    # What stands for something of theirs in another field is one of theirs, however it looks.
    sample = sanitized({word_key: text, "list": [{word_key: [text]}], text_key: text}, KEY)
    assert all(KIND.fullmatch(w) or w in KNOWN_KEYS or w == "list" for w in words_of(sample))


@given(st.text(), st.one_of(word_keys, st.text()))
def test_neither_the_key_nor_a_part_of_it_comes_through(around: str, field: str) -> None:
    for text in (KEY, around + KEY, KEY + around, KEY[2:], KEY[:-3]):
        shown = json.dumps(sanitized({field: text, text: field, "status": [text]}, KEY))
        assert text not in shown.replace(json.dumps(field), "")
        assert KEY not in shown


@pytest.mark.parametrize("field", sorted(WORD_KEYS))
@pytest.mark.parametrize("word", [*sorted(STATUSES | DCV_METHODS), "on_hold", "ssl_dv_geotrust"])
def test_a_word_of_the_cas_own_stays_where_it_has_its_words(field: str, word: str) -> None:
    assert sanitized({field: word}, KEY) == {field: word}
    assert sanitized({"common_name": word}, KEY) == {"common_name": f"<text {len(word)}>"}


@pytest.mark.parametrize("name", ["dcv_email_preferences", "alternative_order_id", "line2"])
def test_a_field_that_this_program_does_not_know_keeps_its_name(name: str) -> None:
    assert sanitized({name: 7}) == {name: "<number>"}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("2021-06-08T14:59:13+00:00", "<date 9999-99-99T99:99:99+99:99>"),
        ("2021-06-08 14:59:13", "<date 9999-99-99 99:99:99>"),
        ("0000-00-00 00:00:00", "0000-00-00 00:00:00"),
        ("104200311", "<digits 9>"),
        ("a@b.example", "<email>"),
        ("*.b.example", "<domain>"),
        ("https://b.example/?key=1", "<url>"),
        ("10.1.2.3", "<address>"),
        ("2001:db8::1", "<address>"),
        ("97.00", "<decimal>"),
        ("12:30", "<text 5>"),
        ("Racoon", "<text 6>"),
        ("", "<empty text>"),
        ("  ", "<blank 2>"),
        (7, "<number>"),
        (None, "null"),
        ([1, 2], "<list of 2>"),
        ({"a": 1}, "<object>"),
    ],
)
def test_the_kind_says_the_form_and_the_length(value: object, kind: str) -> None:
    assert kind_of(value) == kind


def test_of_a_long_list_a_few_that_differ_are_shown() -> None:
    names = ["a.example", "b.example", None, "c.example", " ", "d.example"]
    sample = sanitized({"dns_names": names})
    assert sample == {"dns_names": ["<domain>", None, "<blank 1>", "<and 3 more>"]}
    assert len(sample["dns_names"]) == MOST_ITEMS + 1


@pytest.mark.parametrize(
    "body",
    [USER_BODY, KEYS_BODY, LIST_BODY, ORDER_BODY, VALIDATION_BODY, CHANGES_BODY],
)
def test_of_the_cas_own_answers_nothing_of_theirs_is_left(body: dict[str, Any]) -> None:
    shown = json.dumps(sanitized(body, KEY))
    assert [text for text in THEIRS if text in shown] == []


def leaves(value: Any) -> list[Any]:
    """Return all that is neither an object nor a list."""
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in leaves(part)]
    if isinstance(value, list):
        return [leaf for part in value for leaf in leaves(part)]
    return [value]
