"""Order numbers are judged as they will be sent, and as they are written, in whatever list."""

import json
from collections.abc import Callable, Iterable, Sequence

import pytest

from batch_resend.intake import RecordSource
from batch_resend.model import Row
from tests.intake.conftest import REFUSED, goes, workbook

GOOD = ["100200302", "100200307", "100200312", "100200317"]


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def of_orders(cells: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in ("order_id", *map(quoted, cells)))


def with_addresses(cells: Iterable[str]) -> str:
    rows = (f"{quoted(cell)},a.example.com,admin@a.example.com" for cell in cells)
    return "".join(f"{line}\n" for line in ("order_id,domain,email", *rows))


def of_json(cells: Iterable[str]) -> str:
    return "".join(json.dumps({"order_id": cell}) + "\n" for cell in cells)


def of_excel(cells: Iterable[str]) -> bytes:
    return workbook([["order_id"], *([cell] for cell in cells)])


FORMS: dict[str, Callable[[Iterable[str]], str | bytes]] = {
    "orders alone": of_orders,
    "with addresses": with_addresses,
    "JSON": of_json,
    "Excel": of_excel,
}
WRITTEN = (  # ways in which a number may be written, and is repaired
    "{}", "\u2022{}", "- {}", "* {}", "1. {}", "\u201c{}\u201d", "`{}`", "\u00ab{}\u00bb",
    "{}%20", "{}_x000D_", "{}\\n", "\u2116{}", "\u2116 {}", "'{}", "\u2019{}", '="{}"', "{}.0",
    "{}\u200b", "\ufeff{}", "\u2060{}",
)  # fmt: skip


def of_full_width(text: str) -> str:
    return "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in text)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("at", [0, 2, 4])
@pytest.mark.parametrize("written", [*WRITTEN, "full width"])
def test_a_number_of_another_length_is_rejected_however_it_is_written(
    form: Callable[[Iterable[str]], str | bytes], at: int, written: str
) -> None:
    cell = of_full_width("12") if written == "full width" else written.format("12")
    assert goes(form([*GOOD[:at], cell, *GOOD[at:]])) == GOOD


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    "cell",
    ["0'100'200'301", "0 100 200 301", "\u2022 0100200301", '="0100200301"', "\uff10100200301"],
)
def test_zeros_in_front_are_seen_however_a_number_is_written(
    form: Callable[[Iterable[str]], str | bytes], cell: str
) -> None:
    assert goes(form([*GOOD, cell])) == GOOD


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("at", [0, 2, 4])
@pytest.mark.parametrize(
    "sign",
    ["#", "\uff03", "%23", "&#35;", "_x0023_", "&amp;num;", "\u2022 #", "1. #", "\u200b#", "'#"],
)
def test_a_row_that_begins_with_the_sign_of_a_comment_is_rejected_where_others_do_not(
    form: Callable[[Iterable[str]], str | bytes], at: int, sign: str
) -> None:
    assert goes(form([*GOOD[:at], f"{sign}100200301", *GOOD[at:]])) == GOOD


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("sign", ["#", "\uff03"])
def test_where_all_have_the_sign_it_is_one_of_numbers(
    form: Callable[[Iterable[str]], str | bytes], sign: str
) -> None:
    assert goes(form([f"{sign}{number}" for number in GOOD])) == GOOD


DATES = [20261126, 20261127, 20261128]
TWO_LENGTHS = [*range(100200301, 100200306), *range(1002003, 1002026, 5)]
FIRST_SUM = [200400603, 100200301, 100200302]
ONES = {
    "plain": str,
    "of full width": lambda n: of_full_width(str(n)),
    "listed": "\u2022 {}".format,
}


@pytest.mark.parametrize("form", [of_orders, of_json, of_excel])
@pytest.mark.parametrize("one", ONES.values(), ids=ONES)
@pytest.mark.parametrize("numbers", [DATES, TWO_LENGTHS, FIRST_SUM])
def test_numbers_that_are_none_of_orders_are_refused_however_they_are_written(
    form: Callable[[Iterable[str]], str | bytes], one: Callable[[int], str], numbers: Sequence[int]
) -> None:
    assert goes(form(map(one, numbers))) == REFUSED


A, B, C, D = 100200301, 100200302, 200300411, 300400527
SUMS = {  # numbers of a list of orders alone, and what of them is sent; None: nothing
    "first": ([A + B + C, A, B, C], None),
    "second": ([A, A + B + C, B, C], None),
    "in the middle": ([A, B, A + B + C + D, C, D], None),
    "before the last": ([A, C, A + B + C, B], None),
    "last": ([A, B, C, A + B + C], [A, B, C]),
    "of each group": ([A, B, A + B, C, D, C + D], [A, B, C, D]),
    "of each group, and of all": ([A, B, A + B, C, D, C + D, A + B + C + D], [A, B, C, D]),
    "of a group of one, and of others": ([A, A, B, C, B + C], [A, A, B, C]),
    "of the last rows alone": ([D, A, C, B, C + B, D + 1], [D, A, C, B, D + 1]),
    "of two that are not beside it": (
        [A, D, B, C, A + B, D + 5, D + 9], [A, D, B, C, A + B, D + 5, D + 9],
    ),
    "of one row": ([A, B, A + 1], [A, B, A + 1]),
    "twice the same": ([A, A], [A, A]),
}  # fmt: skip


@pytest.mark.parametrize("form", [of_orders, of_json, of_excel])
@pytest.mark.parametrize("one", ONES.values(), ids=ONES)
@pytest.mark.parametrize(("numbers", "sent"), SUMS.values(), ids=SUMS)
def test_a_sum_is_sent_wherever_it_is_only_if_it_is_one_of_a_few_by_chance(
    form: Callable[[Iterable[str]], str | bytes],
    one: Callable[[int], str],
    numbers: Sequence[int],
    sent: Sequence[int] | None,
) -> None:
    assert goes(form(map(one, numbers))) == (REFUSED if sent is None else list(map(str, sent)))


def test_among_thousands_a_number_that_is_the_sum_of_two_others_is_an_order() -> None:
    numbers = [str(number) for number in range(100_200_300, 100_205_300)]
    numbers.insert(2_500, str(int(numbers[10]) + int(numbers[4_000])))
    assert goes(of_orders(numbers)) == numbers


@pytest.mark.asyncio
async def test_a_number_of_a_program_is_judged_whatever_its_type() -> None:
    records = [{"order_id": one} for one in (12.0, "\uff11\uff12", 12, *GOOD, 100200322.0)]
    rows = [row async for row in RecordSource(records)]
    sent = [row.order_id for row in rows if isinstance(row, Row)]
    assert sent == [*GOOD, "100200322"]
