"""Ordinary headings are known in the languages of those who write lists."""

import pytest

from batch_resend.intake import ListSource
from batch_resend.model import Entry, Row
from tests.intake.conftest import read_row, standard_input
from tests.intake.test_nobody_asked import REFUSED, goes

CELLS = "100200301;a.example.com;admin@a.example.com;de\n"
HEADINGS = [
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


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_list_with_ordinary_headings_is_read_without_a_word(heading: str) -> None:
    row = read_row(f"{heading}\n{CELLS}")
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
