"""What a spreadsheet makes of a cell by itself, when it opens a list and saves it again."""

import pytest

from batch_resend.intake.spreadsheet import may_remake, remakes

# What stood in a cell, and what a spreadsheet may save.
MADE = (
    # In scientific notation: in full, in fewer digits, and both one after the other.
    *(
        ("1.00401E+08", now)
        for now in (
            "100401000", "1.00E+08", "1E+08", "100000000", "100401000.00", "100,401,000",
            "100.401.000", "100 401 000", "100\u00a0401\u00a0000", "100\u202f401\u202f000",
            "100'401'000", "100\u2019401\u2019000", "10,04,01,000", "10040100000%",
            "100,401,000.00", "100.401.000,00",
        )
    ),
    ("1,00401E+08", "100401000"),
    ("1.00401e8", "100401000"),
    # In digits.
    *(
        (stood, "200504064")
        for stood in (
            "0200504064", "+200504064", "'0200504064", "200504064.0", "200504064,00", "200504064.",
            "200.504.064", "200 504 064", "200'504'064", "20,05,04,064", "$200504064",
            "200.504.064,00 \u20ac", "20050406400%", "\u00a0200504064 ",
            "\uff12\uff10\uff10\uff15\uff10\uff14\uff10\uff16\uff14",
        )
    ),
    ("007", "7"), ("0", "0.00"), ("-5", "-5.00"), (".5", "0.5"),
    ("(5)", "-5"), ("(1,234.50)", "-1234.5"), ("$(5)", "-5"), ("($ 5.00)", "-5"), ("-5", "(5)"),
    ("1,50", "1.5"), ("1.50", "1,5"), ("1234.56", "1,235"), ("12.5%", "13%"), ("5%", "0.05"),
    # Of 15 digits a spreadsheet makes up those behind; General shows six of twelve.
    ("12345678901234567", "12345678901234500"), ("12345678901234567", "1.23456789012346E+16"),
    ("12345678901234567", "12345678901234600"), ("123456789012", "1.23457E+11"),
    # Dates, as they are shown, and as the numbers that they are.
    *(
        ("1-2", now)
        for now in (
            "02.01.2026", "01.02.26", "2026-01-02", "2026-02-01 00:00:00", "1/2/2026", "2-Jan",
            "01. Feb", "1 f\u00e9vr.", "1\u67082\u65e5", "46024", "46054", "46024.0",
        )
    ),
    ("1.2", "46054"), ("1/2", "02.01.2026"), ("12-3456", "Dec-56"), ("12-3456", "568654"),
    ("5 Jan", "05.01.2026"), ("MAR1", "01. Mrz"), ("dec-26", "46357"),
    ("2026-01-05", "05/01/2026"), ("2026-01-05 10:00", "46027.4166666667"),
    ("2026-01-05T10:00:00Z", "05.01.2026 10:00"),
    ("10:30", "10:30:00"), ("10:30", "0.4375"), ("100:30", "4 days, 4:30:00"), ("2400:00", "100"),
    # True and false.
    ("true", "TRUE"), ("True", "WAHR"), ("false", "FAUX"), ("TRUE", "1"),
    # Nothing but blanks, and line ends.
    (" x\u00a0", "x"), ("a\r\nb", "a\nb"), ("", " "), ("'=1+1", "=1+1"),
)  # fmt: skip
# What stood in a cell, and what only a person makes of it.
TYPED = (
    ("1.00401E+08", "100400596"), ("1.00401E+08", "100401001"), ("1.00E+08", "100401000"),
    ("2e9", "100200301"), ("100200301", "100200300"), ("100200301", "100200302"),
    ("10020", "100200303"), ("100200302100200303", "100200302"), ("100200", "100200303"),
    ("-100200301", "100200301"), ("(100200301)", "100200301"), ("(5)", "5"), ("(5", "-5"),
    ("1-2", "100200301"), ("1-2", "100.200.301"), ("1-2", "46099"),
    ("PO-12", "100200301"), ("10:30", "100200301"), ("#100200301", "100200301"),
    ("100200301 (Kim)", "100200301"), ("100200301\u00b2", "100200301"),
    ("", "100200301"), ("100200301", ""), ("", "yes"), ("yes", "true"), ("de", "en"),
    ("admin@@a.example", "admin@a.example"), ("a.example", "b.example"),
)  # fmt: skip


@pytest.mark.parametrize(("stood", "now"), MADE)
def test_what_a_spreadsheet_makes_of_a_cell_by_itself(stood: str, now: str) -> None:
    assert remakes(stood, now)


@pytest.mark.parametrize(("stood", "now"), TYPED)
def test_what_only_a_person_makes_of_it(stood: str, now: str) -> None:
    assert not remakes(stood, now)


def test_what_a_spreadsheet_may_take_for_something_else() -> None:
    taken = ("1.00401E+08", "100,401", "007", "1-2", "1:30", "mar1", "true", "5%")
    assert [text for text in taken if not may_remake(text)] == []
    left = ("", "1e9,y", "1e9;shop.example", '"1.00401E+08"', "100200301,a.example", "x")
    assert [text for text in left if may_remake(text)] == []
