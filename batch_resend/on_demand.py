"""Names of a package that are imported when they are asked for (PEP 562).

What a command does not use it does not load: `runs` reads no list, and `show` writes no report.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def imported_on_demand(
    package: str, places: Mapping[str, Sequence[str]]
) -> Callable[[str], object]:
    """Return the `__getattr__` of a package. `places`: by module, the names that it has."""
    module_of = {name: module for module, names in places.items() for name in names}

    def __getattr__(name: str) -> object:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{module_of[name]}"), name)

    return __getattr__
