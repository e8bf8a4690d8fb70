"""Whether a list of order numbers alone is of the CA's orders, or of a shop's.

Shops have orders, too, and half of the sample tables of this world are of them. Without addresses a
request mails all domains of its order, to all whom the CA knows: so such a list has nothing that
shops have, or it is asked about.
"""

import re
from collections.abc import Iterable, Sequence

from batch_resend.errors import InputError
from batch_resend.intake.exports import is_own_heading
from batch_resend.intake.suggestions import ignore_flag, map_flag
from batch_resend.intake.vocabulary import plain, second_fields

# What headings of shops begin with, or hold, in the form that `plain` gives them.
_OF_SHOPS = re.compile(
    r"^ship(?!.*cert)|shipp|shipment|freight|quantit|^qty|qty$|price|amount|discount|^(?:sub|grand)?total"
    r"|currency|payment|invoice|^employee|^supplier|^sku$|^cart|tocart|deliver|^carrier|warehouse"
    r"|coupon|refund|revenue|profit|^sales|unitcost|^(?:customer|client|item|cust)(?:id|no|number)$"
    r"|menge$|preis|betrag|rabatt|versand|^liefer|rechnung|zahlung|^artikel|mwst|kundennummer"
    r"|kundennr|^prix|montant|livraison|facture|remise|prezzo|importo|consegna|fattura|sconto"
    r"|spedizion|cantidad|precio|importe|^envio|factura|descuento|^aantal|prijs|bedrag|levering"
    r"|verzend|korting|factuur|^antal|belopp|frakt|^ilosc|^cena|kwota|quantidade|preco|entrega"
    r"|fulfil|^track(?:ing)?(?:id|no|nr|number|code)?$|parcel|courier|weight|gewicht|sendung"
    r"|^zip|postcode|postal|^plz$|postleitzahl|codepostal"
    r"|phone|^tel(?:no|nr)?$|telefon|^mobile|^fax|billing|^articles?(?:$|id|no|num)|^ean$|^barcode"
    r"|^asin$|^(?:in)?stock|^(?:size|colou?r|brand|category)$|^severity|^assignee|^reporter|^sla"
    r"|^duedate|^vat$|^tax(?:es)?$|^ust$"
)


def refuse_other_trade(
    names: Sequence[str], read: Iterable[int], where: str
) -> None:  # fmt: skip
    """Raise InputError where a list that names nobody may be no list of the CA's orders.

    `names`: of its columns, or keys; `read`: which are known.
    """
    known = set(read)
    others = [
        name
        for at, name in enumerate(names)
        if name and at not in known and not is_own_heading(name)
    ]
    for at, field in second_fields(others).items():
        raise InputError(
            f"{where}: {others[at]!r} may be the {field}, and no address is in the list. If it is: "
            f"{map_flag(field, others[at])}; if not: {ignore_flag(others[at])}"
        )
    if of_shop := next((name for name in others if _OF_SHOPS.search(plain(name))), None):
        raise InputError(
            f"{where}: {of_shop!r} is a column that lists of shops have, and no address is in the "
            "list: are these orders of the CA's? If they are, --all-domains has it mail all "
            f"domains of each that wait{_or_ignored(others)}"
        )


def _or_ignored(names: Sequence[str]) -> str:
    """Return how to say that columns are about nothing else, where they are few."""
    return f"; or {' '.join(map(ignore_flag, names))}" if len(names) <= 2 else ""
