"""Variables that are named like options: one that is not known is an error."""

from pathlib import Path

import pytest

from tests.cli.conftest import desk_with_ca
from tests.cli.test_alarms import told
from tests.notify.listener import listening


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("BATCH_RESEND_MAX_ORDER", " Did you mean BATCH_RESEND_MAX_ORDERS?"),
        ("BATCH_RESEND_MAXORDERS", " Did you mean BATCH_RESEND_MAX_ORDERS?"),
        ("batch_resend_max_orders", " Did you mean BATCH_RESEND_MAX_ORDERS?"),
        ("BATCH_RESEND_LIMITS", " Did you mean BATCH_RESEND_LIMIT?"),
        ("BATCH_RESEND_DRY_RUN", ""),
        ("BATCH_RESEND_", ""),
        # The prefix, misspelled or joined in another way.
        ("BATCHRESEND_MAX_ORDERS", " Did you mean BATCH_RESEND_MAX_ORDERS?"),
        ("BATCHRESENDMAXORDERS", " Did you mean BATCH_RESEND_MAX_ORDERS?"),
        ("BATCH-RESEND-MAX-ORDERS", " Did you mean BATCH_RESEND_MAX_ORDERS?"),
        ("Batch_Resend_Max_Orders", " Did you mean BATCH_RESEND_MAX_ORDERS?"),
        ("BATCH_RE_SEND_MAX_ORDERS", " Did you mean BATCH_RESEND_MAX_ORDERS?"),
        ("BATCH_RESENT_MAX_ORDERS", " Did you mean BATCH_RESEND_MAX_ORDERS?"),
        ("BATH_RESEND_MAX_ORDERS", " Did you mean BATCH_RESEND_MAX_ORDERS?"),
        ("BACTH_RESEND_MAX_ORDERS", " Did you mean BATCH_RESEND_MAX_ORDERS?"),
        ("BATCH_RESENDS_MAXORDERS", " Did you mean BATCH_RESEND_MAX_ORDERS?"),
        ("BATCHRESEND_OTHER", ""),
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
        "BATCHRESEND_SERVICE_HOST",
        "BATCHRESEND_PORT_9100_TCP",
        "_BATCH_RESEND_OTHER",
        "_BATCH_RESEND_LIMIT",
        "BATCH_RESEND",  # where a script has the program
        "BATCH_RESENT_HOME",  # of another program: no option is like it
        "BATCH_LIMIT",
        "BATCH_SIZE",
        "RESEND_LIMIT",
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


@pytest.mark.parametrize("value", ["", " ", "\t"])
@pytest.mark.parametrize(
    "name", ["MAX_ORDERS", "LIMIT", "OLDER_THAN", "BASE_URL", "MAX_MAILS_PER_ORDER", "CONFIG"]
)
async def test_one_that_is_empty_is_refused_and_lifts_no_limit(
    tmp_path: Path, name: str, value: str
) -> None:
    async with desk_with_ca(tmp_path, orders=5) as (desk, ca):
        desk.environment[f"BATCH_RESEND_{name}"] = value
        refused = await desk.run("sweep", "--yes", "-q")
        assert refused.code == 1
        assert f"the variable BATCH_RESEND_{name} is empty" in refused.err
        assert ca.books.requests == 0


@pytest.mark.parametrize("words", ["--max-orders=", "--max-orders=0", "--limit=", "--older-than="])
async def test_nor_does_an_empty_flag(tmp_path: Path, words: str) -> None:
    async with desk_with_ca(tmp_path, orders=5) as (desk, ca):
        refused = await desk.run("sweep", "--yes", "-q", words)
        assert refused.code in (1, 2)
        assert ca.books.requests == 0


@pytest.mark.parametrize(
    "line",
    ['max-orders = ""', "max-orders = 0", 'limit = ""', "limit = []", 'older-than = ""',
     'limit = [""]', 'base-url = ""'],
)  # fmt: skip
async def test_nor_does_an_empty_value_in_the_file(tmp_path: Path, line: str) -> None:
    async with desk_with_ca(tmp_path, orders=5) as (desk, ca):
        desk.environment = {
            name: value
            for name, value in desk.environment.items()
            if name not in ("BATCH_RESEND_LIMIT", "BATCH_RESEND_BASE_URL")
        }
        place = "" if line.startswith("base") else f'base-url = "{ca.base_url}"\n'
        desk.write("batch.toml", f"[sweep]\n{place}{line}\n")
        refused = await desk.run("--config", "batch.toml", "sweep", "--yes", "-q")
        assert refused.code in (1, 2), refused.err
        assert ca.books.requests == 0


async def test_an_empty_one_of_another_command_is_no_hindrance(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(1)
        assert (await desk.run("send", "orders.csv", BATCH_RESEND_MAX_ORDERS="")).code == 0


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
