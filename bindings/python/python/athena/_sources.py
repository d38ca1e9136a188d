"""Calls sources of tokens and secrets that are written in Python."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import Any

Reply = Callable[[Any, "BaseException | None"], None]
"""Takes what a source returned, or what it raised."""


def start(
    function: Callable[[], Any],
    home: asyncio.AbstractEventLoop | None,
    reply: Reply,
) -> Callable[[], object]:
    """Calls a source, and returns what cancels the call.

    One that is async runs in the event loop that awaits the client, where its HTTP session or its
    locks belong, or in a loop of its own where none is running. Any other runs in a thread of its
    own, so that it may block.
    """
    if _is_async(function):
        return _run(_call(function), home, reply)
    cancel = _Cancel()

    def call() -> None:
        try:
            value = function()
        except BaseException as error:  # noqa: BLE001 - whatever it is, somebody waits for it
            reply(None, error)
            return
        if inspect.isawaitable(value):
            cancel.also(_run(_await(value), home, reply))
        else:
            reply(value, None)

    # A daemon: a source that hangs must not keep the interpreter from ending.
    threading.Thread(target=call, name="athena-source", daemon=True).start()
    return cancel


def is_transient(error: BaseException) -> bool:
    """Whether a source that raised this may well succeed later."""
    known = getattr(error, "is_transient", None)
    if isinstance(known, bool):
        return known
    return isinstance(error, (OSError, asyncio.TimeoutError))


class _Cancel:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._then: Callable[[], object] | None = None

    def also(self, then: Callable[[], object]) -> None:
        with self._lock:
            self._then = then
            if not self._cancelled:
                return
        then()

    def __call__(self) -> None:
        with self._lock:
            self._cancelled = True
            then = self._then
        if then is not None:
            then()


def _is_async(function: Callable[[], Any]) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004 - of an object with an async `__call__`
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


async def _call(function: Callable[[], Awaitable[Any]]) -> Any:
    return await function()


async def _await(value: Awaitable[Any]) -> Any:
    return await value


class _LoopClosed(RuntimeError):
    is_transient = True  # in the loop that awaits the client now it may well succeed


_under_way: dict[Reply, asyncio.AbstractEventLoop] = {}
"""Calls in loops of programs, which may close them in the middle of one."""


def has_moved() -> None:
    """The client is awaited in another loop: calls in one that is closed never end by themselves."""
    for reply, loop in list(_under_way.items()):
        if loop.is_closed() and _under_way.pop(reply, None) is not None:
            reply(None, _LoopClosed("the event loop was closed"))


def _run(work: Any, home: asyncio.AbstractEventLoop | None, reply: Reply) -> Callable[[], object]:
    if home is not None and home.is_running():
        loop, task = home, work
        _under_way[reply] = home
    else:
        loop, task = _own_loop(), _contained(work)
    try:
        future = asyncio.run_coroutine_threadsafe(task, loop)
    except RuntimeError as error:  # closed in this very moment
        task.close()
        work.close()
        _under_way.pop(reply, None)
        reply(None, error)
        return lambda: None

    def done(future: Any) -> None:
        _under_way.pop(reply, None)
        if future.cancelled():
            reply(None, RuntimeError("the event loop ended"))
        elif (error := future.exception()) is not None:
            reply(None, error)
        else:
            reply(future.result(), None)

    def cancel() -> None:
        _under_way.pop(reply, None)
        if not loop.is_closed():
            future.cancel()

    future.add_done_callback(done)
    return cancel


async def _contained(work: Awaitable[Any]) -> Any:
    """In a loop that is everybody's: what would end it is an error like any other."""
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"the source raised {type(error).__name__}") from error


_own: asyncio.AbstractEventLoop | None = None
_own_lock = threading.Lock()


def _own_loop() -> asyncio.AbstractEventLoop:
    """A loop that runs for as long as the process, for callers that have none."""
    global _own
    with _own_lock:
        if _own is None or _own.is_closed():
            _own = asyncio.new_event_loop()
            run = _own.run_forever
            threading.Thread(target=run, name="athena-sources", daemon=True).start()
        return _own


def _forget() -> None:
    """After a fork the loop's thread is not here."""
    global _own, _own_lock
    _own, _own_lock = None, threading.Lock()
    _under_way.clear()


try:
    import os

    os.register_at_fork(after_in_child=_forget)
except AttributeError:  # where there is no fork
    pass
