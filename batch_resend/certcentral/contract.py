"""What goes over the wire: the calls' bodies and the CA's error body, as its pages have them."""

from typing import Annotated

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
)


def _not_null(value: object, info: ValidationInfo) -> object:
    """Refuse a JSON null: an optional field is left out. Python callers may pass None."""
    if value is None and info.mode == "json":
        raise ValueError("leave it out instead of sending null")
    return value


_Text = Annotated[str, StringConstraints(min_length=1, strict=True)]
_Optional = BeforeValidator(_not_null)


class EmailEntry(BaseModel):
    """One address to mail for one domain (page "Resend order DCV emails")."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    domain: _Text
    email: _Text
    email_domain: Annotated[_Text | None, _Optional] = None


class ResendBody(BaseModel):
    """The body of `PUT /order/certificate/{order_id}/resend-emails`, "Resend order DCV emails".

    Without entries the CA mails every domain of the order that still waits. Dump it with
    `exclude_none=True`: an optional field is left out, never null.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    domain_approval_emails: Annotated[
        Annotated[tuple[EmailEntry, ...], Field(min_length=1)] | None, _Optional
    ] = None
    locale: Annotated[_Text | None, _Optional] = None


class DomainEmailsBody(BaseModel):
    """The body of `PUT /domain/{domain_id}/dcv/emails`, "Resend domain DCV emails".

    Without `email_array` the CA mails all addresses it knows for the domain.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name_scope: Annotated[_Text | None, _Optional] = None
    locale: Annotated[_Text | None, _Optional] = None
    email_array: Annotated[Annotated[tuple[_Text, ...], Field(min_length=1)] | None, _Optional] = (
        None
    )


class OrderApprovalBody(BaseModel):
    """The body of `PUT .../order-approval/resend-emails`, "Resend order approval email"."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    emails: Annotated[tuple[_Text, ...], Field(min_length=1)]


class ErrorItem(BaseModel):
    """One error (page "Errors"). Lenient: a gateway may leave out or add anything.

    `description` is the old retail API's word for `message`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    code: str | None = None
    message: str | None = Field(
        default=None, validation_alias=AliasChoices("message", "description")
    )


class ErrorBody(BaseModel):
    """The body of an answer that is not a success (page "Errors"): `{"errors": [...]}`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    errors: tuple[ErrorItem, ...] = ()
