"""A command that a refused list's message suggests works as it stands, when it is pasted."""

import re
import shlex
from pathlib import Path

import pytest
import xlsxwriter

from tests.cli.conftest import Desk, desk_with_ca

ROW = "100200301{0}a.example.com{0}admin@a.example.com\n"
PAIR = {"domain": "a.example.com", "email": "admin@a.example.com"}
COMMAND = re.compile(r"batch-resend (check .*?)(?:;| \(without|$)", re.S)


def suggested(message: str) -> list[str]:
    """Return the words of the command in a message, as a shell takes them."""
    found = COMMAND.search(message)
    assert found is not None, message
    return shlex.split(found[1])


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("list.csv", "Vorgang,Seite,Kontakt\n" + ROW.format(","), ""),
        ("my list (1).csv", "Vorgang,Seite,Kontakt\n" + ROW.format(","), ""),
        ("it's.csv", "Vorgang,Seite,Kontakt\n" + ROW.format(","), ""),
        ("list.csv", '"The ""Vorgang""",Seite,$Kontakt\n' + ROW.format(","), ""),
        ("list.csv", '"Vor\ngang","Sei  te",Kon`takt\n' + ROW.format(","), ""),
        ("list.csv", "Vorgang,Seite,Kontakt's\n" + ROW.format(","), ""),
        ("list.csv", "Vorgang!,Seite\\x,Kontakt\u00a0x\n" + ROW.format(","), ""),
        ("list.csv", "Vorgang~Seite~Kontakt\n" + ROW.format("~"), "--delimiter '~'"),
        ("list.csv", "Vorgang\tdomain\tKontakt\n" + ROW.format("\t"), "--delimiter tab"),
        ("list.csv", "Vorgang,Seite,Kontakt\n" + ROW.format(","), "--map domain=Seite"),
        ("list.csv", "Vorgang,domain,email\n" + ROW.format(","), "--locale de"),
        ("list.csv", "order_id,Seite,email\n" + ROW.format(","), ""),
        ("list.csv", "order_id,domain,Kontakt\n" + ROW.format(","), ""),
        # Others that hold numbers: a year, a telephone's, a count.
        (
            "list.csv",
            "Jahr,Vorgang,Seite,Kontakt,Telefon,Nr.\n"
            "2026,100200301,a.example.com,admin@a.example.com,004930123456,1\n",
            "",
        ),
        ("latin.csv", "Vorgäng,Seite,Kontakt\n" + ROW.format(","), "--encoding cp1252"),
    ],
)
async def test_the_command_that_is_suggested_for_unknown_headings_reads_the_list(
    tmp_path: Path, name: str, content: str, options: str
) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        encoding = "cp1252" if "cp1252" in options else "utf-8"
        (desk.folder / name).write_bytes(content.encode(encoding))
        refused = await desk.run("check", name, *shlex.split(options))
        assert refused.code == 1
        words = suggested(refused.err)
        checked = await desk.run(*words)
        assert checked.code == 0, checked.err
        sent = await desk.run("send", *words[1:])
        assert sent.code == 0, sent.err
        assert [body["domain_approval_emails"] for body in ca.books.bodies["100200301"]] == [[PAIR]]


async def test_so_does_that_for_a_sheet_and_for_standard_input(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    book = xlsxwriter.Workbook(str(tmp_path / "list.xlsx"))
    for sheet in ("Other", "The 2nd"):
        rows = book.add_worksheet(sheet)
        rows.write_row(0, 0, ["Vorgang", "Seite", "Kontakt"])
        rows.write_row(1, 0, [100200301, *PAIR.values()])
    book.close()
    refused = await desk.run("check", "list.xlsx", "--sheet", "The 2nd")
    checked = await desk.run(*suggested(refused.err))
    assert checked.code == 0, checked.err
    content = ("Vorgang,Seite,Kontakt\n" + ROW.format(",")).encode()
    refused = await desk.run("check", "-", stdin=content)
    checked = await desk.run(*suggested(refused.err), stdin=content)
    assert checked.code == 0, checked.err


@pytest.mark.parametrize(
    "content",
    [
        "id,name\n1,Paris\n2,Rome\n",  # numbers that no order has
        "Vorgang,Auftrag,Seite,Kontakt\n100200301,100200309,a.example.com,admin@a.example.com\n",
        "Vorgang,Seite,Kunde,Kontakt\n100200301,a.example.com,jo@c.example,admin@a.example.com\n",
        "Vorgang,Vorgang,Seite,Kontakt\n100200301,1,a.example.com,admin@a.example.com\n",
    ],
)
async def test_where_two_columns_may_be_meant_or_none_no_command_is_suggested(
    tmp_path: Path, content: str
) -> None:
    desk = Desk(tmp_path)
    desk.write("list.csv", content)
    refused = await desk.run("check", "list.csv")
    assert refused.code == 1
    assert "COLUMN" in refused.err
    assert "batch-resend check" not in refused.err


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (
            "order_id,domain,email,email 2\n" + ROW.format(",").replace("\n", ",x@a.example.com\n"),
            0,
        ),
        (
            "order_id,domain,email,domain 2,email 2\n"
            + ROW.format(",").replace("\n", ",b.example.com,x@b.example.com\n"),
            0,
        ),
        ("order_id,domain,email,send?\n" + ROW.format(",").replace("\n", ",yes\n"), 0),
        ("order_id,domain,email,Lang Kunde\n" + ROW.format(",").replace("\n", ",de\n"), 0),
        ("order_id,domain,email,Status\n" + ROW.format(",").replace("\n", ",Open\n"), 0),
        ("order_id,Order No.,domain,email\n100200301," + ROW.format(","), 0),
    ],
)
async def test_all_that_is_to_be_left_aside_is_named_with_the_options_for_it(
    tmp_path: Path, content: str, code: int
) -> None:
    desk = Desk(tmp_path)
    desk.write("list.csv", content)
    refused = await desk.run("check", "list.csv")
    assert refused.code == 1
    flags = " ".join(re.findall(r'--ignore (?:"[^"]*"|\S+)', refused.err))
    checked = await desk.run("check", "list.csv", *shlex.split(flags))
    assert checked.code == code, checked.err
