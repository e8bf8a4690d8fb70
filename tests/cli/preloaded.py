"""All of `batch_resend`, imported: by the process that the others are forked from."""

import gc
import pkgutil
from importlib import import_module

import batch_resend
from batch_resend.report.rendering import _environment

# What is imported only when it is first used, and what tells a child what to do.
_LATE = ("anyio._backends._asyncio", "encodings.idna", "tests.cli.conftest")

for _module in pkgutil.walk_packages(batch_resend.__path__, "batch_resend."):
    if not _module.name.endswith("__main__"):
        import_module(_module.name)
for _name in _LATE:
    import_module(_name)
for _redact in (False, True):  # each process would compile it
    _environment(_redact).get_template("page.html")
# No child looks for garbage in it: to do so alone would copy its memory.
gc.collect()
gc.freeze()
