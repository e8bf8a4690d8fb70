"""A list of order numbers alone is read only where it can be one of the CA's orders."""

import json
import re

import pytest

from batch_resend.intake import ListSource, Reading
from batch_resend.model import Row
from tests.intake.conftest import REFUSED, goes, standard_input
from tests.intake.test_held_back import reasons

# Heads and first rows of sample tables that are to be had everywhere.
SHOPS = {
    "Northwind, orders": (
        "OrderID,CustomerID,EmployeeID,OrderDate,RequiredDate,ShippedDate,ShipVia,Freight,"
        "ShipName,ShipAddress,ShipCity,ShipRegion,ShipPostalCode,ShipCountry\n"
        "10248,VINET,5,1996-07-04,1996-08-01,1996-07-16,3,32.38,Vins,59 rue,Reims,,51100,Fr\n"
    ),
    "Northwind, order details": "OrderID,ProductID,UnitPrice,Quantity,Discount\n10248,11,14,12,0\n",
    "classic models": (
        "orderNumber,orderDate,requiredDate,shippedDate,status,comments,customerNumber\n"
        "10100,2003-01-06,2003-01-13,2003-01-10,Pending,,363\n"
    ),
    "sales": (
        "ORDERNUMBER,QUANTITYORDERED,PRICEEACH,ORDERLINENUMBER,SALES,STATUS\n"
        "10107,30,95.7,2,2871,Pending\n"
    ),
    "a database": "order_id,customer_id,order_date,status\n1,4,2024-01-01,pending\n",
    "one with long numbers": "order_id,customer_id,order_date\n100200301,4,2024-01-01\n",
    "pizzas": "order_details_id,order_id,pizza_id,quantity\n1,1,hawaiian_m,1\n",
    "bikes": "order_id,item_id,product_id,quantity,list_price,discount\n1,1,20,1,599.99,0.2\n",
    "in German": "Bestellnummer;Artikel;Menge;Preis\n100200301;Hemd;2;19,90\n",
    "in French": "Numéro de commande;Montant\n100200301;19,90\n",
    "in Spanish": "Número de pedido;Cantidad;Precio\n100200301;2;19,90\n",
    "in Italian": "Numero ordine;Quantità;Prezzo\n100200301;2;19,90\n",
    "in Dutch": "Ordernummer;Aantal;Prijs\n100200301;2;19,90\n",
    "deliveries": "Order No.,Delivery date,Carrier\n100200301,2026-01-01,DHL\n",
    "an invoice": "Order Number,Invoice Number,Amount\n100200301,17,5.00\n",
    "people": "order_id,name,phone\n1,Jo,555\n2,Kim,556\n",
    "longer numbers than the CA has": "order_id,table\n112345678901,4\n",
}


# A heading, and what stands behind the order numbers: the last row is none of the CA's.
COLUMNS = {
    "shop statuses": ("Order ID,Status", ["pending", "shipped"]),
    "paid ones": ("Order ID,Status", ["pending", "pending", "pending", "paid"]),
    "statuses under another heading": ("Order ID,State", ["shipped", "refunded"]),
    "tickets' statuses": ("Order ID,Status", ["pending", "solved"]),
    "fulfillment": ("Order ID,Fulfillment", ["x"]),
    "tickets": ("Order ID,Priority,Assignee", ["high,Jo"]),
    "a help desk": ("Order ID,Severity", ["2"]),
    "invoices": ("Order ID,Due date", ["2026-11-28"]),
    "taxes": ("Order ID,VAT", ["19 %"]),
    "telephones": ("Order ID,Phone", ["030 123"]),
    "parcels": ("Order ID,Tracking number", ["1Z"]),
    "weights": ("Order ID,Weight kg", ["2"]),
    "addresses of the post": ("Order ID,ZIP,City", ["80331,Munich"]),
    "in German": ("Bestellnummer,PLZ,Ort", ["80331,München"]),
    "articles": ("Order ID,Article", ["shirt"]),
    "articles in German": ("Auftragsnummer,Artikelnummer", ["17"]),
    "stock": ("Order ID,In stock", ["3"]),
    "colours": ("Order ID,Size,Colour", ["XL,red"]),
}
OTHER_TRADES = SHOPS | {
    name: "\n".join(
        (heading, *(f"{order},{cell}" for order, cell in enumerate(cells, 100200301)), "")
    )
    for name, (heading, cells) in COLUMNS.items()
}


@pytest.mark.parametrize("content", OTHER_TRADES.values(), ids=OTHER_TRADES)
def test_orders_of_another_trade_are_none_of_the_cas(content: str) -> None:
    delimiter = ";" if ";" in content else ","
    assert goes(content) in ([], REFUSED)
    assert goes(content.replace(delimiter, "|")) in ([], REFUSED)
    assert re.search("--all-domains|--ignore", reasons(content))
    heading, *_, last = content.splitlines()
    record = dict(zip(heading.split(delimiter), last.split(delimiter), strict=False))
    assert goes(json.dumps(record) + "\n") in ([], REFUSED)
    assert goes(json.dumps([record])) in ([], REFUSED)


def test_by_the_word_they_are_read() -> None:
    content = SHOPS["deliveries"]
    assert goes(content, Reading(all_domains=True)) == ["100200301"]
    ignored = Reading(ignored=frozenset(("Delivery date", "Carrier")))
    assert goes(content, ignored) == ["100200301"]
    assert goes("order_id,all_domains,Price\n100200301,yes,5\n") == ["100200301"]


@pytest.mark.parametrize(
    "content",
    [
        "order_id\n100200301\n100200302\n",
        "order_id\n100200301\n",
        "Order #\n100200307\n",
        "order_id,note\n100200301,x\n",
        "order_id,locale\n100200301,de\n",
        "Bestellnummer;Bemerkung\n100200317;x\n",
        "order_id,ticket,customer,team\n100200301,7,Example Ltd,blue\n",
        "order_id,customer order id,date created,container id\n1234567,7,2026-01-01,3\n",
        "Order ID,Requested on,Requested by,Expires\n543210,2026-01-01,Jo,2026-02-01\n",
        "Order #,Common Name,Status,Product,Price\n100200301,a.example.com,pending,RapidSSL,5\n",
    ],
)
def test_an_honest_list_of_order_numbers_is_read(content: str) -> None:
    assert len(goes(content)) == content.count("\n") - 1
    assert goes(content) != REFUSED


def test_a_list_with_addresses_is_not_asked_about_its_other_columns() -> None:
    content = "order_id,domain,email,price\n1,a.example.com,admin@a.example.com,5\n"
    with standard_input(content.encode()):
        (row,) = ListSource("-")
    assert isinstance(row, Row)
    assert row.entries
