"""A connector that waits for a file descriptor where its process has none left.

That is no fault of the CA's, and says nothing of an order: the request has not left, and leaves
once another connection was closed. It waits as long as the call may take.
"""

import asyncio
import errno
import logging
import os

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

log = logging.getLogger(__name__)

_AGAIN_AFTER_S = 0.1
_NONE_LEFT = (errno.EMFILE, errno.ENFILE)  # of the process, of the whole machine


class PatientConnector(aiohttp.TCPConnector):
    """As aiohttp's, but for that."""

    _has_said = False

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - it overrides aiohttp's
    ) -> Connection:
        """Return a connection. Raises what aiohttp raises for all other troubles."""
        while True:
            try:
                return await super().connect(req, traces, timeout)
            except OSError as error:
                if not (error.errno in _NONE_LEFT or _is_none_left()):
                    raise
            if not self._has_said:
                self._has_said = True
                log.warning(
                    "no file descriptor is left for a connection (ulimit -n): requests wait for one"
                )
            await asyncio.sleep(_AGAIN_AFTER_S)


def _is_none_left() -> bool:
    """Whether no file can be opened: of a name that is not resolved for that, no error says so."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in _NONE_LEFT
    return False
