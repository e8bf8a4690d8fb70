"""Which column holds what."""

import pytest

from batch_resend.intake import REQUEST_FIELDS, Field
from tests.intake.conftest import read_row, refusal

KNOWN = {
    Field.ORDER_ID: ["order_id", "Order ID", "ORDER-ID", "orderid", "Order", "Order Number",
                     "order.number", "Order #", " order_id "],
    Field.DOMAIN: ["domain", "Domain", "Common Name", "common_name", "COMMON-NAME", "FQDN",
                   "dns_name", "DNS name"],
    Field.EMAIL: ["email", "E-mail", "e mail", "EMAIL", "Approver Email", "approver e-mail",
                  "dcv_email"],
    Field.EMAIL_DOMAIN: ["email_domain", "Email Domain", "E-Mail-Domain", "emaildomain"],
    Field.LOCALE: ["locale", "Locale", "LANGUAGE", "language"],
}  # fmt: skip
CELLS = {
    Field.ORDER_ID: "100200301",
    Field.DOMAIN: "example.com",
    Field.EMAIL: "admin@example.com",
    Field.EMAIL_DOMAIN: "example.org",
    Field.LOCALE: "en",
}


def a_list(headings: dict[Field, str]) -> str:
    """Return a CSV list of one row with every field."""
    return (
        ",".join(headings[field] for field in REQUEST_FIELDS)
        + "\n"
        + ",".join(CELLS.values())
        + "\n"
    )


@pytest.mark.parametrize(
    ("field", "heading"), [(field, heading) for field in REQUEST_FIELDS for heading in KNOWN[field]]
)
def test_a_usual_heading_is_known_in_any_case_and_spelling(field: Field, heading: str) -> None:
    expected = read_row(a_list({each: each.value for each in REQUEST_FIELDS}))
    row = read_row(a_list({each: each.value for each in REQUEST_FIELDS} | {field: heading}))
    assert (row.order_id, row.locale, row.entries) == ("100200301", "en", expected.entries)
    assert (row.entries[0].domain, row.entries[0].email) == ("example.com", "admin@example.com")
    assert row.entries[0].email_domain == "example.org"


def test_columns_may_stand_in_any_order_among_others() -> None:
    row = read_row(
        "note,email,amount,domain,order_id\nx,admin@example.com,9,example.com,100200307\n"
    )
    assert (row.order_id, row.locale) == ("100200307", None)
    assert row.entries[0].domain == "example.com"
    assert row.entries[0].email == "admin@example.com"


def test_a_mapping_names_a_column_outright() -> None:
    content = "Nummer,Name,Adresse,Sprache\n100200307,example.com,admin@example.com,de\n"
    mapping = {
        Field.ORDER_ID: "Nummer",
        Field.DOMAIN: "Name",
        Field.EMAIL: "Adresse",
        Field.LOCALE: "Sprache",
    }
    row = read_row(content, mapping)
    assert (row.order_id, row.locale) == ("100200307", "de")
    assert (row.entries[0].domain, row.entries[0].email) == ("example.com", "admin@example.com")


def test_a_mapping_rules_out_the_usual_heading_of_its_field() -> None:
    assert (
        read_row("order_id,Auftrag\n100200301,100200302\n", {Field.ORDER_ID: "Auftrag"}).order_id
        == "100200302"
    )


def test_a_mapped_column_is_not_taken_for_what_its_heading_says_as_well() -> None:
    content = "order id,order,email\n100200301,example.com,admin@example.com\n"
    row = read_row(content, {Field.DOMAIN: "order"})
    assert (row.order_id, row.entries[0].domain) == ("100200301", "example.com")


def test_a_mapping_settles_which_of_two_usual_headings_is_meant() -> None:
    content = "id,order_number\n100200301,100200302\n"
    assert read_row(content, {Field.ORDER_ID: "order_number"}).order_id == "100200302"
    assert read_row(content, {Field.ORDER_ID: "id"}).order_id == "100200301"


def test_a_mapping_finds_its_heading_between_blanks() -> None:
    assert (
        read_row(" Auftrag ,note\n100200302,x\n", {Field.ORDER_ID: "Auftrag"}).order_id
        == "100200302"
    )


def test_a_mapping_of_a_column_that_is_not_there_is_refused_with_those_that_are() -> None:
    message = refusal("order_id,Note\n100200301,x\n", {Field.EMAIL: "Adresse"})
    assert message.startswith("standard input, line 1: --map email='Adresse'")
    assert "'order_id', 'Note'" in message


@pytest.mark.parametrize(
    "pair", [("order_id", "Order Number"), ("Order", "Order Nr."), ("Order No.", "Bestellnummer")]
)
def test_two_columns_for_one_field_are_refused_with_the_way_to_say_which(
    pair: tuple[str, str],
) -> None:
    message = refusal(f"{pair[0]},note,{pair[1]}\n1,x,100200301\n")
    assert message.startswith("standard input, line 1: ")
    assert repr(pair[0]) in message
    assert repr(pair[1]) in message
    assert f'--map order_id="{pair[1]}"' in message
    assert f'--ignore "{pair[0]}"' in message


def test_two_of_one_name_are_refused_with_what_to_do_about_them() -> None:
    message = refusal("Order,note,Order\n100200301,x,2\n")
    assert "several columns are called 'Order'" in message
    assert "--map" not in message


def test_a_mapping_to_a_heading_that_stands_twice_is_refused() -> None:
    content = "order_id,domain,email,email\n100200301,example.com,a@example.com,b@example.com\n"
    assert "'email'" in refusal(content, {Field.EMAIL: "email"})


def test_a_list_without_an_order_column_is_refused_with_its_columns_and_the_remedy() -> None:
    message = refusal("\nName,Kunde\nx,y\n")
    assert message.startswith("standard input, line 2: no column holds the order number")
    assert "'Name', 'Kunde'" in message
    assert '--map order_id="COLUMN"' in message


def test_a_single_text_above_what_are_no_headings_either_is_named_as_what_it_may_be() -> None:
    told = refusal("Export of 26 November;;\nWas;Wer;Wo\nx;y;z\n")
    assert told.endswith("; if that line is a title, delete what stands above the headings")
    assert "title" not in refusal("Name;Kunde;Ort\nx;y;z\n")


def test_a_list_without_a_heading_row_is_refused_not_read_from_its_second_row() -> None:
    message = refusal("100200301,admin@example.com,example.com\n")
    assert "line 1: there is no heading row, but a row of data" in message
    assert "--no-header --map order_id=1 --map email=2 --map domain=3" in message


def test_a_refusal_shows_the_first_twenty_of_very_many_columns() -> None:
    message = refusal(",".join(f"c{n}" for n in range(5_000)) + "\n100200301\n")
    assert "'c19' and 4980 more" in message
    assert "'c20'" not in message


@pytest.mark.parametrize(
    ("headings", "there", "lacking"),
    [
        ("order_id,domain", "domain", "email"),
        ("order_id,email", "email", "domain"),
        ("order_id,domain,email_domain", "domain and email_domain", "email"),
        ("order_id,common name,contact", "domain", "email"),
    ],
)
def test_a_domain_column_without_an_email_column_is_refused_and_the_other_way(
    headings: str, there: str, lacking: str
) -> None:
    message = refusal(f"{headings}\n100200301,,\n")
    assert f"a column for the {there}, but none for the {lacking}" in message
    assert f"--map {lacking}=" in message


def test_what_may_be_a_key_is_not_repeated_where_a_list_is_expected() -> None:
    told = refusal("ABCDEFGH01234567_ABCDEFGH01234567\n")
    assert "ABCDEFGH" not in told
    assert "--api-key-file FILE names that" in told
