"""Where work is done: account and region, and the server's event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Coroutine
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from local.ministack.privates import KEPT, application, responses

_T = TypeVar("_T")


def here() -> tuple[str, str]:
    """(account, region) of the request or the deployment under way."""
    return str(responses.get_account_id()), str(responses.get_region())


def scope(account: str, region: str) -> AbstractContextManager[None]:
    """Makes `here` this account and region within a `with`, for work that no request started."""
    within: AbstractContextManager[None] = responses.request_scope(account, region)
    return within


def run_on_loop(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """From a worker thread: runs the coroutine on the server's event loop and waits for its result."""
    return asyncio.run_coroutine_threadsafe(coroutine, application._MAIN_LOOP).result()


def attach() -> None:
    """Makes the running event loop the server's: to be called once, before the first request."""
    if KEPT:
        application._load_persisted_state()
    loop = asyncio.get_running_loop()
    # Python's default is six threads on two cores, and stack operations hold one each.
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(32, "aws"))
    application._MAIN_LOOP = loop
