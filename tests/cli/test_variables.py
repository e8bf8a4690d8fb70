"""Variables that are named like options: one that is not known is an error."""

from pathlib import Path

import pytest

from tests.alarm.listener import listening
from tests.cli.conftest import desk_with_ca
from tests.cli.test_alarms import told

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("BATCH_RESEND_MAX_ORDER", " Did you mean BATCH_RESEND_MAX_ORDERS?"),
        ("BATCH_RESEND_MAXORDERS", " Did you mean BATCH_RESEND_MAX_ORDERS?"),
        ("batch_resend_max_orders", " Did you mean BATCH_RESEND_MAX_ORDERS?"),
        ("BATCH_RESEND_LIMITS", " Did you mean BATCH_RESEND_LIMIT?"),
        ("BATCH_RESEND_DRY_RUN", ""),
        ("BATCH_RESEND_", ""),
    ],
)
@pytest.mark.parametrize("words", [("sweep", "--older-than", "0"), ("send", "orders.csv")])
async def test_one_that_is_misspelled_is_refused_with_the_nearest_and_nothing_is_sent(
    tmp_path: Path, name: str, hint: str, words: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path, orders=5) as (desk, ca):
        desk.write_list(3)
        desk.environment[name] = "3"
        refused = await desk.run(*words)
        assert refused.code == 1
        assert refused.err == f"batch-resend: there is no variable {name}.{hint}\n"
        assert ca.books.requests == 0


async def test_its_value_is_repeated_nowhere(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(3)
        refused = await desk.run("send", "orders.csv", BATCH_RESEND_API_KEY="a-secret-0123456789")
        assert "Did you mean BATCH_RESEND_API_KEY_FILE?" in refused.err
        assert "a-secret" not in refused.err


@pytest.mark.parametrize(
    "name",
    [
        "BATCH_RESEND_MAX_ORDERS",  # of another command
        "BATCH_RESEND_EVENT_LOOP",
        # What Kubernetes sets for Services called batch-resend and batch-resend-worker.
        "BATCH_RESEND_SERVICE_HOST",
        "BATCH_RESEND_SERVICE_PORT",
        "BATCH_RESEND_SERVICE_PORT_METRICS",
        "BATCH_RESEND_PORT",
        "BATCH_RESEND_PORT_9100_TCP",
        "BATCH_RESEND_PORT_9100_TCP_PROTO",
        "BATCH_RESEND_PORT_9100_TCP_PORT",
        "BATCH_RESEND_PORT_9100_TCP_ADDR",
        "BATCH_RESEND_WORKER_SERVICE_HOST",
        "_BATCH_RESEND_OTHER",
        "MY_BATCH_RESEND_LIMIT",
    ],
)
async def test_those_of_other_commands_and_of_kubernetes_are_no_hindrance(
    tmp_path: Path, name: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(1)
        desk.environment[name] = "asyncio" if name.endswith("LOOP") else "3"
        sent = await desk.run("send", "orders.csv")
        assert sent.code == 0, sent.err


async def test_help_is_shown_all_the_same(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        for words in (("--help",), ("send", "--help"), ("send", "-h"), ("--version",)):
            assert (await desk.run(*words, BATCH_RESEND_MAX_ORDER="3")).code == 0


@pytest.mark.parametrize("wrong", ["variable", "file"])
async def test_a_watchdog_is_notified_of_a_variable_or_a_file_that_is_refused(
    tmp_path: Path, wrong: str
) -> None:
    async with listening() as watchdog, desk_with_ca(tmp_path) as (desk, ca):
        desk.write("batch.toml", "max-order = 3\n")
        desk.environment["BATCH_RESEND_PING_URL"] = watchdog.url
        if wrong == "variable":
            desk.environment["BATCH_RESEND_MAX_ORDER"] = "3"
        config = ("--config", "batch.toml") if wrong == "file" else ()
        refused = await desk.run(*config, "sweep", "--yes", "-q")
        assert refused.code == 1
        ((path, ending),) = told(watchdog)
        assert path.endswith("/fail")
        assert ending is not None
        assert ending["exit_code"] == 1
        assert "there is no" in ending["text"]
        assert ca.books.requests == 0
