"""A file or standard input, whatever it turns out to be."""

import gzip
import hashlib
import io
import lzma
import os
import socket
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.errors import InputError
from batch_resend.intake import ListSource
from batch_resend.intake.lines import MAX_LINE_BYTES
from batch_resend.model import RejectedRow, Row
from tests.intake.conftest import EndlessList, read, refusal, standard_input, unhurried

LIST = b"order_id,domain,email\n1,example.com,a@example.com\n"


def file_refusal(path: Path) -> str:
    """Return the words with which a file is refused."""
    with pytest.raises(InputError) as caught:
        list(ListSource(str(path)))
    return str(caught.value)


def zipped(content: bytes) -> bytes:
    """Return `content` in a zip file, which is what an .xlsx is."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/workbook.xml", content)
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

    with standard_input(Broken(b"order_id\n", b"1\n")):
        rows = iter(ListSource("-"))
        assert [type(next(rows)), type(next(rows))] == [Row, Row]
        with pytest.raises(InputError, match="standard input: cannot be read: Input/output error"):
            next(rows)


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
        pytest.param(gzip.compress(LIST), "gzip: unpack it first", id="gzip"),
        pytest.param(lzma.compress(LIST), "xz: unpack it first", id="xz"),
        pytest.param(b"\x28\xb5\x2f\xfd\x04\x00A", "zstd: unpack it first", id="zstd"),
        pytest.param(zipped(LIST), "Excel or zip file: save it as CSV", id="xlsx"),
        pytest.param("order_id\n1\n".encode("utf-16"), "UTF-16: save it as UTF-8", id="UTF-16"),
        pytest.param(
            b"\xfe\xff" + "order_id\n1\n".encode("utf-16-be"),
            "UTF-16: save it as UTF-8",
            id="UTF-16, the other way round",
        ),
        pytest.param("order_id\n1\n".encode("utf-16-le"), "line 1: holds a NUL", id="no BOM"),
        pytest.param(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 9, "line 1: ", id="xls"),
        pytest.param(b"\x7fELF\x02\x01\x01\0\0", "line 1: holds a NUL", id="a program"),
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
        pytest.param(b"order_id,n\n1,x\n2,caf\xe9\n", 3, 6, id="Latin 1"),
        pytest.param(b"order_id,caf\xe9\n1,x\n", 1, 13, id="in the heading"),
        pytest.param(b"order_id,n\n1,caf\xc3", 2, 6, id="cut off inside a character"),
        pytest.param(b'order_id,n\n1,"a\nb\nc\xff"\n', 4, 2, id="inside a quoted cell"),
        pytest.param(b"order_id,n\n1,\xed\xa0\x80\n", 2, 3, id="half a character"),
        pytest.param(b'{"order_id": 1}\n{"order_id": "\xe9"}\n', 2, 15, id="JSONL"),
    ],
)
def test_what_is_not_utf_8_is_refused_by_line_and_byte(
    content: bytes, line: int, byte: int
) -> None:
    assert refusal(content).startswith(f"standard input, line {line}: byte {byte} is not UTF-8")


def test_a_nul_is_refused_by_its_line() -> None:
    assert "line 3: holds a NUL byte" in refusal("order_id\n1\n2\0\n")


def test_a_line_of_a_mebibyte_passes_and_a_longer_one_is_refused_by_its_number() -> None:
    head = b"order_id,note\n1,"
    fits = b"x" * (MAX_LINE_BYTES - 3) + b"\n"
    assert len(read(head + fits)) == 1
    assert "line 2: longer than 1 MiB" in refusal(head + b"x" + fits)
    assert "line 2: longer than 1 MiB" in refusal(b'{"id":1}\n{"id":' + b"1" * MAX_LINE_BYTES)


def test_a_line_without_end_is_given_up_after_a_mebibyte() -> None:
    endless = EndlessList(b"order_id\n", b"1" * 8_192)
    with standard_input(endless), pytest.raises(InputError, match="line 2: longer than 1 MiB"):
        list(ListSource("-"))
    assert endless.lines_handed_over < 2 * MAX_LINE_BYTES / 8_192


def test_a_quoted_cell_without_end_is_given_up_after_a_mebibyte() -> None:
    endless = EndlessList(b'order_id,note\n1,"\n', b"x" * 8_190 + b"\n")
    with standard_input(endless), pytest.raises(InputError, match="line 2: not CSV"):
        list(ListSource("-"))
    assert endless.lines_handed_over < 2 * MAX_LINE_BYTES / 8_192


# --- streaming ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heading", "line"), [(b"order_id\n", b"7\n"), (b'{"order_id": 6}\n', b'{"order_id": 7}\n')]
)
def test_a_row_is_there_as_soon_as_its_line_is_and_no_line_is_read_ahead(
    heading: bytes, line: bytes
) -> None:
    endless = EndlessList(heading, line)
    with standard_input(endless):
        rows = iter(ListSource("-"))
        handed_over = []
        for _ in range(4):
            assert isinstance(next(rows), Row)
            handed_over.append(endless.lines_handed_over)
    first = 1 if heading.startswith(b"{") else 2
    assert handed_over == [first, first + 1, first + 2, first + 3]


def test_a_named_pipe_is_a_list_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading_end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # so that a writer may open it
    try:
        with path.open("wb", buffering=0) as pipe:
            pipe.write(LIST)
            rows = iter(ListSource(str(path)))
            assert isinstance(next(rows), Row)
        assert list(rows) == []
    finally:
        os.close(reading_end)


# --- the digest ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        LIST,
        LIST.rstrip(),
        b"\xef\xbb\xbf\r\n\r\n" + LIST.replace(b"\n", b"\r\n") + b"\n\n",
        b'order_id,n\n1,"a\n\nb"\n',
        b'{"order_id": 1}\n\n{"order',
    ],
)
def test_the_sha256_is_that_of_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list"
    path.write_bytes(content)
    source = ListSource(str(path))
    assert list(source)
    assert source.sha256 == hashlib.sha256(content).hexdigest()


@unhurried
@given(st.text(st.characters(codec="utf-8", exclude_characters='\0\r"')))
def test_the_sha256_is_that_of_every_byte_of_standard_input(text: str) -> None:
    content = f"order_id\n1\n{text}".encode()
    source = ListSource("-")
    with standard_input(content):
        assert all(isinstance(row, Row | RejectedRow) for row in source)
    assert source.sha256 == hashlib.sha256(content).hexdigest()
