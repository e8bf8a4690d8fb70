"""Feed the readers of lists with junk: small lists of every form, mutated.

    python -m tests.fuzz.readers --seconds 60 --seed 1

Each input ends in rows, rejected rows, or an InputError; anything else is a finding, and so is an
input that takes more than five seconds. The reading happens in a child process, of bounded memory,
which leaves the input it is at in a file: a reader in another language may take the process along.
"""

import argparse
import gzip
import io
import lzma
import random
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from batch_resend.errors import BatchResendError, InputError
from batch_resend.intake import Field, ListSource, Reading
from batch_resend.model import RejectedRow, Row

LISTS = Path(__file__).parents[1] / "intake" / "lists"
MOST_MEMORY = 2 << 30
SLOW_S = 5.0
TOKENS = (
    b",", b";", b"\t", b"|", b'"', b"\n", b"\r", b"\r\n", b"\0", b"[", b"]", b"{", b"}", b":",
    b'"orders"', b"order_id", b"domain", b"email", b"status", b"sep=;", b"\xff\xfe", b"\xfe\xff",
    b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800", b"1e999", b"1.23E+08", b"@", b"xn--", b"*.",
    b"\xc2\xa0", b"\xe2\x80\xa8", b"-", b"null", b"9" * 25, b"a" * 300,
)  # fmt: skip


def seeds() -> list[bytes]:
    """Return small lists of every form."""
    paths = sorted(path for path in LISTS.iterdir() if path.suffix not in (".yields", ".md"))
    return [path.read_bytes() for path in paths if path.stat().st_size < 20_000]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return data with some of its bytes changed, below a packing where there is one."""
    if data.startswith(b"\x1f\x8b") and chance.random() < 0.5:
        return gzip.compress(_mutated(_unpacked(gzip.decompress, data), chance))
    if data.startswith(b"\xfd7zXZ") and chance.random() < 0.5:
        return lzma.compress(_mutated(_unpacked(lzma.decompress, data), chance))
    if data.startswith(b"PK") and chance.random() < 0.8:
        return _mutated_zip(data, chance)
    return _mutated(data, chance)


def _unpacked(unpack: object, data: bytes) -> bytes:
    try:
        return unpack(data)  # type: ignore[operator, no-any-return]
    except (OSError, EOFError, lzma.LZMAError):
        return data


def _mutated_zip(data: bytes, chance: random.Random) -> bytes:
    out = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
            victim = chance.choice(old.namelist())
            for name in old.namelist():
                content = old.read(name)
                new.writestr(name, _mutated(content, chance) if name == victim else content)
    except zipfile.BadZipFile:
        return _mutated(data, chance)
    return out.getvalue()


def _mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at = chance.randint(0, len(changed))
        to = min(len(changed), at + chance.choice((1, 1, 2, 8, 40)))
        match chance.randrange(5):
            case 0:
                changed[at:at] = chance.choice(TOKENS)
            case 1:
                del changed[at:to]
            case 2:
                changed[at:at] = changed[at:to] * chance.choice((2, 3, 200))
            case 3 if changed:
                changed[min(at, len(changed) - 1)] = chance.randrange(256)
            case _:
                changed[at:to] = chance.choice(TOKENS)
    return bytes(changed)


def reading(chance: random.Random) -> Reading:
    """Return some way to read."""
    headed = chance.random() < 0.8
    mapping = {} if headed else {Field.ORDER_ID: "1", Field.DOMAIN: "2", Field.EMAIL: "3"}
    return Reading(
        mapping=mapping,
        headed=headed,
        delimiter=chance.choice((None, None, None, ",", ";", "\t", "x")),
        encoding=chance.choice((None, None, None, "cp1252", "utf-16-le", "shift_jis", "utf-7")),
        sheet=chance.choice((None, None, None, "April", "Hidden")),
        all_statuses=chance.random() < 0.3,
    )


def outcome(path: Path, how: Reading) -> str:
    """Return what reading comes to. Raises whatever should not come to pass."""
    try:
        rows = list(ListSource(str(path), how))
    except BatchResendError as error:
        if not str(error):
            raise AssertionError("an error without a word") from error
        kind = InputError if isinstance(error, InputError) else type(error)
        return kind.__name__
    if not rows or not all(isinstance(row, Row | RejectedRow) for row in rows):
        raise AssertionError(f"neither rows nor an error: {rows!r}")
    if any(isinstance(row, RejectedRow) and not row.reason for row in rows):
        raise AssertionError("a rejected row without a reason")
    return "rows" if all(isinstance(row, Row) for row in rows) else "rejected rows"


def inputs(seed: int) -> Iterator[tuple[bytes, Reading]]:
    """Yield inputs without end, the same ones for the same seed."""
    chance = random.Random(seed)
    pool = seeds()
    while True:
        yield mutated(chance.choice(pool), chance), reading(chance)


def child(seed: int, seconds: float, path: Path) -> None:
    """Read inputs until time is up; print how many came to what."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    counts: Counter[str] = Counter()
    end = time.monotonic() + seconds
    for data, how in inputs(seed):
        if time.monotonic() > end:
            break
        path.write_bytes(data)
        path.with_suffix(".how").write_text(repr(how))
        begun = time.monotonic()
        counts[outcome(path, how)] += 1
        if time.monotonic() - begun > SLOW_S:
            raise AssertionError("too slow")
    print(f"seed {seed}: {counts.total()} inputs in {seconds:g} s: {dict(counts)}")


def main() -> int:
    """Run the fuzzer; 1 with a finding, which is then named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        child(given.seed, given.seconds, given.child)
        return 0
    folder = Path(tempfile.mkdtemp(prefix="batch-resend-fuzz-"))
    words = ["--seed", str(given.seed), "--seconds", str(given.seconds)]
    command = [sys.executable, "-m", "tests.fuzz.readers", *words, "--child", str(folder / "input")]
    done = subprocess.run(command, check=False)
    if done.returncode:
        print(f"seed {given.seed}: a finding, in {folder}")
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
