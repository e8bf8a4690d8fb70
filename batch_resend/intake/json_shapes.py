"""What stands around a JSON record, and what in it is not read but may say whom to mail."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote

from batch_resend.calls import CALLS
from batch_resend.errors import InputError
from batch_resend.intake.asked_about import (
    is_live,
    is_mark,
    is_no,
    is_remark,
    says_not_to_send,
    says_state,
    says_whether,
)
from batch_resend.intake.exports import is_own_key, is_state_of_another_trade
from batch_resend.intake.fields import ADDRESSES, Field, known_field
from batch_resend.intake.headings import HeadingRules
from batch_resend.intake.looks import (
    has_address,
    has_content,
    holds_address,
    holds_domain,
    is_mailbox,
    is_of_addresses,
    looked_for,
)
from batch_resend.intake.suggestions import ignore_flag, listed, pair_flags
from batch_resend.model import Call

_NAMING_KEYS = ("order_id", "domain_id", "domain", "call", "account", "all_domains")
_OF_ADDRESSES = ("domain_approval_emails", "email_array", "emails")
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
            "a planned request without addresses, and without the word for it: add "
            '"all_domains": true to have the CA mail all domains that wait, or the addresses'
        )
    return {**named, **body}


def _refuse_other_path(value: dict[str, object]) -> None:
    """Raise ValueError where the path of a request is not that of what its record names."""
    path = value.get("path")
    if not isinstance(path, str):
        return
    key = "order_id" if value.get("call", Call.DV_RESEND) != Call.DOMAIN_DCV else "domain_id"
    subject = value.get(key, value.get("domain") if key == "domain_id" else None)
    found = _SUBJECT.search(path)
    in_path = unquote(found[1] if found else path)
    if subject is not None and in_path.lower() != str(subject).strip().lower():
        raise ValueError(
            f"path is about {in_path[:80]!r} and {key} is {str(subject)[:80]!r}: which is meant? "
            "Change both, or leave out method, path and body"
        )


MOST_DEEP = 8  # objects within objects
_NESTED = "domain_approval_emails"
_ID_OF_ANYTHING = "id"
_CERTIFICATE = (
    "certificate"  # which each of the CA's own orders has, and an `id` is then the order's
)
# What has the fields of a record in an object of their own: JSON:API, Airtable, GraphQL,
# Elasticsearch, GeoJSON.
_INNER = ("attributes", "fields", "node", "_source", "properties")

Path = tuple[str, ...]


def is_record(keys: Iterable[str], mapping: Mapping[Field, str], call: Call) -> bool:
    """Whether an object with these keys is a record: whether one says what it is about."""
    return _names_subject(tuple(keys), tuple(mapping.items()), call)


@lru_cache(maxsize=256)
def _names_subject(
    keys: tuple[str, ...], mapping: tuple[tuple[Field, str], ...], call: Call
) -> bool:
    mapped = {key for which, key in mapping if which is Field.ORDER_ID}
    if _NESTED in keys or not mapped.isdisjoint(keys) or {"method", "body"} <= set(keys):
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


def inner_record(
    value: dict[str, object], mapping: Mapping[Field, str], call: Call
) -> dict[str, object]:
    """Return the object that has the fields of a record: itself, or one within."""
    if not is_record(value, mapping, call):
        for key in _INNER:
            if isinstance(inner := value.get(key), dict):
                return inner
    return value


def record_beneath(
    value: Mapping[str, object], mapping: Mapping[Field, str], call: Call
) -> str | None:
    """Return the key of an object under which a record stands; None: it may be one itself."""
    for key, held in value.items():
        if isinstance(held, dict) and is_record(held, mapping, call):
            others = [name for name in value if name != key]
            return None if is_record(others, mapping, call) else key
    return None


@dataclass(slots=True)
class Wrapper:
    """Which of the lists in an object, or in several pages of it, is the one of orders."""

    name: str  # of the file, for messages
    mapping: Mapping[Field, str]
    call: Call
    taken: Path | None = None
    _is_taken_here: bool = False  # in the object that is being read
    _passed_over: list[str] = field(default_factory=list)  # lists there that hold no orders

    def wraps(self, value: dict[str, object]) -> bool:
        """Whether an object is no record itself, and wraps a list of them."""
        if is_record(value, self.mapping, self.call):
            return False
        return any(
            path == self.taken or (one and isinstance(one[0], dict) and self._are_orders(one[0]))
            for path, one in lists_in(value)
        )

    def complaint(self, value: dict[str, object]) -> str | None:
        """Return why an object that wraps a list is no use; None: it wraps none."""
        if is_record(value, self.mapping, self.call):
            return None
        lists = [
            self._described(path, one[0])
            for path, one in lists_in(value)
            if one and isinstance(one[0], dict)
        ]
        return _without_orders(value, lists) if lists else None

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
                f"{self.name}: holds several lists of orders: {_shown(self.taken)} and "
                f"{_shown(path)}; give the one that is meant as a list of its own"
            )
        if says := next(filter(says_not_to_send, path), None):
            raise InputError(
                f"{self.name}: a list of orders stands under {_shown(path)}: {says!r} may "
                "say that these are not to be sent. If they are, give that list alone, without "
                "the object around it"
            )
        self.taken, self._is_taken_here = path, True
        return True

    def end(self, keys: Iterable[str]) -> str | None:
        """Return why the object that ends here was no use; None: a list in it was taken."""
        is_taken, self._is_taken_here = self._is_taken_here, False
        lists, self._passed_over = self._passed_over, []
        return None if is_taken else _without_orders(keys, lists)

    def _are_orders(self, first: dict[str, object]) -> bool:
        return is_record(self._record(first), self.mapping, self.call)

    def _described(self, path: Path, first: dict[str, object]) -> str:
        return f"under {_shown(path)}, with the keys {listed(list(self._record(first)))}"

    def _record(self, value: dict[str, object]) -> dict[str, object]:
        return inner_record(value, self.mapping, self.call)


def _without_orders(keys: Iterable[str], lists: list[str]) -> str:
    return (
        "no key holds the order number, neither of the object, with the keys "
        f"{listed(list(keys))}, "
        f'nor of the objects {" and ".join(lists[:5])}. Say which it is: --map order_id="KEY"'
    )


def _shown(path: Path) -> str:
    return repr(".".join(path))


_OF_THE_CA = "certificate"  # every order of the pages "List orders" and "Order info" has one


def refuse_address_data(
    unread: Mapping[str, object], ignored: Collection[str], *, of_the_ca: bool
) -> None:
    """Raise ValueError where a record without addresses has a key that may narrow what it asks for.

    `unread`: its keys that hold no field, with what stands under them; `ignored`: those named by
    --ignore. A domain in one of these still needs --all-domains, but in an order of the CA's.
    """
    for key, held in unread.items():
        texts = list(all_texts(held))
        why = None
        if key not in ignored:
            why = (_why_added(key, texts) if of_the_ca else None) or _why_narrower(key, held, texts)
        elif not of_the_ca:
            why = _why_of_domain(key, texts)
        if why:
            raise ValueError(why)


def _why_added(key: str, texts: Collection[str]) -> str | None:
    """Return what is wrong with a key that somebody added to an order of the CA's."""
    if known_field(key) is not None:
        return None
    if any(map(holds_domain, texts)) or (is_remark(key) and any(map(str.strip, texts))):
        return (
            f"the key {key!r} is none of the CA's and is not read, and all domains of the "
            f"order would be mailed: if that is right, {ignore_flag(key)}"
        )
    return None


def _why_of_domain(key: str, texts: Collection[str]) -> str | None:
    if any(map(holds_domain, texts)):
        return (
            f"there is a domain in the key {key!r}, which is not known to hold those to "
            f"approve. If it does: {pair_flags(key, None)}; if the CA is to mail all domains "
            f"of the order that wait: --all-domains {ignore_flag(key)}"
        )
    return None


def _why_narrower(key: str, held: object, texts: Collection[str]) -> str | None:
    """Return why what stands under a key may say that not all domains are meant."""
    if why := _why_of_domain(key, texts):
        return why
    within = [(key, held), *(() if is_own_key(key) else _within(held))]
    full = [name for name, one in within if says_anything(one)]
    if any(map(is_of_addresses, full)) or any(map(is_mailbox, texts)):
        return (
            f"the key {key!r} may say which domains or addresses are meant, and is not read: "
            "all domains of the order would be mailed. If that is right, "
            f"{ignore_flag(key)}"
        )
    if any(map(is_state_of_another_trade, texts)):
        return (
            f"under {key!r} is a state that orders of shops have: is it one of the CA's? If it "
            f"is: {ignore_flag(key)}"
        )
    if any(is_live(name) or not name for name in full) or any(map(is_no, texts)):
        return _may_say_not_to_send(key)
    return None


def refuse_marks(unread: Mapping[str, object]) -> None:
    """Raise ValueError where a key that is not read may say that the order needs no mail."""
    for key, held in unread.items():
        marks = any(_is_mark(name, one) for name, one in ((key, held), *_within(held)))
        if marks or any(map(is_mark, all_texts(held))):
            raise ValueError(_may_say_not_to_send(key))


def _may_say_not_to_send(key: str) -> str:
    return (
        f"the key {key!r} may say which orders need no mail, and is not read. Take out those that "
        f"do not; then {ignore_flag(key)}"
    )


def _is_mark(name: str, held: object) -> bool:
    if not says_anything(held):
        return False
    return says_whether(name) or (says_state(name) and not is_live(name) and held is not False)


def refuse_unread_address(
    value: Mapping[str, object],
    keys: Mapping[Field, tuple[str, ...]],
    rules: HeadingRules,
    *,
    without_domain: bool,
) -> None:
    """Raise ValueError where an address stands in a record of which no key is known to hold one.

    Beside a domain it is only missed where the call pairs the two.
    """
    by_pairs = rules.call is Call.DV_RESEND and Field.CALL not in keys
    found = key_with_address(value) if without_domain or by_pairs else None
    if found is None:
        return
    names = list(value)
    known = {field: names.index(key) for field, (key, *_) in keys.items() if field in ADDRESSES}
    plain = known | looked_for(
        [[held if isinstance(held, str) else "" for held in value.values()]], names, known
    )
    places = (plain.get(field) for field in (Field.DOMAIN, Field.EMAIL))
    flags = pair_flags(*(None if at is None else names[at] for at in places))
    raise ValueError(
        f"there is an e-mail address under the key {found!r}, which is not known to hold those to "
        f"mail. If it does: {flags}; if the CA is to mail all domains of the order that wait: "
        f"--all-domains {ignore_flag(found)}"
    )


def key_with_address(value: Mapping[str, object]) -> str | None:
    """Return the key, none of the CA's own, under which an e-mail address stands."""
    for key, held in value.items():
        if not is_own_key(key) and any(map(holds_address, all_texts(held))):
            return key
        if key == _OF_THE_CA and any(map(has_address, all_texts(held))):
            return key
    return None


def _within(value: object) -> Iterator[tuple[str, object]]:
    """Yield the keys of objects in a value, however deep, each with what stands under it."""
    rest = [value]
    while rest:
        one = rest.pop()
        if isinstance(one, list):
            rest += one
        elif isinstance(one, dict):
            yield from one.items()
            rest += one.values()


def key_with_signs(unread: Mapping[str, object]) -> str:
    """Return the first key under which a domain or an address stands; "": none."""
    for key, held in unread.items():
        texts = all_texts(held)
        if any(holds_address(text) or holds_domain(text) or is_mailbox(text) for text in texts):
            return key
    return ""


def says_anything(value: object) -> bool:
    """Whether a JSON value is more than an empty one."""
    if isinstance(value, str):
        return has_content(value)
    return value is not None and value not in ([], {})


def all_texts(value: object) -> Iterator[str]:
    """Yield the texts in a value, keys of objects among them, however deep."""
    rest = [value]
    while rest:
        one = rest.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list):
            rest += one
        elif isinstance(one, dict):
            rest += one
            rest += one.values()
