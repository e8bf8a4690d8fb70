"""An answer of the CA beside what this program expects of it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from batch_resend.doctor.expected import DV, Field, Kind, Need
from batch_resend.doctor.findings import Deviation
from batch_resend.doctor.samples import Vocabulary, is_date, is_word, kind_of

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
