"""JSONL, flat and nested: each line ends in a Row or a RejectedRow."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.errors import InputError
from batch_resend.intake import Field, ListSource, Reading
from batch_resend.model import Entry, Problem, RejectedRow, Row
from tests.intake.conftest import (
    read,
    read_rejected,
    read_row,
    refusal,
    standard_input,
)


def test_a_flat_record_is_taken_whole() -> None:
    text = (
        '{"order_id": 100200307, "domain": "sub.Example.com", "email": "Admin@example.com", '
        '"email_domain": "example.com", "locale": "en", "note": [1, {}]}'
    )
    assert read_row(text + "\n") == Row(
        line=1,
        order_id="100200307",
        entries=(Entry("sub.example.com", "Admin@example.com", "example.com"),),
        locale="en",
        raw=text,
    )


def test_a_nested_record_is_taken_with_all_its_entries_in_their_order() -> None:
    row = read_row(
        '{"order_id": "100200307", "locale": "de", "domain_approval_emails": ['
        '{"domain": "b.example.com", "email": "x@b.example.com"}, '
        '{"domain": "a.example.com", "email": "x@example.com", "email_domain": "example.com"}]}\n'
    )
    assert (row.order_id, row.locale) == ("100200307", "de")
    assert row.entries == (
        Entry("b.example.com", "x@b.example.com"),
        Entry("a.example.com", "x@example.com", "example.com"),
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"order_id": 100200307}',
        '{"order_id": 100200307, "locale": null}',
        '{"Order ID": 100200307.0}',
        '{"order_id": 100200307, "domain": "", "email": " ", "all_domains": "yes"}',
        '{"order_id": 100200307, "domain": null, "email": null, "all_domains": true}',
        '{"order_id": 100200307, "domain_approval_emails": null, "all_domains": true}',
    ],
)
def test_a_record_without_domains_asks_for_all_that_wait(text: str) -> None:
    row = read_row(text)
    assert (row.order_id, row.entries, row.locale) == ("100200307", (), None)


@pytest.mark.parametrize(
    "text",
    [
        '{"order_id": "100200307", "domain": "", "email": " "}',
        '{"order_id": 100200307, "domain": null, "email": null, "email_domain": null}',
        '{"order_id": 100200307, "domain_approval_emails": null}',
        '{"order_id": 100200307, "domain": "", "email": "", "all_domains": false}',
    ],
)
def test_one_with_keys_for_them_that_are_empty_needs_the_word_for_that(text: str) -> None:
    assert read_rejected(text).problem is Problem.NO_ADDRESS


def test_keys_are_known_in_the_spellings_that_headings_have() -> None:
    row = read_row('{"Order Number": 7, "Common-Name": "example.com", "E-Mail": "a@example.com"}')
    assert row.entries == (Entry("example.com", "a@example.com"),)


def test_a_mapping_names_a_key() -> None:
    mapping = {Field.ORDER_ID: "nr", Field.LOCALE: "lang"}
    row = read_row('{"nr": 100200307, "lang": "de", "order_id": 100200308}', mapping)
    assert (row.order_id, row.locale) == ("100200307", "de")


def test_a_mapped_key_may_be_left_out_where_its_field_may_be_empty() -> None:
    row = read_row('{"order_id": 100200307}', {Field.LOCALE: "lang"})
    assert (row.order_id, row.locale) == ("100200307", None)


def test_the_locale_of_the_list_is_for_records_that_name_none() -> None:
    rows = read(
        '{"order":100200301,"locale":"de"}\n{"order":100200302}\n{"order":100200303,"locale":""}\n',
        locale="fr",
    )
    assert [row.locale for row in rows if isinstance(row, Row)] == ["de", "fr", "fr"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param('{"order_id": 7', "not a JSON object", id="cut off"),
        pytest.param('{"order_id": 100200307} x', "not a JSON object", id="more behind it"),
        pytest.param("{'order_id': 7}", "not a JSON object", id="Python's quotes"),
        pytest.param("[1]", "not a JSON object", id="an array"),
        pytest.param("100200307", "not a JSON object", id="a number"),
        pytest.param("null", "not a JSON object", id="null"),
        pytest.param('"x"', "not a JSON object", id="text"),
        pytest.param("order_id,email", "not a JSON object", id="CSV"),
        pytest.param('{"a":' * 5_000, "not a JSON object", id="nested beyond measure"),
        pytest.param('{"order_id": ' + "100200309" * 5_000 + "}", "", id="digits beyond measure"),
        pytest.param("{}", "no key holds the order number", id="an empty object"),
        pytest.param('{"name": 1}', "no key holds the order number", id="no order"),
        pytest.param(
            '{"Order No": 1, "order_id": 100200302}',
            "could each hold the order_id",
            id="two orders",
        ),
        pytest.param('{"order_id": null}', "order number is missing", id="a null order"),
        pytest.param('{"order_id": true}', "digits are expected", id="a true order"),
        pytest.param(
            '{"order_id": {"id": 100200301, "ref": "a"}}',
            "the key 'order_id' holds an object, with the keys 'id', 'ref'. Other records have "
            "the order_id under 'order_id': write it so",
            id="an object as order",
        ),
        pytest.param('{"order_id": [1]}', "the key 'order_id' holds a list", id="a list as order"),
        pytest.param('{"order_id": 1e400}', "lost digits", id="an infinite order"),
        pytest.param(
            '{"order_id": 100200301, "locale": 5}',
            "key 'locale': a string",
            id="a number as locale",
        ),
        pytest.param(
            '{"order_id": 100200301, "locale": "\\ud800"}', "the locale", id="half a character"
        ),
        pytest.param(
            '{"order_id": 100200301, "email": [5]}',
            "key 'email' holds a list",
            id="an array as e-mail",
        ),
        pytest.param(
            '{"order_id": 100200301, "domain": "a.co"}', "without an e-mail", id="domain alone"
        ),
        pytest.param(
            '{"order_id": 100200301, "email": "a@a.co"}', "without the domain", id="e-mail alone"
        ),
    ],
)
def test_a_bad_record_is_rejected_with_its_line_its_reason_and_as_it_stood(
    text: str, reason: str
) -> None:
    good, bad = read('{"order_id": 100200301}\n' + text + "\n")
    assert isinstance(good, Row)
    assert isinstance(bad, RejectedRow)
    assert reason in bad.reason
    assert (bad.line, bad.raw) == (2, text)


GOOD_ENTRY = '{"domain": "example.com", "email": "a@example.com"}'


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        pytest.param("[]", "is empty: leave it out", id="none: would be taken for all"),
        pytest.param("{}", "domain_approval_emails: ", id="an object"),
        pytest.param("[null]", ", entry 1: an object", id="a null entry"),
        pytest.param(f"[{GOOD_ENTRY}, 7]", ", entry 2: an object", id="a number as entry"),
        pytest.param('[{"domain": "a.co"}]', "entry 1, email: is missing", id="no e-mail"),
        pytest.param('[{"email": "a@a.co"}]', "entry 1, domain: is missing", id="no domain"),
        pytest.param('[{"domain": " ", "email": "a@a.co"}]', "lacks", id="a blank domain"),
        pytest.param('[{"domain": "a.co", "email": ""}]', "lacks", id="an empty e-mail"),
        pytest.param(
            f'[{GOOD_ENTRY}, {{"domain": "a.co", "email": "x"}}]', "'x' has no @", id="a bad e-mail"
        ),
        pytest.param(
            f'[{GOOD_ENTRY[:-1]}, "email_domain": "x y"}}]', "'x y'", id="a bad e-mail domain"
        ),
        pytest.param(f'[{GOOD_ENTRY}], "domain": "a.co"', "give one of them", id="both forms"),
        pytest.param(f'[{GOOD_ENTRY}], "E-Mail": "a@a.co"', "give one of them", id="both, e-mail"),
    ],
)
def test_a_nested_record_with_one_bad_entry_is_rejected_whole(entries: str, reason: str) -> None:
    text = f'{{"order_id": 100200301, "domain_approval_emails": {entries}}}'
    assert reason in read_rejected(text).reason


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[{"order_id": 100200301}]', 1),
        ('\n  [\n{"order_id": 100200301}\n]', 3),
        ('\ufeff[\n\n{"order_id": 100200301}]', 3),
    ],
)
def test_a_json_array_is_a_list_of_its_objects(text: str, line: int) -> None:
    row = read_row(text)
    assert (row.line, row.order_id, row.raw) == (line, "100200301", '{"order_id": 100200301}')


def test_blank_lines_are_no_records_but_count() -> None:
    rows = read('\ufeff\n \t\n{"order_id": 100200301}\r\n\r\n  {"order_id": 100200302}  \n\n')
    assert [(row.line, row.raw) for row in rows] == [
        (3, '{"order_id": 100200301}'),
        (5, '{"order_id": 100200302}'),
    ]


def test_a_cut_off_list_keeps_all_but_its_last_record() -> None:
    rows = read('{"order_id": 100200301}\n{"order_id": 100200302}\n{"order_')
    assert [type(row) for row in rows] == [Row, Row, RejectedRow]


@pytest.mark.parametrize("key", ["order_id", "locale", "domain_approval_emails", "note"])
def test_at_no_depth_does_nesting_bring_the_list_down(key: str) -> None:
    lines = [
        f'{{"{key}": {"[" * depth}{"]" * depth}, "id": 1}}' for depth in (*range(900, 1_010), 9_999)
    ]
    assert len(read("\n".join(lines))) == len(lines)


_SCALAR = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None))
)
_LIKELY = st.sampled_from(
    [7, "100200307", "example.com", "a@example.com", "en", "", " ", "\ud800", [], {}]
)
_ENTRY = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("domain", "email", "email_domain"), _LIKELY | _SCALAR)
)
_RECORD = st.fixed_dictionaries(
    {},
    optional={
        **{field.value: _LIKELY | _SCALAR for field in Field if field is not Field.STATUS},
        "domain_approval_emails": st.lists(_ENTRY | _SCALAR, max_size=3) | _SCALAR,
        "Order ID": _LIKELY,
        "note": _SCALAR,
    },
)
_VALUE = _RECORD | st.recursive(
    _SCALAR, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@given(st.lists(_VALUE, max_size=6), st.booleans())
def test_whatever_the_values_each_line_written_is_one_row_read(
    values: list[Any], compact: bool
) -> None:
    separators = (",", ":") if compact else None
    lines = [
        '{"order_id": 100200301}',
        *(json.dumps(value, separators=separators) for value in values),
    ]
    # A list whose statuses are none of the CA's is asked about as a whole.
    with standard_input("\n".join(lines).encode()):
        rows = list(ListSource("-", Reading(all_statuses=True)))
    assert [(row.line, row.raw) for row in rows] == list(enumerate(lines, start=1))
    for row in rows:
        if isinstance(row, RejectedRow):
            assert row.reason.isprintable()
        else:
            assert all(entry.domain.isascii() for entry in row.entries)
            assert "".join(entry.email for entry in row.entries).isprintable()


def test_an_object_with_a_key_twice_that_then_breaks_off_is_refused() -> None:
    content = '[{"a": {"id": 1, "id": 2}, "b" "c"}, {"order_id": 1}]'
    assert "line 1: not JSON: expecting ':' delimiter" in refusal(content)


def test_a_key_twice_in_what_else_a_page_tells_does_no_harm() -> None:
    content = '{"orders": [{"order_id": 100200301}], "page": {"total": 1, "total": 2}}'
    assert read_row(content).order_id == "100200301"


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("beside", [{}, {"page": {"total": [3]}, "next": 'a "b", [c]'}])
def test_each_order_of_a_page_has_the_line_that_it_begins_on(
    tmp_path: Path, beside: dict[str, object], indent: int | None
) -> None:
    orders = [{"id": 100200301 + n, "status": "pending", "certificate": {}} for n in range(3)]
    content = json.dumps({**beside, "orders": orders, "last": 1}, indent=indent)
    path = tmp_path / "page.json"
    path.write_text(content)
    lines = content.splitlines()
    rows = list(ListSource(str(path)))
    assert len(rows) == 3
    for row, order in zip(rows, orders, strict=True):
        begins = "".join(lines[row.line - 1 :]).split('"id": ', 1)
        assert begins[1].startswith(str(order["id"])) or indent is None
        assert json.loads(row.raw) == order


ON_LINES = [
    {"order_id": 100200301 + n, "domain": f"k{n}.example.org", "email": f"admin@k{n}.example.org"}
    for n in range(4)
]
# What stands around the records of one document.
AROUND = {
    "an array": ("[", "]"),
    "a page": ('{"orders":[', "]}"),
    "another key": ('{"data":[', "]}"),
    "two levels": ('{"data":{"items":[', "]}}"),
    "three levels": ('{"data":{"export":{"orders":[', "]}}}"),
    "something before": ('{"count":4,"data":{"export":{"orders":[', "]}}}"),
    "something behind": ('{"data":{"export":{"orders":[', ']}},"ok":true}'),
    "both, of a page": ('{"total":4,"orders":[', '],"page":{"total":4}}'),
}


def indented(begin: str, records: list[str], end: str) -> str:
    return json.dumps(json.loads(begin + ",".join(records) + end), indent=2)


# How its lines are divided: by what it begins with, the records, and what it ends with.
LAYOUTS: dict[str, Any] = {
    "one line": lambda begin, records, end: begin + ",".join(records) + end,
    "a line a record": lambda begin, records, end: f"{begin}\n" + ",\n".join(records) + f"\n{end}",
    "the end beside the last": lambda begin, records, end: f"{begin}\n" + ",\n".join(records) + end,
    "the beginning beside the first": lambda begin, records, end: begin + ",\n".join(records) + end,
    "commas in front": lambda begin, records, end: begin + "\n,".join(records) + f"\n{end}",
    "a brace a line": lambda begin, records, end: (
        re.sub(r"([\[{])(?!$)", r"\1\n", begin) + "\n" + ",\n".join(records) + "\n" + end
    ),
    "a colon a line": lambda begin, records, end: (
        begin.replace(":", ":\n") + "\n" + ",\n".join(records) + end
    ),
    "blank lines": lambda begin, records, end: (
        f"\n\n{begin}\n\n" + ",\n\n".join(records) + f"\n\n{end}\n\n"
    ),
    "lines of other systems": lambda begin, records, end: (
        f"{begin}\r\n" + ",\r\n".join(records) + f"\r\n{end}\r\n"
    ),
    "a key a line": lambda begin, records, end: (
        f"{begin}\n" + ",\n".join(one.replace(", ", ",\n") for one in records) + f"\n{end}"
    ),
    "blanks in front": lambda begin, records, end: (
        f"{begin}\n  " + ",\n  ".join(records) + f"\n{end}"
    ),
    "indented": indented,
}


@pytest.mark.parametrize("laid_out", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize(("begin", "end"), AROUND.values(), ids=AROUND)
def test_a_document_means_the_same_however_its_lines_are_divided(
    begin: str, end: str, laid_out: Any
) -> None:
    """Also pages of it one after another, each on a line of its own or not."""
    records = list(map(json.dumps, ON_LINES))
    whole = laid_out(begin, records, end)
    pages = [laid_out(begin, records[:2], end), laid_out(begin, records[2:], end)]
    for content in (whole, f"{whole}\n", "\n".join(pages), "".join(pages)):
        rows = read(content)
        assert [(type(row), row.order_id) for row in rows] == [
            (Row, str(one["order_id"])) for one in ON_LINES
        ]
        assert [row.entries[0].email for row in rows if isinstance(row, Row)] == [
            one["email"] for one in ON_LINES
        ]


@pytest.mark.parametrize(
    "first",
    [
        ON_LINES[0],
        {"order_id": 100200301, "domain_approval_emails": [json.loads(GOOD_ENTRY)] * 2},
        {"note": {"by": ["a", {"b": 1}]}, **ON_LINES[0]},
    ],
)
def test_wherever_the_first_line_of_a_list_is_cut_off_it_asks_for_no_more(
    first: dict[str, object],
) -> None:
    """It is refused, or that row is rejected; nearly always, the rest of the list is read."""
    text, read_on = json.dumps(first), 0
    rest = "".join(f"{json.dumps(one)}\n" for one in ON_LINES[1:])
    for at in range(1, len(text)):
        try:
            row, *others = read(f"{text[:at]}\n{rest}")
        except InputError as error:
            assert "not JSON" in str(error)
            continue
        assert (type(row), row.line) == (RejectedRow, 1)
        assert [(type(one), one.order_id) for one in others] == [
            (Row, str(one["order_id"])) for one in ON_LINES[1:]
        ]
        read_on += 1
    assert read_on > 0.85 * len(text)


def test_a_document_in_which_a_record_is_broken_is_refused_with_its_line() -> None:
    content = '{"data":{"export":{"excluded":[\n{"order_id": 100200301},\n{"order_id"\n]}}}\n'
    assert "line 4: not JSON" in refusal(content)
