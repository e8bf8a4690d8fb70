"""What `simulate` tells the command that it runs: that nobody is to be mailed, by any account."""

import os

from batch_resend.cli.key import KEY_VARIABLE
from batch_resend.errors import SettingsError
from batch_resend.settings import Account, make_account
from batch_resend.windows import Window

_VARIABLE = "BATCH_RESEND_REHEARSAL"  # where the simulator is
_KEY = "rehearsal"  # where the simulator takes any


def environment(base_url: str, key: str | None) -> dict[str, str]:
    """Return what makes a command's run a rehearsal, which asks the simulator at a URL only."""
    return {
        "BATCH_RESEND_BASE_URL": base_url,
        KEY_VARIABLE: key or _KEY,
        _VARIABLE: base_url,
    }


def is_on() -> bool:
    """Whether this is a rehearsal."""
    return _VARIABLE in os.environ


def refuse_elsewhere(base_url: str) -> None:
    """Raise SettingsError where a rehearsal names another CA than the simulator."""
    simulator = os.environ.get(_VARIABLE, base_url)
    if base_url != simulator:
        raise SettingsError(
            f"this is a rehearsal, at {simulator}: it asks nothing of {base_url}; leave that out, "
            "or run the command without `simulate`"
        )


def stand_in(name: str, windows: tuple[Window, ...]) -> Account:
    """Return an account at the simulator for one that a profile describes, without its key."""
    key = os.environ.get(KEY_VARIABLE, _KEY)
    # Accounts by one key are one: each has its own, unless the simulator takes but one.
    own = f"{key}-{name.encode().hex()}" if key == _KEY else key
    return make_account(api_key=own, base_url=os.environ[_VARIABLE], windows=windows)
