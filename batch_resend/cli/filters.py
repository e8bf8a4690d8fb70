"""Which of the orders that wait at the CA a command is about: the options that narrow them."""

from collections.abc import Callable
from typing import Any

import click

from batch_resend.cli.command import option, together
from batch_resend.listed import ListedOrder

filter_options = together(
    None,
    option(
        "--product", metavar="NAME", multiple=True, help="Only orders of this product; repeatable."
    ),
    option("--container", metavar="NAME", help="Only orders in this container (division)."),
    option(
        "--filter",
        "filters",
        metavar="KEY=VALUE",
        multiple=True,
        help="A filter of the CA's call List orders; repeatable.",
    ),
)


def wanted_of(options: dict[str, Any]) -> Callable[[ListedOrder], bool]:
    """Return whether an order is of the products and the container that options name."""
    products = {name.lower() for name in options["product"]}
    container = (options["container"] or "").lower()
    return lambda order: (
        (not products or (order.product or "").lower() in products)
        and (not container or (order.container or "").lower() == container)
    )


def filters_of(options: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the filters of the CA's own that options name. Raises UsageError."""
    found = []
    for text in options["filters"]:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"--filter {text!r}: write KEY=VALUE, such as container_id=5")
        found.append((name.strip(), value.strip()))
    return found


def filter_words(options: dict[str, Any]) -> tuple[str, ...]:
    """Return which orders options leave, the same for those that mean the same."""
    words = {f"--product {name.lower()}" for name in options["product"]}
    if options["container"]:
        words.add(f"--container {options['container'].lower()}")
    words.update(f"--filter {key}={value}" for key, value in filters_of(options))
    return tuple(sorted(words))
