"""A file or standard input, whatever it turns out to be."""

import codecs
import gzip
import hashlib
import io
import lzma
import os
import socket
import sys
import zipfile
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.errors import InputError
from batch_resend.intake import ListSource, Reading
from batch_resend.intake.text import MAX_LINE_CHARS
from batch_resend.model import RejectedRow, Row
from tests.intake.conftest import EndlessList, read, refusal, standard_input

LIST = b"order_id,domain,email\n100200301,example.com,a@example.com\n"


def file_refusal(path: Path) -> str:
    """Return the words with which a file is refused."""
    with pytest.raises(InputError) as caught:
        list(ListSource(str(path)))
    return str(caught.value)


def zipped(content: bytes) -> bytes:
    """Return `content` in a zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("orders.csv", content)
    return buffer.getvalue()


# --- what cannot be opened or read --------------------------------------------------------


def test_a_missing_file_is_refused_by_its_name(tmp_path: Path) -> None:
    message = file_refusal(tmp_path / "none.csv")
    assert str(tmp_path / "none.csv") in message
    assert "No such file" in message


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "Is a directory" in file_refusal(tmp_path)


def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(LIST)
    assert "cannot be read" in file_refusal(tmp_path / "list.csv" / "more.csv")


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").symlink_to(tmp_path / "list.csv")
    assert "cannot be read" in file_refusal(tmp_path / "list.csv")


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("list.csv")
        assert "cannot be read" in file_refusal(Path("list.csv"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_one_may_not_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(LIST)
    path.chmod(0)
    assert "Permission denied" in file_refusal(path)


def test_a_file_that_breaks_off_with_an_error_is_refused_not_taken_as_far_as_it_went() -> None:
    class Broken(EndlessList):
        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            if self.lines_handed_over == 3:
                raise OSError(5, "Input/output error")
            return super().readinto(buffer)

    with (
        standard_input(Broken(b"order_id\n", b"100200301\n")),
        pytest.raises(InputError, match="standard input: cannot be read: Input/output error"),
    ):
        list(ListSource("-"))


def test_a_closed_standard_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input"):
        list(ListSource("-"))


def test_a_file_is_not_opened_before_its_rows_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    source = ListSource(str(path))
    path.write_bytes(LIST)
    assert len(list(source)) == 1


def test_a_dash_in_a_folders_name_is_no_standard_input(tmp_path: Path) -> None:
    (tmp_path / "-").write_bytes(LIST)
    assert len(list(ListSource(str(tmp_path / "-")))) == 1


# --- what is no text ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        pytest.param(gzip.compress(LIST)[:-9], "copied as a whole?", id="a piece of gzip"),
        pytest.param(lzma.compress(LIST)[:-9], "copied as a whole?", id="a piece of xz"),
        pytest.param(b"\x28\xb5\x2f\xfd\x04\x00A", "copied as a whole?", id="a piece of zstd"),
        pytest.param(gzip.compress(lzma.compress(LIST)), "packed twice", id="xz in gzip"),
        pytest.param(zipped(LIST), "zip file, not an Excel workbook: unpack it", id="zip"),
        pytest.param(
            "order_id\n100200301\n".encode("utf-16-le"), "--encoding utf-16-le", id="no BOM"
        ),
        pytest.param(
            "order_id\n100200301\n".encode("utf-16-be"), "--encoding utf-16-be", id="no BOM, BE"
        ),
        pytest.param(
            codecs.BOM_UTF8 + "order_id\n100200301\n".encode("utf-16-le"),
            "remove its byte order mark (the first 3 bytes: tail -c +4)",
            id="the mark of UTF-8",
        ),
        pytest.param(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 9, "save it as .xlsx", id="xls"),
        pytest.param(b"\x7fELF\x02\x01\x01\0\0", "holds NUL bytes", id="a program"),
    ],
)
def test_what_is_no_text_is_told_by_its_content_with_the_remedy(
    tmp_path: Path, content: bytes, remedy: str
) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes(content)
    message = file_refusal(path)
    assert message.startswith(str(path))
    assert remedy in message


@pytest.mark.parametrize(
    ("content", "line", "byte"),
    [
        pytest.param(b"order_id,n\n100200301,x\n100200302,caf\xe9\n", 3, "0xe9", id="Latin 1"),
        pytest.param(b"order_id,n\r1,x\r2,caf\xe9\r", 3, "0xe9", id="after CR alone"),
        pytest.param(
            b"order_id,n\r\n100200301,x\r\n100200302,caf\xe9\r\n", 3, "0xe9", id="after CR LF"
        ),
        pytest.param(b"order_id,caf\xe9\n100200301,x\n", 1, "0xe9", id="in the heading"),
        pytest.param(b"order_id,n\n100200301,caf\xc3", 2, "0xc3", id="cut off inside a character"),
        pytest.param(
            b'order_id,n\n100200301,"a\nb\nc\xff"\n', 4, "0xff", id="inside a quoted cell"
        ),
        pytest.param(b"order_id,n\n100200301,\xed\xa0\x80\n", 2, "0xed", id="half a character"),
        pytest.param(b'{"order_id": 100200301}\n{"order_id": "\xe9"}\n', 2, "0xe9", id="JSONL"),
        pytest.param(b'[{"order_id": 100200301},\n{"order_id": "\xe9"}]', 2, "0xe9", id="JSON"),
        pytest.param(
            b"order_id\n" + b"100200301\n" * 99_999 + b"\xe9", 100_001, "0xe9", id="far down"
        ),
        pytest.param(
            b"[\n" + b'{"order_id": 100200301,\n"n": "\xc3\xa4"},\n' * 3_000 + b"\xfc",
            6_002,
            "0xfc",
            id="far down in JSON",
        ),
    ],
)
def test_what_is_not_utf_8_is_refused_by_line_and_byte(
    content: bytes, line: int, byte: str
) -> None:
    assert refusal(content).startswith(f"standard input, line {line}: byte {byte} is not UTF-8")


ENCODED = {  # what stands in a list, what it may be, and the encoding to name
    "Windows": ("köln".encode("cp1252"), "cp1252 ('köln'): ", "cp1252"),
    "a quotation": ("„köln“".encode("cp1252"), "cp1252 ('„köln“')", "cp1252"),
    "Czech": ("Plzeň příliš žluťoučký".encode("cp1250"), "or cp1250 ('Plzeň'): ", "cp1252"),
    "no word of any": (b"a\xa5\xdf\x90b", "if it is of another encoding, ", "NAME"),
}


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8], ids=["plain", "with a mark"])
@pytest.mark.parametrize(("word", "said", "name"), ENCODED.values(), ids=ENCODED)
def test_an_encoding_is_named_in_which_the_word_is_one_and_a_mark_that_has_to_go_first(
    tmp_path: Path, word: bytes, said: str, name: str, mark: bytes
) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(mark + b"order_id,note\n100200301," + word + b"\n")
    message = file_refusal(path)
    assert said in message
    assert message.endswith(f"say --encoding {name}")
    how = "remove its byte order mark (the first 3 bytes: tail -c +4), because of which --encoding"
    assert (how in message) == bool(mark)
    if mark:
        with pytest.raises(InputError) as by_option:
            list(ListSource(str(path), Reading(encoding="cp1252")))
        assert str(by_option.value) == message


PLAIN = "".join(f"1002{n:05},s{n}.example,admin@s{n}.example\n" for n in range(3000))
IN_UTF_8 = {  # how a list begins, and how a row of it does that is not ASCII
    "a domain": ("order_id,domain,email\n", "100200301,müller.example,admin@müller.example\n"),
    "a heading": ("order_id,Domäne,email\n", "100200301,a.example,admin@a.example\n"),
    "a remark": ("order_id,domain,email,note\n", "100200301,a.example,admin@a.example,schön\n"),
    "far below": (f"order_id,domain,email\n{PLAIN}", "100200301,köln.example,a@köln.example\n"),
    "JSON": ("", '[{"order_id": 100200301, "domain": "ü.example", "email": "a@ü.example"}]\n'),
    "lines of JSON": ('{"order_id": 100200301}\n', '{"order_id": 100200302, "customer": "ü"}\n'),
}


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp1250", "cp850", "gb18030"])
@pytest.mark.parametrize(("begin", "row"), IN_UTF_8.values(), ids=IN_UTF_8)
def test_a_list_in_utf_8_is_read_in_no_other_encoding(
    tmp_path: Path, encoding: str, begin: str, row: str
) -> None:
    path, text = tmp_path / "list", begin + row
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        list(ListSource(str(path), Reading(encoding=encoding)))
    at = next(at for at, letter in enumerate(text) if not letter.isascii())
    line = text.count("\n", 0, at) + 1
    assert str(refused.value).startswith(f"{path}, line {line}: the list is UTF-8 (")
    assert "leave it out" in str(refused.value)
    for same in ("utf-8", "utf8", "utf-8-sig"):
        assert list(ListSource(str(path), Reading(encoding=same)))
    path.write_text(text, encoding="utf-8-sig")  # a mark decides
    assert list(ListSource(str(path), Reading(encoding=encoding)))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-32"])
def test_what_is_of_one_byte_a_letter_is_not_read_as_of_two_nor_the_other_way(
    tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(LIST)
    with pytest.raises(InputError, match=f"list.csv is not {encoding}: it has no NUL bytes"):
        list(ListSource(str(path), Reading(encoding=encoding)))
    path.write_text(LIST.decode(), encoding="utf-16-le")
    with pytest.raises(InputError, match="holds NUL bytes; if it is UTF-16, say --encoding"):
        list(ListSource(str(path), Reading(encoding="cp1252")))


def test_a_nul_rejects_its_row() -> None:
    found = read("order_id\n100200301\n100200302\0\n100200303\n")
    assert [type(row) for row in found] == [Row, RejectedRow, Row]


def test_a_line_of_a_mebibyte_passes_and_a_longer_one_is_refused_by_its_number() -> None:
    head = b"order_id,note\n100200301,"
    fits = b"x" * (MAX_LINE_CHARS - 11) + b"\n"
    assert len(read(head + fits)) == 1
    assert "line 2: longer than 1 MiB" in refusal(head + b"x" + fits)
    assert "line 2: longer than 1 MiB" in refusal(b'{"id":1}\n{"id":' + b"1" * MAX_LINE_CHARS)


def test_a_line_without_end_is_given_up_after_a_mebibyte() -> None:
    endless = EndlessList(b"order_id\n", b"100200301" * 8_192)
    with standard_input(endless), pytest.raises(InputError, match="line 2: longer than 1 MiB"):
        list(ListSource("-"))
    assert endless.lines_handed_over < 2 * MAX_LINE_CHARS / 8_192


def test_a_quoted_cell_without_end_is_given_up_after_a_mebibyte() -> None:
    endless = EndlessList(b'order_id,note\n100200301,"\n', b"x" * 8_190 + b"\n")
    with standard_input(endless), pytest.raises(InputError, match="is a quotation mark missing"):
        list(ListSource("-"))
    assert endless.lines_handed_over < 2 * MAX_LINE_CHARS / 8_192


# --- streaming ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heading", "line"),
    [
        (b"order_id,note\n", b"100200307," + b"x" * 4_000 + b"\n"),
        (
            b'{"order_id": 100200306}\n',
            b'{"order_id": 100200307, "note": "' + b"x" * 4_000 + b'"}\n',
        ),
        (b"[", b'{"order_id": 100200307, "note": "' + b"x" * 4_000 + b'"},\n'),
    ],
)
def test_rows_are_there_long_before_the_end_of_their_list(heading: bytes, line: bytes) -> None:
    endless = EndlessList(heading, line)
    with standard_input(endless):
        rows = iter(ListSource("-"))
        for _ in range(4):
            assert isinstance(next(rows), Row)
    assert endless.lines_handed_over < 200


def test_a_named_pipe_is_a_list_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = Thread(target=path.write_bytes, args=(LIST,))
    writer.start()
    (row,) = ListSource(str(path))
    writer.join()
    assert isinstance(row, Row)


# --- the digest ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        LIST,
        LIST.rstrip(),
        b"\xef\xbb\xbf\r\n\r\n" + LIST.replace(b"\n", b"\r\n") + b"\n\n",
        b'order_id,note\n100200301,"a\n\nb"\n',
        b'{"order_id": 100200301}\n\n{"order',
    ],
)
def test_the_sha256_is_that_of_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list"
    path.write_bytes(content)
    source = ListSource(str(path))
    assert list(source)
    assert source.sha256 == hashlib.sha256(content).hexdigest()


@given(st.text("7- \u00e4\u4e00\U0001f600,;\t"))  # no word that has a list refused, as SENT would
def test_the_sha256_is_that_of_every_byte_of_standard_input(text: str) -> None:
    content = f"order_id\n100200301\n{text}".encode()
    source = ListSource("-")
    with standard_input(content):
        assert all(isinstance(row, Row | RejectedRow) for row in source)
    assert source.sha256 == hashlib.sha256(content).hexdigest()
