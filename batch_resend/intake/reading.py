"""How lists are to be read, where they do not say it themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from shlex import quote
from types import MappingProxyType

from batch_resend.calls import CALLS
from batch_resend.errors import SettingsError
from batch_resend.intake.cells import Malformed, call_name
from batch_resend.intake.exports import is_dv, is_known_product
from batch_resend.intake.fields import Field, in_one_line
from batch_resend.intake.languages import locale_code
from batch_resend.intake.suggestions import ignore_flag, quoted
from batch_resend.intake.text import known_encoding
from batch_resend.model import Call


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read lists, where they do not say it themselves. Raises SettingsError."""

    mapping: Mapping[Field, str] = field(default_factory=dict)  # the column of a field
    locale: str | None = None  # for rows that name none
    headed: bool = True  # False: no heading row, and `mapping` counts columns from 1
    delimiter: str | None = None  # of CSV lists
    encoding: str | None = None  # of text without a byte order mark, if it is not UTF-8
    sheet: str | None = None  # of Excel files
    all_statuses: bool = False  # leave aside what the CA's exports say of an order
    any_product: bool = False  # leave aside what they say of its product
    call: Call = Call.DV_RESEND  # of rows that name none
    auto_call: bool = False  # of those, by their product where they name one
    # The accounts that rows may name, each with the locale of its rows that name none.
    accounts: Mapping[str, str | None] = field(default_factory=dict)
    own_account: str | None = None  # of these, the one whose settings are the run's own
    all_domains: bool = False  # rows without addresses are to mail all domains that wait
    ignored: frozenset[str] = frozenset()  # columns that are not read, whatever they hold
    # The orders are not to be mailed: nothing but their numbers matters, hidden rows' too.
    numbers_only: bool = False

    def __post_init__(self) -> None:
        """Check what can be checked before a list is opened."""
        mapping = {which: in_one_line(column) for which, column in self.mapping.items()}
        object.__setattr__(self, "mapping", MappingProxyType(mapping))
        object.__setattr__(self, "ignored", frozenset(map(in_one_line, self.ignored)))
        if self.locale is not None:
            object.__setattr__(self, "locale", checked_locale(self.locale))
        accounts = {name: checked_or_none(one) for name, one in self.accounts.items()}
        object.__setattr__(self, "accounts", MappingProxyType(accounts))
        if self.encoding is not None:
            object.__setattr__(self, "encoding", known_encoding(self.encoding))
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise SettingsError(f"delimiter: {self.delimiter!r} is not a single character")

    @property
    def flags(self) -> str:
        """What was said on the command line, for commands that are suggested."""
        named = {  # by the long names of options; False and None were not said
            "locale": self.locale,
            "no-header": not self.headed,
            "delimiter": "tab" if self.delimiter == "\t" else self.delimiter,
            "encoding": self.encoding,
            "sheet": self.sheet,
            "all-statuses": self.all_statuses,
            "any-product": self.any_product,
            "call": None if self.call is Call.DV_RESEND else self.call.value,
            "auto-call": self.auto_call,
            "all-domains": self.all_domains,
        }
        flags = [f"--map {field}={quoted(column)}" for field, column in self.mapping.items()]
        flags += map(ignore_flag, sorted(self.ignored))
        for name, value in named.items():
            if value not in (None, False):
                flags.append(f"--{name}" if value is True else f"--{name} {quote(str(value))}")
        return " ".join(flags)

    @property
    def names_nobody(self) -> bool:
        """Whether rows may name nobody: all their domains are to be mailed, or nothing is."""
        return self.all_domains or self.numbers_only

    def reads(self, which: Field) -> bool:
        """Whether what a list says of a field matters."""
        return which is Field.ORDER_ID or not self.numbers_only

    def usual_call(self, product: str) -> Call:
        """Return the call of a row that names none; its product may decide."""
        # What is no product of the CA's says nothing of a call: its row is skipped.
        is_other = self.auto_call and product and not is_dv(product) and is_known_product(product)
        return Call.DOMAIN_DCV if is_other else self.call

    def is_about_domain(self, call: str, product: str) -> bool:
        """Whether a row with these is about a domain: an order's number in it asks for nothing."""
        try:
            found = Call(call_name(call)) if call else self.usual_call(product)
        except Malformed:
            return False
        return CALLS[found].is_about_domain

    @property
    def unasked(self) -> frozenset[Field]:
        """Of which of the CA's columns it need not be asked whether they are the CA's."""
        described = CALLS[self.call]
        any_product = self.any_product or not (described.is_for_dv or self.auto_call)
        product = {Field.PRODUCT} if any_product else set[Field]()
        method = set[Field]() if described.approves_domains else {Field.DCV_METHOD}
        return frozenset((*self.mapping, *product, *method))


def checked_or_none(locale: str | None) -> str | None:
    """Return a locale as `checked_locale` does; None: there is none."""
    return None if locale is None else checked_locale(locale)


def checked_locale(locale: str) -> str:
    """Return a locale as the CA takes it; a language's name stands for it. Raises SettingsError."""
    try:
        return locale_code(locale)
    except Malformed as reason:
        raise SettingsError(f"locale: {reason}") from None
