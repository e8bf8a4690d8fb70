"""What README, manual and samples show: each command line is understood, and does what it says."""

import asyncio
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
import kubernetes_validate
import pytest
import yaml

from batch_resend.cli.main import cli
from batch_resend.folders import Database, parse_place
from batch_resend.simulator import Simulator, WorldOrder
from tests.cli.conftest import (
    KEY,
    Desk,
    desk_with_ca,
    ended,
    read_summary,
    run_ids,
    until,
    until_told,
)
from tests.cli.test_sweep import wait
from tests.cli.town import BANK_KEY, SHOP_KEY, town
from tests.notify.listener import listening
from tests.pages import Page, pages
from tests.postgres import forget

SAMPLES = Path(__file__).parents[2] / "samples"
SERVICE, TIMER = SAMPLES / "batch-resend.service", SAMPLES / "batch-resend.timer"
EACH = SAMPLES / "batch-resend@.service"  # of several accounts
CRONTAB, CRONJOB = SAMPLES / "crontab", SAMPLES / "cronjob.yaml"
CONTAINERFILE = SAMPLES / "Containerfile"
WORKERS, COMPOSE = SAMPLES / "workers.yaml", SAMPLES / "compose.yaml"
PROGRAM = "/opt/batch-resend/bin/batch-resend"
DAY_S = 86_400.0


def service(path: Path = SERVICE, instance: str = "") -> dict[str, list[str]]:
    """Return the values of each key of a service's section, as systemd has them."""
    section = path.read_text().partition("[Service]\n")[2].replace("%i", instance)
    found: dict[str, list[str]] = {}
    for line in section.splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def understood(words: list[str]) -> click.Context:
    """Parse a command line as the program does, and don't carry it out."""
    name, *rest = words
    return cli.commands[name].make_context(
        name, rest, parent=click.Context(cli, **cli.context_settings)
    )


async def test_what_the_service_starts_sweeps_with_the_credential_and_keeps_to_its_folders(
    tmp_path: Path,
) -> None:
    program, *words = shlex.split(service()["ExecStart"][0])
    assert program.endswith("/bin/batch-resend")
    assert understood(words).params["fail_on"] == "stuck"
    (tmp_path / "credentials").mkdir()
    (tmp_path / "state").mkdir()
    name, _, _path = service()["LoadCredential"][0].partition(":")
    credential = tmp_path / "credentials" / name
    credential.write_text(KEY + "\n")
    credential.chmod(0o400)
    async with desk_with_ca(tmp_path, api_key=KEY) as (desk, ca):
        for number in (100200301, 100200302):
            ca.world.add(WorldOrder(number, created_at=time.time() - 2 * DAY_S))
        del desk.environment["DIGICERT_API_KEY"]
        variable, _, value = service()["Environment"][0].partition("=")
        desk.environment[variable] = value.replace("%S/batch-resend", str(tmp_path / "state"))
        desk.environment["CREDENTIALS_DIRECTORY"] = str(tmp_path / "credentials")
        swept = await desk.run(*words)
    assert swept.code == 0, swept.err
    assert ca.books.mails_per_order == {"100200301": 1, "100200302": 1}
    assert (tmp_path / "state" / "journal.db").is_file()


@pytest.mark.skipif(not Path("/usr/bin/flock").exists(), reason="there is no flock here")
async def test_the_units_of_two_accounts_sweep_one_after_the_other_and_share_what_was_mailed(
    tmp_path: Path,
) -> None:
    async with town(tmp_path) as at:
        text = "".join(
            f'[profiles.{name}]\nbase-url = "{ca.base_url}"\n'
            for name, ca in (("shop", at.shop), ("bank", at.bank))
        )
        at.desk.write("config.toml", text)
        state, sweeping = tmp_path / "state", []
        state.mkdir()
        for name, ca, key in (("shop", at.shop, SHOP_KEY), ("bank", at.bank, BANK_KEY)):
            wait(ca, 2, first=100_200_301)
            unit = {
                key: [value.replace("%S/batch-resend", str(state)) for value in values]
                for key, values in service(EACH, name).items()
            }
            assert unit["StateDirectory"] == ["batch-resend"]
            assert unit["WorkingDirectory"] == [str(state)]
            assert unit["LoadCredential"] == [f"digicert-api-key:/etc/batch-resend/{name}.key"]
            assert unit["EnvironmentFile"] == [f"-/etc/batch-resend/{name}.env"]
            given = dict(line.split("=", 1) for line in unit["Environment"])
            assert given.pop("BATCH_RESEND_CONFIG") == "/etc/batch-resend/config.toml"
            (tmp_path / name).mkdir()
            at.desk.write(f"{name}/digicert-api-key", key).chmod(0o400)
            given["CREDENTIALS_DIRECTORY"] = str(tmp_path / name)
            waiting, words = unit["ExecStart"][0].split(f" {PROGRAM} ")
            assert unit["ExecStartPre"] == [f"-{waiting} {PROGRAM} prune"], "that waits, too"
            program = [*shlex.split(waiting), *at.desk.command(*shlex.split(words))]
            sweeping.append(await at.desk.start(program=program, **given))
        for swept in await asyncio.gather(*map(ended, sweeping)):
            assert swept.code == 0, swept.err
        assert at.shop.books.mails == at.bank.books.mails == 1
        for name in ("shop", "bank"):
            (report,) = (state / f"reports-{name}").glob("*/")
            assert read_summary(report)["profile"] == name
        runs = await at.desk.run("runs", "--json", "--journal", str(state / "journal.db"))
        assert {run["profile"] for run in json.loads(runs.out)} == {"shop", "bank"}


def test_the_units_of_one_account_and_of_several_may_do_the_same() -> None:
    one, each = service(), service(EACH, "shop")
    own = {key for key in one.keys() | each.keys() if one.get(key) != each.get(key)}
    assert own == {
        "ExecStart", "ExecStartPre", "Environment", "EnvironmentFile", "LoadCredential", "User",
    }  # fmt: skip


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze here")
@pytest.mark.parametrize(("unit", "name"), [(SERVICE, "batch-resend"), (EACH, "batch-resend@shop")])
def test_systemd_understands_the_units(tmp_path: Path, unit: Path, name: str) -> None:
    for one, kind in ((unit, "service"), (TIMER, "timer")):
        text = one.read_text().replace(PROGRAM, "/bin/true")
        (tmp_path / f"{name}.{kind}").write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "batch-resend" not in told.stderr, told.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze here")
@pytest.mark.parametrize("unit", [SERVICE, EACH], ids=lambda unit: unit.name)
def test_the_service_may_do_little_that_it_does_not_need(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Unknown option" in told.stderr or "unrecognized option" in told.stderr:
        pytest.skip("this systemd-analyze judges no unit offline")
    assert told.returncode == 0, told.stdout + told.stderr
    exposure = re.search(r"exposure level for \S+: ([0-9.]+)", told.stdout)
    assert exposure is not None
    assert float(exposure[1]) <= 2.0


def test_the_crontab_line_is_understood() -> None:
    line, prune = [one for one in CRONTAB.read_text().splitlines() if re.match(r"[0-9*]", one)]
    assert prune.split()[6:7] == ["prune"]
    program, *words = shlex.split(line.split(maxsplit=5)[5])
    assert program.endswith("/bin/batch-resend")
    assert understood(words).params["yes"]
    assert understood(words).params["fail_on"] == "stuck"
    assert "%" not in line, "cron takes it for the end of the line"


def test_the_cron_job_is_what_kubernetes_documents_and_starts_what_is_understood() -> None:
    claim, job = yaml.safe_load_all(CRONJOB.read_text())
    for described in (claim, job):  # against Kubernetes' own schemas, unknown keys refused
        version = kubernetes_validate.latest_version()
        kubernetes_validate.validate(described, version, strict=True)
    assert (claim["apiVersion"], claim["kind"]) == ("v1", "PersistentVolumeClaim")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    words = understood(container["args"]).params
    assert (words["api_key_file"], words["fail_on"]) == (Path("/secrets/key"), "stuck")
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    named = {volume["name"] for volume in pod["volumes"]}
    assert named == {mount["name"] for mount in container["volumeMounts"]}
    (state,) = [v for v in pod["volumes"] if v["name"] == "state"]
    assert state["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_the_container_runs_as_nobody_and_starts_what_is_understood() -> None:
    text = CONTAINERFILE.read_text()
    command = re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)
    assert command is not None
    assert understood(yaml.safe_load(command[1])).params["api_key_file"] == Path("/secrets/key")
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.MULTILINE)


def test_the_workers_are_what_kubernetes_documents_and_start_what_is_understood() -> None:
    described = {one["kind"]: one for one in yaml.safe_load_all(WORKERS.read_text())}
    for one in described.values():
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
    template = described["Deployment"]["spec"]["template"]
    job = described["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]
    assert (
        described["Deployment"]["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]
    )
    for pod in (template["spec"], job["spec"]):
        (container,) = pod["containers"]
        assert understood(container["args"]).params["api_key_file"] == Path("/secrets/key")
        assert {v["name"] for v in pod["volumes"]} == {m["name"] for m in container["volumeMounts"]}
        assert pod["securityContext"]["runAsNonRoot"]
        told = {one["name"]: one for one in container["env"]}
        assert isinstance(parse_place(told["BATCH_RESEND_JOURNAL"]["value"]), Database)
        password = told["PGPASSWORD"]["valueFrom"]["secretKeyRef"]
        assert password["name"] == described["Secret"]["metadata"]["name"]
        assert password["key"] in described["Secret"]["stringData"]
    probe = template["spec"]["containers"][0]["livenessProbe"]["exec"]["command"][-1]
    program, *words = shlex.split(probe)
    assert program.endswith("/bin/batch-resend")
    assert understood(words).params["action"] == "check"
    assert understood(job["spec"]["containers"][0]["args"]).params["distribute"]


def test_the_compose_file_is_what_its_specification_says_and_starts_what_is_understood(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    told = subprocess.run([*command, str(COMPOSE)], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    worker = yaml.safe_load(COMPOSE.read_text())["services"]["worker"]
    for variable, value in worker["environment"].items():
        monkeypatch.setenv(variable, value)
    by_hand = re.search(r"podman compose .* run --rm worker (.+)", COMPOSE.read_text())
    assert by_hand is not None
    for words in (worker["command"], by_hand[1].split()):
        assert understood(words).params["api_key_file"] == Path("/run/secrets/key")
    assert isinstance(parse_place(worker["environment"]["BATCH_RESEND_JOURNAL"]), Database)
    _, program, *words = worker["healthcheck"]["test"]
    assert program.endswith("/bin/batch-resend")
    assert understood(words).params["action"] == "check"


# They change the machine, not a run; `make dist` tries to install what is built.
OF_THE_MACHINE = re.compile(r"(make|pip|pipx|uv|podman|rm|python3 -m venv|\.venv/bin/pip)\b")
WORKER = "batch-resend worker "
LISTS = {
    "basic.csv": "order_id,product\n100200302,ssl_basic\n",
    "hopeless.csv": "order_id\n100200302\n",
    "config.toml": """limit = ["1000/3m", "100/5s"]
[profiles.shop]
api-key-file = "key.txt"
[profiles.bank]
api-key-file = "key.txt"
""",
    "nested.json": ('[{"order_id": 1, "names": [{"fqdn": "a.example", "to": "admin@a.example"}]}]'),
    "marked.json": (
        '[{"order_id": 1, "domain_approval_emails": '
        '[{"domain": "a.example", "email": "admin@a.example", "note": "done"}]}]'
    ),
    "export.json": '[{"order": {"id": 1}, "domain": "a.example", "email": "admin@a.example"}]',
    "export.csv": "Vorgang,Domain,E-Mail\n1,a.example.com,admin@a.example.com\n",
}
# What a reader puts in: a list, an order, a command.
OF_THE_READER = {
    "/var/log/": "",
    "/var/lib/node_exporter/": "",
    " [--host NAME]": "",
    " COMMAND ": " send ",
    " TOPIC": " lists",
    " ORDER_ID": " 700000",
    " LIST": " orders.csv",
    " ssl_plus": " ssl_dv_geotrust_flex",
    "FILE send ...": "config.toml check orders.csv",
}
ORDERS, LONG = 5, 300  # in a usual list, and in one that takes a while
LATENCY_S = (0.02, 0.1)
SLOWLY = "--api-key-file key.txt --concurrency 1"


def to_run(page: Page) -> list[str]:
    """Return the command lines of a page that ask something of batch-resend."""
    return [line for line in page.command_lines() if not OF_THE_MACHINE.match(line)]


WITH_COMMANDS = [page for page in pages() if to_run(page)]


class Reader:
    """Does what a page says, line by line."""

    def __init__(self, desk: Desk, ca: Simulator, yours: dict[str, str]) -> None:
        self._desk = desk
        self._ca = ca
        self._yours = OF_THE_READER | yours
        self._worker: asyncio.subprocess.Process | None = None
        self._emptied: asyncio.Task[object] | None = None

    async def do(self, printed: str) -> None:
        """Run a line to its end; a worker is left to work."""
        if " resume " in printed:
            await self._leave_unfinished()
        if " --skipped-by " in printed:
            await ended(await self._start("batch-resend send --api-key-file key.txt basic.csv"))
        line = printed
        for theirs, ours in self._yours.items():
            line = line.replace(theirs, ours)
        if " RUN" in printed or " history " in printed:
            line = line.replace(" RUN", f" {await self._newest_run()}")
        if line.startswith("export "):
            name, value = shlex.split(line, comments=True)[1].split("=", 1)
            self._desk.environment[name] = value
        elif line.startswith(WORKER):
            self._worker = await self._start(f"exec {line}")
            await until_told(self._worker, b"at work")
            self._emptied = asyncio.create_task(ended(self._worker))
        else:
            done = await ended(await self._start(line), KEY.encode())
            assert done.code == 0, f"{printed}\n{done.out}{done.err}"

    async def close(self) -> None:
        """End the worker, if there is one, as systemd would."""
        if self._worker is not None and self._emptied is not None:
            self._worker.send_signal(signal.SIGTERM)
            await self._emptied
            assert self._worker.returncode == 128 + signal.SIGTERM

    async def _start(self, line: str) -> asyncio.subprocess.Process:
        return await self._desk.start(program=["sh", "-c", line])

    async def _newest_run(self) -> str:
        if not (runs := await run_ids(self._desk)):
            await self.do("batch-resend send --api-key-file key.txt orders.csv")
            runs = await run_ids(self._desk)
        return runs[0]

    async def _leave_unfinished(self) -> None:
        """Kill a run in its middle: one request at a time, it takes seconds."""
        self._desk.write_list(LONG, "long.csv")
        enough = self._ca.books.requests + 2
        process = await self._start(f"exec batch-resend send {SLOWLY} --again long.csv")
        await until(lambda: self._ca.books.requests >= enough)
        process.kill()
        await ended(process)


@contextmanager
def installed(desk: Desk) -> Iterator[None]:
    """Have `batch-resend` found, a list and a key in the folder, and no setting in the way."""
    desk.write_list(ORDERS)
    for name, text in LISTS.items():
        desk.write(name, text)
    desk.write("key.txt", KEY).chmod(0o600)
    (desk.folder / "bin").mkdir()
    program = desk.write("bin/batch-resend", f'#!/bin/sh\nexec {shlex.join(desk.command())} "$@"\n')
    program.chmod(0o755)
    desk.environment["PATH"] = f"{program.parent}:{desk.environment['PATH']}"
    del desk.environment["DIGICERT_API_KEY"], desk.environment["BATCH_RESEND_JOURNAL"]
    yield


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=str)
async def test_every_command_line_of_a_page_does_what_it_says(
    tmp_path: Path, page: Page, database: Database
) -> None:
    forget(database)
    async with desk_with_ca(tmp_path, latency_s=LATENCY_S) as (desk, ca), listening() as watchdog:
        wait(ca, 2, 3, first=100_200_301)
        yours = {
            "postgresql://batch_resend@db/batch_resend": str(database),
            "https://hc-ping.com/UUID": watchdog.url,
            "0 2 * * *": f"0 {(datetime.now(UTC).hour + 12) % 24} * * *",  # not due in this test
        }
        with installed(desk):
            reader = Reader(desk, ca, yours)
            try:
                for line in to_run(page):
                    await reader.do(line)
            finally:
                await reader.close()
        assert_left_by(page.name, desk, ca)
        assert bool(watchdog.posts) == ("https://hc-ping.com/UUID" in page.text)


def assert_left_by(name: str, desk: Desk, ca: Simulator) -> None:
    """Check what the lines of a page have brought about."""
    there = {path.name for path in desk.folder.iterdir()}
    if name == "README":  # the rehearsals had a CA of their own
        assert ca.books.mails == ORDERS + 2
    if name == "first-run":
        assert ca.books.mails == ORDERS
        assert (desk.folder / "key.txt").stat().st_mode & 0o077 == 0
    if name == "nightly":
        assert there >= {"pending.csv", "resend.prom", "batch-resend.log"}
    assert name != "lists" or "plan.jsonl" in there
    if name == "several-hosts":
        assert ca.books.mails == ORDERS
