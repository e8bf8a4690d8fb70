"""The CA's answers, compared with what this program expects -> findings."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from batch_resend.doctor import shapes
from batch_resend.doctor.findings import NOTHING, Check, Deviation, Failed, Finding, Result
from batch_resend.doctor.shapes import Field, Kind, Need, Vocabulary, kind_of, sanitized

MISSING = "missing"
_ABSENT = object()


def _is(*types: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, types) and not isinstance(value, bool)


def _is_text(holds: Callable[[str], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and holds(value)


_IS_KIND: Mapping[Kind, Callable[[Any], bool]] = {
    Kind.INTEGER: _is(int),
    Kind.NUMBER: _is(int, float),
    Kind.DIGITS: _is_text(lambda text: text.isascii() and text.isdigit()),
    Kind.TEXT: _is_text(lambda text: bool(text.strip())),
    Kind.WORD: _is_text(shapes.is_word),
    Kind.DATE: _is_text(shapes.is_date),
    Kind.BOOLEAN: lambda value: isinstance(value, bool),
    Kind.OBJECT: _is(dict),
    Kind.LIST: _is(list),
    Kind.EMPTY_LIST: lambda value: value == [],
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Where an answer is not as it is expected, and what it has beyond that."""

    deviations: tuple[Deviation, ...] = ()
    unknown_fields: tuple[str, ...] = ()


def compare(
    value: object, fields: tuple[Field, ...], key: str = "", prefix: str = ""
) -> Comparison:
    """Compare one object with a table of fields. `key`, the API key, is in nothing returned.

    `prefix`: the path of the object itself.
    """
    if not isinstance(value, dict):
        return Comparison((Deviation(prefix, Kind.OBJECT, kind_of(value)),))
    vocabulary = Vocabulary(value, key)
    is_dv = _at(value, "product.type") == [shapes.DV]
    deviations = [
        Deviation(_joined(prefix, field.path), _expected(field), found)
        for field in fields
        for one in _at(value, field.path)
        if (found := _why_not(one, field, vocabulary, is_dv=is_dv)) is not None
    ]
    unknown = [
        _joined(prefix, path, vocabulary.name(name))
        for path, known in _known_names(fields).items()
        for one in _at(value, path)
        if isinstance(one, dict)
        for name in one
        if name not in known
    ]
    # Items of a list deviate alike.
    return Comparison(tuple(dict.fromkeys(deviations)), tuple(dict.fromkeys(unknown)))


def compare_all(
    values: Sequence[object], fields: tuple[Field, ...], prefix: str, key: str = ""
) -> Comparison:
    """Compare each of several objects; what deviates alike is counted, not repeated."""
    found = [compare(value, fields, key, prefix) for value in values]
    counts = Counter(deviation for one in found for deviation in one.deviations)
    deviations = tuple(replace(deviation, times=times) for deviation, times in counts.items())
    return Comparison(deviations, _together(found).unknown_fields)


def _together(found: Iterable[Comparison]) -> Comparison:
    all_of_them = list(found)
    return Comparison(
        tuple(dict.fromkeys(one for each in all_of_them for one in each.deviations)),
        tuple(dict.fromkeys(name for each in all_of_them for name in each.unknown_fields)),
    )


def _joined(*names: str) -> str:
    return ".".join(filter(None, names))


def _at(value: object, path: str) -> list[object]:
    """Return what stands at a path, or _ABSENT; nothing where what holds it is of another kind."""
    if not path:
        return [value]
    if not isinstance(value, dict):
        return []
    name, _, rest = path.partition(".")
    items = [value.get(name.removesuffix("[]"), _ABSENT)]
    if name.endswith("[]"):
        items = items[0] if isinstance(items[0], list) else []
    return [found for item in items for found in _at(item, rest)]


@cache
def _known_names(fields: tuple[Field, ...]) -> Mapping[str, set[str]]:
    """Return the names that are known within each object of a table, by its path."""
    known: dict[str, set[str]] = {}
    for field in fields:
        path, _, name = field.path.rpartition(".")
        known.setdefault(path, set()).add(name.removesuffix("[]"))
    return known


def _expected(field: Field) -> str:
    return " or ".join(field.kinds) + (" that this program knows" if field.words else "")


def _fits(value: object, field: Field) -> bool:
    is_kind = any(_IS_KIND[kind](value) for kind in field.kinds)
    return is_kind and (not field.words or value in field.words)


def _why_not(value: object, field: Field, vocabulary: Vocabulary, *, is_dv: bool) -> str | None:
    """Return what there is where a field is not as it is expected; None: it is."""
    if value is _ABSENT or value is None:
        needs = (Need.REQUIRED, Need.OF_DV) if is_dv else (Need.REQUIRED,)
        absent = MISSING if value is _ABSENT else "null"
        return absent if field.need in needs else None
    if _fits(value, field):
        return None
    return vocabulary.word(value) if Kind.WORD in field.kinds else kind_of(value)


# --- findings -----------------------------------------------------------------------------------


def check_shape(check: Check, content: Any, fields: tuple[Field, ...], key: str) -> Finding:
    """Compare what the CA says of one thing with what is expected."""
    if isinstance(content, Failed):
        return _unread(check, content, "`send` works without it; sweep, export and verify may not.")
    return _finding(check, compare(content, fields, key), sanitized(content, key))


def check_list_shape(pages: Sequence[Any], key: str) -> Finding:
    """Compare pages of lists, and each order in them, with what is expected."""
    found = [_of_page(page, key) for page in pages if not isinstance(page, Failed)]
    if not found:
        return Finding(Check.LIST_SHAPE, Result.NOT_CHECKED, "the list could not be read")
    samples = (sample for one, sample in found if one.deviations)
    sample = next(samples, found[0][1])
    return _finding(Check.LIST_SHAPE, _together(one for one, _ in found), sample)


def _of_page(content: Any, key: str) -> tuple[Comparison, object]:
    """Return how a page deviates, and a sample of it with one order, one that deviates."""
    if content is NOTHING or content == {}:
        return Comparison(), content if content == {} else None
    orders = orders_of(content)
    page = compare(content, shapes.PAGE, key)
    odd = [order for order in orders if compare(order, shapes.LISTED_ORDER, key).deviations]
    shown = {**content, "orders": [*(odd or orders)][:1]} if orders else content
    found = _together((page, compare_all(orders, shapes.LISTED_ORDER, "orders[]", key)))
    return found, sanitized(shown, key)


def check_changes_shape(content: Any, key: str) -> Finding:
    """Compare what the call "Status change list" answers with what is expected."""
    check = Check.CHANGES_SHAPE
    if isinstance(content, Failed):
        return _unread(check, content, "`verify` asks order by order then.")
    if content is NOTHING or content == {}:
        return Finding(check, Result.OK, "no order has changed, so none was compared")
    page = Comparison() if isinstance(content, list) else compare(content, shapes.CHANGES, key)
    orders = content if isinstance(content, list) else orders_of(content)
    changes = compare_all(orders, shapes.CHANGE, "orders[]", key)
    return _finding(check, _together((page, changes)), sanitized(content, key))


def orders_of(page: object) -> Sequence[Any]:
    """Return the orders of a page. Without `orders` it is empty: `{}`, or no content at all."""
    found = page.get("orders") if isinstance(page, dict) else None
    return found if isinstance(found, list) else ()


def _unread(check: Check, failed: Failed, beside: str) -> Finding:
    return Finding(check, failed.result, failed.detail, f"{failed.remedy} {beside}")


def _finding(check: Check, found: Comparison, sample: object) -> Finding:
    deviations, unknown = found.deviations, found.unknown_fields
    beyond = f"; {len(unknown)} fields beyond that" if unknown else ""
    if not deviations:
        detail = f"as this program expects{beyond}"
        return Finding(check, Result.OK, detail, unknown_fields=unknown, sample=sample)
    some = "is 1 deviation" if len(deviations) == 1 else f"are {len(deviations)} deviations"
    return Finding(
        check,
        Result.WARNING,
        f"there {some} from what this program expects{beyond}",
        "Please send us the sample below: it names nobody, no domain and no order.",
        deviations,
        unknown,
        sample,
    )
