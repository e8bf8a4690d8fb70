"""The same with reqstorm, which sends lists of requests and writes a result a request.

python -m tests.bench.peers.with_reqstorm BASE_URL LIST RESULTS IN_FLIGHT
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import reqstorm


def requests_of(base_url: str, path: str) -> Iterator[reqstorm.Request]:
    """Yield a request a row."""
    with Path(path).open(newline="") as file:
        for row in csv.DictReader(file):
            entry = {"domain": row["domain"], "email": row["email"]}
            yield reqstorm.Request(
                f"{base_url}/order/certificate/{row['order_id']}/resend-emails",
                method="PUT",
                json={"domain_approval_emails": [entry]},
            )


def main(base_url: str, path: str, results_path: str, in_flight: str) -> None:
    """Send."""
    written = f"{results_path}.csv"
    reqstorm.fetch_to_file_sync(
        requests_of(base_url, path),
        written,
        concurrency=int(in_flight),
        headers={"X-DC-DEVKEY": "bench"},
        body="none",
    )
    with Path(written).open(newline="") as file, Path(results_path).open("w") as results:
        results.writelines(f"{row['url']},{row['status']}\n" for row in csv.DictReader(file))


if __name__ == "__main__":
    main(*sys.argv[1:5])
