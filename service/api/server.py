"""The REST interface as a process of its own."""

import uvicorn

from service.api import app, deps
from triage import settings
from triage.db import session


def run(config: settings.Settings) -> None:
    """Serve until SIGTERM or SIGINT. The access log stays off: addresses are no place to look for people."""
    config.spool.mkdir(parents=True, exist_ok=True)
    db = session.Database(config.database)
    desk = deps.Desk(
        db=db,
        spool=config.spool,
        results=config.results,
        min_free_bytes=config.min_free_bytes,
        settle_seconds=config.settle_seconds,
    )
    try:
        uvicorn.run(
            app.create_app(desk),
            host=config.http_host,
            port=config.http_port,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    finally:
        db.dispose()
