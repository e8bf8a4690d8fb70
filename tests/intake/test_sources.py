"""Where rows come from: a list, told by its content, or a program's own records."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.errors import BatchResendError
from batch_resend.intake import Field, ListSource, Reading, RecordSource
from batch_resend.list_form import ListForm, ListKind
from batch_resend.model import Entry, RejectedRow, Row
from tests.intake.conftest import read, refusal, standard_input

CSV = "order_id,locale\n100200307,en\n"
JSONL = '{"order_id": 100200307, "locale": "en"}\n'


# --- lists --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["orders", "orders.csv", "orders.json", "orders.xlsx", "orders.gz"]
)
@pytest.mark.parametrize("content", [CSV, JSONL, f"\ufeff\n{CSV}", f"\ufeff\r\n  {JSONL}"])
def test_a_list_is_told_by_its_content_whatever_the_name(
    tmp_path: Path, name: str, content: str
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8", newline="")
    (row,) = ListSource(str(path))
    assert isinstance(row, Row)
    assert (row.order_id, row.locale) == ("100200307", "en")


def test_a_list_has_its_paths_name_and_standard_input_a_name_of_its_own(tmp_path: Path) -> None:
    assert ListSource(str(tmp_path / "list.csv")).name == str(tmp_path / "list.csv")
    assert ListSource("-").name == "standard input"


def test_the_heading_row_is_known_once_the_list_is_read() -> None:
    source = ListSource("-")
    with standard_input(b'\n Order ID ,"my\nnote"\n100200301,x\n'):
        assert len(list(source)) == 1
    assert source.form.columns == (" Order ID ", "my\nnote")


def test_a_jsonl_list_has_no_heading_row() -> None:
    source = ListSource("-")
    with standard_input(JSONL.encode()):
        assert list(source)
    assert (source.form.kind, source.form.columns) == (ListKind.JSON, ())


def test_a_list_remembers_which_columns_the_user_named() -> None:
    source = ListSource("-", Reading({Field.ORDER_ID: "n"}))
    with standard_input(b"n\n100200301\n"):
        assert list(source)
    assert dict(source.form.fields) == {"order_id": "n"}


@pytest.mark.parametrize("content", ["", "\n", " \r\n\t\n", "\ufeff", "\ufeff\n"])
def test_an_empty_list_is_refused(content: str) -> None:
    assert refusal(content) == "standard input is empty"


@pytest.mark.parametrize("content", ["order_id", "order_id,note\n", "\ufefforder_id\r\n\n,\n"])
def test_a_heading_without_rows_is_refused(content: str) -> None:
    assert refusal(content) == "standard input has a heading, but no rows: there is nothing to send"


def test_a_list_of_bad_rows_only_is_read_all_the_same() -> None:
    assert [type(row) for row in read("order_id\nx\ny\n")] == [RejectedRow, RejectedRow]


@pytest.mark.parametrize("locale", ["not a code", "en\r\nX: y", "", " "])
def test_a_locale_for_the_whole_list_that_is_no_code_reaches_no_row(locale: str) -> None:
    try:
        rows = read("order_id\n100200307\n", locale=locale)
    except (BatchResendError, ValueError):
        return
    assert all(isinstance(row, RejectedRow) or row.locale is None for row in rows)


# --- a program's own records --------------------------------------------------------------


def rows_of(source: RecordSource) -> list[Row | RejectedRow]:
    """Return what becomes of a program's records."""

    async def collect() -> list[Row | RejectedRow]:
        return [row async for row in source]

    return asyncio.run(collect())


@pytest.mark.asyncio
async def test_records_may_come_from_an_async_iterable() -> None:
    async def records() -> AsyncIterator[Mapping[str, object]]:
        yield {"order_id": 100200307}
        await asyncio.sleep(0)
        yield {"order_id": "x"}

    rows = [row async for row in RecordSource(records())]
    assert [(row.line, type(row)) for row in rows] == [(1, Row), (2, RejectedRow)]


def test_records_are_checked_as_those_of_a_jsonl_list() -> None:
    flat = {"Order ID": 100200307, "domain": "Example.com", "email": "a@example.com"}
    nested = {
        "order_id": "100200307",
        "domain_approval_emails": [{"domain": "example.com", "email": "a@example.com"}],
    }
    rows = rows_of(RecordSource([flat, nested, {"order_id": "x"}, MappingProxyType(nested)]))
    good = [row for row in rows if isinstance(row, Row)]
    assert [row.line for row in good] == [1, 2, 4]
    assert [row.entries for row in good] == [(Entry("example.com", "a@example.com"),)] * 3
    assert [json.loads(row.raw) for row in rows] == [flat, nested, {"order_id": "x"}, nested]
    assert isinstance(rows[2], RejectedRow)


def test_the_locale_of_the_source_is_for_records_that_name_none() -> None:
    rows = rows_of(
        RecordSource(
            [{"order_id": 100200301}, {"order_id": 100200302, "locale": "de"}], locale="fr"
        )
    )
    assert [row.locale for row in rows if isinstance(row, Row)] == ["fr", "de"]


def test_a_checked_row_passes_as_it_is() -> None:
    row = Row(line=99, order_id="100200307", entries=(), locale=None, raw="mine")
    assert rows_of(RecordSource([row])) == [row]


def test_a_program_may_ask_for_nothing() -> None:
    assert rows_of(RecordSource([])) == []


def test_records_are_taken_as_they_are_wanted_but_for_a_few_ahead() -> None:
    taken = []

    def records() -> Iterator[Mapping[str, object]]:
        for number in range(10**9):
            taken.append(number)
            yield {"order_id": number}

    async def first_two() -> None:
        rows = aiter(RecordSource(records()))
        await anext(rows)
        await anext(rows)

    asyncio.run(first_two())
    assert len(taken) <= 52, "fifty show how long numbers are"


def test_a_source_of_records_has_a_name_and_nothing_that_only_a_file_has() -> None:
    source = RecordSource([], name="orders of the morning")
    assert (source.name, source.sha256) == ("orders of the morning", None)
    assert source.form == ListForm(ListKind.RECORDS)


def nested_beyond_measure() -> object:
    """Return a list in a list, many times over."""
    value: object = []
    for _ in range(5_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"bytes", id="bytes"),
        pytest.param({1, 2}, id="a set"),
        pytest.param(object(), id="an object"),
        pytest.param(
            10**5_000,
            id="an integer too long to be written",
        ),
        pytest.param(
            nested_beyond_measure(),
            id="lists nested beyond measure",
        ),
    ],
)
def test_a_record_that_json_cannot_hold_is_rejected(value: object) -> None:
    (row,) = rows_of(RecordSource([{"order_id": 100200301, "note": value}]))
    assert isinstance(row, RejectedRow)
    assert row.reason.startswith("not a JSON object")


def test_a_record_that_holds_itself_is_rejected() -> None:
    record: dict[str, object] = {"order_id": 100200301}
    record["self"] = record
    (row,) = rows_of(RecordSource([record]))
    assert isinstance(row, RejectedRow)


def test_half_a_character_in_a_record_does_not_get_into_the_journals_text() -> None:
    (row,) = rows_of(RecordSource([{"order_id": 100200301, "note": "\ud800"}]))
    texts = [row.raw, row.reason if isinstance(row, RejectedRow) else ""]
    assert all(text.encode(errors="replace") == text.encode() for text in texts)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["order_id", "domain", "email", "locale", "note"]),
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        ),
        max_size=5,
    )
)
def test_whatever_the_records_each_is_one_row(records: list[dict[str, object]]) -> None:
    rows = rows_of(RecordSource(records))
    assert [row.line for row in rows] == list(range(1, len(records) + 1))


@pytest.mark.asyncio
@pytest.mark.parametrize("odd", [2024, "100200301100200302", 9])
async def test_a_number_of_another_length_among_those_of_a_program_is_rejected_as_in_a_file(
    odd: object,
) -> None:
    numbers = [100200301, 100200302, odd, 100200303]
    rows = [row async for row in RecordSource([{"order_id": number} for number in numbers])]
    assert [isinstance(row, Row) for row in rows] == [True, True, False, True]
    assert [row.line for row in rows] == [1, 2, 3, 4]
    checked = [Row(at, str(number), (), None, "{}") for at, number in enumerate(numbers, start=1)]
    assert [row async for row in RecordSource(checked)] == checked, "these it has checked itself"
    named = [{"order_id": n, "domain": "a.example", "email": "x@a.example"} for n in numbers]
    rows = [row async for row in RecordSource(named)]
    assert [isinstance(row, Row) for row in rows] == [True, True, False, True]


@pytest.mark.asyncio
async def test_a_number_is_judged_by_those_around_it_however_many_there_are() -> None:
    numbers = [*range(100200301, 100200401), 7, *range(100200401, 100200501)]
    rows = [row async for row in RecordSource({"order_id": number} for number in numbers)]
    assert [row.line for row in rows if isinstance(row, RejectedRow)] == [101]
    assert len(rows) == 201
