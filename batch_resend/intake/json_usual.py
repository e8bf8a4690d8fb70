"""The keys under which most records of a JSON list have a field: one may have it misspelled.

An option names a key for all records. Where others have the field under another one, it would have
those rejected instead, so that the one record is to be corrected.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from batch_resend.intake.fields import Field, known_field
from batch_resend.intake.json_shapes import NESTED
from batch_resend.intake.json_unread import within

_KEY = re.compile(r'"((?:[^"\\]|\\.){1,80})"\s*:')
_KEY_OF_OBJECT = re.compile(_KEY.pattern + r"\s*(?:\[\s*)?\{")
_MAPPED = re.compile(r'--map (\w+)="([^"]*)"')
_REMEDY = re.compile(r"(?:\. |; say which).*", re.DOTALL)  # behind what is wrong


class UsualKeys:
    """What the keys of a list are, by its beginning, and by the records that were read."""

    def __init__(self, mapping: Mapping[Field, str], sample: str) -> None:
        self._mapping = mapping
        self._sample = sample
        self._read: dict[Field, str] = {}

    def note(self, places: Mapping[Field, Sequence[str]]) -> None:
        """Take note of which key some records have a field under."""
        for which, (key, *_) in places.items():
            self._read.setdefault(which, key)

    def of_others(self, unread: Mapping[str, str]) -> dict[str, str]:
        """Return keys that may be misspelled, with what other records have for them.

        `unread`: keys that are not read, each with the field that it may be, or "".
        """
        fields = {name: Field(field) for name, field in unread.items() if field}
        return {name: self._read[field] for name, field in fields.items() if field in self._read}

    def corrected(self, reason: str, value: Mapping[str, object]) -> str:
        """Return why a record is rejected, with no option that would have others rejected."""
        named = {Field(field): key for field, key in _MAPPED.findall(reason)}
        usual = {which: self._instead_of(key, which, value) for which, key in named.items()}
        have = [f"the {which} under {key!r}" for which, key in usual.items() if key]
        if not have:
            return reason
        them = "it" if len(have) == 1 else "them"
        return (
            f"{_REMEDY.sub('', reason)}. Other records have {' and '.join(have)}: write {them} so"
        )

    def _instead_of(self, key: str, which: Field, value: Mapping[str, object]) -> str:
        """Return the key that most records have for a field; "" where it is the one given, or none.

        One that this record has, too, is another thing's: it stands somewhere within.
        """
        first, _, last = key.rpartition(".")
        usual = max(self._names(which), key=self._counts.__getitem__, default="")
        if usual == last or not usual:
            return ""
        if first == usual:  # an object stands where others have a text
            objects = self._objects[usual]
            return usual if self._counts[usual] - objects >= objects else ""
        is_own = first != NESTED and any(name == usual for name, _ in within(value))
        return usual if self._counts[usual] >= self._counts[last] and not is_own else ""

    def _names(self, which: Field) -> Iterator[str]:
        if which in self._mapping:
            mapped = self._mapping[which].rpartition(".")[2]
            yield from filter(self._counts.__contains__, (mapped,))
        else:
            yield from (name for name in self._counts if known_field(name) is which)

    @cached_property
    def _counts(self) -> Counter[str]:
        return Counter(_KEY.findall(self._sample))

    @cached_property
    def _objects(self) -> Counter[str]:
        return Counter(_KEY_OF_OBJECT.findall(self._sample))
