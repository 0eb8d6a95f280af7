"""Logging: a line is a sentence, a stable `action` word and the bound UIDs; never patient data."""

import logging
import sys
from typing import Literal

import structlog


def configure(level: str = "INFO", style: Literal["text", "json"] = "text") -> None:
    """Send our own lines, and other libraries' warnings, to standard error as text or as one JSON object a line."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # A traceback never shows local variables: they hold headers, and the database's password.
    rendering: list[structlog.typing.Processor] = [
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    ]
    if style == "json":
        bare = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        rendering = [structlog.processors.ExceptionRenderer(bare), structlog.processors.JSONRenderer(sort_keys=True)]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, *rendering]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    _quieten()


def _quieten() -> None:
    """Hold back libraries that would log values of the header, or a line for every message."""
    for name in ("pydicom", "sqlalchemy.pool"):  # the pool tells of each lost connection with a traceback
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in ("pynetdicom", "sqlalchemy", "highdicom", "PIL", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ("celery.worker.strategy", "celery.app.trace"):  # two lines a message, beside the worker's own
        logging.getLogger(name).setLevel(logging.WARNING)


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return the logger of a module; call as `log.info("Sentence.", action="word", series=...)`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger
