"""CSV with a heading row: each row ends in a Row or a RejectedRow."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.errors import InputError
from batch_resend.intake import ListSource, Reading
from batch_resend.intake.csv_cells import CsvCells, find_delimiter
from batch_resend.intake.files import ListFile
from batch_resend.intake.text import Text
from batch_resend.model import Entry, Problem, RejectedRow, Row
from tests.intake.conftest import (
    read,
    read_rejected,
    read_row,
    refusal,
    standard_input,
)

HEADING = "order_id,domain,email,email_domain,locale\n"


def test_a_row_with_every_column_is_taken_whole() -> None:
    row = read_row(HEADING + "100200307,sub.example.com,Admin@example.com,Example.com,zh_CN\n")
    assert row == Row(
        line=2,
        order_id="100200307",
        entries=(Entry("sub.example.com", "Admin@example.com", "example.com"),),
        locale="zh_CN",
        raw='["100200307","sub.example.com","Admin@example.com","Example.com","zh_CN"]',
    )


def test_a_list_of_order_numbers_alone_asks_for_all_domains_that_wait() -> None:
    rows = read("order_id\n100200307\n100200308\n")
    assert [(row.order_id, row.entries) for row in rows if isinstance(row, Row)] == [
        ("100200307", ()),
        ("100200308", ()),
    ]


def test_a_row_may_be_an_order_alone_in_a_list_that_has_domains_by_the_word_for_it() -> None:
    content = HEADING.replace("locale", "all domains") + "7, ,,\t, Yes \n"
    assert read_row(content).entries == ()
    told = read_rejected(HEADING + "7, ,,\t,\n")
    assert told.problem is Problem.NO_ADDRESS
    assert "yes in a column (or key) all_domains (or use --all-domains)" in told.reason


def test_blanks_around_cells_go() -> None:
    row = read_row(HEADING + " 100200307 , example.com , admin@example.com , , en \n")
    assert (row.order_id, row.locale) == ("100200307", "en")
    assert row.entries == (Entry("example.com", "admin@example.com"),)


def test_the_locale_of_the_list_is_for_rows_that_name_none() -> None:
    rows = read("order_id,locale\n100200301,de\n100200302,\n100200303, \n", locale="fr")
    assert [row.locale for row in rows if isinstance(row, Row)] == ["de", "fr", "fr"]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        pytest.param(",example.com,a@example.com,,", "order number is missing", id="no order"),
        pytest.param("x,example.com,a@example.com,,", "order number is 'x'", id="a bad order"),
        pytest.param("100200301,example.com,,,", "without an e-mail address", id="a domain alone"),
        pytest.param("100200301,,a@example.com,,", "without the domain", id="an address alone"),
        pytest.param("100200301,,,example.com,", "without an e-mail", id="an e-mail domain alone"),
        pytest.param(
            "100200301,exam ple.com,a@example.com,,", "domain 'exam' is", id="a bad domain"
        ),
        pytest.param(
            "100200301,example.com,a at b,,",
            "address 'a' has no @, in 'a at b'",
            id="a bad address",
        ),
        pytest.param(
            "100200301,example.com,a@example.com,x y,", "domain 'x y'", id="a bad e-mail domain"
        ),
        pytest.param("100200301,,,,english please", "locale 'english please'", id="a bad locale"),
        pytest.param(
            "100200301,,,,,,,more",
            "8 cells, where the heading has 5: are quotation marks",
            id="too many cells",
        ),
    ],
)
def test_a_bad_row_is_rejected_with_its_line_its_reason_and_as_it_stood(
    cells: str, reason: str
) -> None:
    row = read_rejected(HEADING + cells + "\n")
    assert row.line == 2
    assert reason in row.reason
    assert json.loads(row.raw) == cells.split(",")


def test_a_bad_row_does_not_disturb_its_neighbours() -> None:
    rows = read("order_id\n100200301\nx\n100200303\n")
    assert [type(row) for row in rows] == [Row, RejectedRow, Row]


def test_rows_of_nothing_but_blanks_are_none_and_count_as_lines() -> None:
    rows = read("\n \n,,\norder_id,note\n\n100200301,a\n,\n\t, \n100200302,b\n\n\n")
    assert [(row.line, type(row)) for row in rows] == [(6, Row), (9, Row)]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        pytest.param("order_id,note\n100200301,a\n100200302,b\n", [2, 3], id="plain"),
        pytest.param(
            "order_id,note\n100200301,a\n100200302,b", [2, 3], id="no line end at the end"
        ),
        pytest.param("order_id,note\r\n100200301,a\r\n100200302,b\r\n", [2, 3], id="CRLF"),
        pytest.param(
            "order_id,note\r\n100200301,a\n100200302,b\r\n", [2, 3], id="CRLF and LF mixed"
        ),
        pytest.param(
            'order_id,note\n100200301,"a\nb\nc"\n100200302,b\n', [2, 5], id="a quoted line break"
        ),
        pytest.param(
            'order_id,note\r\n100200301,"a\r\nb"\r\n100200302,b\r\n', [2, 4], id="a quoted CRLF"
        ),
        pytest.param(
            'order_id,note\n100200301,"a\n\n\nb"\n\n100200302,"\n"\n100200303,\n',
            [2, 7, 9],
            id="blanks in quotes",
        ),
        pytest.param(
            'order_id,"no\nte"\n100200301,a\nx,b\n', [3, 4], id="a line break in the heading"
        ),
        pytest.param("\ufefforder_id,note\n100200301,a\n", [2], id="a byte order mark"),
        pytest.param(
            "\ufeff\r\n\r\norder_id,note\r\n100200301,a\r\n", [4], id="BOM, then blank lines"
        ),
        pytest.param(
            "order_id,note\n100200301,a\u2028b\n100200302,\x0b\x0c\x85\n",
            [2, 3],
            id="other line ends",
        ),
    ],
)
def test_a_line_number_is_what_an_editor_shows_for_the_rows_first_line(
    content: str, lines: list[int]
) -> None:
    assert [row.line for row in read(content)] == lines


def test_a_byte_order_mark_is_no_part_of_the_first_heading_even_quoted() -> None:
    assert read_row('\ufeff"order_id",note\n100200307,x\n').order_id == "100200307"


@pytest.mark.parametrize("sign", ["\ufeff", "\u200b", "\u2060", "\u00ad", "\u200e"])
@pytest.mark.parametrize(
    "row",
    ["{0}100200307|a.example.com|admin@a.example.com",
     "100200307{0}|a.exam{0}ple.com|ad{0}min@a.example.com",
     "100200307|a.example.com{0}|{0}admin@a.example.com{0}"],
)  # fmt: skip
def test_signs_that_take_no_room_are_taken_away_wherever_they_stand_and_counted(
    sign: str, row: str
) -> None:
    line = row.format(sign)
    content = f"order_id|domain|email\n{line}\n"
    with standard_input(content.encode()):
        source = ListSource("-")
        (found,) = source
    assert isinstance(found, Row)
    assert found.order_id == "100200307"
    assert found.entries == (Entry("a.example.com", "admin@a.example.com"),)
    assert json.loads(found.raw) == line.split("|")
    marked = sum(sign in cell for cell in line.split("|"))
    assert source.form.remarks == {"repaired_invisible": marked}
    flat = json.dumps(dict(zip(("order_id", "domain", "email"), line.split("|"), strict=True)))
    assert read_row(flat + "\n").entries == found.entries


def test_a_byte_order_mark_before_a_second_heading_is_none_of_its_signs() -> None:
    part = "\ufefforder_id,domain,email\n{0},a.example.com,admin@a.example.com\n"
    rows = read(part.format(100200307) + part.format(100200308))
    assert [row.order_id for row in rows] == ["100200307", "100200308"]


def test_a_row_keeps_all_its_cells_as_they_stood() -> None:
    row = read_row('order_id,note\n100200307,"say ""hi"",\n\tyou\u00e9"\n')
    assert row.raw == '["100200307","say \\"hi\\",\\n\\tyou\u00e9"]'


@pytest.mark.parametrize(
    ("content", "line"),
    [
        pytest.param(
            'order_id,n\n100200301,a\n100200302,"b\n100200303,c\n100200304,d\n',
            3,
            id="to the end of the list",
        ),
        pytest.param(
            'order_id,n\n100200301,a\n100200302,"b\n100200303,"c"\n100200304,d\n',
            3,
            id="to the next one",
        ),
        pytest.param('order_id,n\n100200301,"' + "x\n" * 600_000, 2, id="for more than a mebibyte"),
    ],
)
def test_a_quotation_mark_that_never_ends_is_named_and_swallows_no_rows(
    content: str, line: int
) -> None:
    message = refusal(content)
    assert message.startswith(f"standard input, line {line}: not CSV")
    assert "quotation mark" in message


def test_old_macintosh_line_ends_are_line_ends() -> None:
    assert [row.line for row in read("order_id\r1\r2\r")] == [2, 3]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_delimiter_is_found_by_the_heading(separator: str) -> None:
    heading = separator.join(["order_id", "domain", "email"])
    row = read_row(f"{heading}\n1{separator}a.example{separator}x@a.example\n")
    assert row.entries == (Entry("a.example", "x@a.example"),)


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
_CELL = _TEXT | st.sampled_from(
    ["", " ", "1", "100200301", "1,234", "example.com", "*.example.org", "a@example.com", "en",
     "\ufdd0", '"', '""', ",", "\n", "\r\n", "\ufeff", "{", "[", "'", "x\ny"]
)  # fmt: skip
_ROWS = st.lists(st.lists(_CELL, min_size=1, max_size=7), min_size=1, max_size=8)


@given(_ROWS, st.booleans())
def test_whatever_is_in_the_cells_each_row_written_is_one_row_read(
    written: list[list[str]], crlf: bool
) -> None:
    file = io.StringIO()
    plain = csv.writer(file) if crlf else csv.writer(
        file, lineterminator="\n", quoting=csv.QUOTE_ALL
    )  # fmt: skip
    plain.writerow(["order_id", "domain", "email", "email_domain", "locale"])
    expected = []
    for cells in written:
        line = file.getvalue().count("\n") + 1
        plain.writerow(cells)
        if any(map(str.strip, cells)):
            expected.append((line, cells))
    if not expected:
        assert "no rows" in refusal(file.getvalue())
        return
    try:
        rows = read(file.getvalue())
    except InputError as error:  # among texts of any kind there are headings, too
        assert "heading" in str(error)
        return
    assert [(row.line, json.loads(row.raw)) for row in rows] == expected
    assert all(row.reason for row in rows if isinstance(row, RejectedRow))
    assert all(row.order_id.isdigit() for row in rows if isinstance(row, Row))


def test_half_a_character_rejects_its_row_alone_and_keeps_it_as_it_stood() -> None:
    # Some encodings can period it, and UTF-8, which the journal is in, cannot.
    with standard_input(b"order_id,note\n100200307,+2AA-\n100200308,fine\n"):
        bad, good = ListSource("-", Reading(encoding="utf-7"))
    assert isinstance(bad, RejectedRow)
    assert (bad.line, bad.raw) == (2, '["100200307", "\\ud800"]')
    assert "half a character" in bad.reason
    assert isinstance(good, Row)
    assert good.order_id == "100200308"


# --- a public collection of odd CSV files -------------------------------------------------

SPECTRUM = Path(__file__).parent / "csv_spectrum"
TWINS = sorted(path.stem for path in SPECTRUM.glob("*.csv"))


@pytest.mark.parametrize("name", TWINS)
def test_a_file_parses_as_its_twin_says(name: str) -> None:
    source = ListFile(str(SPECTRUM / f"{name}.csv"))
    with source.open() as file:
        text = Text(name, file, None)
        cells = CsvCells(name, text, find_delimiter(name, text, {}, headed=True))
        heading, *rows = [row for _, row in cells]
    expected = json.loads((SPECTRUM / f"{name}.json").read_text(encoding="utf-8"))
    assert [dict(zip(heading, row, strict=True)) for row in rows] == expected


def test_every_file_has_a_twin() -> None:
    assert sorted(path.stem for path in SPECTRUM.glob("*.json")) == TWINS
    assert len(TWINS) == 12
