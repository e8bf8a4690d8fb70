"""An export: orders that wait at the CA, as a list that `send` reads."""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TextIO

from batch_resend.clock import timestamp, whole_days
from batch_resend.listed import ListedOrder
from batch_resend.order_reader import is_dv_order
from batch_resend.visible import defused_row

COLUMNS = (
    "order_id", "status", "product", "dcv_method", "created_at", "age_days", "container", "domains",
    "domain_id",
)  # fmt: skip


class ExportWriter:
    """Writes orders: a line for each, or one for each domain where it is not DV.

    Either format has the same fields in every line, with the same texts: they are read alike.
    """

    def __init__(self, file: TextIO, form: str, now: float, *, with_accounts: bool = False) -> None:
        """`form`: csv or jsonl; `with_accounts`: of several accounts, which a column names."""
        self.now = now
        self._file = file
        self._columns = (*COLUMNS, "account") if with_accounts else COLUMNS
        self._table = None if form == "jsonl" else csv.writer(file, lineterminator="\n")
        if self._table is not None:
            self._table.writerow(self._columns)

    def write(
        self, order: ListedOrder, account: str | None = None, *, by_domain: bool = False
    ) -> None:
        """Write an order of an account; `by_domain`: a line for each, whatever its product is."""
        is_by_domain = by_domain or not (order.product is None or is_dv_order(order))
        for part in _parts(order) if is_by_domain else (order,):
            record = {**_record(part, self.now), "account": account}
            self._write_line({name: record[name] for name in self._columns})

    def _write_line(self, line: dict[str, object]) -> None:
        if self._table is None:
            print(json.dumps(line, ensure_ascii=False), file=self._file)
        else:
            self._table.writerow(defused_row(line.values()))


def _parts(order: ListedOrder) -> Sequence[ListedOrder]:
    """Return an order domain by domain, as domain-dcv takes it."""
    if order.names:
        return [replace(order, domains=(one.name,), names=(one,)) for one in order.names]
    return [replace(order, domains=(domain,)) for domain in order.domains] or (order,)


def _record(order: ListedOrder, now: float) -> dict[str, object]:
    is_one_domain = len(order.names) == 1 and not is_dv_order(order)
    return {
        "order_id": order.order_id,
        "status": order.status,
        "product": order.product,
        "dcv_method": order.dcv_method,
        "created_at": None if order.created_at is None else timestamp(order.created_at),
        "age_days": None if order.created_at is None else whole_days(now - order.created_at),
        "container": order.container,
        "domains": "; ".join(order.domains),
        "domain_id": order.names[0].domain_id if is_one_domain else None,
    }
