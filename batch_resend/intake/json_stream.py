"""A JSON document -> raw records: an array of them, or the CA's pages, `{"orders": [...]}`.

Several documents may stand one after another, as pages that were fetched one by one do. They are
read a record at a time, so that a document of any length fits. Any other object that wraps one list
of orders is read likewise: see `json_shapes`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from batch_resend.errors import InputError
from batch_resend.intake.fields import RawRecord
from batch_resend.intake.json_pages import PAGE, Pages, is_page, records_in
from batch_resend.intake.json_rows import NOTHING, JsonRecords
from batch_resend.intake.json_shapes import Path, Wrapper, is_record, may_hold_lists, unwrapped
from batch_resend.intake.json_text import ANY_OBJECT, DECODER, may_go_on
from batch_resend.intake.json_unread import (
    about_record,
    is_of_pages,
    narrows_the_list,
    says_anything,
)
from batch_resend.intake.reading import Reading
from batch_resend.intake.text import CHUNK_CHARS, MAX_LINE_CHARS, Text
from batch_resend.model import Problem, RejectedRow

_LONGEST_LINE_OF_A_RECORD = CHUNK_CHARS // 2  # in doubt a longer one is a document
_NOT_BLANK = re.compile(r"[^ \t\r\n]")
_PAGE_BEGINS = re.compile(r'\{[ \t\r\n]*"orders"[ \t\r\n]*:[ \t\r\n]*\[')
_ANOTHER_ON_LINE = re.compile(r"[ \t]*,[ \t]*\S")


def is_document(begin: str, reading: Reading) -> bool:
    """Whether a text is a JSON document and not JSONL, an object a line, by how it begins.

    An object of many lines is one; so is one of the CA's pages. A line that is broken, with others
    after it that begin an object where JSON has none, is broken JSONL. Where JSON may have one, it
    is refused for what follows, if it is no document.
    """
    if begin.startswith("[") or _PAGE_BEGINS.match(begin):
        return True
    first, _, rest = begin.partition("\n")
    try:
        value, _ = ANY_OBJECT.raw_decode(first)
    except (ValueError, RecursionError):
        if not rest and len(first) >= _LONGEST_LINE_OF_A_RECORD:
            return True
        below = rest.lstrip()
        return bool(below) and may_go_on(begin, len(begin) - len(below))
    if not isinstance(value, dict):
        return False
    return is_page(value) or Wrapper("", reading).defect(value) is not None


class JsonStream:
    """The records of JSON documents, each with the line on which it begins."""

    def __init__(self, name: str, text: Text, records: JsonRecords) -> None:
        self._name = name
        self._chunks = text.chunks()
        self._of = records
        self._buffer = ""
        self._at = 0  # in the buffer
        self._line = 1  # of that place
        self._reading = records.reading
        self._count = self._last_line = 0  # of records, and where the last one began
        self._wrapper = Wrapper(name, self._reading)
        self._beside: list[tuple[Path, object]] = []  # what stands beside a list of orders
        self.pages = Pages()
        self._names_nobody = False  # some record does

    def __iter__(self) -> Iterator[RawRecord | RejectedRow]:
        """Yield a record an object. Raises InputError where the text is not JSON."""
        while (sign := self._next()) != "":
            if sign == "[":
                yield from self._array()
            elif sign == "{":
                yield from self._object()
            else:
                raise self._error("an object or an array is expected", self._at)

    @property
    def under(self) -> str:
        """The keys of a wrapping object that lead to its list of orders; "": nothing wraps it."""
        return ".".join(self._wrapper.taken or ())

    def _array(self) -> Iterator[RawRecord | RejectedRow]:
        """Yield the records of an array, in which an object may be a page."""
        self._take("[")
        while self._next() != "]":
            yield from self._object()
            if self._next() != "]":
                self._take(",")
        self._take("]")

    def _object(self) -> Iterator[RawRecord | RejectedRow]:
        """Yield the one record that a value is, or those of a page."""
        while len(self._buffer) - self._at < 1000 and self._read_more():
            pass
        if not _PAGE_BEGINS.match(self._buffer, self._at):
            yield from self._records()
            return
        self._take("{")
        self._pass_over()
        self._take(":")
        yield from self._array()
        while self._next() != "}":  # what else the page tells
            self._take(",")
            key = str(self._pass_over())
            self._take(":")
            self._beside.append(((key,), self._pass_over()))
        self._take("}")
        self._judge_beside((PAGE,))

    def _pass_over(self) -> object:
        """Take a value that is not read, and return it: a key that stands twice does no harm."""
        with suppress(_KeyTwiceError):
            return self._value()
        return None

    def _judge_beside(self, taken: Path) -> None:
        """Raise InputError where something beside a list of orders may say whom or what to mail.

        `taken`: where that list stands. Take note of what is said of other pages.
        """
        if self._beside:
            self.pages.note(self._beside, taken)
        for (*_, key), value in self._beside:
            if self._may_matter(key, value):
                raise InputError(
                    f"{self._name}: {key!r} is beside the list of orders and is not read, and it "
                    "may say which orders are meant, or who is mailed. Write it into each record, "
                    "or pass the list alone, without the object around it"
                )
        self._beside.clear()

    def _may_matter(self, key: str, value: object) -> bool:
        """Whether what stands beside a list of orders may say which orders are meant, or whom."""
        if self._reading.numbers_only:
            return not is_of_pages(key) and says_anything(value)
        return narrows_the_list(key, value, names_nobody=self._names_nobody)

    def _records(self) -> Iterator[RawRecord | RejectedRow]:
        """Yield the one record that a value is, or those of the list that it wraps."""
        line = self._line
        try:
            value, end = self._complete()
        except _TooLongError:
            if self._next() != "{":
                raise
            yield from self._wrapped(is_long=True)
            return
        seen = _seen(value)
        wrapping = seen if isinstance(seen, dict) and _may_wrap(seen) else None
        if wrapping is not None and self._wrapper.wraps(wrapping):
            yield from self._wrapped(is_long=False)
            return
        defect = None if wrapping is None else self._wrapper.defect(wrapping)
        raw = self._passed(end)
        if defect is not None and not isinstance(value, _KeyTwiceError):
            yield self._placed(RejectedRow(line, Problem.ORDER_ID, defect, raw))
            return
        self._note_beside(value)
        for below, one, text in records_in(value, raw):
            yield self._record(line + below, one, text)
        self._judge_beside((PAGE,))

    def _note_beside(self, value: object) -> None:
        """Take note of what a page says before its orders."""
        if is_page(value):
            self._beside += [((key,), held) for key, held in value.items() if key != PAGE]

    def _record(
        self, line: int, value: object, raw: str, around: Mapping[str, object] = NOTHING
    ) -> RawRecord | RejectedRow:
        if isinstance(value, _KeyTwiceError):
            why = f"not a JSON object: {value}"
            return self._placed(RejectedRow(line, Problem.FORM, why, raw))
        record = self._of.record(line, value, raw, around)
        self._names_nobody |= isinstance(record, RawRecord) and not record.has_addresses
        return self._placed(record)

    def _placed(self, record: RawRecord | RejectedRow) -> RawRecord | RejectedRow:
        """Return a record that was taken with its number, where several begin on one line."""
        self._count += 1
        follows, self._last_line = record.line == self._last_line, record.line
        if not (follows or _ANOTHER_ON_LINE.match(self._buffer, self._at)):
            return record
        place = f"record {self._count}"
        if isinstance(record, RejectedRow):
            return replace(record, reason=f"{place}: {record.reason}")
        return record._replace(place=place)

    def _wrapped(self, *, is_long: bool) -> Iterator[RawRecord | RejectedRow]:
        """Yield the records of the list of orders that an object wraps; `is_long`: for a record."""
        too_long, keys = self._too_long(), list[str]()
        yield from self._members((), keys)
        defect = self._wrapper.end(keys)
        if defect is None:
            self._judge_beside(self._wrapper.taken or ())
        self._beside.clear()
        if is_long and is_record(keys, self._reading):
            raise too_long
        if is_long and defect is not None:
            raise InputError(f"{self._name}: {defect}")

    def _members(self, path: Path, keys: list[str]) -> Iterator[RawRecord | RejectedRow]:
        """Yield what is taken of the lists in an object; note its keys."""
        self._take("{")
        while (sign := self._next()) != "}":
            if keys:
                self._take(",")
            elif sign != '"':
                raise self._error("a key is expected", self._at)
            key = str(self._value())
            keys.append(key)
            self._take(":")
            inside = (*path, key)
            match self._next():
                case "[" if may_hold_lists(inside):
                    yield from self._elements(inside)
                case "{" if may_hold_lists(inside):
                    yield from self._members(inside, [])
                case _:
                    self._beside.append((inside, self._pass_over()))
        self._take("}")

    def _elements(self, path: Path) -> Iterator[RawRecord | RejectedRow]:
        """Yield the elements of a list, if it is the one of orders."""
        self._take("[")
        is_taken: bool | None = None
        while self._next() != "]":
            line = self._line
            value, end = self._complete()
            raw = self._passed(end)
            if is_taken is None:
                seen = _seen(value)
                is_taken = isinstance(seen, dict) and self._wrapper.takes(path, seen)
            if is_taken:
                around = NOTHING
                if isinstance(value, dict):
                    value, beside = unwrapped(value, self._reading)
                    around = about_record(beside)
                yield self._record(line, value, raw, around)
            else:
                self._beside.append((path, value))
            if self._next() != "]":
                self._take(",")
        self._take("]")

    def _next(self) -> str:
        """Return the next sign that is not blank, without taking it; nothing at the end."""
        while True:
            found = _NOT_BLANK.search(self._buffer, self._at)
            self._move(found.start() if found else len(self._buffer))
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._read_more():
                return ""

    def _take(self, sign: str) -> None:
        if self._next() != sign:
            raise self._error(f"{sign!r} is expected", self._at)
        self._move(self._at + 1)

    def _value(self) -> object:
        """Take the value that begins here. Raises _KeyTwiceError, InputError."""
        value, end = self._complete()
        self._move(end)
        if isinstance(value, _KeyTwiceError):
            raise value
        return value

    def _complete(self) -> tuple[object, int]:
        """Return the value that begins here and where it ends, without taking it.

        A _KeyTwiceError may stand in its place. Raises InputError.
        """
        self._next()
        while True:
            try:
                value, end = self._decoded()
            except json.JSONDecodeError as error:
                if not self._is_cut_off(error):
                    raise self._error(error.msg, error.pos) from None
            except RecursionError:
                raise self._error("nested too deeply", self._at) from None
            else:
                if end < len(self._buffer) or not self._read_more():  # else a number may go on
                    return value, end

    def _is_cut_off(self, error: json.JSONDecodeError) -> bool:
        """Whether a text may be wrong for its end alone; then more of it has been read."""
        # Cut off by the buffer's end, a text is wrong there, or where a string began.
        cut_off = len(self._buffer) - error.pos < CHUNK_CHARS or "string" in error.msg
        return cut_off and self._read_more()

    def _decoded(self) -> tuple[object, int]:
        """Return the value that begins here and where it ends; a _KeyTwiceError in its place.

        Raises JSONDecodeError, RecursionError.
        """
        try:
            return DECODER.raw_decode(self._buffer, self._at)
        except json.JSONDecodeError:
            raise
        except ValueError as error:
            value, end = ANY_OBJECT.raw_decode(self._buffer, self._at)
            return _KeyTwiceError(str(error), value), end

    def _passed(self, end: int) -> str:
        text = self._buffer[self._at : end]
        self._move(end)
        return text

    def _move(self, to: int) -> None:
        self._line += self._buffer.count("\n", self._at, to)
        self._at = to

    def _read_more(self) -> bool:
        """Read on, keeping what is not taken yet; False at the end. Raises InputError."""
        if len(self._buffer) - self._at > MAX_LINE_CHARS:
            raise self._too_long()
        chunk = next(self._chunks, "")
        if not chunk:
            return False  # places in the buffer, such as an error's, stay what they are
        self._buffer, self._at = self._buffer[self._at :] + chunk, 0
        return True

    def _too_long(self) -> "_TooLongError":
        return _TooLongError(
            f"{self._name}, line {self._line}: an object longer than 1 MiB; is this a list?"
        )

    def _error(self, message: str, at: int) -> InputError:
        line = self._line + self._buffer.count("\n", self._at, at)
        return InputError(
            f"{self._name}, line {line}: not JSON: {message[:1].lower()}{message[1:]}; "
            "was it copied as a whole?"
        )


def _may_wrap(value: dict[str, object]) -> bool:
    return not is_page(value) and any(isinstance(one, list | dict) for one in value.values())


def _seen(value: object) -> object:
    return value.value if isinstance(value, _KeyTwiceError) else value


class _TooLongError(InputError):
    """A value is longer than any record."""


class _KeyTwiceError(ValueError):
    """A key stands twice in an object: which value counts is not ours to guess."""

    def __init__(self, message: str, value: object) -> None:
        super().__init__(message)
        self.value = value  # with the last of them
