"""All of `batch_resend`, imported: by the process that the others are forked from."""

import pkgutil
from importlib import import_module

import batch_resend

for _module in pkgutil.walk_packages(batch_resend.__path__, "batch_resend."):
    if not _module.name.endswith("__main__"):
        import_module(_module.name)
