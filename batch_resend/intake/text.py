"""The bytes of a list -> its text, by lines or by chunks."""

import codecs
import io
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress

from batch_resend.errors import InputError, SettingsError
from batch_resend.intake.files import SAMPLE_BYTES, Bytes, shown_to

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
# In which lists are found: those that browsers know (WHATWG, Encoding), and those of DOS.
_COMMON = frozenset(
    ("cp437", "cp850", "cp852", "cp866", "cp874", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254",
     "cp1255", "cp1256", "cp1257", "cp1258", "iso8859-2", "iso8859-5", "iso8859-7", "iso8859-8",
     "mac-roman", "mac-cyrillic", "koi8-r", "koi8-u", "shift-jis", "cp932", "euc-jp", "iso2022-jp",
     "big5", "gbk", "gb18030", "euc-kr", "cp949", "utf-16-le", "utf-16-be")
)  # fmt: skip
_WORDS = re.compile(r"[\s;,|\"]+")
_AROUND = re.compile(r"^\W+|\W+$")  # quotation marks and the like
_A_TO_Z = re.compile(r"[A-Za-z]")
_LINE_END = re.compile("\r\n|\r|\n")
_CR_ALONE = re.compile("\r(?!\n)")
_CONFLICT = re.compile(r"(?:<{7}|={7}|>{7}|\|{7})(?=[ \r\n]|$)")
_LOOKS_LIKE_UTF_16 = 0.2  # share of NUL bytes that no other text has
_WIDE = ("utf-16", "utf-32")
_NOT_ASCII = re.compile(r"[^\s;,|\"]*[^\x00-\x7f][^\s;,|\"]*")  # a word


def known_encoding(name: str) -> str:
    """Return the name of an encoding as Python has it. Raises SettingsError."""
    try:
        codec = codecs.lookup(name)
        "".encode(codec.name)  # some codecs are not for text
        codecs.getincrementaldecoder(codec.name)("replace").decode(b"1")
    except (LookupError, ValueError):
        raise SettingsError(
            f"encoding: {name!r} is not known; write for example cp1252 or utf-16-le"
        ) from None
    return codec.name


class _IfUtf8:
    """Sees whether bytes, as they come, are UTF-8 and not ASCII alone, which could be anything."""

    def __init__(self) -> None:
        self.word = ""  # the first that is not ASCII, as long as all is UTF-8
        self.line = 1  # of it
        self._decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()

    def look(self, data: memoryview) -> None:
        """Look at the bytes that come next."""
        if self._decoder is None:
            return
        try:
            text = self._decoder.decode(bytes(data))
        except UnicodeDecodeError:
            self._decoder, self.word = None, ""
            return
        if not self.word:
            found = _NOT_ASCII.search(text)
            self.line += text.count("\n", 0, found.start() if found else len(text))
            self.word = found[0] if found else ""


class Text:
    """The text of one list, read once: by lines, or by chunks."""

    def __init__(
        self, name: str, file: Bytes, encoding: str | None, *, numbers_only: bool = False
    ) -> None:
        """Take a list's bytes; `numbers_only`: elsewhere than in numbers it may be no text."""
        self.mark = mark = next((mark for mark in _MARKS if file.peek().startswith(mark)), b"")
        file.read(len(mark))
        self._utf_8 = _IfUtf8()
        if encoding is not None and not mark:
            file = shown_to(self._utf_8.look, file)
        sample = file.peek()
        self._name = name
        self._codec = _MARKS.get(mark) or encoding or "utf-8"
        self.encoding = None if self._codec == "utf-8" else self._codec
        self._refuse_other_width(sample)
        try:
            self.sample = codecs.getincrementaldecoder(self._codec)("replace").decode(sample)
        except UnicodeError as error:  # some codecs refuse even with errors="replace"
            raise InputError(
                f"{name} is not {self._codec}: {error}; name another --encoding, such as "
                "utf-16-le, utf-16-be or cp1252"
            ) from None
        self.sample_is_all = len(sample) < SAMPLE_BYTES - len(mark)
        # Where lines end with LF, a CR without one is none of theirs: a paste or a copy left it.
        self.lines_end_with_lf = _end_with_lf(self.sample)
        self._file = file
        self._errors = "replace" if numbers_only else "strict"
        self._lines_read = 0
        self._refuse_utf_8()

    def lines(self) -> Iterator[str]:
        """Yield each line with its line end: LF, CR LF, or CR where none has LF.

        Raises InputError.
        """
        newline = "\n" if self.lines_end_with_lf else ""
        text = io.TextIOWrapper(self._file, self._codec, self._errors, newline)
        try:
            while line := text.readline(MAX_LINE_CHARS + 1):
                self._lines_read += 1
                if len(line) > MAX_LINE_CHARS:
                    raise InputError(
                        f"{self._name}, line {self._lines_read}: longer than 1 MiB; is this a list?"
                    )
                if line[0] in "<=>|" and _CONFLICT.match(line):
                    raise InputError(
                        f"{self._name}, line {self._lines_read}: there is an unresolved merge "
                        "conflict: resolve it first"
                    )
                yield line
        except UnicodeError as error:
            raise self._not_text(error) from None
        self._refuse_utf_8()

    def chunks(self) -> Iterator[str]:
        """Yield the text piece by piece. Raises InputError."""
        decoder = codecs.getincrementaldecoder(self._codec)(self._errors)
        try:
            while data := self._file.read(CHUNK_CHARS):
                if chunk := decoder.decode(data):
                    yield chunk
                    self._lines_read += chunk.count("\n")
            if chunk := decoder.decode(b"", final=True):
                yield chunk
        except UnicodeError as error:
            raise self._not_text(error) from None
        self._refuse_utf_8()

    def _refuse_other_width(self, sample: bytes) -> None:
        """Raise InputError where a text is of two bytes a letter, and is not to be; or not."""
        name, nul_bytes = self._name, sample.count(0)
        if self._codec.startswith(_WIDE):
            if sample and not (self.mark or nul_bytes):
                raise InputError(
                    f"{name} is not {self._codec}: it has no NUL bytes, and every list in that "
                    "encoding has some. Leave out --encoding"
                )
        elif nul_bytes > _LOOKS_LIKE_UTF_16 * len(sample):
            order = "le" if sample[1:2] == b"\0" else "be"
            raise InputError(
                f"{name}: holds NUL bytes; if it is UTF-16, {self._to_say(f'utf-16-{order}')}"
            )

    def _refuse_utf_8(self) -> None:
        """Raise InputError where all that was read is UTF-8, and says otherwise as it is named."""
        word = self._utf_8.word
        misread = word.encode().decode(self._codec, "replace")
        if misread != word:
            raise InputError(
                f"{self._name}, line {self._utf_8.line}: the list is UTF-8 ({word!r}), and "
                f"--encoding {self._codec} makes {misread!r} of that: leave it out. If other lists "
                "need it, save those as UTF-8, such as with: "
                f"iconv -f {self._codec} -t UTF-8 OLD > NEW"
            )

    def _to_say(self, codec: str) -> str:
        """Return how to have the list read in another encoding: a mark decides before an option."""
        count = len(self.mark)
        mark = (
            f"remove its byte order mark (the first {count} bytes: tail -c +{count + 1}), because "
            "of which --encoding is not used; then "
        )
        return f"{mark if count else ''}say --encoding {codec}"

    def _not_text(self, error: UnicodeError) -> InputError:
        """Say where the text breaks off, and which encoding would fit."""
        called = "UTF-8" if self.encoding is None else self.encoding
        if not isinstance(error, UnicodeDecodeError):
            return InputError(f"{self._name} is not {called}: {error}")
        # What was read ahead and not yet handed over has no line end in it.
        before = error.object[: error.start].decode(self._codec, "replace")
        line = self._lines_read + 1 + len(_LINE_END.findall(before))
        byte = error.object[error.start]
        data, at = error.object, error.start
        if _is_utf_8(data[:at]):
            advice = (
                "the text before it is UTF-8: correct that place, or was it cut off there? "
                "(--encoding is for lists that are all of one other encoding)"
            )
        elif readings := _readings(data, at):
            shown = " or ".join(f"{codec} ({word!r})" for word, codec in readings[:2])
            advice = f"the word there may be {shown}: {self._to_say(readings[0][1])}"
        else:
            advice = (
                f"save the list as UTF-8; or, if it is of another encoding, {self._to_say('NAME')}"
            )
        return InputError(f"{self._name}, line {line}: byte 0x{byte:02x} is not {called}; {advice}")


def _end_with_lf(sample: str) -> bool:
    """Whether lines end with LF or CR LF, by the first line, or by most where that has a CR."""
    first = _LINE_END.search(sample)
    if first is None or first[0] != "\r":
        return first is not None
    line_feeds = sample.count("\n")
    return line_feeds > 0 and line_feeds >= len(_CR_ALONE.findall(sample))


def _readings(data: bytes, at: int) -> list[tuple[str, str]]:
    """Return what the word at a bad place may be, each with the encoding, likely ones first."""
    from charset_normalizer import from_bytes  # noqa: PLC0415 - slow to load, and seldom needed

    # What spreadsheets in the west write comes first; the rest is a guess, and shown as one.
    guesses = (match.encoding.replace("_", "-") for match in from_bytes(data))
    readings: dict[str, str] = {}
    for codec in (_USUAL, *filter(_COMMON.__contains__, guesses)):
        with suppress(UnicodeError):
            around = data[max(at - 20, 0) : at + 20].decode(codec, "replace")
            words = [word for word in _WORDS.split(around) if not word.isascii()]
            if words and "\ufffd" not in words[0] and _is_of_one_script(words[0]):
                readings.setdefault(words[0], codec)
    return list(readings.items())


def _is_of_one_script(word: str) -> bool:
    """Whether the other letters of a word that has some of A to Z are Latin, too."""
    others = [letter for letter in _AROUND.sub("", word) if not letter.isascii()]
    is_latin = all(unicodedata.name(letter, "").startswith("LATIN ") for letter in others)
    return is_latin or not _A_TO_Z.search(word)


def _is_utf_8(data: bytes) -> bool:
    """Whether a text is UTF-8 and not ASCII alone, which any encoding could be."""
    try:
        return not data.decode("utf-8").isascii()
    except UnicodeDecodeError:
        return False
