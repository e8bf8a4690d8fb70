"""What programs read, held against the JSON Schemas that the package brings."""

import json
from functools import cache
from importlib.resources import files

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

_FOLDER = files("batch_resend.report") / "schemas"
_NAMES = ("summary", "results", "doctor", "output")


def _load(name: str) -> dict[str, object]:
    loaded: dict[str, object] = json.loads(
        (_FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")
    )
    Draft202012Validator.check_schema(loaded)
    return loaded


_REGISTRY: Registry = Registry().with_resources(
    (f"{name}.schema.json", Resource.from_contents(_load(name))) for name in _NAMES
)


@cache
def schema(name: str) -> Draft202012Validator:
    """Return the schema of `summary`, `results` or `doctor`; it is one itself."""
    return Draft202012Validator(_load(name))


@cache
def output_of(command: str) -> Draft202012Validator:
    """Return the schema of what a command prints with --json; `error`, `progress`: see there."""
    reference = {"$ref": f"output.schema.json#/$defs/{command}"}
    return Draft202012Validator(reference, registry=_REGISTRY)
