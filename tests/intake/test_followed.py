"""Options that are suggested, given as they stand, have more of a list sent than before."""

import json
import re
import shlex
from collections.abc import Callable, Iterator

import pytest

from batch_resend.errors import InputError
from batch_resend.intake import Field, ListSource, Reading
from batch_resend.intake.suggestions import Noun, map_flag
from batch_resend.model import RejectedRow
from tests.intake.conftest import REFUSED, goes, standard_input

Record = dict[str, object]
_OPTIONS = re.compile(r"(?:--all-domains|--(?:map|ignore) \S*?\"[^\"]*\")")
_BETWEEN = re.compile(r"; |: or |, or ")


def flat(number: int, **names: str) -> Record:
    """Return a record; `names`: other names of its keys."""
    fields = {
        "order_id": 100200300 + number,
        "domain": f"a{number}.example.com",
        "email": f"admin@a{number}.example.com",
        "locale": "de",
    }
    return {names.get(key, key): held for key, held in fields.items()}


def nested(number: int, **names: str) -> Record:
    """Return one with an entry."""
    record = flat(number)
    entry = {names.get(key, key): record.pop(key) for key in ("domain", "email")}
    return {
        **{names.get(key, key): held for key, held in record.items()},
        "domain_approval_emails": [entry],
    }


def lines(records: list[Record]) -> str:
    """Return JSON lines."""
    return "".join(json.dumps(one) + "\n" for one in records)


FORMS: dict[str, Callable[[list[Record]], str]] = {
    "lines": lines,
    "an array": lambda records: json.dumps(records, indent=1),
    "wrapped": lambda records: json.dumps({"data": {"items": records}}),
}
OTHERWISE = {
    "a misspelled address": {"email": "emial"},
    "an address of another name": {"email": "mailTo"},
    "a misspelled domain": {"domain": "domian"},
    "a domain of another name": {"domain": "site"},
    "a misspelled number": {"order_id": "ordr_id"},
    "a number of another name": {"order_id": "vorgang"},
    "a misspelled language": {"locale": "locael"},
    "both of a pair": {"domain": "site", "email": "mailTo"},
}


def said_of(content: str) -> Iterator[str]:
    """Yield what is said of a list and its rows: why not, and what of it is not read."""
    with standard_input(content.encode()):
        source = ListSource("-")
        try:
            yield from (row.reason for row in source if isinstance(row, RejectedRow))
        except InputError as error:
            yield str(error)
            return
    for name, field in source.form.unread.items():
        if field and name not in source.form.of_others:
            yield map_flag(Field(field), name)


def suggested(said: str) -> Iterator[Reading]:
    """Yield each way that is suggested, if a person need not fill in anything."""
    for part in _BETWEEN.split(said):
        words = shlex.split(" ".join(_OPTIONS.findall(part)))
        if words and not any(word.endswith(f"={noun}") for word in words for noun in Noun):
            mapped = (word.partition("=") for word in words if "=" in word)
            mapping = {Field(field): key for field, _, key in mapped}
            ignored = [name for at, name in enumerate(words) if words[at - 1] == "--ignore"]
            by_word = "--all-domains" in words
            yield Reading(mapping, ignored=frozenset(ignored), all_domains=by_word)


def is_better(content: str, reading: Reading) -> bool:
    """Whether more of a list is sent, read so; of one that is sent whole, as much."""
    before, now = goes(content), goes(content, reading)
    if now == REFUSED:
        return False
    whole = content.count("1002003")
    return before == REFUSED or len(now) > len(before) or len(now) == whole


@pytest.mark.parametrize("few", [[0], [5], [9], [0, 1, 2], [*range(8)], [*range(10)]], ids=str)
@pytest.mark.parametrize("make", [flat, nested])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("names", OTHERWISE.values(), ids=OTHERWISE)
def test_whatever_is_suggested_for_records_with_other_keys_helps(
    names: dict[str, str],
    form: Callable[[list[Record]], str],
    make: Callable[..., Record],
    few: list[int],
) -> None:
    content = form([make(n, **(names if n in few else {})) for n in range(10)])
    for said in set(said_of(content)):
        for reading in suggested(said):
            assert is_better(content, reading), (said, reading)


@pytest.mark.parametrize("few", [[0], [5], [9], [0, 1, 2]], ids=str)
@pytest.mark.parametrize("make", [flat, nested])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("names", OTHERWISE.values(), ids=OTHERWISE)
def test_of_few_records_with_other_keys_it_is_said_how_others_have_them_and_no_option(
    names: dict[str, str],
    form: Callable[[list[Record]], str],
    make: Callable[..., Record],
    few: list[int],
) -> None:
    content = form([make(n, **(names if n in few else {})) for n in range(10)])
    all_said = list(said_of(content))
    assert not [reading for said in all_said for reading in suggested(said)]
    if "locale" in names:  # they are sent all the same: the plan says it
        assert (all_said, goes(content)) == ([], goes(form([make(n) for n in range(10)])))
        return
    if "KEY" in all_said[0]:  # of a list of unknown objects, not one record is looked at
        assert (form, few[0]) == (FORMS["wrapped"], 0)
        return
    assert len(all_said) == len(few)
    for said in all_said:
        if "domain" in names and "email" not in names:
            assert re.search("without the domain|domain: is missing", said)
            continue
        have = " and ".join(f"the {usual} under {usual!r}" for usual in names)
        them = "it" if len(names) == 1 else "them"
        assert said.endswith(f". Other records have {have}: write {them} so")


@pytest.mark.parametrize("objects", [1, 9, 10])
def test_an_object_where_others_have_a_text_is_to_be_a_text_and_one_in_all_is_named(
    objects: int,
) -> None:
    records = [flat(n) for n in range(10)]
    for record in records[:objects]:
        record["email"] = {"to": record["email"]}
    content = lines(records)
    (said,) = set(said_of(content))
    readings = list(suggested(said))
    assert len(readings) == (objects > 1)
    assert all(is_better(content, reading) for reading in readings)
    assert ("Other records have the email under 'email': write it so" in said) is (objects == 1)


def test_a_key_within_each_record_is_not_what_others_have() -> None:
    """The requester's address is no reason to leave out how to name the approver's."""
    record = {"order_id": 100200301, "domain": "a.example.com", "To": "admin@a.example.com"}
    records = [{**record, "user": {"email": "kim@customer.example"}}] * 3
    assert all('--map email="To"' in said for said in said_of(lines(records)))


@pytest.mark.parametrize("names", OTHERWISE.values(), ids=OTHERWISE)
@pytest.mark.parametrize("without", [(), ("locale",)], ids=["whole", "without a language"])
def test_whatever_is_suggested_for_a_table_with_other_headings_helps(
    names: dict[str, str], without: tuple[str, ...]
) -> None:
    rows = [[str(held) for key, held in flat(n).items() if key not in without] for n in range(9)]
    heading = [names.get(key, key) for key in flat(0) if key not in without]
    content = "".join(",".join(cells) + "\n" for cells in (heading, *rows))
    for said in set(said_of(content)):
        for reading in suggested(said):
            assert is_better(content, reading), (said, reading)


def test_nor_is_it_a_way_back_where_two_headings_are_misspelled() -> None:
    rows = "".join(f"10020030{n},a{n}.example.com,admin@a{n}.example.com\n" for n in range(1, 9))
    content = f"order_id,domian,emial\n{rows}"
    (said,) = said_of(content)
    both = list(suggested(said))
    assert [reading.all_domains for reading in both] == [False, True]
    assert all(is_better(content, reading) for reading in both)
