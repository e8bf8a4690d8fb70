"""The sample units: what they start is what this program understands, and does what they say."""

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import KEY, desk_with_ca

SAMPLES = Path(__file__).parents[2] / "samples"
SERVICE, TIMER = SAMPLES / "batch-resend.service", SAMPLES / "batch-resend.timer"


@pytest.mark.asyncio
async def test_what_the_service_starts_sends_with_the_credential_and_keeps_to_its_folders(
    tmp_path: Path,
) -> None:
    unit = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment,method-assign] # names keep their case
    unit.read(SERVICE)
    service = unit["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert program.endswith("/bin/batch-resend")
    (tmp_path / "credentials").mkdir()
    (tmp_path / "state").mkdir()
    name, _, _path = service["LoadCredential"].partition(":")
    credential = tmp_path / "credentials" / name
    credential.write_text(KEY + "\n")
    credential.chmod(0o400)
    async with desk_with_ca(tmp_path, api_key=KEY) as (desk, ca):
        lists = desk.write("orders.csv", "order_id\n1\n2\n")
        del desk.environment["DIGICERT_API_KEY"]
        variable, _, value = service["Environment"].partition("=")
        desk.environment[variable] = value.replace("%S/batch-resend", str(tmp_path / "state"))
        desk.environment["CREDENTIALS_DIRECTORY"] = str(tmp_path / "credentials")
        words = [str(lists) if word.endswith("orders.csv") else word for word in words]
        sent = await desk.run(*words)
    assert sent.code == 0, sent.err
    assert ca.books.mails_per_order == {"1": 1, "2": 1}
    assert (tmp_path / "state" / "journal.db").is_file()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze here")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    for unit in (SERVICE, TIMER):
        text = unit.read_text().replace("/opt/batch-resend/bin/batch-resend", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "batch-resend." not in told.stderr, told.stderr
