"""What the CA's pages say of its bodies, and its fields read leniently where recordings differ.

Recorded answers have an empty text, a zero date, null and " " among names, and `[]` in the place of
an object. One such field is to spoil neither its order nor the page that the order stands on.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
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


def _text(value: object) -> str | None:
    return (value.strip() or None) if isinstance(value, str) else None


def _digits(value: object) -> str | None:
    """Return a whole number as its digits, which the CA gives as a number or as a text."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value)
    return text if text is not None and text.isascii() and text.isdigit() else None


def _whole(value: object) -> int | None:
    digits = _digits(value)
    return None if digits is None or len(digits) > 18 else int(digits)


def _names(value: object) -> tuple[str, ...]:
    listed: Sequence[object] = value if isinstance(value, list) else [value]
    return tuple(name for item in listed if (name := _text(item)) is not None)


def _items(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, list) else ()


def _moment(value: object) -> float | None:
    """Return a date and time in seconds since the epoch; without a zone it is in UTC.

    A year in which there is no such order stands for no date, such as 0001, 1970 or 9999.
    """
    text = _text(value)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.replace(tzinfo=at.tzinfo or UTC).timestamp() if 1990 < at.year < 2200 else None


Text = Annotated[str | None, BeforeValidator(_text)]  # without the blanks around it
Digits = Annotated[str | None, BeforeValidator(_digits)]
Whole = Annotated[int | None, BeforeValidator(_whole)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]  # a list of texts, or one alone
Items = Annotated[tuple[object, ...], BeforeValidator(_items)]  # of a list, whatever they are
Moment = Annotated[float | None, BeforeValidator(_moment)]  # seconds since the epoch


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
