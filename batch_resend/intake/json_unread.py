"""What in a JSON record is not read, and may say whom to mail, or not to send at all."""

from collections.abc import (
    Callable,
    Collection,
    Container,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from functools import lru_cache
from typing import Any

from batch_resend.intake.asked_about import one_more_of, why_narrower, why_not_each
from batch_resend.intake.exports import is_own_key
from batch_resend.intake.fields import (
    ADDRESSES,
    Field,
    is_close_to_all_domains,
    known_field,
    plain,
)
from batch_resend.intake.json_entries import flags_below, flags_of_entries
from batch_resend.intake.json_shapes import NESTED, in_one_text, paths_in
from batch_resend.intake.looks import has_address, looked_for
from batch_resend.intake.signs import (
    has_content,
    holds_address,
    holds_domain,
    is_live,
    is_mailbox,
    is_mark,
    is_no,
    is_of_addresses,
    is_remark,
    narrows,
    says_state,
    says_whether,
    tells_not_to_send,
)
from batch_resend.intake.suggestions import (
    Noun,
    ignore_flag,
    map_flag,
    needs_no_mail,
    pair_flags,
)
from batch_resend.model import Call

# Keys of what a program tells of its pages.
_OF_PAGES = frozenset(
    ("page", "pages", "pagination", "paging", "pagesize", "perpage", "total", "totalcount", "count",
     "size", "limit", "offset", "cursor", "next", "nextpage", "previous", "prev", "self", "first",
     "last", "links", "link", "url", "href", "version", "schema", "generated", "generatedat",
     "date", "created", "createdat", "updated", "updatedat", "timestamp", "took", "success",
     "message", "requestid", "hasmore", "apiversion", "ok", "id", "included")
)  # fmt: skip
_FOR_A_PERSON = "message"  # of these keys, the one that may hold a remark
_STATES = ("status", "orderstatus")
_GOOD = ("ok", "success", "true", "200")  # of an answer's status
_OF_PAIR = (Field.DOMAIN, Field.EMAIL)
# Of keys that stand in record after record it is worked out once what they say.
_once = lru_cache(maxsize=256)
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


def refuse_choice(unread: Mapping[str, object], ignored: Collection[str]) -> None:
    """Raise ValueError where a key may say which records are meant: no word for domains does."""
    for key, held in unread.items():
        if key not in ignored and (why := _why_chosen(key, held)):
            raise ValueError(why)


def _why_chosen(key: str, held: object) -> str:
    called = f"the key {key!r}"
    if why := why_not_each(called, key, _full(key, held)):
        return why
    return needs_no_mail(called, key) if any(map(is_no, all_texts(held))) else ""


def _full(key: str, held: object) -> list[str]:
    """Return the keys, of one and of those below it, under which something stands."""
    below = () if is_own_key(key) else within(held)
    return [name for name, one in ((key, held), *below) if says_anything(one)]


def _why_added(key: str, texts: Collection[str]) -> str | None:
    """Return what is wrong with a key that somebody added to an order of the CA's."""
    if known_field(key) is not None:
        return None
    if any(map(holds_domain, texts)) or (is_remark(key) and any(map(str.strip, texts))):
        return (
            f"the key {key!r} is not one of the CA's keys and is not read, so every pending "
            f"domain of the order would be mailed: if that is right, {ignore_flag(key)}"
        )
    return None


def _why_of_domain(key: str, texts: Collection[str]) -> str | None:
    if any(map(holds_domain, texts)):
        return (
            f"there is a domain in the key {key!r}, which is not known to hold those to approve. "
            f"If it does: {pair_flags(key, None, Noun.KEY)}; if the CA is to mail every pending "
            f"domain of the order: --all-domains {ignore_flag(key)}"
        )
    return None


def _why_narrower(key: str, held: object, texts: Collection[str]) -> str | None:
    """Return why what stands under a key may say that not all domains are meant."""
    if why := _why_of_domain(key, texts):
        return why
    full = _full(key, held)
    if why := why_narrower(f"the key {key!r}", key, full, texts):
        return why
    if "" in full or any(map(is_no, texts)):
        return needs_no_mail(f"the key {key!r}", key)
    return None


def refuse_marks(unread: Mapping[str, object]) -> None:
    """Raise ValueError where a key that is not read may say that the order needs no mail."""
    for key, held in unread.items():
        if _is_marked(key, held):
            raise ValueError(needs_no_mail(f"the key {key!r}", key))


def _is_marked(key: str, held: object) -> bool:
    """Whether a key, or what stands under it, may say that something needs no mail."""
    by_key = _is_whether(key) or any(_is_mark(*one) for one in ((key, held), *within(held)))
    return by_key or any(map(is_mark, all_texts(held)))


def _is_mark(name: str, held: object) -> bool:
    if not says_anything(held):
        return False
    return says_whether(name) or (says_state(name) and not is_live(name) and held is not False)


def refuse_unread_address(
    value: Mapping[str, object],
    keys: Mapping[Field, tuple[str, ...]],
    call: Call,
    *,
    without_domain: bool,
) -> None:
    """Raise ValueError where an address stands in a record of which no key is known to hold one.

    Beside a domain it is only missed where the call pairs the two.
    """
    by_pairs = call is Call.DV_RESEND and Field.CALL not in keys
    found = key_with_address(value) if without_domain or by_pairs else None
    if found is None:
        return
    flags = _flags_of_pair(value, keys, found)
    aside = dict.fromkeys((found, *_keys_with_addresses(value)))
    raise ValueError(
        f"there is an e-mail address under the key {found!r}, which is not known to hold those to "
        f"mail. If it does: {flags}; if the CA is to mail every pending domain of the order: "
        f"--all-domains {' '.join(map(ignore_flag, aside))}"
    )


def _flags_of_pair(
    value: Mapping[str, object], keys: Mapping[Field, tuple[str, ...]], found: str
) -> str:
    """Return the options for domain and address, which is below the key `found` if nowhere else."""
    below = dict(paths_in(value))
    if flags := flags_below(found, below):
        return flags
    names = list(below)
    of_addresses = {field: key for field, (key, *_) in keys.items() if field in ADDRESSES}
    known = {field: names.index(key) for field, key in of_addresses.items() if key in below}
    seen = known | looked_for([list(map(in_one_text, below.values()))], names, known)
    within = (
        name
        for name in names
        if name.split(".")[0] == found and any(map(holds_address, all_texts(below[name])))
    )
    domain = names[seen[Field.DOMAIN]] if Field.DOMAIN in seen else None
    email = names[seen[Field.EMAIL]] if Field.EMAIL in seen else next(within, found)
    return pair_flags(domain, email, Noun.KEY)


def refuse_half_a_pair(
    value: Mapping[str, object], keys: Mapping[Field, tuple[str, ...]], call: Call
) -> None:
    """Raise ValueError where half of a pair was added to an order of the CA's, and is no pair."""
    added = [which for which in _OF_PAIR if which in keys]
    if len(added) != 1 or call is not Call.DV_RESEND or Field.CALL in keys:
        return
    (which,), (key, *_) = added, keys[added[0]]
    if says_anything(value[key]):
        other = next(field for field in _OF_PAIR if field is not which)
        word = "--all-domains " if which is Field.EMAIL else ""
        raise ValueError(
            f"the key {key!r} holds the {which}, and no key the {other}. Name it: "
            f"{map_flag(other, None, Noun.KEY)}; if the CA is to mail every pending domain of the "
            f"order: {word}{ignore_flag(key)}"
        )


def refuse_unread_of_entries(
    entries: object, unread_in: Callable[[tuple[str, ...]], Collection[str]]
) -> None:
    """Raise ValueError where a key of an entry may say whom to mail, or not to, and is not read.

    `unread_in` returns which of its keys are not read.
    """
    each = entries if isinstance(entries, list) else ()
    unread = [unread_in(tuple(one)) if isinstance(one, dict) else () for one in each]
    for number, keys in enumerate(unread):
        if keys:
            _refuse_unread_of_entry(number, keys, each)


def _refuse_unread_of_entry(number: int, keys: Iterable[str], entries: Sequence[Any]) -> None:
    """Raise ValueError likewise for one of them; `number`: counted from 0."""
    entry, which = entries[number], f"entry {number + 1} of {NESTED}"
    for key in keys:
        held = entry[key]
        if _is_marked(key, held):
            called = f"the key {key!r} in {which}"
            raise ValueError(needs_no_mail(called, f"{NESTED}.{key}", of="domains"))
        if _may_say_whom(key, held):
            does = _of_entry(key, entry, entries)
            raise ValueError(f"{which} has the key {key!r}, which is not read{does}")


def _of_entry(key: str, entry: Container[str], entries: object) -> str:
    """Return what to do about such a key of an entry: it may be that of what the entry lacks."""
    lacking = [which for which in _OF_PAIR if which not in entry]
    if not lacking:
        flag = ignore_flag(f"{NESTED}.{key}")
        return f": give each domain and address an entry of their own; or say {flag}"
    what = f", and no {' and no '.join(lacking)}"
    flags = flags_of_entries(NESTED, entries)
    return f"{what}. Name the keys that hold domain and address: {flags}" if flags else what


def is_of_pages(key: str) -> bool:
    """Whether a key is one of those by which programs number their pages."""
    return plain(key) in _OF_PAGES


def about_record(around: Mapping[str, object]) -> dict[str, object]:
    """Return what of an envelope may be about the record in it: no id, link, or time."""
    return {
        key: held
        for key, held in around.items()
        if plain(key) == _FOR_A_PERSON or not is_of_pages(key)
    }


def narrows_the_list(key: str, held: object, *, names_nobody: bool) -> bool:
    """Whether what stands beside a list of orders may say what of it to mail, or whom.

    Whom only where some of its records name nobody: others are no wider than what they name.
    """
    name, texts = plain(key), [text for text in all_texts(held) if has_content(text)]
    is_fine = name == "status" and all(text.lower() in _GOOD for text in texts)
    if is_fine or not says_anything(held):
        return False
    if is_of_pages(key):
        return name == _FOR_A_PERSON and any(map(narrows, texts))
    if _is_mark(key, held) or name in _STATES or any(map(narrows, texts)):
        return True
    if not names_nobody:
        return False
    by_key = _may_say_whom(key, held) or is_of_addresses(key)
    return by_key or any(holds_address(text) or holds_domain(text) for text in texts)


def _may_say_whom(key: str, held: object) -> bool:
    return _is_about_whom(key) or any(map(has_address, all_texts(held)))


@_once
def _is_about_whom(key: str) -> bool:
    """Whether a key may be one of whom to mail, or whether to."""
    by_name = known_field(key) is not None or one_more_of(key) is not None
    return by_name or is_close_to_all_domains(key) or _is_whether(key)


@_once
def _is_whether(key: str) -> bool:
    """Whether a key is one of whether to mail, whatever stands under it."""
    return says_whether(key) or tells_not_to_send(key)


def key_with_address(value: Mapping[str, object]) -> str | None:
    """Return the key, none of the CA's own, under which an e-mail address stands."""
    for key, held in value.items():
        if not is_own_key(key) and any(map(holds_address, all_texts(held))):
            return key
        if key == _OF_THE_CA and any(map(has_address, all_texts(held))):
            return key
    return None


def _keys_with_addresses(value: Mapping[str, object]) -> Iterator[str]:
    """Yield the keys, none of the CA's own, under which a domain or an address stands."""
    for key, held in value.items():
        if not is_own_key(key) and any(
            holds_address(t) or holds_domain(t) for t in all_texts(held)
        ):
            yield key


def within(value: object) -> Iterator[tuple[str, object]]:
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
