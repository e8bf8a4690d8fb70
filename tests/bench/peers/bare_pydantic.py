"""What reading a list costs at the least: csv.reader, one pydantic validation a row, nothing kept.

python -m tests.bench.peers.bare_pydantic LIST
"""

import csv
import sys
from pathlib import Path

from pydantic import BaseModel, EmailStr, PositiveInt


class Row(BaseModel):
    """A row with an order number and an address that is one."""

    order_id: PositiveInt
    domain: str
    email: EmailStr


def main(path: str) -> None:
    """Read."""
    with Path(path).open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        for order_id, domain, email in rows:
            Row(order_id=order_id, domain=domain, email=email)  # type: ignore[arg-type] # text


if __name__ == "__main__":
    main(sys.argv[1])
