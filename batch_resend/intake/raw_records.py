"""The cells of one row that matter, as a list has them, whatever its form."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from batch_resend.intake.vocabulary import Field


class RawEntry(NamedTuple):
    """The cells of one entry, each with one text or several; an empty text is an empty cell."""

    domain: str
    email: str
    email_domain: str


class RawRecord(NamedTuple):  # made of every row there is: a dataclass takes twice as long
    """The cells of one row that matter, as a list has them, whatever its form."""

    line: int
    order_id: object  # text, or a JSON number
    entries: Sequence[RawEntry]
    locale: str
    raw: str
    names: Mapping[Field, str]  # what messages call the cells
    status: str = ""
    dcv_method: str = ""
    product: str = ""
    addresses_aside: bool = False  # none is taken from it, though it holds some
    domains_aside: str = ""  # of an export of the CA: only a call about a domain looks at them
    call: str = ""
    account: str = ""
    domain_id: object = ""  # text, or a JSON number
    complaint: str = ""  # why it is not in its list's form; of what it says only this much is taken
    all_domains: object = ""  # text, or a JSON truth value
    has_addresses: bool = False  # its list has columns for them, or it has keys
    uncorrected: str = ""  # of a rejected.csv, as it stood: why it was rejected
    of_the_ca: bool = False  # an order as the CA lists it, in JSON
    place: str = ""  # which of several records that begin on one line
    unread: str = ""  # what holds a domain or an address, and is no field: a column, or a key
