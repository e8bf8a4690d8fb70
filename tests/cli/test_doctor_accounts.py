"""`doctor` with profiles: each account is checked."""

from tests.certcentral.fault_server import (
    FaultServer,
    Step,
    Visit,
)
from tests.cli.conftest import Desk
from tests.cli.test_doctor import diagnosed
from tests.doctor.answers import (
    INVALID_KEY,
    READS,
    USER,
    assert_only_read,
    ca,
)

PROFILES = """
[profiles.shop]
api-key-file = "shop.key"
[profiles.bank]
api-key-file = "bank.key"
[profiles.kiosk]
api-key-file = "shop.key"
[profiles.gone]
api-key-file = "gone.key"
"""


def by_key(visit_of: dict[str, Step]) -> Step:
    """Return what a CA does that answers each key in its own way."""

    async def step(visit: Visit) -> None:
        head = await visit.read_head()
        key = head.partition(b"X-DC-DEVKEY: ")[2].partition(b"\r\n")[0].decode()
        await visit_of[key](visit)

    return step


async def test_with_profiles_each_account_is_checked_or_one_that_is_named(desk: Desk) -> None:
    del desk.environment["DIGICERT_API_KEY"]
    for name in ("shop", "bank"):
        desk.write(f"{name}.key", f"{name}-key-0123456789").chmod(0o600)
    desk.write("config.toml", PROFILES)
    desk.environment["BATCH_RESEND_CONFIG"] = str(desk.folder / "config.toml")
    answers = {"shop-key-0123456789": ca(), "bank-key-0123456789": ca(user=INVALID_KEY)}
    async with FaultServer(by_key(answers)) as server:
        desk.environment["BATCH_RESEND_BASE_URL"] = server.base_url
        code, found = await diagnosed(desk)
        assert assert_only_read(server) == [*READS, USER]
        alone, one = await diagnosed(desk, "--profile", "shop")
        text = await desk.run("doctor")
    assert code == 4
    profiles = [group["profiles"] for group in found["groups"]]
    assert profiles == [[], ["shop", "kiosk"], ["bank"], ["gone"]], "one of a key"
    problems = [
        (group["profiles"][0], finding["check"])
        for group in found["groups"]
        for finding in group["findings"]
        if finding["result"] == "problem"
    ]
    assert problems == [("bank", "account"), ("gone", "key")]
    assert alone == 0
    assert [group["profiles"] for group in one["groups"]] == [[], ["shop"]]
    assert f"\nAccount bank, {server.base_url}\n" in text.out
    assert "2 problems keep a run from sending" in text.out
