"""The shapes of JSON, and samples of answers without what is private."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from batch_resend.doctor.answers import DV, KNOWN_KEYS, KNOWN_WORDS, WORD_KEYS, Field, Kind, Need
from batch_resend.doctor.findings import Deviation

MOST_ITEMS = 3  # of a list that are shown
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_DOMAIN = re.compile(r"(\*\.)?([\w-]+\.)+[^\W\d_][\w-]*\.?")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S*", re.IGNORECASE)
# A date in whatever form, as long as it begins as one: its digits are masked, its form is not.
_DATE = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?(Z|[+-]\d{2}:?\d{2})?", re.ASCII
)
_NO_DATE = frozenset(("0000-00-00", "0000-00-00 00:00:00"))
_KINDS: tuple[tuple[re.Pattern[str], Callable[[str], str]], ...] = (
    (re.compile(r"[0-9]+"), lambda text: f"<digits {len(text)}>"),
    (_DATE, lambda text: f"<date {re.sub('[0-9]', '9', text)}>"),
    (_EMAIL, lambda _: "<email>"),
    (_URL, lambda _: "<url>"),
    (re.compile(r"-?[0-9]+\.[0-9]+"), lambda _: "<decimal>"),
    (
        re.compile(r"([0-9]{1,3}\.){3}[0-9]{1,3}|[0-9a-fA-F]*:[0-9a-fA-F.]*:[0-9a-fA-F:.]*"),
        lambda _: "<address>",
    ),
    (_DOMAIN, lambda _: "<domain>"),
)
_FIELD_NAME = re.compile(r"[a-z]+(_[a-z]+){0,7}[0-9]?")
_WORD = re.compile(r"[a-z]{2,20}[0-9]{0,3}([_-][a-z]{1,20}[0-9]{0,3}){0,5}")
_LONGEST = 40  # characters of a word, or of a field's name: less than an API key has


class Vocabulary:
    """Which texts of an answer are the CA's own words, and which stand for something of theirs.

    "Theirs" are those whom the answer is about: the account, its people, orders and domains. `key`
    is the API key.
    """

    def __init__(self, answer: object, key: str = "") -> None:
        self._key = key
        # What stands for something of theirs in one place is no word of the CA's in another.
        self._theirs = set(_texts(answer))

    def name(self, name: str) -> str:
        """Return the name of a field; where names stand for something of theirs, the kind."""
        is_field = name in KNOWN_KEYS or (
            len(name) <= _LONGEST and _FIELD_NAME.fullmatch(name) and not self._is_theirs(name)
        )
        return name if is_field else _kind_of_text(name)

    def word(self, value: object) -> str:
        """Return what stands where the CA has its words: the word itself, or its kind."""
        if isinstance(value, str) and (
            value in KNOWN_WORDS or (is_word(value) and not self._is_theirs(value))
        ):
            return value
        return kind_of(value)

    def _is_theirs(self, text: str) -> bool:
        return text in self._theirs or (
            bool(self._key) and (self._key in text or text in self._key)
        )


def sanitized(answer: object, key: str = "") -> Any:
    """Return an answer's form without what it says, as JSON has it. `key` is the API key."""
    return _sanitized(answer, Vocabulary(answer, key), is_word=False)


def is_word(text: str) -> bool:
    """Whether a text looks like a word of the CA's own, such as `reissue_pending`."""
    return text in KNOWN_WORDS or (len(text) <= _LONGEST and _WORD.fullmatch(text) is not None)


def is_date(text: str) -> bool:
    """Whether a text is a date with time and zone, as the CA documents its dates."""
    found = _DATE.fullmatch(text)
    return found is not None and found[1] is not None and found[4] is not None


def kind_of(value: object) -> str:
    """Return what kind of thing a value is; nothing of it is in that."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, int | float):
        return "<number>"
    if isinstance(value, str):
        return _kind_of_text(value)
    if isinstance(value, list):
        return f"<list of {len(value)}>"
    return "<object>"


def _kind_of_text(text: str) -> str:
    if not text.strip():
        return f"<blank {len(text)}>" if text else "<empty text>"
    if text in _NO_DATE:
        return text
    kind = next((kind for pattern, kind in _KINDS if pattern.fullmatch(text)), None)
    return kind(text) if kind else f"<text {len(text)}>"


def _sanitized(value: object, vocabulary: Vocabulary, *, is_word: bool) -> Any:
    """Return a value without what it says; `is_word`: it stands where the CA has its words."""
    if isinstance(value, dict):
        return {
            vocabulary.name(name): _sanitized(part, vocabulary, is_word=name in WORD_KEYS)
            for name, part in value.items()
        }
    if isinstance(value, list):
        return _some_of([_sanitized(part, vocabulary, is_word=is_word) for part in value])
    if value is None or isinstance(value, bool):
        return value
    return vocabulary.word(value) if is_word else kind_of(value)


def _some_of(items: list[Any]) -> list[Any]:
    """Return a few items of a list, no two alike if there are more, and how many are left out."""
    if len(items) <= MOST_ITEMS:
        return items
    shown: list[Any] = []
    for item in items:
        if item not in shown:
            shown.append(item)
        if len(shown) == MOST_ITEMS:
            break
    return [*shown, f"<and {len(items) - len(shown)} more>"]


def _texts(value: object, name: str = "") -> Iterator[str]:
    """Yield all texts of an answer that stand where something of theirs may stand."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key != "product" or not isinstance(part, dict):  # whose name is the CA's
                yield from _texts(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part, name)
    elif isinstance(value, str) and name not in WORD_KEYS:
        yield value


MISSING = "missing"
_ABSENT = object()
_TYPES: Mapping[Kind, tuple[type, ...]] = {
    Kind.INTEGER: (int,),
    Kind.NUMBER: (int, float),
    Kind.BOOLEAN: (bool,),
    Kind.OBJECT: (dict,),
    Kind.LIST: (list,),
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Where an answer is not as it is expected, and what it has beyond that."""

    deviations: tuple[Deviation, ...] = ()
    unknown_fields: tuple[str, ...] = ()


@dataclass(slots=True)
class _Node:
    """A field with what is expected within it."""

    expected: Field | None = None
    parts: dict[str, "_Node"] = field(default_factory=dict)
    item: "_Node | None" = None


def compare(value: object, fields: tuple[Field, ...], key: str = "") -> Comparison:
    """Compare one object with a table of fields. `key`, the API key, is in nothing returned."""
    found = _Found(Vocabulary(value, key), is_dv=_type_of(value) == DV)
    if isinstance(value, dict):
        found.compare_object(value, _tree(fields), "")
    else:
        found.deviations.append(Deviation("", Kind.OBJECT, kind_of(value)))
    return Comparison(tuple(found.deviations), tuple(found.unknown))


def compare_all(
    values: Sequence[object], fields: tuple[Field, ...], prefix: str, key: str = ""
) -> Comparison:
    """Compare each of several objects; what deviates alike is counted, not repeated."""
    all_of_them = [compare(value, fields, key) for value in values]
    counts = Counter(
        deviation
        for one in all_of_them
        for deviation in dict.fromkeys(_below(prefix, one.deviations))
    )
    unknown = dict.fromkeys(
        f"{prefix}.{path}" for one in all_of_them for path in one.unknown_fields
    )
    deviations = (replace(deviation, times=times) for deviation, times in counts.items())
    return Comparison(tuple(deviations), tuple(unknown))


def _below(prefix: str, deviations: Iterable[Deviation]) -> Iterator[Deviation]:
    for one in deviations:
        yield replace(one, path=f"{prefix}.{one.path}" if one.path else prefix)


class _Found:
    """What a comparison has found so far."""

    def __init__(self, vocabulary: Vocabulary, *, is_dv: bool) -> None:
        self.deviations: list[Deviation] = []
        self.unknown: list[str] = []
        self._vocabulary = vocabulary
        self._is_dv = is_dv

    def compare_object(self, value: Mapping[str, object], node: _Node, path: str) -> None:
        """Compare an object's fields with those that are expected in it."""
        for name, part in node.parts.items():
            self._compare(value.get(name, _ABSENT), part, f"{path}.{name}" if path else name)
        if node.parts:
            beyond = (self._vocabulary.name(name) for name in value if name not in node.parts)
            self.unknown += (f"{path}.{name}" if path else name for name in beyond)

    def _compare(self, value: object, node: _Node, path: str) -> None:
        expected = node.expected
        if expected is not None and (found := self._why_not(value, expected)) is not None:
            self._deviates(path, expected, found)
        elif isinstance(value, dict):
            self.compare_object(value, node, path)
        elif isinstance(value, list) and node.item is not None:
            for part in value:
                self._compare(part, node.item, f"{path}[]")

    def _why_not(self, value: object, expected: Field) -> str | None:
        """Return what there is where a field is not as it is expected; None: it is."""
        if value is _ABSENT or value is None:
            is_needed = expected.need is Need.REQUIRED or (
                expected.need is Need.OF_DV and self._is_dv
            )
            return (MISSING if value is _ABSENT else "null") if is_needed else None
        if _fits(value, expected):
            return None
        return self._vocabulary.word(value) if Kind.WORD in expected.kinds else kind_of(value)

    def _deviates(self, path: str, expected: Field, found: str) -> None:
        kinds = " or ".join(expected.kinds)
        known = " that this program knows" if expected.words else ""
        deviation = Deviation(path, f"{kinds}{known}", found)
        if deviation not in self.deviations:  # items of a list deviate alike
            self.deviations.append(deviation)


def _fits(value: object, expected: Field) -> bool:
    if not any(_is_kind(value, kind) for kind in expected.kinds):
        return False
    return not expected.words or value in expected.words


def _is_kind(value: object, kind: Kind) -> bool:
    if kind in _TYPES:
        return isinstance(value, _TYPES[kind]) and isinstance(value, bool) is (kind is Kind.BOOLEAN)
    if kind is Kind.EMPTY_LIST:
        return value == []
    return isinstance(value, str) and _is_text(value, kind)


def _is_text(text: str, kind: Kind) -> bool:
    match kind:
        case Kind.DIGITS:
            return text.isascii() and text.isdigit()
        case Kind.DATE:
            return is_date(text)
        case Kind.WORD:
            return is_word(text)
    return bool(text.strip())


@cache
def _tree(fields: tuple[Field, ...]) -> _Node:
    """Return a table of fields as the tree that an answer is."""
    root = _Node()
    for one in fields:
        node = root
        for name in one.path.split("."):
            node = node.parts.setdefault(name.removesuffix("[]"), _Node())
            if name.endswith("[]"):
                node.item = node.item or _Node()
                node = node.item
        node.expected = one
    return root


def _type_of(value: object) -> object:
    """Return the `product.type` of an order, where it has one."""
    product = value.get("product") if isinstance(value, dict) else None
    return product.get("type") if isinstance(product, dict) else None
