"""Keys of JSON that are not known by name: what is said of them, and --map for nested ones."""

import json
import re
import shlex

import pytest

from batch_resend.intake import Field, ListSource, Reading
from batch_resend.model import Entry, Problem, RejectedRow, Row
from tests.intake.conftest import goes, read, read_rejected, read_row, standard_input

NUMBER, PAIR = 100200301, {"domain": "a.example.com", "email": "admin@a.example.com"}
OWN = {"domain": "a.example.com"}


def mapped_by(advice: str) -> dict[Field, str]:
    """Return what the options in an advice map."""
    words = shlex.split(" ".join(re.findall(r'--map \w+="[^"]*"', advice)))
    pairs = (word.partition("=") for word in words if word != "--map")
    return {Field(field): key for field, _, key in pairs}


# What a record says, and which keys its advice names.
ADVICE = {
    "an unknown key of the order": ({"vorgang": NUMBER, "team": "x"}, "'vorgang', 'team'"),
    "a word for any order": ({"order": NUMBER, "team": "x"}, "'order', 'team'"),
    "one within an object": ({"job": {"nr": NUMBER, "ref": "x"}}, "'job.nr', 'job.ref'"),
    "one further within": ({"a": {"b": {"nr": NUMBER}}, "c": "x"}, "'a.b.nr', 'c'"),
    "all that is needed": (
        {"vorgang": NUMBER, "seite": "a.example.com", "emailTo": "admin@a.example.com"},
        "'vorgang', 'seite', 'emailTo'",
    ),
    "an id": ({"id": NUMBER, "team": "x"}, "'id', 'team'"),
    "a known key with an object": ({"order_id": {"id": NUMBER, "ref": "x"}}, "'id', 'ref'"),
    "a domain with an object": (
        {"order_id": NUMBER, **PAIR, "domain": {"name": "a.example.com"}}, "'name'"
    ),
    "an address with an object": (
        {"order_id": NUMBER, **PAIR, "email": {"to": "admin@a.example.com"}}, "'to'"
    ),
    "an unknown key of the address": (
        {"order_id": NUMBER, **OWN, "emailTo": "admin@a.example.com"}, "'emailTo'"
    ),
    "one that is not at its domain": (
        {"order_id": NUMBER, **OWN, "emailTo": "kim@b.example.com"}, "'emailTo'"
    ),
    "one in a list": ({"order_id": NUMBER, **OWN, "emailTo": ["admin@a.example.com"]}, "'emailTo'"),
    "one within a list": (
        {"order_id": NUMBER, **OWN, "contact": {"to": ["admin@a.example.com"]}}, "'contact'"
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(("record", "keys"), ADVICE.values(), ids=ADVICE)
def test_what_is_not_read_is_said_with_its_keys_and_the_advice_has_it_read(
    record: dict[str, object], keys: str, *, wrapped: bool
) -> None:
    content = json.dumps({"data": {"items": [record]}} if wrapped else record)
    advice = read_rejected(content).reason
    assert keys in advice
    assert "column" not in advice.lower()
    if "KEY" in advice:  # of a list of unknown objects, not one record is looked at
        assert wrapped
        advice = read_rejected(json.dumps(record)).reason
    row = read_row(content, mapped_by(advice))
    assert row.order_id == str(NUMBER)
    assert [(one.domain, one.email.partition("@")[0]) for one in row.entries] in (
        [], [("a.example.com", "admin")], [("a.example.com", "kim")],
    )  # fmt: skip


@pytest.mark.parametrize(
    "record",
    [
        {"order_id": [NUMBER, NUMBER]}, {"order_id": NUMBER, **PAIR, "domain": ["a.example.com"]},
        {"order_id": {}}, {"order_id": True}, {"order_id": 1.5}, {"order_id": {"a": None}},
        {"order_id": NUMBER, "all_domains": {"a": True}}, {"order_id": NUMBER, "all_domains": [1]},
        {"order_id": NUMBER, "locale": {"de": True}}, {"order_id": NUMBER, "status": {"a": None}},
        {"domain_id": {"a": None}, "call": "domain-dcv"}, {"order_id": NUMBER, "call": [None]},
        {"order_id": NUMBER, "account": {"a": None}},
        {"order_id": NUMBER, "domain_approval_emails": [{"domain": {"a": None}, "email": "x"}]},
    ],
)  # fmt: skip
def test_what_holds_no_text_is_named_in_words_or_in_json(record: dict[str, object]) -> None:
    reason = read_rejected(json.dumps(record)).reason
    assert not re.search(r"None|True|\{'|\[\d|\[None", reason), reason


def test_a_key_that_map_names_and_a_record_lacks_is_said_with_the_keys_that_it_has() -> None:
    rejected = read_rejected('{"order": {"nr": 1}, "x": 2}', {Field.ORDER_ID: "order.id"})
    assert rejected.reason == (
        "--map order_id=\"order.id\" names a key that is not there; the keys are 'order.nr', 'x'"
    )


# --- keys within others ---------------------------------------------------------------------------

ORDER_OF_THE_CA = {"id": NUMBER, "certificate": {"common_name": "a.example.com"}, "to": "x@b.co"}
NESTED = {Field.ORDER_ID: "order.id", Field.DOMAIN: "what.name", Field.EMAIL: "what.to"}


def nested(**more: object) -> dict[str, object]:
    """Return a record whose fields are within others."""
    what = {"name": "a.example.com", "to": "admin@a.example.com"}
    return {"order": {"id": NUMBER}, "what": what} | more


def test_a_mapping_names_keys_within_others_and_in_the_answer_of_the_ca() -> None:
    assert read_row(json.dumps(nested()), NESTED).entries == (
        Entry("a.example.com", "admin@a.example.com"),
    )
    mapping = {Field.DOMAIN: "certificate.common_name", Field.EMAIL: "to"}
    row = read_row(json.dumps({"orders": [ORDER_OF_THE_CA]}), mapping)
    assert (row.order_id, row.entries) == (str(NUMBER), (Entry("a.example.com", "x@b.co"),))


def test_a_key_with_a_dot_in_it_goes_before_one_within_another() -> None:
    record = {"order.id": NUMBER, "order": {"id": 100200999}}
    assert read_row(json.dumps(record), {Field.ORDER_ID: "order.id"}).order_id == str(NUMBER)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"order": {"id": NUMBER, "skip": "yes"}}, Problem.FORM),
        ({"order": {"id": NUMBER, "state": "cancelled"}}, Problem.FORM),
        ({"what": {"name": "a.example.com"}}, Problem.PAIR),
        ({"what": {}}, Problem.NO_ADDRESS),
        ({"what": None}, Problem.NO_ADDRESS),
        ({"order": {}}, Problem.FORM),
        ({"order": [NUMBER]}, Problem.FORM),
    ],
)
def test_what_is_left_beside_them_still_counts_and_what_is_missing_does_not_widen(
    more: dict[str, object], problem: Problem
) -> None:
    """The list has addresses, so that a record without any does not mail all domains."""
    records = [nested(), nested(order={"id": NUMBER + 1}) | more]
    content = "\n".join(map(json.dumps, records))
    reading = Reading(mapping=NESTED)
    with standard_input(content.encode()):
        source = ListSource("-", reading)
        rows = list(source)
    assert isinstance(rows[0], Row)
    if isinstance(rows[1], Row):  # the plan rejects it: see `journal.planning`
        assert (problem, rows[1].entries) == (Problem.NO_ADDRESS, ())
        assert source.form.with_addresses
    else:
        assert rows[1].problem is problem


def test_a_domain_that_is_left_within_an_object_still_needs_a_word() -> None:
    record = {"order": {"id": NUMBER, "site": "b.example.com"}}
    (rejected,) = read(json.dumps(record), {Field.ORDER_ID: "order.id"})
    assert isinstance(rejected, RejectedRow)
    assert "there is a domain in the key 'order'" in rejected.reason


OF_OBJECTS = {Field.DOMAIN: "domains.name", Field.EMAIL: "domains.to"}
TWO = [
    {"name": "a.example.com", "to": "admin@a.example.com"},
    {"name": "b.example.com", "to": "admin@b.example.com", "email_domain": "example.com"},
]


def with_domains(domains: object, **more: object) -> str:
    """Return a record with a list of objects, a domain each."""
    return json.dumps({"order_id": NUMBER, "domains": domains, **more})


@pytest.mark.parametrize("within", [False, True])
def test_a_mapping_names_keys_in_a_list_of_objects_of_which_all_are_asked_for(within: bool) -> None:
    record, mapping = with_domains(TWO), OF_OBJECTS
    if within:
        record = json.dumps({"order_id": NUMBER, "what": {"domains": TWO, "n": 1}})
        mapping = {which: f"what.{key}" for which, key in OF_OBJECTS.items()}
    assert read_row(record, mapping).entries == (
        Entry("a.example.com", "admin@a.example.com"),
        Entry("b.example.com", "admin@b.example.com", "example.com"),
    )


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        pytest.param(with_domains([]), "domains is empty", id="none"),
        pytest.param(
            with_domains([*TWO, {"name": "c.example.com"}]),
            "key 'domains.to': is missing",
            id="one",
        ),
        pytest.param(with_domains([*TWO, "c.example.com"]), "under the key 'domains'", id="a text"),
        pytest.param(
            with_domains([{**TWO[0], "domain": "c.example.com"}]), "which is meant?", id="two names"
        ),
        pytest.param(
            with_domains([{**TWO[0], "skip": True}]),
            "the key 'skip' in entry 1 of domains",
            id="mark",
        ),
        pytest.param(
            with_domains(TWO, domain_approval_emails=[]), "give one of them", id="both forms"
        ),
        pytest.param(
            with_domains([{"name": "a.example.com", "to": "admin"}]), "domains.to", id="no address"
        ),
    ],
)
def test_a_list_of_objects_that_is_not_plain_is_rejected_whole(record: str, reason: str) -> None:
    _, rejected = read(f"{with_domains(TWO)}\n{record}\n", OF_OBJECTS)
    assert isinstance(rejected, RejectedRow)
    assert reason in rejected.reason


@pytest.mark.parametrize(
    "record", [{"order_id": 100200302}, {"order_id": 100200302, "domains": None}]
)
def test_a_record_without_the_list_that_others_have_does_not_ask_for_all(
    record: dict[str, object],
) -> None:
    content = f"{with_domains(TWO)}\n{json.dumps(record)}\n"
    assert goes(content, Reading(OF_OBJECTS)) == [str(NUMBER)]


@pytest.mark.parametrize("mapping", [{}, {Field.DOMAIN: "domains", Field.EMAIL: "domains"}])
def test_of_a_list_of_objects_it_is_said_how_to_name_its_keys(mapping: dict[Field, str]) -> None:
    reason = read_rejected(with_domains(TWO), mapping).reason
    assert '--map domain="domains.name" --map email="domains.to"' in reason
