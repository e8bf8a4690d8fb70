"""The loop of the API's documentation: `requests`, one order after another.

python -m tests.bench.peers.plain_requests BASE_URL LIST RESULTS
"""

import csv
import sys
from pathlib import Path

import requests


def main(base_url: str, path: str, results_path: str) -> None:
    """Read, send, write a result an order."""
    session = requests.Session()
    session.headers.update({"X-DC-DEVKEY": "bench"})
    with Path(path).open(newline="") as file, Path(results_path).open("w") as results:
        for row in csv.DictReader(file):
            entry = {"domain": row["domain"], "email": row["email"]}
            url = f"{base_url}/order/certificate/{row['order_id']}/resend-emails"
            response = session.put(url, json={"domain_approval_emails": [entry]}, timeout=30)
            results.write(f"{row['order_id']},{response.status_code}\n")


if __name__ == "__main__":
    main(*sys.argv[1:4])
