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
    model_validator,
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


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


_Lenient = Annotated[str | None, BeforeValidator(_text_or_none)]


class ErrorItem(BaseModel):
    """One error (page "Errors"). Lenient: a gateway may leave out or add anything.

    The CA's codes are words; a number is a gateway's, and no code.

    `description` is the old retail API's word for `message`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    code: _Lenient = None
    message: _Lenient = Field(default=None, validation_alias=AliasChoices("message", "description"))


class ErrorBody(BaseModel):
    """The body of an answer that is not a success (page "Errors"): `{"errors": [...]}`.

    An old recording has one object in place of the list. What is no error in it is left out.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    errors: tuple[ErrorItem, ...] = ()
    is_odd: bool = Field(default=False, exclude=True)  # `errors` holds nothing that can be read

    @model_validator(mode="before")
    @classmethod
    def _one_or_several(cls, body: object) -> object:
        if not isinstance(body, dict):
            return {}
        listed = body.get("errors")
        items = listed if isinstance(listed, list | tuple) else [listed]
        readable = [item for item in items if isinstance(item, dict | ErrorItem)]
        return {"errors": readable, "is_odd": bool(listed) and not readable}
