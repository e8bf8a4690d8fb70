"""A call of the CA that this program does not make itself, under the same windows.

It reads what was ordered, as the CA's page "Order info" has it; what is read counts as what is
sent does, and waits for its turn and for a CA that is down.

    DIGICERT_API_KEY=... python own_call.py 100200301 100200302
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, SecretStr

from batch_resend import Settings, open_batch

ACCOUNT = Settings(
    api_key=SecretStr(os.environ.get("DIGICERT_API_KEY", "")),
    base_url=os.environ.get("CERTCENTRAL_URL", "https://www.digicert.com/services/v2"),
    journal=Path("journal.db"),
)


class Product(BaseModel):
    """What was ordered."""

    name_id: str


class OrderInfo(BaseModel):
    """As much of an order as is wanted here; what else the CA tells is left aside."""

    id: int
    product: Product


async def products(order_ids: Sequence[str]) -> dict[int, str]:
    """Return what was ordered, by order. Raises CallError where the CA says no."""
    found: dict[int, str] = {}
    async with open_batch(ACCOUNT) as batch, batch.order_reader() as ca:
        for order_id in order_ids:
            body = await ca.read(f"/order/certificate/{int(order_id)}")
            info = OrderInfo.model_validate_json(body)
            found[info.id] = info.product.name_id
    return found


if __name__ == "__main__":
    for number, product in asyncio.run(products(sys.argv[1:])).items():
        sys.stdout.write(f"{number} {product}\n")
