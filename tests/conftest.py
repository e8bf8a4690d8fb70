"""What several tests need."""

import asyncio
import os
import signal
import ssl
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages

import hypothesis
import pytest
import trustme

import batch_resend
from batch_resend.folders import Database
from tests.postgres import postgres_server

# The same examples in every run: a change is judged by itself. FRESH_EXAMPLES=1 draws others. How
# long one takes says nothing: the machine may be busy with other tests.
hypothesis.settings.register_profile(
    "same",
    derandomize="FRESH_EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("same")


def pytest_configure() -> None:
    """Have no event loop of the thread's own, and heed the signals that a background job does not.

    Plugins ask for a loop around every test, and Python would make one that nobody closes.
    """
    _load_all_modules()
    asyncio.set_event_loop(None)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup make test`
    signal.signal(signal.SIGINT, signal.default_int_handler)  # `make test &`


def _load_all_modules() -> None:
    """Load what the package loads late, too: Hypothesis draws constants of all loaded modules."""
    for module in walk_packages(batch_resend.__path__, "batch_resend."):
        if not module.name.endswith("__main__"):
            import_module(module.name)


def pytest_xdist_auto_num_workers() -> int:
    """Run twice as many tests at once as there are processors: most wait for other processes."""
    return 2 * (os.cpu_count() or 1)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Return a certificate authority that nobody trusts unless told to."""
    return trustme.CA()


@pytest.fixture(scope="session")
def untrusted(authority: trustme.CA) -> ssl.SSLContext:
    """Return a TLS server's context with a certificate of the right names, of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def database() -> Iterator[Database]:
    """Run a PostgreSQL server; return its database."""
    with postgres_server() as server:
        yield server.database
