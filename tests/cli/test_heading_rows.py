"""Heading rows with a cell that looks like data, and lists without a heading row."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import desk_with_ca
from tests.intake.conftest import workbook

Cells = list[list[str]]
ORDERS = [str(100200300 + n) for n in range(1, 7)]
# A number in its list, its order's number, a domain, an address, a language.
DATA = [
    [str(n), order, f"s{n}.example.com", f"admin@s{n}.example.com", "de"]
    for n, order in enumerate(ORDERS, 1)
]
BODIES = {
    order: [{"locale": "de", "domain_approval_emails": [{"domain": domain, "email": email}]}]
    for _, order, domain, email, _ in DATA
}
OPTIONS = re.compile(r'--no-header|--(?:map|ignore) (?:\w+=)?(?:"[^"]*"|[^\s;]+)')

WITH_KNOWN_NAMES = {  # each has a cell that looks like a domain, a number or an address
    "an abbreviation of German lists": "Lfd.Nr;Auftrag-DC;Hostname;Mailadresse;Sprache",
    "another one": "Auftr.Nr;Auftrag-DC;Hostname;Mailadresse;Sprache",
    "for the orders themselves": "Lfd.;Auftr.Nr;Hostname;Mailadresse;Sprache",
    "one whose language is unknown": "Lfd.Nr;Auftrag-DC;Hostname;Mailadresse;Spr",
    "a year": "2026;Auftrag-DC;Hostname;Mailadresse;Sprache",
    "a date": "20261130;Auftrag-DC;Hostname;Mailadresse;Sprache",
    "an address": "admin@example.com;Auftrag-DC;Hostname;Mailadresse;Sprache",
}
WITHOUT = {
    "abbreviations": "Lfd.Nr;Auftr.Nr;Srv.Name;Kontakt.Email;Spr",
    "one, and words": "Zeile;Auftr.Nr;Server;Kontakt;Spr",
    "by R": "Row.No;Request.ID;Server.Name;Contact.Email;Mail.Language",
    "by R, in lower case": "row.no;request.id;server.name;contact.email;language",
    "a year": "2026;Vorgang;Server;Kontakt;Spr",
}


def printed(message: str) -> list[list[str]]:
    """Return the options that a message prints, each as a shell takes it, for the first way."""
    first = message.partition("; if not")[0].partition(" (without")[0]
    return [shlex.split(option) for option in OPTIONS.findall(first)]


async def followed(folder: Path, name: str) -> tuple[list[str], dict[str, Any]]:
    """Send a list with the options that are printed; return these, and what the CA was sent."""
    async with desk_with_ca(folder, keep_bodies=True) as (desk, ca):
        options: list[str] = []
        for _ in range(4):
            sent = await desk.run("send", *options, name)
            if not sent.err.startswith("batch-resend: "):
                return options, ca.books.bodies
            assert not ca.books.requests
            options += (word for option in printed(sent.err) for word in option)
        raise AssertionError(sent.err)


def text(rows: Cells) -> str:
    """Return rows as CSV."""
    return "".join(";".join(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("heading", "above"),
    [
        *((heading, "") for heading in (*WITH_KNOWN_NAMES.values(), *WITHOUT.values())),
        *((heading, "Liste vom November\n") for heading in WITH_KNOWN_NAMES.values()),
    ],
)
async def test_what_is_printed_for_a_list_with_a_heading_row_sends_all_of_it_in_its_languages(
    tmp_path: Path, heading: str, above: str
) -> None:
    (tmp_path / "t.csv").write_text(above + text([heading.split(";"), *DATA]))
    options, bodies = await followed(tmp_path, "t.csv")
    assert bodies == BODIES
    assert "--no-header" not in options


async def test_headings_that_stand_on_each_page_are_headings_all_the_same(tmp_path: Path) -> None:
    heading = WITHOUT["abbreviations"].split(";")
    (tmp_path / "t.csv").write_text(text([heading, *DATA[:3], heading, *DATA[3:]]))
    options, bodies = await followed(tmp_path, "t.csv")
    assert bodies == BODIES
    assert "--no-header" not in options


@pytest.mark.parametrize("heading", [*WITH_KNOWN_NAMES.values(), WITHOUT["abbreviations"]])
async def test_the_headings_of_a_workbook_are_known_likewise(tmp_path: Path, heading: str) -> None:
    (tmp_path / "t.xlsx").write_bytes(workbook([heading.split(";"), *DATA]))
    options, bodies = await followed(tmp_path, "t.xlsx")
    assert bodies == BODIES
    assert "--no-header" not in options


ODD = {  # what the first row has in some of its columns, and how many of the list's are sent
    "nothing odd": ({}, 6),
    "a number with blanks": ({1: "100 200 301"}, 6),
    "a number with a decimal": ({1: "100200301.0"}, 6),
    "a name before its address": ({3: "Kim <admin@s1.example.com>"}, 6),
    "its language in words": ({4: "Deutsch"}, 6),
    "its domain in capitals": ({2: "S1.EXAMPLE.COM"}, 6),
    "a word for its place": ({0: "Lfd"}, 6),
    "a place like an abbreviation": ({0: "Lfd.Nr"}, 6),
    "no number yet": ({1: "tbd"}, 5),
    "no number": ({1: ""}, 5),
    "a number with a remark": ({1: "100200301 (alt)"}, 5),
    "a domain without a dot": ({2: "intranet"}, 5),
    "no address yet": ({3: "unbekannt"}, 5),
    "one of its address's words": ({3: "mail"}, 5),
    "words that may be headings": ({0: "host", 3: "mail"}, 5),
    "a domain alone": ({0: "", 1: "tbd", 3: "unbekannt"}, 5),
    "neither domain nor address": ({2: "intranet", 3: "unbekannt", 4: "?"}, 5),
}


def oddly(cells: dict[int, str]) -> Cells:
    """Return a list without a heading row, whose first row has these cells."""
    return [[cells.get(at, cell) for at, cell in enumerate(DATA[0])], *DATA[1:]]


@pytest.mark.parametrize(("odd", "count"), ODD.values(), ids=ODD)
@pytest.mark.parametrize("form", ["csv", "xlsx"])
async def test_what_is_printed_for_a_list_without_a_heading_row_loses_no_row_and_no_language(
    tmp_path: Path, odd: dict[int, str], count: int, form: str
) -> None:
    rows = oddly(odd)
    (tmp_path / "t.csv").write_text(text(rows))
    (tmp_path / "t.xlsx").write_bytes(workbook(rows))
    options, bodies = await followed(tmp_path, f"t.{form}")
    assert "--no-header" in options
    assert bodies == {order: BODIES[order] for order in ORDERS[-count:]}


async def test_a_first_row_that_was_moved_by_a_cell_is_no_heading(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text([[*DATA[0][2:], "", ""], *DATA[1:]]))
    options, bodies = await followed(tmp_path, "t.csv")
    assert "--no-header" in options
    assert bodies == {order: BODIES[order] for order in ORDERS[1:]}


PLACES = ["--no-header", "--map", "order_id=2", "--map", "domain=3", "--map", "email=4"]
SEEMS = "column 5 seems to hold languages, and no other column is known to. If they are the lang"


@pytest.mark.parametrize(
    "first",
    [[], [["Zeile", "Vorgang", "Server", "Kontakt", "Spr"]],
     [["Lfd.Nr", "Auftr.Nr", "Srv.Name", "Kontakt.Email", "Spr"]]],
    ids=["all data", "below words", "below abbreviations"],
)  # fmt: skip
async def test_languages_of_a_list_by_position_are_asked_about_unless_an_option_says(
    tmp_path: Path, first: Cells
) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        desk.write("t.csv", text([*first, *DATA]))
        asked = await desk.run("send", *PLACES, "t.csv")
        assert (asked.code, ca.books.requests) == (1, 0)
        assert SEEMS in asked.err
        assert '--map locale="5"; if not: --ignore "column 5"' in asked.err
        without = await desk.run("check", *PLACES, "--ignore", "column 5", "t.csv")
        assert "no heading row; 'column 1', 'column 5' not read" in without.out
        for said in (["--locale", "de"], ["--ignore", "column 5"], ["--map", "locale=5"]):
            checked = await desk.run("check", *PLACES, *said, "t.csv")
            assert checked.code == (3 if first else 0), checked.err
        await desk.run("send", *PLACES, "--map", "locale=5", "t.csv")
        assert ca.books.bodies == BODIES


async def test_codes_in_capitals_may_be_countries_and_are_asked_about(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("t.csv", text([[*row[:4], "DE"] for row in DATA]))
        refused = await desk.run("check", "t.csv")
        assert refused.err.endswith(f"{shlex.join(PLACES)}\n")
        asked = await desk.run("check", *PLACES, "t.csv")
        assert SEEMS in asked.err


@pytest.mark.parametrize("heading", list(WITH_KNOWN_NAMES.values())[:4])
async def test_a_heading_row_is_not_read_as_data_by_position(tmp_path: Path, heading: str) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("t.csv", text([heading.split(";"), *DATA]))
        refused = await desk.run("send", *PLACES, "--map", "locale=5", "t.csv")
        assert (refused.code, ca.books.requests) == (1, 0)
        assert "line 1: this is a heading row, and --no-header says that there" in refused.err


async def test_headings_with_dots_of_another_list_further_down_are_not_read_as_data(
    tmp_path: Path,
) -> None:
    heading = ["Lfd.Nr", "Auftr.Nr", "Srv.Name", "Kontakt.Email", "Spr"]
    async with desk_with_ca(tmp_path) as (desk, ca):
        first = ["nr", "order_id", "domain", "email", "locale"]
        desk.write("t.csv", text([first, *DATA[:3], heading, *DATA[3:]]))
        refused = await desk.run("send", "t.csv")
        assert (refused.code, ca.books.requests) == (1, 0)
        assert "looks like the headings of another list, 'Lfd.Nr' and others" in refused.err
