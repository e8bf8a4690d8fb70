"""Orders as CSV: the order report, and the list for who asks for it as CSV."""

import csv
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from io import StringIO

from pydantic_core import to_json

from batch_resend.simulator.shapes import product_type
from batch_resend.simulator.world import World, WorldOrder

# Of the page "Order report", in its order.
_REPORT_HEADING = (
    "order_id,customer_order_id,date_created,container_id,container_name,status,user_id,"
    "organization_id,organization_name,organization_address_1,organization_address_2,"
    "organization_city,organization_state,organization_country,organization_unit,tech_first_name,"
    "tech_last_name,tech_email,tech_title,tech_telephone,server_type,issuing_ca,agreement_id,"
    "validity_years,signature_hash,dcv_method,common_name,plus_feature,dns_names,product_id,"
    "product_name_id,product_name,product_type,email,csr,valid_from,valid_till,"
    "certificate_tracker_id,is_renewed,renewed_order_id,receipt_id,disable_issuance_email,"
    "pay_type,is_out_of_contract,disable_renewal_notifications,additional_emails,auto_renew,"
    "custom_renewal_message,thumbprint,serial_number,account_id,user_first_name,user_last_name,"
    "user_email,user_assignments,cost,metadata,has_duplicates"
)
REPORT_COLUMNS = _REPORT_HEADING.split(",")


def report_table(world: World, orders: Iterable[WorldOrder]) -> bytes:
    """Return the order report: a plain heading, and values that all are quoted."""
    text = StringIO()
    text.write(_REPORT_HEADING + "\n")
    table = csv.DictWriter(
        text, REPORT_COLUMNS, restval="", quoting=csv.QUOTE_ALL, lineterminator="\n"
    )
    for order in orders:
        created = datetime.fromtimestamp(order.created_at, UTC)
        table.writerow(
            {
                "order_id": order.order_id,
                "date_created": f"{created:%Y-%m-%d %H:%M:%S}",
                "container_id": world.container_id(order.container),
                "container_name": order.container,
                "status": order.status,
                "validity_years": 1,
                "signature_hash": "sha256",
                "dcv_method": order.dcv_method,
                "common_name": order.domains[0],
                "dns_names": ",".join(order.domains),
                "product_name_id": order.product,
                "product_name": order.product,
                "product_type": product_type(order),
                "is_renewed": 0,
            }
        )
    return text.getvalue().encode()


def list_table(items: Iterable[Mapping[str, object]]) -> bytes:
    """Return a list of orders as CSV. That it can be had so is documented, its columns are not."""
    text = StringIO()
    table: csv.DictWriter[str] | None = None
    for item in items:
        row = {
            name: part if isinstance(part, str | int) else to_json(part).decode()
            for name, part in item.items()
        }
        if table is None:
            table = csv.DictWriter(text, list(row), lineterminator="\n")
            table.writeheader()
        table.writerow(row)
    return text.getvalue().encode()
