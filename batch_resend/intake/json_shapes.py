"""What stands around a JSON record: a request of `check --out`, a list of orders, an object."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote

from batch_resend.calls import CALLS
from batch_resend.errors import InputError
from batch_resend.intake.fields import Field, known_field, plain
from batch_resend.intake.headings import without_subject
from batch_resend.intake.looks import is_order_number
from batch_resend.intake.reading import Reading
from batch_resend.intake.signs import holds_address, may_narrow, says_not_to_send
from batch_resend.intake.suggestions import Head, Noun, listed, map_flag
from batch_resend.model import Call

_NAMING_KEYS = ("order_id", "domain_id", "domain", "call", "account", "all_domains")
_OF_PLANNED = (*_NAMING_KEYS, "method", "path", "body")
_OF_ADDRESSES = tuple(call.key for call in CALLS.values())
_OF_DOMAINS = tuple(name for name, call in CALLS.items() if call.is_about_domain)
_SUBJECT = re.compile(r"/(?:order/certificate|domain)/([^/?#]+)(?=/)")


def request_unwrapped(value: dict[str, object], *, all_domains: bool) -> dict[str, object]:
    """Return what a line of `check --out` asks for, in the form of a list; any other as it is.

    `all_domains`: requests without addresses are meant. Raises ValueError where path and record
    name different orders, or where a request has lost its body or its addresses.
    """
    body, path = value.get("body"), value.get("path")
    has_path = isinstance(path, str) and _SUBJECT.search(path) is not None
    if not isinstance(body, dict) or value.get("method") != "PUT":
        if has_path:
            raise ValueError("a planned request without its method PUT, or without its body")
        return value
    known = _NAMING_KEYS if "name_scope" not in body else ("domain_id", "call", "account")
    named = {key: value[key] for key in known if key in value}
    if not named:
        return value
    _refuse_other_path(value)
    if not (all_domains or value.get("all_domains") or any(map(body.get, _OF_ADDRESSES))):
        raise ValueError(
            "a planned request without addresses, and nothing that asks for that: add "
            '"all_domains": true to have the CA mail every pending domain, or the addresses'
        )
    return {**_added(value), **named, **body}


def _added(value: Mapping[str, object]) -> dict[str, object]:
    """Return what somebody added to a planned request: keys of a record like any other."""
    return {key: held for key, held in value.items() if key not in _OF_PLANNED}


def _refuse_other_path(value: dict[str, object]) -> None:
    """Raise ValueError where the path of a request is not that of what its record names."""
    path = value.get("path")
    if not isinstance(path, str):
        return
    key = "domain_id" if value.get("call") in _OF_DOMAINS else "order_id"
    subject = value.get(key, value.get("domain") if key == "domain_id" else None)
    found = _SUBJECT.search(path)
    in_path = unquote(found[1] if found else path)
    if subject is not None and in_path.lower() != str(subject).strip().lower():
        raise ValueError(
            f"path is about {in_path[:80]!r} and {key} is {str(subject)[:80]!r}: which is meant? "
            "Change both, or leave out method, path and body"
        )


MOST_DEEP = 8  # objects within objects
NESTED = CALLS[Call.DV_RESEND].key
_ID_OF_ANYTHING = "id"
_CERTIFICATE = (
    "certificate"  # which each of the CA's own orders has, and an `id` is then the order's
)
# What has the fields of a record in an object of their own: JSON:API, Airtable, GraphQL,
# Elasticsearch, GeoJSON.
_INNER = ("attributes", "fields", "node", "_source", "properties")

Path = tuple[str, ...]


def lifted(value: dict[str, object], names: Iterable[str]) -> dict[str, object]:
    """Return an object in which what a name such as `order.id` leads to has that name as its key.

    It is not below `order` any more, where what is left is not read.
    """
    for name in names:
        if "." in name and name not in value and (found := _taken(value, name.split("."))):
            held, left = found
            value = {**left, name: held}
    return value


def _taken(
    value: dict[str, object], path: Sequence[str]
) -> tuple[object, dict[str, object]] | None:
    """Return what a path leads to, and the object without it; None: it leads nowhere."""
    key, *below = path
    inner = value.get(key)
    if below:
        found = _taken(inner, below) if isinstance(inner, dict) else None
    else:
        found = (inner, {}) if key in value else None
    if found is None:
        return None
    left = value | {key: found[1]}  # in the order that it had
    return found[0], left if found[1] else {name: left[name] for name in left if name != key}


def without(value: dict[str, object], path: Sequence[str]) -> dict[str, object]:
    """Return an object without what a path leads to, through objects and lists of objects."""
    key, *below = path
    if key not in value:
        return value
    if not below:
        return {name: held for name, held in value.items() if name != key}
    return value | {key: _each_without(value[key], below)}


def _each_without(value: object, path: Sequence[str]) -> object:
    if isinstance(value, list):
        return [without(one, path) if isinstance(one, dict) else one for one in value]
    return without(value, path) if isinstance(value, dict) else value


def paths_in(
    value: Mapping[str, object], most_deep: int = MOST_DEEP
) -> Iterator[tuple[str, object]]:
    """Yield the keys in an object, those of objects below as `order.id`, each with its value."""
    for key, held in value.items():
        if isinstance(held, dict) and held and most_deep:
            yield from ((f"{key}.{name}", one) for name, one in paths_in(held, most_deep - 1))
        else:
            yield key, held


def in_one_text(value: object) -> str:
    """Return what a value would be as a cell; an object is none."""
    if isinstance(value, list):
        return "; ".join(one for one in value if isinstance(one, str))
    is_one = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value) if is_one else ""


def why_no_subject(
    value: Mapping[str, object], known: Mapping[Field, str], reading: Reading, where: str
) -> str:
    """Return what to say of an object that does not say what it is about; `known`: its keys."""
    keys = dict(paths_in(value))
    names = list(keys)
    if wanted := reading.mapping.get(Field.ORDER_ID):
        flag = map_flag(Field.ORDER_ID, wanted)
        return f"{where}: {flag} names a key that is not there; the keys are {listed(names)}"
    places = {which: (names.index(key),) for which, key in known.items() if key in keys}
    head = Head(names, where, [list(map(in_one_text, keys.values()))], noun=Noun.KEY)
    return without_subject(head, places, reading.call)


def is_record(value: Iterable[str], reading: Reading) -> bool:
    """Whether an object, or one with these keys, is a record: says what it is about."""
    keys = lifted(value, reading.mapping.values()) if isinstance(value, dict) else value
    return _names_subject(tuple(keys), tuple(reading.mapping.items()), reading.call)


@lru_cache(maxsize=256)
def _names_subject(
    keys: tuple[str, ...], mapping: tuple[tuple[Field, str], ...], call: Call
) -> bool:
    mapped = {key for which, key in mapping if which is Field.ORDER_ID}
    if NESTED in keys or not mapped.isdisjoint(keys) or {"method", "body"} <= set(keys):
        return True
    fields = {known_field(key) for key in keys if _CERTIFICATE in keys or not _is_bare_id(key)}
    fields |= {which for which, key in mapping if key in keys}
    is_about_domain = CALLS[call].is_about_domain or Field.CALL in fields
    of_domain = not fields.isdisjoint((Field.DOMAIN, Field.DOMAIN_ID))
    return Field.ORDER_ID in fields or (is_about_domain and of_domain)


def _is_bare_id(key: str) -> bool:
    return key.lower().strip("_") == _ID_OF_ANYTHING


def may_hold_lists(path: Path) -> bool:
    """Whether a list of orders may stand at a place in an object: not under a key of a record's."""
    return len(path) <= MOST_DEEP and known_field(path[0]) is None


def lists_in(value: object, path: Path = ()) -> Iterator[tuple[Path, list[object]]]:
    """Yield the lists in an object, with where they stand in it."""
    if path and not may_hold_lists(path):
        return
    if isinstance(value, list):
        yield path, value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from lists_in(one, (*path, key))


def inner_record(value: dict[str, object], reading: Reading) -> dict[str, object]:
    """Return the object that has the fields of a record: itself, or one within."""
    return unwrapped(value, reading)[0]


def unwrapped(
    value: dict[str, object], reading: Reading
) -> tuple[dict[str, object], dict[str, object]]:
    """Return the object that has the fields of a record, and what stands around it."""
    if not is_record(value, reading):
        for key in _INNER:
            if isinstance(inner := value.get(key), dict):
                return inner, {name: held for name, held in value.items() if name != key}
    return value, {}


def refuse_record_beneath(value: Mapping[str, object], reading: Reading) -> None:
    """Raise ValueError where an object is no record, and one stands under a key of it."""
    for key, held in value.items():
        if isinstance(held, dict) and is_record(held, reading):
            if is_record([name for name in value if name != key], reading):
                return
            raise ValueError(
                f"the record is under the key {key!r}: pass what is below it, without the object "
                "around it"
            )


def refuse_numbers(keys: Sequence[str]) -> None:
    """Raise InputError where the keys of an object are numbers of orders."""
    if keys and all(map(is_order_number, keys)):
        raise InputError(
            "the order numbers are keys, and the records are below them: make "
            f'objects of them with the number in each, [{{"order_id": {keys[0][:20]}, ...}}, ...]; '
            "with jq: to_entries | map(.value + {order_id: .key})"
        )


# Keys of lists that are set aside, beside those of what is not to be sent.
_ASIDE = re.compile(
    r"(?:black|deny|block)list(?:ed)?|notpending|errors?|invalid|except(?:ions?)?|without"
    r"|outofscope|deferred|later|duplicates?|noaction|history|previous|old|templates?|examples?"
    r"|ausgeschlossen|exclus|no"
)


def _sets_aside(key: str) -> bool:
    """Whether a key says that what is below it is not to be sent, or only for some."""
    aside = _ASIDE.fullmatch(plain(key)) is not None
    return aside or says_not_to_send(key) or may_narrow(key) or holds_address(key)


@dataclass(slots=True)
class Wrapper:
    """Which of the lists in an object, or in several pages of it, is the one of orders."""

    name: str  # of the file, for messages
    reading: Reading
    taken: Path | None = None
    _is_taken_here: bool = False  # in the object that is being read
    _passed_over: list[str] = field(default_factory=list)  # lists there that hold no orders

    def wraps(self, value: dict[str, object]) -> bool:
        """Whether an object is no record itself, and wraps a list of them."""
        if is_record(value, self.reading):
            return False
        return any(
            path == self.taken or (one and isinstance(one[0], dict) and self._are_orders(one[0]))
            for path, one in lists_in(value)
        )

    def defect(self, value: dict[str, object]) -> str | None:
        """Return why an object that wraps a list is no use; None: it wraps none."""
        if is_record(value, self.reading):
            return None
        lists = [
            self._described(path, one[0])
            for path, one in lists_in(value)
            if one and isinstance(one[0], dict)
        ]
        return self._without_orders(value, lists) if lists else None

    def takes(self, path: Path, first: dict[str, object]) -> bool:
        """Return whether a list holds orders, by its first object.

        Raises InputError where another one does, too, or where its key says that its orders are
        not to be sent: which is meant is not ours to guess.
        """
        if not self._are_orders(first):
            self._passed_over.append(self._described(path, first))
            return False
        if self.taken is not None and (self._is_taken_here or path != self.taken):
            raise InputError(
                f"{self.name}: has several lists of orders: {_shown(self.taken)} and "
                f"{_shown(path)}; pass the one that you mean as a list of its own"
            )
        aside = None if self.reading.numbers_only else next(filter(_sets_aside, path), None)
        if aside is not None:
            raise InputError(
                f"{self.name}: there is a list of orders under {_shown(path)}: {aside!r} may say "
                "that these are not to be sent. If they are, pass that list alone, without the "
                "object around it"
            )
        self.taken, self._is_taken_here = path, True
        return True

    def end(self, keys: Iterable[str]) -> str | None:
        """Return why the object that ends here was no use; None: a list in it was taken."""
        is_taken, self._is_taken_here = self._is_taken_here, False
        lists, self._passed_over = self._passed_over, []
        return None if is_taken else self._without_orders(keys, lists)

    def _are_orders(self, first: dict[str, object]) -> bool:
        return is_record(self._record(first), self.reading)

    def _without_orders(self, keys: Iterable[str], lists: list[str]) -> str:
        objects = " and ".join(lists[:5])
        if wanted := self.reading.mapping.get(Field.ORDER_ID):
            return (
                f"{map_flag(Field.ORDER_ID, wanted)} names a key that is not there. Keys are "
                f"counted from the record, not from what is around it; there are objects {objects}"
            )
        return (
            "no key holds the order number, neither of the object, with the keys "
            f"{listed(list(keys))}, "
            f'nor of the objects {objects}. Name it: --map order_id="KEY"'
        )

    def _described(self, path: Path, first: dict[str, object]) -> str:
        keys = [name for name, _ in paths_in(self._record(first))]
        return f"under {_shown(path)}, with the keys {listed(keys)}"

    def _record(self, value: dict[str, object]) -> dict[str, object]:
        return inner_record(value, self.reading)


def _shown(path: Path) -> str:
    return repr(".".join(path))
