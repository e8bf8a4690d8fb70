"""What a file is that is no list, and what to do: by its content first, by its name second.

Signatures are those that the formats' own specifications have, or that `file` knows them by.
"""

import re
from pathlib import PurePath

from batch_resend.errors import InputError
from batch_resend.intake.own_files import LISTS_BESIDE

OLE = b"\xd0\xcf\x11\xe0"  # [MS-CFB]: old Excel, and workbooks that are locked
ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # the second, where it has no member
APPLE_DOUBLE = (b"\0\x05\x16\x07", b"\0\x05\x16\0")

_SAVE = "save the table as .xlsx or CSV"
_UNPACK = "unpack it first"
_EXPORT = "export the table as CSV or JSON"
_SIGNATURES = (
    (b"{\\rtf", "an RTF document", _SAVE),
    (b"SQLite format 3\0", "a SQLite database", _EXPORT),
    (b"\0\x01\0\0Standard ", "an Access database", _EXPORT),
    (b"PAR1", "a Parquet file", "save it as CSV or JSON"),
    (b"ARROW1\0", "an Arrow file", "save it as CSV or JSON"),
    (b"Obj\x01", "an Avro file", "save it as CSV or JSON"),
    (b"\x89PNG\r\n", "a picture", "use a list of text"),
    (b"\xff\xd8\xff", "a picture", "use a list of text"),
    (b"GIF8", "a picture", "use a list of text"),
    (b"7z\xbc\xaf\x27\x1c", "packed with 7-Zip", _UNPACK),
    (b"Rar!\x1a\x07", "packed with RAR", _UNPACK),
    (b"bplist00", "a property list of macOS, which stands for a file elsewhere",
     "use the file itself"),
    (b"L\0\0\0\x01\x14\x02\0", "a Windows shortcut", "use the file itself"),
)  # fmt: skip
_BZIP2 = re.compile(rb"BZh[1-9]1AY&SY")
_TAR = slice(257, 262)
_PDF = re.compile(rb"\s{0,64}%PDF-[0-9]")

# In the directory of an OLE file, names are UTF-16.
_OLE_STREAMS = (
    ("EncryptedPackage", "locked with a password", "save it without a password, or as CSV"),
    ("WordDocument", "an old Word document", _SAVE),
    ("PowerPoint Document", "an old PowerPoint document", _SAVE),
    ("__properties_version1.0", "an Outlook message", "save its attachment, and use that"),
)
_OLD_EXCEL = ("an old Excel file", "save it as .xlsx, or as CSV")
# Members of a zip file, by how their names begin.
_ZIP_MEMBERS = (
    ("xl/workbook.bin", "a binary Excel workbook (.xlsb)", "save it as .xlsx or CSV"),
    ("Index/Document.iwa", "an Apple iWork document, as of Numbers", "export it as .xlsx or CSV"),
    ("Index.zip", "an Apple iWork document, as of Numbers", "export it as .xlsx or CSV"),
    ("word/", "a Word document", _SAVE),
    ("ppt/", "a PowerPoint document", _SAVE),
)
_SPREADSHEET = "opendocument.spreadsheet"

_TAG = re.compile(r"<(?:!|\?|[A-Za-z][\w.-]*(?::[\w.-]+)?[\s/>])")
_HTML = re.compile(
    r"<!doctype\s+html|<(?:html|head|body|table|meta|title|style|script|div)[\s>]", re.IGNORECASE
)
_OUR_PAGE = '<meta name="generator" content="batch-resend">'
_MAIL = re.compile(
    r"(?:From|To|Subject|Date|Received|Return-Path|Delivered-To|Message-ID|MIME-Version"
    r"|Content-Type|X-[\w-]+): .*[\r\n]",
    re.IGNORECASE,
)
_MIME = re.compile(r"^MIME-Version: ", re.IGNORECASE | re.MULTILINE)
# Of a mail kept as it went, that has no part but its text.
_HEADERS = re.compile(r"(?:[A-Za-z][A-Za-z-]*: .*\r?\n|[ \t]+\S.*\r?\n)+\r?\n", re.IGNORECASE)
_SUBJECT = re.compile(r"^(?:Subject|Message-ID|Date): ", re.IGNORECASE | re.MULTILINE)
_YAML = re.compile(
    r"(?:%YAML.*\n)?(?:---[ \t]*\r?\n)?(?:[ \t]*#.*\n)*"
    r"[ \t]*(?:- +)?[\w-]+:(?:[ \t][^,;\t|\r\n]*)?\r?\n"
    r"(?:[ \t]*(?:- +)?[\w-]+:(?:[ \t\r\n]|$)|[ \t]+- )"
    # Of one key alone, which by itself may be a heading with a colon.
    r"|(?:%YAML.*\n)?---[ \t]*\r?\n(?:[ \t]*#.*\n)*[ \t]*(?:- |[\w-]+:(?:[ \t\r\n]|$))"
)
_INI = re.compile(r"\[\[?[A-Za-z][\w .-]*\]\]?[ \t]*\r?\n\s*[\w .-]+=")
_VERTICAL = re.compile(r"\*{9,} 1\. row \*{9,}")
_SQL = re.compile(
    r"(?:--[^\n]*\n\s*|/\*.*?\*/;?\s*)*(?:INSERT\s+INTO|CREATE\s+TABLE|DROP\s+TABLE|COPY\s+\S+\s*\("
    r"|SELECT\s)",
    re.IGNORECASE | re.DOTALL,
)
_TEXTS = (
    ("-[ RECORD 1 ]", "psql's expanded output", "ask for a table: \\x off, or psql --csv"),
    ("{|", "a table of MediaWiki", "save the table as CSV"),
    ("||", "a table of Jira or Confluence", "save the table as CSV"),
    ("|===", "a table of AsciiDoc", "save the table as CSV"),
    ("\u250c", "a table drawn with lines", "save the table as CSV"),
    ("\u2554", "a table drawn with lines", "save the table as CSV"),
    ("\\begin{", "LaTeX", "save the table as CSV"),
    ("BEGIN:VCARD", "a vCard, of contacts", "use a list of orders"),
    ("BEGIN:VCALENDAR", "a calendar", "use a list of orders"),
    ("-----BEGIN PGP MESSAGE", "encrypted with PGP", "decrypt it first"),
    ("-----BEGIN ", "a key or a certificate", "use a list of orders"),
    ("version https://git-lfs", "a pointer of Git LFS", "fetch the file: git lfs pull"),
    ("[InternetShortcut]", "an internet shortcut", "use the file that it points to"),
)
_FORMS = (
    (_VERTICAL, "mysql's vertical output", "ask for a table: end the query with ;"),
    (_YAML, "YAML", _EXPORT),
    (_INI, "an INI or TOML file", _EXPORT),
    (_SQL, "SQL", _EXPORT),
)


def refuse_bytes(name: str, head: bytes) -> None:
    """Raise InputError where the first bytes, unpacked, are no list's; OLE and zip apart."""
    base = PurePath(name).name
    if head.startswith(APPLE_DOUBLE) or (base.startswith("._") and not head):
        raise _no_list(name, "a companion file of macOS", _give(base, "._"))
    if base.startswith("~$") and 0 in head:
        raise _no_list(name, "a lock file of Office for a file that is open", _give(base, "~$"))
    if _PDF.match(head):
        raise _no_list(name, "a PDF document", "save its table as CSV or .xlsx")
    if _BZIP2.match(head):
        raise _no_list(name, "packed with bzip2", _UNPACK)
    if head[_TAR] == b"ustar":
        raise _no_list(name, "a tar archive", _UNPACK)
    for signature, what, remedy in _SIGNATURES:
        if head.startswith(signature):
            raise _no_list(name, what, remedy)


def refuse_text(name: str, sample: str) -> None:
    """Raise InputError where a text, by how it begins, is no list."""
    base, begin = PurePath(name).name, sample.lstrip("\ufeff \t\r\n")
    found = _beside_a_file(base, begin) or _text_of_another_kind(base, begin)
    if found is not None:
        raise _no_list(name, *found)


def _beside_a_file(base: str, begin: str) -> tuple[str, str] | None:
    """Return what stands beside a file, or in its place, and what to do; None where it does not."""
    if base.startswith(".~lock.") and "file:///" in begin and begin.startswith(","):
        give = _give(base.removesuffix("#"), ".~lock.")
        return "a lock file of LibreOffice for a file that is open", give
    if base.endswith((".gsheet", ".gdoc")) and '"doc_id"' in begin:
        return "a link to a Google document", "download it as .xlsx or CSV"
    if base.startswith("~$") and not re.search(r"[<,;\t|\n{]", begin.rstrip()):
        return "a lock file of Office for a file that is open", _give(base, "~$")
    return None


def _text_of_another_kind(base: str, begin: str) -> tuple[str, str] | None:
    """Return what a text is, by how it begins, and what to do; None where it may be a list."""
    if _TAG.match(begin):
        return _markup(base, begin)
    is_mail = _HEADERS.match(begin) and _SUBJECT.search(begin.partition("\n\n")[0])
    if _MAIL.match(begin) and (is_mail or _MIME.search(begin)):
        return "an e-mail or a web archive", "save its table or its attachment, and use that"
    for start, what, remedy in _TEXTS:
        if begin.startswith(start):
            return what, remedy
    return next(((what, remedy) for form, what, remedy in _FORMS if form.match(begin)), None)


def of_ole(name: str, data: bytes) -> InputError:
    """Return what there is to say of an OLE file, by all of its bytes."""
    for stream, what, remedy in _OLE_STREAMS:
        if stream.encode("utf-16-le") in data:
            return _no_list(name, what, remedy)
    return _no_list(name, *_OLD_EXCEL)


def of_zip(name: str, members: list[str], mimetype: bytes) -> InputError:
    """Return what there is to say of a zip file that is no workbook.

    `mimetype` is what its member of that name holds, which OpenDocument files have.
    """
    kind = mimetype.decode("ascii", "replace")
    if _SPREADSHEET in kind:
        return _no_list(name, "an OpenDocument spreadsheet", "save it as .xlsx or CSV")
    if "opendocument" in kind:
        return _no_list(name, "an OpenDocument file", _SAVE)
    for start, what, remedy in _ZIP_MEMBERS:
        if any(member.startswith(start) for member in members):
            return _no_list(name, what, remedy)
    return _no_list(name, "a zip file, not an Excel workbook", _UNPACK)


def _markup(base: str, begin: str) -> tuple[str, str]:
    """Return what a text in tags is, and what to do."""
    if "urn:schemas-microsoft-com:office:spreadsheet" in begin:
        return "an Excel 2003 XML file", "save it as .xlsx or CSV"
    if "<office:document" in begin:
        return "an OpenDocument file of XML", "save it as .xlsx or CSV"
    if _OUR_PAGE in begin[:4096]:
        return "the page of a report, not a list", LISTS_BESIDE
    if _HTML.search(begin[:4096]):
        although = f", although its name is {base}" if not base.endswith((".html", ".htm")) else ""
        return f"a web page (HTML){although}", "open it in Excel and save it as .xlsx or CSV"
    return "XML", "save it as CSV or JSON"


def _give(base: str, mark: str) -> str:
    return f"give {base.removeprefix(mark)}" if base.startswith(mark) else "use the file itself"


def _no_list(name: str, what: str, remedy: str) -> InputError:
    return InputError(f"{name} is {what}: {remedy}")
