"""What several tests need."""

import asyncio


def pytest_configure() -> None:
    """Have no event loop of the thread's own.

    Plugins ask for one around every test, and Python would make one that nobody closes.
    """
    asyncio.set_event_loop(None)
