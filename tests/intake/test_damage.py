"""A list that was damaged asks for no more than the whole one did, and never without addresses.

The variable DAMAGE_EXAMPLES says how many damages of each kind are tried: a few hundred, or many.
"""

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from batch_resend.errors import InputError
from batch_resend.intake import ListSource, Reading
from batch_resend.intake.fields import Field
from batch_resend.model import Row
from tests.intake.conftest import standard_input

EXAMPLES = int(os.environ.get("DAMAGE_EXAMPLES", "250"))
damaging = settings(
    max_examples=EXAMPLES,
    # The suite tries the same ones each time; fresh ones are looked for by hand, many at once.
    derandomize="DAMAGE_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)

Asked = set[tuple[str, str, str]]  # order, domain, address
Line = dict[str, str]

_LABELS = ("shop", "www.shop", "a", "mail.b", "intra.c")
_BASES = ("example.com", "example.org", "example.co.uk", "company.example.net")
_NOTES = ("", "", "x", "a, b", 'say "x"', "two\nlines", "100200300", "kim@customer.example")
_COLUMNS = ("order_id", "domain", "email", "contact", "note", "locale", "ticket", "host")
_NEEDED = {"order_id", "domain", "email"}
_orders = st.sampled_from(("1002003", "100200300", "99999999", "70")).flatmap(
    lambda first: st.integers(0, 99).map(lambda n: f"{first}{n:02}")
)


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """Make a row of a list, with all that may stand in one."""
    domain = f"{draw(st.sampled_from(_LABELS))}.{draw(st.sampled_from(_BASES))}"
    # Seldom elsewhere than at its domain.
    at = draw(st.sampled_from((domain, domain, domain, domain.partition(".")[2], "mail.example")))
    elsewhere = draw(st.sampled_from((at, "c.example")))
    person = draw(st.sampled_from(("admin", "webmaster", "hostmaster", "jo")))
    return {
        "order_id": draw(_orders),
        "domain": domain,
        "email": f"{person}@{at}",
        "contact": f"{draw(st.sampled_from(('kim', 'pat')))}@{elsewhere}",
        "note": draw(st.sampled_from(_NOTES)),
        "locale": draw(st.sampled_from(("en", "de", "zh_CN"))),
        "ticket": str(draw(st.integers(1, 99_999))),
        "host": draw(st.sampled_from(("web1.example.com", "localhost", ""))),
    }


@st.composite
def columns(draw: st.DrawFn) -> list[str]:
    """Choose the columns of a list, in any order: those that are needed, and some others."""
    others = draw(st.sets(st.sampled_from(_COLUMNS[3:])))
    return draw(st.permutations([c for c in _COLUMNS if c in _NEEDED or c in others]))


def asked(written: Sequence[Line]) -> Asked:
    """Return what the rows of a whole list ask for."""
    return {(line["order_id"], line["domain"], line["email"]) for line in written}


def as_csv(
    names: Sequence[str], written: Sequence[Line], delimiter: str, end: str, *, headed: bool = True
) -> str:
    """Return a list as CSV."""
    file = io.StringIO()
    table = csv.writer(file, delimiter=delimiter, lineterminator=end)
    if headed:
        table.writerow(names)
    table.writerows([line[name] for name in names] for line in written)
    return file.getvalue()


def goes_out(content: str | bytes, reading: Reading | None = None) -> list[tuple[str, Asked]]:
    """Return what each row of a list asks for that is read and not rejected."""
    found: list[tuple[str, Asked]] = []
    with standard_input(content.encode() if isinstance(content, str) else content):
        source = ListSource("-", reading)
        try:
            for row in source:
                if isinstance(row, Row) and (row.entries or not source.form.with_addresses):
                    pairs = {(row.order_id, entry.domain, entry.email) for entry in row.entries}
                    found.append((row.order_id, pairs))
        except InputError:
            return []  # nothing of it is sent
        if source.form.with_addresses:  # those without any are rejected when it has been read
            found = [(order, pairs) for order, pairs in found if pairs]
    return found


def assert_not_wider(content: str | bytes, whole: Asked, reading: Reading | None = None) -> None:
    """Check that nothing goes out that the whole list did not ask for."""
    for order, pairs in goes_out(content, reading):
        assert pairs, f"order {order} would have all its domains mailed, of {content!r}"
        assert pairs <= whole, f"{pairs - whole} was never asked for, of {content!r}"


# --- what happens to a text -------------------------------------------------------------


def split(text: str, at: int) -> str:
    """Cut a file off."""
    return text[:at]


def _put_in(what: str) -> Callable[[str, int], str]:
    return lambda text, at: text[:at] + what + text[at:]


def _without_sign(signs: str) -> Callable[[str, int], str]:
    def damage(text: str, at: int) -> str:
        places = [place for place, sign in enumerate(text) if sign in signs]
        place = places[at % len(places)] if places else len(text)
        return text[:place] + text[place + 1 :]

    return damage


def _with_line(*choices: str) -> Callable[[str, int], str]:
    def damage(text: str, at: int) -> str:
        parts = text.splitlines(keepends=True)
        place = at % (len(parts) + 1)
        return "".join(parts[:place]) + choices[at % len(choices)] + "\n" + "".join(parts[place:])

    return damage


TEXT_DAMAGES: dict[str, Callable[[str, int], str]] = {
    "cut off": split,
    "a quotation mark": _put_in('"'),
    "a line end": _put_in("\n"),
    "a CR LF": _put_in("\r\n"),
    "a CR": _put_in("\r"),
    "a delimiter lost": _without_sign(",;\t|"),
    "a line end lost": _without_sign("\n"),
    "a quotation mark lost": _without_sign('"'),
    "a total": _with_line("Total,9,", "9", ",,9", "total;9", "(9 rows)", "900801702", "Sum"),
    "a group": _with_line("100200399,,", "100200399", "Customer A", "100200399;;", ",a.example,"),
    "a marker": _with_line("<<<<<<< HEAD", "=======", "-- 8< --", "# comment"),
}


@damaging
@given(
    names=columns(),
    written=st.lists(lines(), min_size=1, max_size=7),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(("\n", "\n", "\r\n", "\r")),
    damage=st.sampled_from(("a delimiter", *sorted(TEXT_DAMAGES))),
    at=st.integers(0, 2_000),
    headed=st.booleans(),
)
def test_no_damage_to_the_text_of_a_list_asks_for_more(
    *,
    names: list[str],
    written: list[Line],
    delimiter: str,
    end: str,
    damage: str,
    at: int,
    headed: bool,
) -> None:
    text = as_csv(names, written, delimiter, end, headed=headed)
    # One row without a heading shows by nothing how many cells it should have.
    assume(headed or len(written) > 1)
    if damage == "cut off" and names[-1] == "order_id":
        # A number that is cut off cannot be known for that if all before are as short.
        # Whichever row it is that the cut is in.
        lengths = [len(line["order_id"]) for line in written]
        assume(all(one <= max(lengths[:at_row] or [one]) for at_row, one in enumerate(lengths)))
    damaged = (TEXT_DAMAGES | {"a delimiter": _put_in(delimiter)})[damage](
        text, at % (len(text) + 1)
    )
    mapping = {Field(name): str(names.index(name) + 1) for name in sorted(_NEEDED)}
    reading = Reading() if headed else Reading(mapping=mapping, headed=False)
    assert_not_wider(damaged, asked(written), reading)


# --- what happens to its rows -----------------------------------------------------------


@dataclass(frozen=True)
class Grid:
    """The cells of a list, its heading first."""

    rows: list[list[str]]

    def written(self, delimiter: str) -> str:
        """Return them as CSV."""
        file = io.StringIO()
        csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows(self.rows)
        return file.getvalue()


def grid_of(names: Sequence[str], written: Sequence[Line]) -> Grid:
    """Return a list as cells."""
    return Grid([list(names), *([line[name] for name in names] for line in written)])


_some_text = st.sampled_from(("", "x", "7", "100200300", "kim@c.example", "c.example", "Total"))


@damaging
@given(
    names=columns(),
    written=st.lists(lines(), min_size=2, max_size=7),
    delimiter=st.sampled_from(",;\t|"),
    row=st.integers(0, 50),
    at=st.integers(0, 50),
    added=st.none() | _some_text,
)
def test_no_cell_lost_or_added_asks_for_more(
    *, names: list[str], written: list[Line], delimiter: str, row: int, at: int, added: str | None
) -> None:
    grid = grid_of(names, written)
    cells = grid.rows[row % len(grid.rows)]
    if added is None:
        del cells[at % len(cells)]
    else:
        cells.insert(at % (len(cells) + 1), added)
    assert_not_wider(grid.written(delimiter), asked(written))


@damaging
@given(
    names=columns(),
    others=columns(),
    first=st.lists(lines(), min_size=1, max_size=5),
    second=st.lists(lines(), min_size=1, max_size=5),
    delimiter=st.sampled_from(",;\t|"),
    with_line_end=st.booleans(),
    blank_between=st.booleans(),
)
def test_no_list_joined_with_another_asks_for_more(
    *,
    names: list[str],
    others: list[str],
    first: list[Line],
    second: list[Line],
    delimiter: str,
    with_line_end: bool,
    blank_between: bool,
) -> None:
    one = as_csv(names, first, delimiter, "\n")
    other = as_csv(others, second, delimiter, "\n")
    between = "\n" if blank_between else ""
    text = (one if with_line_end else one.removesuffix("\n")) + between + other
    assert_not_wider(text, asked(first) | asked(second))


@damaging
@given(
    columns(),
    st.lists(lines(), min_size=2, max_size=6),
    st.sets(st.sampled_from(("order_id", "domain", "email")), min_size=1, max_size=2),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_no_cells_left_out_as_in_an_outline_ask_for_more(
    names: list[str], written: list[Line], emptied: set[str], where: list[bool]
) -> None:
    rows = [
        {**line, **dict.fromkeys(emptied, "")} if empty else line
        for line, empty in zip(written, where, strict=False)
    ]
    assert_not_wider(as_csv(names, rows, ",", "\n"), asked(written))
    parts = [
        part
        for line in written
        for part in (
            {**dict.fromkeys(line, ""), "order_id": line["order_id"]},
            {**line, "order_id": ""},
        )
    ]
    assert_not_wider(as_csv(names, parts, ",", "\n"), asked(written))
    assert_not_wider(
        as_csv(names, parts, ",", "\n"), asked(written), Reading(all_domains=False, locale="en")
    )


# --- JSON -------------------------------------------------------------------------------


def _record(line: Line, form: int) -> dict[str, object]:
    if form == 0:
        return {name: line[name] for name in ("order_id", "domain", "email", "note")}
    entry = {"domain": line["domain"], "email": line["email"]}
    return {"order_id": int(line["order_id"]), "domain_approval_emails": [entry], "locale": "en"}


def _as_json(records: Sequence[object], form: int) -> str:
    if form == 0:
        return "".join(json.dumps(record) + "\n" for record in records)
    return json.dumps(records, indent=form - 1 or None)


@damaging
@given(
    st.lists(st.tuples(lines(), st.integers(0, 1)), min_size=2, max_size=5),
    st.integers(0, 2),
    st.sampled_from(("cut off", "a quotation mark", "a line end", "a CR", "a line end lost",
                     "a quotation mark lost", "a delimiter lost")),
    st.integers(0, 2_000),
)  # fmt: skip
def test_no_damage_to_the_text_of_json_asks_for_more(
    written: list[tuple[Line, int]], form: int, damage: str, at: int
) -> None:
    text = _as_json([_record(*one) for one in written], form)
    damaged = TEXT_DAMAGES[damage](text, at % (len(text) + 1))
    assert_not_wider(damaged, asked([line for line, _ in written]))


@damaging
@given(
    st.lists(st.tuples(lines(), st.integers(0, 1)), min_size=2, max_size=5),
    st.integers(0, 2),
    st.integers(0, 4),
    st.sets(st.sampled_from(("order_id", "domain", "email", "domain_approval_emails")), min_size=1),
)
def test_no_keys_lost_from_a_record_ask_for_more(
    written: list[tuple[Line, int]], form: int, which: int, lost: set[str]
) -> None:
    records = [_record(*one) for one in written]
    damaged = records[which % len(records)]
    for key in lost:
        damaged.pop(key, None)
    assert_not_wider(_as_json(records, form), asked([line for line, _ in written]))


# --- that the checks above are able to fail ---------------------------------------------


@given(columns(), st.lists(lines(), min_size=1, max_size=5), st.sampled_from(",;\t|"))
@settings(max_examples=50, derandomize=True)
def test_a_whole_list_asks_for_all_that_it_says(
    names: list[str], written: list[Line], delimiter: str
) -> None:
    # A number of another length than all others is damaged, or seems to be.
    prefix = written[0]["order_id"][:-2]
    written = [{**line, "order_id": prefix + line["order_id"][-2:]} for line in written]
    text = as_csv(names, written, delimiter, "\n")
    sent = goes_out(text)
    assert set().union(*(pairs for _, pairs in sent)) == asked(written)
