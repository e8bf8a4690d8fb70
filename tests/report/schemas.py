"""The report's files, held against the JSON Schemas that the package brings."""

import json
from functools import cache
from importlib.resources import files

from jsonschema import Draft202012Validator

_FOLDER = files("batch_resend.report") / "schemas"


@cache
def schema(name: str) -> Draft202012Validator:
    """Return the schema of `summary` or `results`; it is one itself."""
    loaded = json.loads((_FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(loaded)
    return Draft202012Validator(loaded)
