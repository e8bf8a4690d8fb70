"""Which column holds what."""

import pytest

from batch_resend.intake import REQUEST_FIELDS, Field, ListSource
from batch_resend.intake.fields import known_field, misspelled, plain
from batch_resend.model import Entry, Row
from tests.intake.conftest import (
    REFUSED,
    goes,
    read,
    read_rejected,
    read_row,
    refusal,
    standard_input,
)

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


MAIL = "example.com,admin@example.com"
READ = {  # a list, what --map names, and what stands in the row: order, language, domain
    "columns in any order among others": (
        "note,locale,email,amount,domain,order_id\nx,,admin@example.com,9,example.com,100200307\n",
        {}, ("100200307", None, "example.com"),
    ),
    "a mapping names columns outright": (
        f"Nummer,Name,Adresse,Sprache\n100200307,{MAIL},de\n",
        {Field.ORDER_ID: "Nummer", Field.DOMAIN: "Name", Field.EMAIL: "Adresse",
         Field.LOCALE: "Sprache"},
        ("100200307", "de", "example.com"),
    ),
    "it rules out the usual heading of its field": (
        f"order_id,Auftrag,domain,email\n100200301,100200302,{MAIL}\n",
        {Field.ORDER_ID: "Auftrag"}, ("100200302", None, "example.com"),
    ),
    "its column is not taken for what its heading says as well": (
        f"order id,order,email\n100200301,{MAIL}\n",
        {Field.DOMAIN: "order"}, ("100200301", None, "example.com"),
    ),
    "it settles which of two usual headings is meant": (
        f"id,order_number,domain,email\n100200301,100200302,{MAIL}\n",
        {Field.ORDER_ID: "order_number"}, ("100200302", None, "example.com"),
    ),
    "and the other way": (
        f"id,order_number,domain,email\n100200301,100200302,{MAIL}\n",
        {Field.ORDER_ID: "id"}, ("100200301", None, "example.com"),
    ),
    "it finds its heading between blanks": (
        f" Auftrag ,note,domain,email\n100200302,x,{MAIL}\n",
        {Field.ORDER_ID: "Auftrag"}, ("100200302", None, "example.com"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "mapping", "held"), READ.values(), ids=READ)
def test_a_column_is_found_by_its_usual_heading_or_by_its_mapping(
    content: str, mapping: dict[Field, str], held: tuple[str, str | None, str]
) -> None:
    row = read_row(content, mapping)
    assert (row.order_id, row.locale, row.entries[0].domain) == held
    assert row.entries[0].email == "admin@example.com"


def test_a_mapped_number_alone_is_read_beside_the_usual_heading() -> None:
    content = "order_id,Auftrag\n100200301,100200302\n"
    assert read_row(content, {Field.ORDER_ID: "Auftrag"}).order_id == "100200302"


def test_a_heading_once_more_is_one_with_a_stray_carriage_return_as_well() -> None:
    content = (
        f"order_id,domain,email\n100200301,{MAIL}\n"
        "email\r,order_id,domain\nadmin@b.example,100200302,b.example\n"
    )
    held = [(row.order_id, row.entries[0].domain) for row in read(content) if isinstance(row, Row)]
    assert held == [("100200301", "example.com"), ("100200302", "b.example")]


def test_below_a_heading_in_another_order_a_row_of_another_width_is_rejected() -> None:
    above = "order_id,all_domains,team\n100200301,yes,blue,\n100200302,yes,blue,\n"
    below = "order_id,team,all_domains\n100200303,yes,no,\n"
    assert goes(above + below) == ["100200301", "100200302"]


@pytest.mark.parametrize(
    "heading",
    ["Order ID(s)", "Order IDs", "Order Number(s)", "Order Numbers", "Order #(s)", "Order No.(s)",
     "Bestellnummer(s)", "Bestellnummer(n)", "Auftragsnummern", "DigiCert Order ID (s)",
     "Num\u00e9ro(s) de commande"],
)  # fmt: skip
def test_a_heading_is_known_in_the_plural_too(heading: str) -> None:
    content = f"{heading},Domain(s),E-Mail Address(es),Language(s)\n100200301,{MAIL},de\n"
    row = read_row(content)
    assert (row.order_id, row.locale, len(row.entries)) == ("100200301", "de", 1)


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


def test_a_single_text_above_what_are_no_headings_either_is_named_as_what_it_may_be() -> None:
    message = refusal("Export of 26 November;;\nWas;Wer;Wo\nx;y;z\n")
    assert message.endswith("; if that line is a title, delete what is above the headings")
    assert "title" not in refusal("Name;Kunde;Ort\nx;y;z\n")


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


REFUSALS = {  # a list, what --map names, what the refusal says, and what it does not
    "a mapped column that is not there, with those that are": (
        "order_id,Note\n100200301,x\n", {Field.EMAIL: "Adresse"},
        ["standard input, line 1: --map email='Adresse'", "'order_id', 'Note'"], [],
    ),
    "a mapped heading that appears twice": (
        f"order_id,domain,email,email\n100200301,{MAIL},b@example.com\n",
        {Field.EMAIL: "email"}, ["two columns are called 'email'"], [],
    ),
    "two of one name, with what to do about them": (
        "Order,note,Order\n100200301,x,2\n", {},
        ["several columns are called 'Order'"], ["--map"],
    ),
    "no order column, with the columns and the remedy": (
        "\nName,Kunde\nx,y\n", {},
        ["standard input, line 2: no column holds the order number", "'Name', 'Kunde'",
         '--map order_id="COLUMN"'], [],
    ),
    "no heading row": (
        "100200301,admin@example.com,example.com\n", {},
        ["line 1: there is no heading row, but a row of data",
         "--no-header --map order_id=1 --map email=2 --map domain=3"], [],
    ),
    "the first twenty of very many columns": (
        ",".join(f"c{n}" for n in range(5_000)) + "\n100200301\n", {},
        ["'c19' and 4980 more"], ["'c20'"],
    ),
    "what may be a key, which is not repeated": (
        "ABCDEFGH01234567_ABCDEFGH01234567\n", {}, ["use --api-key-file FILE"], ["ABCDEFGH"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "mapping", "said", "unsaid"), REFUSALS.values(), ids=REFUSALS)
def test_a_list_is_refused_with_what_it_lacks_and_what_to_do(
    content: str, mapping: dict[Field, str], said: list[str], unsaid: list[str]
) -> None:
    message = refusal(content, mapping)
    assert [words for words in said if words not in message] == []
    assert [words for words in unsaid if words in message] == []


# --- words of many languages ------------------------------------------------------------

ROW = "100200301;a.example.com;admin@a.example.com;de\n"
ORDINARY = [
    "Order ID:;Domain(s);E-mail(s):;Lang",
    "Order No.*;Host;Recipient;Language:",
    "Best.-Nr.;CN;To;Sprache",
    "Bestellung;Domänen;Empfänger;Sprache",
    "Order;Common Name;Approval Email;Lang.",
    "Order Number;FQDNs;Validation e-mail;Mail language",
    "Commande;Domaine;Destinataire;Langue",
    "Pedido;Domínio;Endereço de e-mail;Língua",
    "Número do pedido;Nome de domínio;E-mail;Idioma",
    "Ordine;Nome di dominio;Destinatario;Lingua",
    "Beställningsnummer;Domän;E-postadress;Språk",
    "Ordrenummer;Domæne;E-post;Sprog",
    "Nr zamówienia;Domena;Adres e-mail;Język",
    "Bestelnummer;Domeinnaam;E-mailadres;Taal",
    "Номер заказа;Домен;Электронная почта;Язык",
    "注文番号;ドメイン名;メールアドレス;言語",
    "订单号;域名;电子邮箱;语言",
    "주문번호;도메인;이메일;언어",
    "Číslo objednávky;Doména;E-mail;Jazyk",
    "Sipariş No;Alan ad\u0131;E-posta;Dil",
]


@pytest.mark.parametrize("heading", ORDINARY)
def test_a_list_with_ordinary_headings_is_read_without_a_word(heading: str) -> None:
    row = read_row(f"{heading}\n{ROW}")
    assert row.order_id == "100200301"
    assert row.entries == (Entry("a.example.com", "admin@a.example.com"),)
    assert row.locale == "de"


@pytest.mark.parametrize(
    "content",
    ["id,name\n100200301,x\n", "No.,Name\n100200301,x\n", "Number,To\n100200301,x\n",
     "Nr.;Name;An\n100200301;x;y\n", "Name,To\nx,admin@a.example.com\n", "To\n100200301\n",
     "Number\n100200301\n", "No.\n100200301\n", "Name\n100200301\n", "id\n100200301\n",
     "Pedido,Cliente\n100200301,x\n", "Auftrag;Kunde\n100200301;x\n",
     "Commande,Client\n100200301,x\n", "Zamówienie;Klient\n100200301;x\n"],
)  # fmt: skip
def test_a_word_for_anything_makes_no_list_of_orders(content: str) -> None:
    assert goes(content) == REFUSED


@pytest.mark.parametrize("word", ["Order", "Pedido", "Auftrag", "Commande", "Bestelling"])
def test_a_word_for_any_order_is_enough_where_nothing_else_stands(word: str) -> None:
    assert goes(f"{word}\n100200301\n") == ["100200301"]


def test_a_heading_of_many_meanings_holds_nothing_where_another_one_is_plain() -> None:
    content = (
        "order_id,domain,email,host,cn,to,recipient\n"
        "100200301,a.example.com,admin@a.example.com,web1,b.example.com,x@c.example,y@c.example\n"
    )
    with standard_input(content.encode()):
        (row,) = ListSource("-")
    assert isinstance(row, Row)
    assert row.entries == (Entry("a.example.com", "admin@a.example.com"),)


@pytest.mark.parametrize("heading", ["order_id,CN", "order_id,host", "order_id,to"])
def test_half_a_pair_under_such_a_heading_asks_for_no_mail_to_all(heading: str) -> None:
    assert goes(f"{heading}\n100200301,a.example.com\n") == REFUSED
    assert goes(f"{heading}\n100200301,x\n") == REFUSED


@pytest.mark.parametrize("field", Field)
def test_a_misspelled_name_of_a_column_is_suggested_unless_another_word_is_as_likely(
    field: Field,
) -> None:
    name = field.value
    wrong = {
        *(name[:at] + name[at + 1 :] for at in range(1, len(name))),
        *(name[:at] + "x" + name[at:] for at in range(1, len(name))),
        *(name[:at] + name[at + 1] + name[at] + name[at + 2 :] for at in range(1, len(name) - 1)),
    }
    for one in wrong:
        assert known_field(one) or len(plain(one)) < 6 or misspelled(one) in {field, None}, one
    assert len(name) < 5 or sum(misspelled(one) is field for one in wrong) > len(wrong) / 2


@pytest.mark.parametrize(
    "word",
    ["note", "amount", "count", "cell", "all", "state", "location", "product code", "team",
     "owner", "remarks", "domain expiry", "mailing", "contact", "site", "created", "total"],
)  # fmt: skip
def test_another_word_is_not_taken_for_a_misspelled_one(word: str) -> None:
    assert misspelled(word) is None


def test_a_list_without_addresses_whose_heading_may_be_one_of_theirs_is_asked_about() -> None:
    for heading in ("domian", "emial", "email_doman", "e-maill"):
        assert f"{heading!r} may be the" in refusal(f"order_id,{heading}\n100200301,\n")
        assert (
            f"{heading!r} may be the" in read_rejected(f'{{"order_id": 1, "{heading}": ""}}').reason
        )
