"""Many keys in one run, each with limits of its own: as soon as the slowest key's limits allow."""

import tempfile
from pathlib import Path

from batch_resend.windows import Window, dictated_time
from tests.bench.findings import Finding
from tests.bench.processes import PROGRAM, own_server, run

KEYS = (1, 100)
ORDERS_A_KEY = 600
WINDOW = Window(100, 5.0)  # the CA's narrower one
DELAY_MS = "50-300"


def measure() -> list[Finding]:
    """Send by one key, and by many; return how long that took beside what the limits dictate.

    A slot is free again its window's length after the *answer*, so one key takes longer, too.
    """
    dictated_s = dictated_time(ORDERS_A_KEY, (WINDOW,))
    findings = [Finding("keys", f"{ORDERS_A_KEY} orders a key under {WINDOW}", dictated_s, "s")]
    for keys in KEYS:
        what = f"{keys} {'key' if keys == 1 else 'keys'}, beside what the limits dictate"
        wanted = 1.05 if keys > 1 else None
        findings.append(Finding("keys", what, took_s(keys) / dictated_s, "x", wanted))
    return findings


def took_s(keys: int) -> float:
    """Send by so many keys; return the time from the first arrival at the server to the last."""
    with tempfile.TemporaryDirectory(prefix="batch-resend-bench-") as name:
        folder = Path(name)
        write_accounts(folder, keys)
        with own_server("--delay-ms", DELAY_MS, "--times", str(folder / "times")) as base_url:
            run(
                [
                    *PROGRAM, "--config", str(folder / "config.toml"),
                    "send", str(folder / "orders.csv"), "--yes", "-q", "--base-url", base_url,
                    "--limit", str(WINDOW), "--journal", str(folder / "journal.db"),
                    "--report-dir", str(folder / "report"),
                ],
                folder / "out",
            )  # fmt: skip
        times = [*map(float, (folder / "times").read_text().split())]
    if len(times) != keys * ORDERS_A_KEY:
        raise SystemExit(f"{len(times)} of {keys * ORDERS_A_KEY} requests arrived")
    return max(times) - min(times)


def write_accounts(folder: Path, keys: int) -> None:
    """Write a profile for each key, and a list of which each has as many orders, in turns."""
    profiles = []
    for key in range(keys):
        file = folder / f"key{key}.txt"
        file.write_text(f"key-of-account-{key}")
        file.chmod(0o600)
        profiles.append(f'[profiles.account{key}]\napi-key-file = "{file}"\n')
    (folder / "config.toml").write_text("".join(profiles))
    with (folder / "orders.csv").open("w", encoding="utf-8") as orders:
        orders.write("order_id,account\n")
        for number in range(keys * ORDERS_A_KEY):
            orders.write(f"{100_000_000 + number},account{number % keys}\n")
