"""The domain call mails everybody if the CA knows none of the addresses given: said beforehand."""

import json
from pathlib import Path

from tests.cli.conftest import Desk, desk_with_ca

LIST = """\
domain_id,domain,email,locale,all_domains
,good.example,admin@good.example,,
,typo.example,amdin@typo.example,,
17,,admin@numbered.example,,
,mixed.example,boss@mixed.example,,
,mixed.example,hostmaster@mixed.example,,
,bare.example,,,yes
,two.example,boss@two.example,en,
,two.example,admin@two.example,de,
"""
DANGER = "it mails ALL addresses of the domain instead; --preflight asks the CA beforehand"


async def test_the_plan_names_each_request_whose_addresses_the_ca_may_not_know(desk: Desk) -> None:
    desk.write("domains.csv", LIST)
    checked = await desk.run(
        "check", "domains.csv", "--call", "domain-dcv", "--format", "json", "-v"
    )
    danger, other, *_ = json.loads(checked.out)["warnings"]
    assert danger["kind"] == "may_mail_all", "and it comes first"
    assert danger["text"].startswith("DANGER: ")
    assert danger["text"].endswith(DANGER)
    assert danger["count"] == 3
    assert [(place["line"], place["text"]) for place in danger["first"]] == [
        (3, "domain typo.example: amdin@typo.example"),
        (
            4,
            "domain 17: admin@numbered.example (only the domain's number is given, so its name is "
            "not known here)",
        ),
        (8, "domain two.example: boss@two.example"),
    ]
    assert other["kind"] == "not_constructed", "boss@ is left out, and nobody mailed in its place"
    assert [place["text"] for place in other["first"]] == [
        "domain mixed.example: boss@mixed.example, hostmaster@mixed.example"
    ]


async def test_send_says_it_in_its_plan_too(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("domains.csv", LIST)
        sent = await desk.run("send", "domains.csv", "--call", "domain-dcv")
        assert sent.code == 0, sent.err
        assert "Worth a look\n  3 orders: DANGER: domain-dcv" in sent.err
        assert DANGER in sent.err
