"""What samples show: each command line is understood, and does what it says."""

import asyncio
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click
import kubernetes_validate
import pytest
import yaml

from batch_resend.cli.main import cli
from batch_resend.folders import Database, parse_place
from batch_resend.simulator import WorldOrder
from tests.cli.conftest import (
    KEY,
    desk_with_ca,
    ended,
    read_summary,
)
from tests.cli.test_sweep import wait
from tests.cli.town import BANK_KEY, SHOP_KEY, town

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
