"""Bytes -> text: by byte order mark, or as --encoding says, or as UTF-8. Never by guessing."""

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import suppress

from batch_resend.errors import InputError, SettingsError
from batch_resend.intake.packing import SAMPLE_BYTES, Bytes

MAX_LINE_CHARS = 1 << 20
CHUNK_CHARS = 1 << 16

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # begins like the mark of UTF-16, so it is looked for first
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_USUAL = "cp1252"
_WORDS = re.compile(r"[\s;,|\"]+")
_LINE_END = re.compile("\r\n|\r|\n")
_CR_ALONE = re.compile("\r(?!\n)")
_CONFLICT = re.compile(r"(?:<{7}|={7}|>{7}|\|{7})(?=[ \r\n]|$)")
_LOOKS_LIKE_UTF_16 = 0.2  # share of NUL bytes that no other text has


def known_encoding(name: str) -> str:
    """Return the name of an encoding as Python has it. Raises SettingsError."""
    try:
        codec = codecs.lookup(name)
        "".encode(codec.name)  # some codecs are not for text
        codecs.getincrementaldecoder(codec.name)("replace").decode(b"1")
    except (LookupError, ValueError):
        raise SettingsError(
            f"encoding: {name!r} is not one that is known; say for example cp1252, utf-16-le"
        ) from None
    return codec.name


class Text:
    """The text of one list, read once: by lines, or by chunks."""

    def __init__(self, name: str, file: Bytes, encoding: str | None) -> None:
        mark = next((mark for mark in _MARKS if file.peek().startswith(mark)), b"")
        file.read(len(mark))
        sample = file.peek()
        self._name = name
        self._codec = _MARKS.get(mark) or encoding or "utf-8"
        self.encoding = None if self._codec == "utf-8" else self._codec
        if self.encoding is None and sample.count(0) > _LOOKS_LIKE_UTF_16 * len(sample):
            order = "le" if sample[1:2] == b"\0" else "be"
            raise InputError(
                f"{name}: holds NUL bytes; if it is UTF-16, say --encoding utf-16-{order}"
            )
        try:
            self.sample = codecs.getincrementaldecoder(self._codec)("replace").decode(sample)
        except UnicodeError as error:  # some codecs refuse whatever they are told to replace
            raise InputError(
                f"{name}: is not {self._codec}: {error}; name another --encoding, such as "
                "utf-16-le, utf-16-be or cp1252"
            ) from None
        self.sample_is_all = len(sample) < SAMPLE_BYTES - len(mark)
        # Where lines end with LF, a CR without one is none of theirs: a paste or a copy left it.
        self.lines_end_with_lf = _end_with_lf(self.sample)
        self._file = file
        self._lines_read = 0

    def lines(self) -> Iterator[str]:
        """Yield each line with its line end: LF, CR LF, or CR where none has LF.

        Raises InputError.
        """
        newline = "\n" if self.lines_end_with_lf else ""
        text = io.TextIOWrapper(self._file, self._codec, newline=newline)
        try:
            while line := text.readline(MAX_LINE_CHARS + 1):
                self._lines_read += 1
                if len(line) > MAX_LINE_CHARS:
                    raise InputError(
                        f"{self._name}, line {self._lines_read}: longer than 1 MiB; is this a list?"
                    )
                if line[0] in "<=>|" and _CONFLICT.match(line):
                    raise InputError(
                        f"{self._name}, line {self._lines_read}: a merge conflict is marked there, "
                        "and both its sides stand in the list: settle it first"
                    )
                yield line
        except UnicodeError as error:
            raise self._not_text(error) from None

    def chunks(self) -> Iterator[str]:
        """Yield the text piece by piece. Raises InputError."""
        decoder = codecs.getincrementaldecoder(self._codec)()
        try:
            while data := self._file.read(CHUNK_CHARS):
                if chunk := decoder.decode(data):
                    yield chunk
                    self._lines_read += chunk.count("\n")
            if chunk := decoder.decode(b"", final=True):
                yield chunk
        except UnicodeError as error:
            raise self._not_text(error) from None

    def _not_text(self, error: UnicodeError) -> InputError:
        """Say where the text breaks off, and which encoding would fit."""
        called = "UTF-8" if self.encoding is None else self.encoding
        if not isinstance(error, UnicodeDecodeError):
            return InputError(f"{self._name}: is not {called}: {error}")
        # What was read ahead and not yet handed over has no line end in it.
        before = error.object[: error.start].decode(self._codec, "replace")
        line = self._lines_read + 1 + len(_LINE_END.findall(before))
        byte = error.object[error.start]
        return InputError(
            f"{self._name}, line {line}: byte 0x{byte:02x} is not {called}; "
            + _advice(error.object, error.start)
        )


def _end_with_lf(sample: str) -> bool:
    """Whether lines end with LF or CR LF, by the first line, or by most where that has a CR."""
    first = _LINE_END.search(sample)
    if first is None or first[0] != "\r":
        return first is not None
    line_feeds = sample.count("\n")
    return line_feeds > 0 and line_feeds >= len(_CR_ALONE.findall(sample))


def _advice(data: bytes, at: int) -> str:
    """Return what to do about a byte that is none of the encoding's, at a place."""
    if _is_utf_8(data[:at]):
        return (
            "the text before it is UTF-8: mend that place, or was it cut off there? (--encoding is "
            "for lists that are all of one other encoding)"
        )
    from charset_normalizer import from_bytes  # noqa: PLC0415 - slow to load, and seldom needed

    # What spreadsheets in the west write comes first; the rest is a guess, and shown as one.
    codecs_in_question = [_USUAL, *(match.encoding.replace("_", "-") for match in from_bytes(data))]
    readings: dict[str, str] = {}  # word at the bad place -> encoding
    for codec in codecs_in_question:
        with suppress(UnicodeError):
            around = data[max(at - 20, 0) : at + 20].decode(codec, "replace")
            words = [word for word in _WORDS.split(around) if not word.isascii()]
            if words and "\ufffd" not in words[0]:
                readings.setdefault(words[0], codec)
    if not readings:
        return "save the list as UTF-8, or name its encoding with --encoding"
    shown = " or ".join(f"{codec} ({word!r})" for word, codec in list(readings.items())[:2])
    first = next(iter(readings.values()))
    return f"the word there may be {shown}: say which with --encoding, such as --encoding {first}"


def _is_utf_8(data: bytes) -> bool:
    """Whether a text is UTF-8 and not ASCII alone, which any encoding could be."""
    try:
        return not data.decode("utf-8").isascii()
    except UnicodeDecodeError:
        return False
