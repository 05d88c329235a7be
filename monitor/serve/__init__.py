"""`monitor serve`: the live dashboard. Pages of the journal and of sums, rendered here, with the button."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(
    path: Path,
    *,
    host: str,
    port: int,
    environ: Mapping[str, str],
    clock: Callable[[], datetime],
    say: Callable[[str], object],
) -> None:
    """Answer until a signal comes. Raises ConfigError for a configuration or an address that cannot be used:
    one that is not loopback needs a token to view."""
    import uvicorn

    from monitor.config import ConfigError, load
    from monitor.serve.access import Access, AccessError
    from monitor.serve.app import build

    load(path)
    try:
        access = Access.of(environ, loopback=host in LOOPBACK)
    except AccessError as error:
        raise ConfigError([f"--host {host}: {error}"]) from None
    config = uvicorn.Config(
        build(path, access, environ, clock), host=host, port=port, log_level="warning", access_log=False,
        server_header=False, timeout_graceful_shutdown=3, limit_concurrency=256,
    )  # fmt: skip
    server = uvicorn.Server(config)
    shown = f"[{host}]" if ":" in host else host
    say(f"the dashboard is at http://{shown}:{port}/ ({access.told()}); Ctrl-C ends it")
    server.run()
    if not server.started:
        raise ConfigError([f"--port {port}: nothing can listen at {host} there; is it taken?"])


@contextmanager
def answering(app: Any, port: int) -> Iterator[str]:
    """The application answering in a thread of this process, at 127.0.0.1; its address."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
