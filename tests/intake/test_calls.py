"""Rows that ask for another of the CA's calls: what they need, and what they become."""

import json
from pathlib import Path

import pytest

from batch_resend.errors import InputError
from batch_resend.intake import ListSource, Reading, RecordSource
from batch_resend.model import Call, Entry, Note, Problem, RejectedRow, Row

DOMAIN = Reading(call=Call.DOMAIN_DCV)
APPROVAL = Reading(call=Call.ORDER_APPROVAL)


def read(folder: Path, text: str, reading: Reading | None = None) -> list[Row | RejectedRow]:
    """Return the rows of a list."""
    path = folder / "list"
    path.write_text(text)
    return list(ListSource(str(path), reading))


def asked(row: Row | RejectedRow) -> tuple[Call, str | None, tuple[str, ...]]:
    """Return the call of a good row, what it is about, and its addresses."""
    assert isinstance(row, Row), row
    return row.call, row.order_id, tuple(entry.email for entry in row.entries)


def problem(row: Row | RejectedRow) -> tuple[Problem, str]:
    """Return what is wrong with a row."""
    assert isinstance(row, RejectedRow), row
    return row.problem, row.reason


def test_a_list_of_domains_needs_no_order_numbers_and_a_wildcard_is_the_name_below_it(
    tmp_path: Path,
) -> None:
    rows = read(tmp_path, "domain\nWWW.Example.com.\n*.b.example\n", DOMAIN)
    assert [asked(row) for row in rows] == [
        (Call.DOMAIN_DCV, "www.example.com", ()),
        (Call.DOMAIN_DCV, "b.example", ()),
    ]


def test_a_domain_may_be_named_by_its_number_and_then_its_name_is_the_scope(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        "domain_id,domain,emails,locale,all_domains\n"
        "17,www.a.example,admin@a.example; webmaster@a.example,de,\n18,,,,yes\n",
        DOMAIN,
    )
    assert [asked(row) for row in rows] == [
        (Call.DOMAIN_DCV, "17 www.a.example", ("admin@a.example", "webmaster@a.example")),
        (Call.DOMAIN_DCV, "18", ()),
    ]
    assert isinstance(rows[0], Row)
    assert rows[0].entries[0] == Entry("www.a.example", "admin@a.example")
    assert rows[0].locale == "de"


@pytest.mark.parametrize(
    ("cells", "notes"),
    [
        pytest.param(",a.example,Admin@A.Example", (), id="constructed"),
        pytest.param(",www.a.example,webmaster@a.example", (), id="at a parent"),
        pytest.param(",*.a.example,postmaster@a.example", (), id="of a wildcard"),
        pytest.param("100200317,a.example,admin@a.example", (), id="at the name scope"),
        pytest.param(",a.example,somebody@a.example", (Note.MAY_MAIL_ALL,), id="another name"),
        pytest.param(",a.example,amdin@a.example", (Note.MAY_MAIL_ALL,), id="a typing error"),
        pytest.param(",a.example,admin@b.example", (Note.MAY_MAIL_ALL,), id="another domain"),
        pytest.param(",a.example,admin@www.a.example", (Note.MAY_MAIL_ALL,), id="below it"),
        pytest.param(",a.co.uk,admin@co.uk", (Note.MAY_MAIL_ALL,), id="at a public suffix"),
        pytest.param(",a.example,x@a.example y@a.example", (Note.MAY_MAIL_ALL,), id="two, neither"),
        pytest.param(
            "100200317,,admin@a.example", (Note.MAY_MAIL_ALL,), id="a domain known by number"
        ),
        pytest.param(
            ",a.example,x@a.example admin@a.example", (Note.NOT_CONSTRUCTED,), id="one of two"
        ),
    ],
)
def test_addresses_that_the_ca_may_not_know_for_a_domain_are_noted(
    tmp_path: Path, cells: str, notes: tuple[Note, ...]
) -> None:
    (row,) = read(tmp_path, f"domain_id,domain,email\n{cells}\n", DOMAIN)
    assert isinstance(row, Row)
    assert row.notes == notes


def test_without_a_column_for_addresses_whom_the_ca_knows_is_plainly_asked_for(
    tmp_path: Path,
) -> None:
    (row,) = read(tmp_path, "domain\na.example\n", DOMAIN)
    assert isinstance(row, Row)
    assert (row.entries, row.notes) == ((), ())
    (none,) = read(tmp_path, "domain,email\na.example,\n", DOMAIN)
    assert problem(none)[0] is Problem.NO_ADDRESS, "there is a column, and it may have lost one"


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("domain_id\n80\n", (Note.NUMBER_ALONE,)),
        ("domain_id,email,all_domains\n80,,yes\n", (Note.ALL_DOMAINS, Note.NUMBER_ALONE)),
        ("domain_id,email\n80,admin@a.example\n", (Note.MAY_MAIL_ALL,)),
        ("domain_id,domain\n80,a.example\n", ()),
        ("domain\na.example\n", ()),
    ],
)
def test_a_domain_by_its_number_alone_is_noted_with_addresses_and_without(
    tmp_path: Path, text: str, notes: tuple[Note, ...]
) -> None:
    (row,) = read(tmp_path, text, DOMAIN)
    assert isinstance(row, Row)
    assert row.notes == notes


def test_whom_an_approval_mails_is_no_matter_of_constructed_addresses(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "order_id,email\n100200301,somebody@else.example\n", APPROVAL)
    assert isinstance(row, Row)
    assert row.notes == ()


@pytest.mark.parametrize(
    ("line", "what", "why"),
    [
        ("17x,,", Problem.DOMAIN, "the domain number is '17x': digits are expected"),
        (",a.example b.example,", Problem.DOMAIN, "2 domains in one row"),
        (",,admin@a.example", Problem.DOMAIN, "the domain is missing"),
        (",a_b.example,", Problem.DOMAIN, "has characters that no domain name has"),
        (",a.example,nobody", Problem.EMAIL, "has no @"),
    ],
)
def test_a_domain_that_is_none_is_rejected(
    tmp_path: Path, line: str, what: Problem, why: str
) -> None:
    (row,) = read(tmp_path, f"domain_id,domain,email\n{line}\n", DOMAIN)
    found, reason = problem(row)
    assert (found, why in reason) == (what, True), reason


def test_a_list_without_a_domain_is_no_list_of_domains(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='--map domain="COLUMN"'):
        read(tmp_path, "name,email\na,b@c.example\n", DOMAIN)


def test_an_approval_needs_an_address_and_takes_no_language(tmp_path: Path) -> None:
    good, bad = read(
        tmp_path, "order_id,email,locale\n100200301,a@b.example,de\n100200302,,\n", APPROVAL
    )
    assert asked(good) == (Call.ORDER_APPROVAL, "100200301", ("a@b.example",))
    assert isinstance(good, Row)
    assert good.locale is None
    assert problem(bad)[0] is Problem.EMAIL
    assert "needs an e-mail address: the one to mail" in problem(bad)[1]


def test_rows_may_each_name_their_call(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        "order_id,call,domain,email,all_domains\n100200301,,a.example,admin@a.example,\n"
        "100200302,order-approval,,x@y.example,no\n,Domain_DCV,b.example,,yes\n100200303,dv-resend,,,yes\n"
        "100200304,telephone,,,\n",
    )
    assert [asked(row)[:2] for row in rows[:4]] == [
        (Call.DV_RESEND, "100200301"),
        (Call.ORDER_APPROVAL, "100200302"),
        (Call.DOMAIN_DCV, "b.example"),
        (Call.DV_RESEND, "100200303"),
    ]
    found, reason = problem(rows[4])
    assert found is Problem.CALL
    assert "'telephone' does not exist: write dv-resend, domain-dcv, order-approval" in reason


def test_json_may_have_the_calls_own_words(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        '{"call": "domain-dcv", "domain_id": 17, "name_scope": "www.a.example",'
        ' "email_array": ["admin@a.example", "x@a.example"], "locale": "en"}\n'
        '{"call": "order-approval", "order_id": 100200305, "emails": ["boss@a.example"]}\n',
    )
    assert [asked(row) for row in rows] == [
        (Call.DOMAIN_DCV, "17 www.a.example", ("admin@a.example", "x@a.example")),
        (Call.ORDER_APPROVAL, "100200305", ("boss@a.example",)),
    ]


def test_by_its_product_a_row_is_another_call_only_where_that_is_wanted(tmp_path: Path) -> None:
    text = (
        "order_id,domain,email,product\n100200301,a.example,admin@a.example,ssl_ev_basic\n"
        "100200302,b.example,admin@b.example,ssl_dv_rapidssl\n100200303,c.example,admin@c.example,\n"
    )
    usual = read(tmp_path, text)
    assert all(isinstance(row, Row) and row.call is Call.DV_RESEND for row in usual)
    assert isinstance(usual[0], Row)
    assert "--call domain-dcv" in (usual[0].skip or "")
    chosen = read(tmp_path, text, Reading(auto_call=True))
    assert [asked(row)[:2] for row in chosen] == [
        (Call.DOMAIN_DCV, "a.example"),
        (Call.DV_RESEND, "100200302"),
        (Call.DV_RESEND, "100200303"),
    ]
    assert all(isinstance(row, Row) and row.skip is None for row in chosen)


@pytest.mark.parametrize(
    ("number", "domains", "subject"),
    [
        ("17", "a.example", "17 a.example"),
        ("17", "*.a.example", "17 a.example"),
        ("17", "a.example; b.example", "17"),
        ("17", "", "17"),
        ("", "*.a.example", "a.example"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "json"])
def test_of_an_export_one_name_beside_a_domains_number_is_its_name_scope(
    tmp_path: Path, form: str, number: str, domains: str, subject: str
) -> None:
    record = {"order_id": 100200301, "product": "ssl_ev", "domains": domains, "domain_id": number}
    table = ("\n".join(",".join(map(str, line)) for line in (record, record.values()))) + "\n"
    text = table if form == "csv" else json.dumps(record) + "\n"
    (row,) = read(tmp_path, text, Reading(auto_call=True))
    assert asked(row) == (Call.DOMAIN_DCV, subject, ())


def test_how_its_domains_are_validated_says_nothing_of_an_approval(tmp_path: Path) -> None:
    text = "order_id,email,dcv_method,status\n100200301,a@b.example,dns-txt-token,{}\n"
    (row,) = read(tmp_path, text.format("pending"), APPROVAL)
    assert isinstance(row, Row)
    assert row.skip is None
    (row,) = read(tmp_path, text.format("issued"), APPROVAL)
    assert isinstance(row, Row)
    assert "issued" in (row.skip or "")


@pytest.mark.asyncio
async def test_records_may_name_calls_and_the_accounts_that_are_known() -> None:
    records = [
        {"order_id": 100200301, "account": "shop"},
        {"order_id": 100200302, "account": "nobody"},
        {"order_id": 100200303, "call": "order-approval", "emails": ["a@b.example"]},
    ]
    source = RecordSource(records, locale="en", accounts={"shop": "de"})
    first, second, third = [row async for row in source]
    assert isinstance(first, Row)
    assert (first.account, first.locale) == ("shop", "de")
    assert problem(second)[0] is Problem.ACCOUNT
    assert asked(third)[0] is Call.ORDER_APPROVAL
    (other,) = [row async for row in RecordSource([{"order_id": 100200301, "account": "shop"}])]
    assert problem(other)[0] is Problem.ACCOUNT, "without accounts it may be about something else"
