"""What a night says of the runs before it, where several sweeps share one key and one journal."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from batch_resend.simulator import Simulator
from tests.cli.conftest import KEY, Desk, desk_with_ca, ended, read_summary, run_ids, until
from tests.cli.test_sweep import wait
from tests.notify.listener import listening

SWEEP = ("sweep", "--yes", "-q", "--concurrency", "1")
FLEX, RAPID = ("--product", "ssl_dv_geotrust_flex"), ("--product", "ssl_dv_rapidssl")


def two_products(ca: Simulator) -> None:
    wait(ca, *[5.0] * 9, product=FLEX[1])
    wait(ca, *[5.0] * 3, first=101, product=RAPID[1])


async def killed_after(desk: Desk, ca: Simulator, mails: int, *words: str) -> str:
    """Begin a command, kill it once so many more mails were sent, and return its run."""
    enough = ca.books.mails + mails
    process = await desk.start(*words)
    await until(lambda: ca.books.mails >= enough)
    process.kill()
    await ended(process)
    return (await run_ids(desk))[0]


@pytest.mark.parametrize(
    ("killed", "other", "own"),
    [
        (FLEX, RAPID, FLEX),
        (FLEX, RAPID, ()),
        ((), ("--container", "elsewhere"), RAPID),
    ],
)
async def test_a_killed_night_is_mentioned_once_by_the_sweep_that_sends_what_it_left(
    tmp_path: Path, killed: tuple[str, ...], other: tuple[str, ...], own: tuple[str, ...]
) -> None:
    async with listening() as hook, desk_with_ca(tmp_path, latency_s=(0.1, 0.2)) as (desk, ca):
        two_products(ca)
        sweep = (*SWEEP, "--notify-url", hook.url, "--report-dir", "night")
        cut_off = await killed_after(desk, ca, 3, *sweep, *killed)
        said = f"un {cut_off} (the program ended before it could write "
        hook.posts.clear()
        for words, is_said in ((other, False), (other, False), (own, True), (own, False)):
            night = await desk.run(*sweep, *words)
            assert night.code == 0, night.err
            assert ("did not finish" in night.err, f"R{said}" in night.err) == (is_said, is_said)
            assert (f"; r{said}" in json.loads(hook.posts[-1][1])["text"]) is is_said
            found = read_summary(tmp_path / "night")["sweep"]
            assert found["unfinished"] == ([cut_off] if is_said else [])


async def test_a_killed_night_whose_rest_is_excluded_is_mentioned_when_that_is_no_longer_so(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.1, 0.2)) as (desk, ca):
        wait(ca, *[5.0] * 5)
        cut_off = await killed_after(desk, ca, 1, *SWEEP)
        desk.write("hopeless.csv", "order_id\n1\n2\n3\n4\n5\n")
        without = await desk.run(*SWEEP, "--exclude", "hopeless.csv")
        assert "did not finish" not in without.err
        assert f"Run {cut_off} (" in (await desk.run(*SWEEP)).err


async def test_a_run_that_was_mentioned_is_again_if_it_was_resumed_and_cut_off_again(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.1, 0.2)) as (desk, ca):
        wait(ca, *[5.0] * 9, first=100_200_301)
        cut_off = await killed_after(desk, ca, 2, *SWEEP)
        none = ("--older-than", "90d")
        assert f"Run {cut_off} (" in (await desk.run(*SWEEP, *none)).err
        assert "did not finish" not in (await desk.run(*SWEEP, *none)).err
        resumed = await desk.run("resume", cut_off, "--max-orders", "1")
        assert resumed.code == 4, resumed.err
        assert f"Run {cut_off} (" in (await desk.run(*SWEEP)).err
        assert "did not finish" not in (await desk.run(*SWEEP)).err


async def test_a_killed_night_is_mentioned_until_what_it_left_is_no_longer_left_for_later(
    tmp_path: Path,
) -> None:
    async with listening() as hook, desk_with_ca(tmp_path, latency_s=(0.1, 0.2)) as (desk, ca):
        wait(ca, *[5.0] * 9)
        cut_off = await killed_after(desk, ca, 2, *SWEEP)
        few = ("--max-orders", "3", "--notify-url", hook.url, "--report-dir", "night")
        nights = []
        for _ in range(4):
            night = await desk.run(*SWEEP, *few)
            found = read_summary(tmp_path / "night")["sweep"]
            is_rest = found["left_for_later"] + found["not_asked"] > 0
            nights.append((found["due"], is_rest))
            named = [cut_off] if found["due"] else []
            assert found["unfinished"] == named
            assert found["unfinished_later"] == (named if is_rest else [])
            for text in (night.err, json.loads(hook.posts[-1][1])["text"]):
                assert (f"un {cut_off} (" in text) is bool(named)
                assert ("--max-orders; a later sweep sends the rest" in text) is is_rest
        assert nights[0] == (3, True)
        assert nights[-1] == (0, False)


async def test_a_night_that_was_stopped_is_mentioned_once_where_others_are_left_for_later(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.1, 0.2)) as (desk, ca):
        wait(ca, *[5.0] * 6)
        process = await desk.start(*SWEEP)
        await until(lambda: ca.books.mails >= 2)
        process.terminate()
        await ended(process)
        wait(ca, *[3.0] * 9, first=101)  # younger: their turn comes later
        night = await desk.run(*SWEEP, "--max-orders", "6")
        assert "as far as that still waits and is due\n" in night.err
        assert "perhaps left for the next sweep" in night.out
        assert "did not finish" not in (await desk.run(*SWEEP, "--max-orders", "1")).err


async def test_a_sweep_of_some_orders_names_the_last_run_that_mailed_orders_of_its_own(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        two_products(ca)
        flex = await desk.run(*SWEEP, *FLEX)
        rapid = await desk.run(*SWEEP, *RAPID)
        assert "the last run" not in flex.out + rapid.out
        rapid_run, flex_run = await run_ids(desk)
        for number in (1, 2, 101, 102, 103):
            del ca.world.orders[number]  # approved: nobody can ask any more of which product it was
        for words, orders, run, gone in ((FLEX, 9, flex_run, 2), (RAPID, 3, rapid_run, 3)):
            told = f"of {orders} mailed by {run}, the last run to mail any, {gone} no longer wait"
            assert told in (await desk.run(*SWEEP, *words)).out
        wait(ca, 5.0, first=100_200_301, product=RAPID[1])
        desk.write("orders.csv", "order_id\n100200301\n")
        assert (await desk.run("send", "--yes", "orders.csv")).code == 0
        newest = (await run_ids(desk))[0]
        last: dict[tuple[str, ...], str] = {FLEX: flex_run, RAPID: newest, (): newest}
        for filters, run in last.items():
            night = await desk.run(*SWEEP, *filters)
            assert f"mailed by {run}, the last run to mail any" in night.out


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        pytest.param(("--call", "domain-dcv"), "domain\nd.example\ne.example\n", id="domains"),
        pytest.param(
            ("--call", "order-approval"), "order_id,email\n9,boss@d.example\n", id="approvals"
        ),
    ],
)
@pytest.mark.parametrize("filters", [(), FLEX], ids=["all", "of a product"])
async def test_a_list_of_another_call_between_two_nights_does_not_hide_what_the_first_came_to(
    tmp_path: Path, words: tuple[str, ...], rows: str, filters: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, *[5.0] * 3, product=FLEX[1])
        night = ("--report-dir", "nights/{run}")
        assert (await desk.run(*SWEEP, *filters, *night)).code == 0
        (first,) = await run_ids(desk)
        del ca.world.orders[2]  # approved, and so issued
        desk.write("by-hand.csv", rows)
        by_hand = await desk.run("send", "--yes", *words, "by-hand.csv")
        assert by_hand.code == 0, by_hand.err
        second = await desk.run(*SWEEP, *filters, *night)
        assert f"; of 3 mailed by {first}, the last run to mail any, 1 no" in second.out
        counts = read_summary(tmp_path / "nights" / (await run_ids(desk))[0])["sweep"]
        assert (counts["mailed_by"], counts["mailed_before"]) == (first, 3)
        assert 'waiting">1 of 3 (run of ' in (tmp_path / "nights" / "index.html").read_text()


@pytest.mark.parametrize(
    ("newer", "is_left"),
    [
        pytest.param((), True, id="a newer sweep"),
        pytest.param(("--older-than", "90d"), True, id="a newer sweep with nothing to send"),
        pytest.param(FLEX, False, id="a newer sweep of other orders"),
        pytest.param(None, False, id="no newer sweep"),
        pytest.param("list", False, id="a list"),
    ],
)
async def test_a_night_resumed_after_a_newer_one_leaves_the_newer_ones_alarm_and_metrics_alone(
    tmp_path: Path, *, newer: tuple[str, ...] | str | None, is_left: bool
) -> None:
    async with (
        listening() as watchdog,
        listening() as hook,
        desk_with_ca(tmp_path, latency_s=(0.1, 0.2)) as (desk, ca),
    ):
        wait(ca, *[5.0] * 6, product=RAPID[1])
        told = ("--ping-url", watchdog.url, "--notify-url", hook.url, "--metrics-file", "m.prom")
        cut_off = await killed_after(desk, ca, 2, *SWEEP, *told)
        if newer == "list":
            wait(ca, 5.0, first=100_200_301)
            desk.write("orders.csv", "order_id\n100200301\n")
            assert (await desk.run("send", "--yes", "orders.csv")).code == 0
        elif newer is not None:
            assert (await desk.run(*SWEEP, "--exclude", "orders.csv", *told, *newer)).code == 1
            assert (await desk.run(*SWEEP, *told, *newer)).code == 0
        before = (tmp_path / "m.prom").read_text() if (tmp_path / "m.prom").exists() else ""
        newest = (await run_ids(desk))[0]
        watchdog.posts.clear()
        hook.posts.clear()
        resumed = await desk.run("resume", cut_off, "--yes", *told)
        assert resumed.code == 0, resumed.err
        ((_, told_hook),) = hook.posts
        assert cut_off in told_hook
        said = f"A newer sweep, {newest}, has begun since: this command does not use --ping-url"
        assert (said in resumed.err) is is_left
        assert (not watchdog.posts) is is_left
        assert ((tmp_path / "m.prom").read_text() == before) is is_left


NEW, NEWER = f"{KEY}-2", f"{KEY}-3"
KEY_FILE, URL = "--api-key-file", "--base-url"
# How the older of two nights may be resumed: by which key the newer one was; by which key, and with
# which options, resume is; its exit code.
RESUMED: Mapping[str, tuple[str, str, Sequence[str], int]] = {
    "by a key that replaced the one of both": (KEY, NEW, ("RUN",), 0),
    "by the key of before, which the newer one had no more": (NEW, KEY, ("RUN",), 0),
    "by a third key": (NEW, NEWER, ("RUN",), 0),
    "by a key that the CA refuses": (KEY, "wrong", ("RUN",), 4),
    "with a variable that holds no key": (KEY, "", ("RUN",), 1),
    "with no such file of a key": (KEY, KEY, ("RUN", KEY_FILE, "gone.txt"), 1),
    "with a file that holds no key": (KEY, KEY, ("RUN", KEY_FILE, "empty.txt"), 1),
    "without its name, and with no such file": (KEY, KEY, (KEY_FILE, "gone.txt"), 1),
    "at another URL": (KEY, KEY, ("RUN", URL, "http://127.0.0.1:9/services/v2"), 1),
    "at no URL": (KEY, KEY, ("RUN", URL, "nowhere"), 1),
    "with a limit that is none": (KEY, KEY, ("RUN", "--limit", "5"), 1),
    "with a log that cannot be opened": (KEY, KEY, ("RUN", "--log-file", "none/a.log"), 1),
}


@pytest.mark.parametrize(("key_of_newer", "key", "words", "code"), RESUMED.values(), ids=RESUMED)
async def test_however_an_older_night_is_resumed_the_newer_ones_alarm_and_metrics_stay(
    tmp_path: Path,
    *,
    key_of_newer: str,
    key: str,
    words: Sequence[str],
    code: int,
) -> None:
    async with (
        listening() as watchdog,
        desk_with_ca(tmp_path, latency_s=(0.1, 0.2)) as (desk, ca),
    ):
        wait(ca, *[5.0] * 6)
        desk.write("empty.txt", "\n")
        desk.write("orders.csv", "order_id\n100200301\n100200302\n")
        assert (await desk.run("send", "--yes", "--max-orders", "1", "orders.csv")).code == 4
        told = ("--ping-url", watchdog.url, "--metrics-file", "m.prom")
        cut_off = await killed_after(desk, ca, 2, *SWEEP, *told)
        stuck = ("--max-mails-per-order", "1", "--max-orders", "1", "--fail-on", "stuck")
        again = (*SWEEP, *told, "--cooldown", "0s", *stuck)
        newer = await desk.run(*again, DIGICERT_API_KEY=key_of_newer)
        assert newer.code == 3, newer.err
        before, newest = (tmp_path / "m.prom").read_text(), (await run_ids(desk))[0]
        watchdog.posts.clear()
        if code == 4:
            ca.settings = replace(ca.settings, api_key=KEY)
        named = [cut_off if word == "RUN" else word for word in words]
        resumed = await desk.run("resume", *named, "--yes", *told, DIGICERT_API_KEY=key)
        assert resumed.code == code, resumed.err
        assert f"A newer sweep, {newest}, has begun since: " in resumed.err
        assert not watchdog.posts
        assert (tmp_path / "m.prom").read_text() == before


@pytest.mark.parametrize("profile", ["shop", "other"])
async def test_a_newer_night_is_one_of_the_same_profile_also_where_resume_is_of_another(
    tmp_path: Path, profile: str
) -> None:
    async with (
        listening() as watchdog,
        desk_with_ca(tmp_path, latency_s=(0.1, 0.2)) as (desk, ca),
    ):
        wait(ca, *[5.0] * 6)
        desk.write("shop.txt", f"{NEW}\n")
        desk.write("other.txt", f"{NEWER}\n")
        profiles = [f'[profiles.{one}]\napi-key-file = "{one}.txt"\n' for one in ("shop", "other")]
        config = ("--config", str(desk.write("resend.toml", "".join(profiles))))
        cut_off = await killed_after(desk, ca, 2, *config, *SWEEP, "--profile", "shop")
        newer = await desk.run(*config, *SWEEP, "--profile", profile, "--older-than", "90d")
        assert newer.code == 0, newer.err
        told = ("--profile", "other", "--ping-url", watchdog.url)
        resumed = await desk.run(*config, "resume", cut_off, *told)
        assert resumed.code == 1
        assert "is of profile shop, not of profile other" in resumed.err
        assert ("A newer sweep" in resumed.err) is (not watchdog.posts) is (profile == "shop")
