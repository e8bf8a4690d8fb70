"""Files that are no list: what each is said to be, and what to do."""

import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from batch_resend.errors import InputError
from batch_resend.intake import Field, ListSource, Reading
from batch_resend.model import RejectedRow, Row

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504


def zipped(members: Mapping[str, str]) -> bytes:
    """Return a zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def ole(*streams: str) -> bytes:
    """Return as much of an OLE file as a look at its directory needs; that may stand far behind."""
    names = b"".join(stream.encode("utf-16-le").ljust(128, b"\0") for stream in streams)
    return OLE + b"\0" * 200_000 + names


def lock_file_of_excel(user: str = "Ann Example") -> bytes:
    """Return the 165 bytes that Excel writes beside a workbook that is open."""
    name = bytes([len(user)]) + user.encode().ljust(54)
    return name + bytes([len(user), 0]) + user.encode("utf-16-le").ljust(108, b" \0"[:1])


ODS = {"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": "<x/>"}
NUMBERS = {"Index/Document.iwa": "x", "Metadata/Properties.plist": "x"}
XLSB = {"[Content_Types].xml": "<x/>", "xl/workbook.bin": "x"}
WORD = {"[Content_Types].xml": "<x/>", "word/document.xml": "<x/>"}
SPREADSHEETML = (
    '<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>\n'
    '<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"></Workbook>'
)
MHTML = "MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=x\r\n\r\n--x\r\n"
TABLE = "<table><tr><th>order_id</th></tr><tr><td>1</td></tr></table>"

# name, content, what it is said to be, what to do
NO_LISTS = {
    "PDF": ("orders.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "a PDF", "as CSV or .xlsx"),
    "PDF named .csv": ("orders.csv", b"%PDF-1.4\nabc,def\n", "a PDF", "as CSV or .xlsx"),
    "PDF behind a line": ("orders.pdf", b"\n\n%PDF-1.4\nabc,def\n", "a PDF", "as CSV"),
    "ods": ("orders.ods", zipped(ODS), "an OpenDocument spreadsheet", "save it as .xlsx or CSV"),
    "ods named .xlsx": ("orders.xlsx", zipped(ODS), "an OpenDocument spreadsheet", "save it as"),
    "odt": (
        "orders.odt", zipped({"mimetype": "application/vnd.oasis.opendocument.text"}),
        "an OpenDocument file", "save the table as",
    ),
    "flat ods": (
        "orders.fods", b'<?xml version="1.0"?>\n<office:document xmlns:office="x">',
        "an OpenDocument", "save it as",
    ),
    "xlsb": ("orders.xlsb", zipped(XLSB), "a binary Excel workbook (.xlsb)", "save it as .xlsx"),
    "xlsb named .xlsx": ("orders.xlsx", zipped(XLSB), "a binary Excel workbook", "as .xlsx"),
    "numbers": ("orders.numbers", zipped(NUMBERS), "an Apple iWork document", "export it"),
    "Word": ("orders.docx", zipped(WORD), "a Word document", "save the table as"),
    "zip": ("orders.zip", zipped({"orders.csv": "order_id\n7\n"}), "a zip file", "unpack it"),
    "empty zip": ("orders.zip", zipped({}), "a zip file", "unpack it"),
    "locked workbook": (
        "orders.xlsx", ole("Root Entry", "EncryptionInfo", "EncryptedPackage"),
        "locked with a password", "without a password",
    ),
    "old Excel": ("orders.xls", ole("Root Entry", "Workbook"), "an old Excel file", ".xlsx"),
    "older Excel": ("orders.xls", ole("Root Entry", "Book"), "an old Excel file", ".xlsx"),
    "old Word": ("orders.doc", ole("Root Entry", "WordDocument"), "an old Word document", "save"),
    "mail of Outlook": ("orders.msg", ole("__properties_version1.0"), "an Outlook", "attachment"),
    "lock file of Excel": ("~$orders.xlsx", lock_file_of_excel(), "a lock file", "orders.xlsx"),
    "lock file of LibreOffice": (
        ".~lock.orders.csv#", b",ann,host,28.11.2026 10:00,file:///home/ann;", "a lock file",
        "orders.csv",
    ),
    "AppleDouble": (
        "._orders.csv", b"\0\x05\x16\x07\0\x02\0\0Mac OS X        " + b"\0" * 50,
        "a companion file of macOS", "orders.csv",
    ),
    "AppleDouble of another name": (
        "orders.csv", b"\0\x05\x16\x07\0\x02\0\0Mac OS X        " + b"\0" * 50,
        "a companion file of macOS", "use the file itself",
    ),
    "empty AppleDouble": ("._orders.csv", b"", "a companion file of macOS", "orders.csv"),
    "HTML named .xls": ("orders.xls", f"<html>{TABLE}".encode(), "a web page", ".xlsx or CSV"),
    "a table alone": ("orders.xls", f"\n\n {TABLE}".encode(), "a web page", "save it as"),
    "HTML with mark": (
        "orders.csv", "\ufeff<!DOCTYPE html>\n<html>".encode(), "a web page", "save it as",
    ),
    "HTML in UTF-16": ("orders.xls", f"\ufeff<HTML>{TABLE}".encode("utf-16-le"), "a web page", ""),
    "HTML in Latin 1": ("orders.xls", b"<html><title>\xfcber</title>", "a web page", ""),
    "HTML behind a comment": ("orders.xls", b"<!-- x -->\n<table>", "a web page", ""),
    "XHTML": (
        "orders.xls", b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">\n<html>',
        "a web page", "",
    ),
    "packed HTML": ("orders.csv.gz", gzip.compress(b"<html>"), "a web page", ""),
    "Excel 2003 XML": ("orders.xls", SPREADSHEETML.encode(), "an Excel 2003 XML file", ".xlsx"),
    "XML": ("orders.xml", b"<?xml version='1.0'?>\n<orders></orders>", "XML", "CSV or JSON"),
    "web archive": ("orders.xls", MHTML.encode(), "an e-mail or a web archive", "save"),
    "e-mail": (
        "orders.eml", b"Return-Path: <a@b.example>\r\nMIME-Version: 1.0\r\n\r\n100200301,2\r\n",
        "an e-mail or a web archive", "attachment",
    ),
    "RTF": ("orders.csv", rb"{\rtf1\ansi order_id}", "an RTF document", "save the table as"),
    "PNG": ("orders.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a picture", "a list of text"),
    "JPEG": ("orders.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF", "a picture", "a list of text"),
    "SQLite": ("journal.db", b"SQLite format 3\0\x10\0", "a SQLite database", "export the table"),
    "Access": (
        "orders.accdb", b"\0\x01\0\0Standard ACE DB\0", "an Access database", "export the table",
    ),
    "Parquet": ("orders.parquet", b"PAR1\x15\x04\x15", "a Parquet file", "as CSV or JSON"),
    "bzip2": ("orders.csv.bz2", b"BZh91AY&SY\0\0", "packed with bzip2", "unpack it first"),
    "7z": ("orders.7z", b"7z\xbc\xaf\x27\x1c\0\x04", "packed with 7-Zip", "unpack it first"),
    "rar": ("orders.rar", b"Rar!\x1a\x07\x01\0", "packed with RAR", "unpack it first"),
    "tar": (
        "orders.tar", b"orders.csv".ljust(257, b"\0") + b"ustar\x0000", "a tar archive", "unpack",
    ),
    "tar in gzip": (
        "orders.tgz", gzip.compress(b"orders.csv".ljust(257, b"\0") + b"ustar\x0000"),
        "a tar archive", "unpack",
    ),
    "PGP": ("orders.csv", b"-----BEGIN PGP MESSAGE-----\n\nhQ", "encrypted with PGP", "decrypt it"),
    "a key": ("key.pem", b"-----BEGIN PRIVATE KEY-----\nMII", "a key or a certificate", "list"),
    "Git LFS": (
        "orders.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "a pointer of Git LFS", "git lfs pull",
    ),
    "a shortcut": ("orders.csv.lnk", b"L\0\0\0\x01\x14\x02\0\0\0", "a Windows shortcut", "file"),
    "an internet shortcut": (
        "orders.url", b"[InternetShortcut]\r\nURL=https://x.example\r\n", "an internet shortcut",
        "file",
    ),
    "what a cloud holds": ("orders.csv", b"bplist00\xd1\x01\x02", "a property list", "file itself"),
    "a Google sheet": (
        "orders.gsheet", b'{"":"x","doc_id":"abc","email":"ann@x.example"}', "a link to a Google",
        "download it as",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "what", "remedy"), NO_LISTS.values(), ids=NO_LISTS)
def test_what_is_no_list_is_refused_with_its_name_what_it_is_and_what_to_do(
    tmp_path: Path, name: str, content: bytes, what: str, remedy: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(ListSource(str(path)))
    message = str(caught.value)
    assert message.startswith(f"{path} is ")
    assert f"is {what}" in message
    assert remedy in message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("~$orders.csv", b"order_id\n100200301\n"),
        ("._orders.csv", b"order_id\n100200301\n"),
        (".~lock.orders.csv#", b"order_id\n100200301\n"),
        ("orders.pdf", b"order_id\n100200301\n"),
        ("orders.xls", b"order_id\n100200301\n"),
        ("orders.numbers", b"order_id\n100200301\n"),
        ("orders.html", b"order_id\n100200301\n"),
        ("orders.gsheet", b'{"order_id": 100200301}'),
        ("orders.zip", b"order_id\n100200301\n"),
        ("orders.csv", b"order_id,note\n100200301,<html>\n"),
        ("orders.csv", b"order_id,note\n100200301,%PDF-1.4\n"),
        ("orders.csv", b"order_id,From: x\n100200301,MIME-Version: 1.0\n"),
        ("orders.csv", b"BZh,order_id\n100200309,100200301\n"),
    ],
)
def test_a_list_is_read_whatever_its_name_says(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    (row,) = ListSource(str(path))
    assert isinstance(row, Row)
    assert row.order_id in ("100200301", "100200301")


# --- JSON that wraps its list -------------------------------------------------------------------

FULL = {"order_id": 100200307, "domain": "a.example", "email": "admin@a.example"}
TWO = [FULL, FULL | {"order_id": 100200308}]
BOTH = [("100200307", "admin@a.example"), ("100200308", "admin@a.example")]
OTHER = {"code": 5, "message": "x"}

WRAPPED = {
    "records": {"records": TWO},
    "with what else is told": {"status": "ok", "count": 2, "records": TWO, "next": None},
    "an account": {"account": {"id": 5, "name": "x"}, "email": "me@x.example", "orders_due": TWO},
    "two deep": {"data": {"items": TWO}},
    "three deep": {"result": {"data": {"items": TWO, "total": 2}}, "ok": True},
    "an id": {"id": 1234567, "records": TWO},
    "a list of other things": {"errors": [OTHER], "records": TWO, "warnings": []},
    "a list of texts": {"columns": ["order_id", "domain"], "records": TWO},
    "JSON:API": {"data": [{"type": "orders", "id": "1", "attributes": one} for one in TWO]},
    "JSON:API with included": {
        "data": [{"type": "orders", "id": "1", "attributes": one} for one in TWO],
        "included": [{"type": "people", "id": "9", "attributes": {"name": "x"}}],
    },
    "Airtable": {"records": [{"id": "rec1", "fields": one} for one in TWO], "offset": "x"},
    "GraphQL": {"data": {"orders": {"edges": [{"node": one} for one in TWO], "pageInfo": {}}}},
    "Elasticsearch": {
        "took": 3,
        "hits": {"total": {"value": 2}, "hits": [{"_id": "5", "_source": one} for one in TWO]},
    },
    "Spring": {"_embedded": {"orders": TWO}, "_links": {"self": {"href": "x"}}, "page": {"n": 2}},
}  # fmt: skip


def asked_for(path: Path) -> list[tuple[str, str]]:
    """Return what a list asks for: orders and addresses. A rejected row fails."""
    rows = list(ListSource(str(path)))
    assert all(isinstance(row, Row) for row in rows), rows
    return [(row.order_id, *(e.email for e in row.entries)) for row in rows if isinstance(row, Row)]  # type: ignore[misc]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("value", WRAPPED.values(), ids=WRAPPED)
def test_the_one_list_of_orders_in_an_object_is_taken(
    tmp_path: Path, value: object, indent: int | None
) -> None:
    path = tmp_path / "orders.json"
    path.write_text(json.dumps(value, indent=indent))
    assert asked_for(path) == BOTH
    path.write_text(json.dumps(value, indent=indent) + "\n" + json.dumps(value, indent=indent))
    assert asked_for(path) == BOTH * 2, "pages, one after another"
    path.write_text(json.dumps([value, value], indent=indent))
    assert asked_for(path) == BOTH * 2, "pages in an array"


@pytest.mark.parametrize("indent", [None, 1])
def test_a_wrapped_list_may_be_longer_than_a_record(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "orders.json"
    records = [FULL | {"order_id": n, "note": "x" * 200} for n in range(100_200_301, 100_210_301)]
    value = {"meta": {"page": 1}, "data": {"errors": [OTHER], "items": records}, "next": "x"}
    path.write_text(json.dumps(value, indent=indent))
    assert path.stat().st_size > 2 << 20
    assert [number for number, _ in asked_for(path)] == [
        str(n) for n in range(100_200_301, 100_210_301)
    ]


def test_a_record_of_a_wrapped_list_is_known_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    path.write_text('{\n"records": [\n{"order_id": 100200307},\n{"order_id": "x"}\n]}')
    assert [row.line for row in ListSource(str(path))] == [3, 4]


SEVERAL = {
    "two lists": ({"active": TWO, "archived": TWO}, "'active' and 'archived'"),
    "two lists, deep": ({"data": {"due": TWO}, "old": {"due": TWO}}, "'data.due' and 'old.due'"),
    "two lists of JSON:API": (
        {"a": [{"attributes": FULL}], "b": [{"attributes": FULL}]}, "'a' and 'b'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize(("value", "said"), SEVERAL.values(), ids=SEVERAL)
def test_where_several_lists_have_orders_none_is_taken(
    tmp_path: Path, value: dict[str, object], said: str, long: bool, indent: int | None
) -> None:
    path = tmp_path / "orders.json"
    if long:
        value = {**value, "zzz": ["x" * 1000] * 2_000}
    path.write_text(json.dumps(value, indent=indent))
    with pytest.raises(InputError) as caught:
        list(ListSource(str(path)))
    assert str(caught.value).startswith(f"{path}: has several lists of orders: {said}; pass")


UNNAMED = {
    "orders that nothing names": (
        {"records": [{"Nummer": 7, "Wohin": "x"}]}, "'records', with the keys 'Nummer', 'Wohin'",
    ),
    "an id that may be anything": (
        {"records": [{"id": 7, "name": "x"}]}, "'records', with the keys 'id', 'name'",
    ),
    "an id beside what holds all": (
        {"hits": {"hits": [{"_id": 7, "_source": {"name": "x"}}]}},
        "'hits.hits', with the keys 'name'",
    ),
    "JSON:API whose id is the order's": (
        {"data": [{"type": "orders", "id": "7", "attributes": {"email": "a@b.example"}}]},
        "'data', with the keys 'email'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(("value", "said"), UNNAMED.values(), ids=UNNAMED)
def test_where_no_key_names_the_orders_it_is_rejected_and_says_under_which_key_it_looked(
    tmp_path: Path, value: dict[str, object], said: str, indent: int | None
) -> None:
    path = tmp_path / "orders.json"
    path.write_text(json.dumps(value, indent=indent))
    (row,) = ListSource(str(path))
    assert isinstance(row, RejectedRow)
    assert said in row.reason
    assert "Name it: --map order_id=" in row.reason
    path.write_text(json.dumps({**value, "zzz": ["x" * 1000] * 2_000}, indent=indent))
    with pytest.raises(InputError) as caught:
        list(ListSource(str(path)))
    assert said in str(caught.value)


def test_a_key_that_map_names_makes_a_record_of_what_is_wrapped(tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    path.write_text(json.dumps({"records": [{"Nummer": 100200307}, {"Nummer": 100200308}]}))
    rows = list(ListSource(str(path), Reading({Field.ORDER_ID: "Nummer"})))
    assert [row.order_id for row in rows if isinstance(row, Row)] == ["100200307", "100200308"]


def test_an_empty_page_after_others_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    pages = [{"records": TWO, "next": 2}, {"records": [], "next": None}]
    path.write_text("\n".join(map(json.dumps, pages)))
    assert asked_for(path) == BOTH


def test_a_key_that_stands_twice_rejects_its_record_alone(tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    path.write_text(
        '{"records": [{"order_id": 100200307}, {"order_id": 100200308, "order_id": 100200309}]}'
    )
    good, bad = ListSource(str(path))
    assert isinstance(good, Row)
    assert isinstance(bad, RejectedRow)
    assert "appears twice" in bad.reason


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "value",
    [
        {
            "order_id": 100200307,
            "domain_approval_emails": [{"domain": "a.example", "email": "a@a.example"}],
        },
        {
            "domain_approval_emails": [{"domain": "a.example", "email": "a@a.example"}],
            "order_id": 100200307,
        },
    ],
)
def test_an_order_with_a_list_in_it_is_one_order(
    tmp_path: Path, value: object, indent: int | None
) -> None:
    path = tmp_path / "orders.json"
    path.write_text(json.dumps(value, indent=indent))
    assert asked_for(path) == [("100200307", "a@a.example")]
