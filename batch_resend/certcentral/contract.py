"""What the CA's pages say of its bodies, and its fields read leniently where recordings differ.

Recorded answers have an empty text, a zero date, null and " " among names, and `[]` in the place of
an object. One such field is to spoil neither its order nor the page that the order stands on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    create_model,
    model_validator,
)

from batch_resend.calls import CALLS, Addresses
from batch_resend.model import Call


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


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Pair(_Strict):
    """One address to mail for one domain (page "Resend order DCV emails")."""

    domain: _Text
    email: _Text
    email_domain: Annotated[_Text | None, _Optional] = None


@dataclass(frozen=True, slots=True)
class MailBody:
    """What the body of a call that mails asks for."""

    emails: tuple[str, ...]
    name_scope: str | None


def read_body(call: Call, sent: bytes) -> MailBody:
    """Return what a body asks for that keeps to the contract of its call.

    Without addresses the CA mails all domains of an order that wait, or all contacts on file for a
    domain. An optional field is left out, never null. Raises ValidationError.
    """
    body = _contract(call).model_validate_json(sent)
    found = getattr(body, CALLS[call].key) or ()
    emails = tuple(one.email if isinstance(one, _Pair) else one for one in found)
    return MailBody(emails, getattr(body, "name_scope", None))


@cache
def _contract(call: Call) -> type[_Strict]:
    described = CALLS[call]
    one: Any = _Pair if described.addresses is Addresses.PAIRS else _Text
    several: Any = Annotated[tuple[one, ...], Field(min_length=1)]
    optional: Any = (Annotated[_Text | None, _Optional], None)
    fields: dict[str, Any] = {described.key: (Annotated[several | None, _Optional], None)}
    if described.addresses is Addresses.REQUIRED:
        fields[described.key] = (several, ...)
    if described.in_language:
        fields["locale"] = optional
    if described.is_about_domain:
        fields["name_scope"] = optional
    return create_model("Body", __base__=_Strict, **fields)


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


_Lenient = Annotated[str | None, BeforeValidator(_text_or_none)]


class ErrorItem(BaseModel):
    """One error (page "Errors"). Lenient: a gateway may leave out or add anything.

    The CA's codes are words; a number is a gateway's, and no code.

    `description` is the old retail API's word for `message`.
    """

    model_config = ConfigDict(frozen=True)

    code: _Lenient = None
    message: _Lenient = Field(default=None, validation_alias=AliasChoices("message", "description"))


class ErrorBody(BaseModel):
    """The body of an answer that is not a success (page "Errors"): `{"errors": [...]}`.

    An old recording has one object in place of the list. What is no error in it is left out.
    """

    model_config = ConfigDict(frozen=True)

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
