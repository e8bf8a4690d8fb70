"""The entries of a JSON record: a list of objects in it, one for each domain.

They have our names, or those that `--map` names:

{"order_id": 1, "domains": [{"name": "example.com", "to": "admin@example.com"}]}
with domain=domains.name and email=domains.to
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from pydantic import BaseModel, ValidationError

from batch_resend.intake.fields import Field, RawEntry
from batch_resend.intake.json_shapes import NESTED, in_one_text, lifted, paths_in
from batch_resend.intake.looks import looked_for
from batch_resend.intake.suggestions import Noun, listed, map_flag, pair_flags

INCOMPLETE = "lacks its domain or its email"
WITH_ENTRY = "entry "  # and its number: where something of another type stands
_IN_WORDS = {
    "string_type": "a string is expected",
    "list_type": "a list is expected",
    "model_type": "an object is expected",
    "missing": "is missing",
}
_MOST_SHOWN = 20  # entries that are looked at for what to suggest


class JsonEntry(BaseModel):
    """One entry of the nested form."""

    domain: str
    email: str
    email_domain: str | None = None
    locale: str | None = None


def raw_entries(nested: Sequence[JsonEntry] | None, beside: RawEntry) -> Iterator[RawEntry]:
    """Yield the entries of either form; `beside`: the one that is no list. Raises ValueError."""
    if nested is None:
        yield beside
        return
    if any(beside):
        raise ValueError(f"both {NESTED} and a domain or e-mail beside it: give one of them")
    if not nested:
        raise ValueError(
            f"{NESTED} is empty: leave it out to have the CA mail every pending domain"
        )
    for entry in nested:
        if not entry.domain.strip() or not entry.email.strip():
            raise ValueError(f"an entry of {NESTED} {INCOMPLETE}")
        yield RawEntry(entry.domain, entry.email, entry.email_domain or "")


def is_about_entry(reason: str) -> bool:
    """Whether a record was rejected because of the form of one of its entries."""
    return reason.endswith(INCOMPLETE) or f", {WITH_ENTRY}" in reason


def why_invalid(error: ValidationError, names: Mapping[Field, str]) -> str:
    """Return what is wrong with a record of which something has another type, in words."""
    first = error.errors(include_url=False)[0]
    known: Mapping[object, str] = {field.value: name for field, name in names.items()}
    where = [known.get(part, part) for part in first["loc"]]
    shown = ", ".join(f"{WITH_ENTRY}{p + 1}" if isinstance(p, int) else str(p) for p in where)
    return f"{shown}: {_IN_WORDS.get(first['type'], first['msg'])}"


def common_locale(entries: Sequence[JsonEntry], usual: str) -> str:
    """Return a record's language, which may stand in each of its entries. Raises ValueError."""
    locales = {entry.locale or usual for entry in entries}
    if any(entry.locale for entry in entries):
        locales |= {usual} - {""}
    if len(locales) > 1:
        raise ValueError(
            f"entries of {NESTED} are in several languages: give each language a record of its own"
        )
    return locales.pop()


def path_of_entries(mapping: Mapping[Any, str]) -> str:
    """Return the key of what has both domain and address, by a mapping; "": none has."""
    (path, _), (other, _) = _split(mapping, Field.DOMAIN), _split(mapping, Field.EMAIL)
    return path if path == other else ""


def with_names_of_entries(
    names: Mapping[Field, str], mapping: Mapping[Field, str]
) -> Mapping[Field, str]:
    """Return what messages call the fields of a record, with domain and address in such a list."""
    mapped = {which: mapping[which] for which in (Field.DOMAIN, Field.EMAIL)}
    return {**names, **{which: f"{Noun.KEY.word} {name!r}" for which, name in mapped.items()}}


def _split(mapping: Mapping[Any, str], which: Field) -> tuple[str, str]:
    path, _, key = mapping.get(which, "").rpartition(".")
    return path, key


def with_entries(value: dict[str, object], mapping: Mapping[Any, str]) -> dict[str, object]:
    """Return a record with the list of objects that a mapping names in the usual nested form.

    Any other as it is. Raises ValueError where it has both, or an entry has two of the same.
    """
    path = path_of_entries(mapping)
    found = lifted(value, (path,)) if path else value
    entries = found.get(path, "")
    if not path or not (entries in (None, []) or is_of_objects(entries)):
        return value
    if NESTED in value and path != NESTED:
        raise ValueError(f"both {NESTED} and {path}, which --map names: give one of them")
    names = {_split(mapping, which)[1]: which.value for which in (Field.DOMAIN, Field.EMAIL)}
    rest = {key: held for key, held in found.items() if key != path}
    return rest | {NESTED: entries and [_renamed(one, names) for one in entries]}


def _renamed(entry: Mapping[str, object], names: Mapping[str, str]) -> dict[str, object]:
    """Return an entry with some keys under other names. Raises ValueError."""
    for key, name in names.items():
        if name in entry and name not in names:
            raise ValueError(
                f"an entry has {key!r}, which --map names for its {name}, and {name!r} as well: "
                "which is meant? Remove the other one"
            )
    return {names.get(key, key): held for key, held in entry.items()}


def is_of_objects(value: object) -> TypeGuard[Sequence[Mapping[str, object]]]:
    """Whether a value is a list of objects, and has some."""
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def flags_of_entries(path: str, entries: object) -> str:
    """Return the options that name domain and address in a list of objects; "": not plain."""
    if not is_of_objects(entries):
        return ""
    keys = list(entries[0])
    rows = [[in_one_text(one.get(key)) for key in keys] for one in entries[:_MOST_SHOWN]]
    seen = looked_for(rows, keys)
    if Field.DOMAIN not in seen or Field.EMAIL not in seen:
        return ""
    domain, email = (f"{path}.{keys[seen[which]]}" for which in (Field.DOMAIN, Field.EMAIL))
    return pair_flags(domain, email, Noun.KEY)


def flags_below(key: str, paths: Mapping[str, object]) -> str:
    """Return the same for the first such list at or below a key; `paths`: of its record."""
    found = (flags_of_entries(at, held) for at, held in paths.items() if at.split(".")[0] == key)
    return next(filter(None, found), "")


def refuse_compound(which: Field, key: str, held: object) -> None:
    """Raise ValueError where an object, or a list, is in the place of a single value."""
    if which in (Field.DOMAIN, Field.EMAIL) and (flags := flags_of_entries(key, held)):
        raise ValueError(
            f"the key {key!r} holds a list of objects. Name the keys in these that hold domain and "
            f"address: {flags}"
        )
    if isinstance(held, list):
        raise ValueError(
            f"the key {key!r} holds a list, and one value is expected: give each a record of its "
            "own"
        )
    if isinstance(held, dict):
        below = dict(paths_in(held))
        at = looked_for([list(map(in_one_text, below.values()))], list(below)).get(which)
        name = Noun.KEY if at is None else list(below)[at]
        raise ValueError(
            f"the key {key!r} holds an object, with the keys {listed(list(below))}. "
            f"Name the one that holds the {which}: {map_flag(which, f'{key}.{name}', Noun.KEY)}"
        )
