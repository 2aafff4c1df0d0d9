"""What both command lines do alike: trouble as one line, its exit code, logs that carry nothing they must not."""

import logging
import resource
import sys
from collections.abc import Callable

import structlog

from edge.discreet import discreet, text
from edge.errors import SightlineError

INTERRUPTED, PIPE_CLOSED = 130, 141


def run(name: str, work: Callable[[], int], *, debug: bool) -> int:
    """Do the work and return the exit code; trouble is told on one line of standard error.

    A traceback may carry what it must not (a value, a path of a person's photograph); it is shown only when
    somebody asks for it by `debug`. A core file would carry faces, templates and keys: there is none, here as under
    the units (LimitCORE=0).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _log_to_stderr(debug=debug)
    try:
        return work()
    except SightlineError as error:
        if debug:
            raise
        print(f"{name}: {text(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return PIPE_CLOSED
    except Exception as error:
        if debug:
            raise
        print(f"{name}: unexpected {type(error).__name__}; run it again with --debug to see where", file=sys.stderr)
        return 1


def _log_to_stderr(*, debug: bool) -> None:
    """Log events with fields: as text for a person at a terminal, as JSON for a journal."""
    render = _for_people() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Before it is looked through: a traceback quotes values.
            structlog.processors.format_exc_info,
            discreet,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Library(debug=debug)])


def _for_people() -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)


class _Library(logging.Handler):
    """Passes on what a library logs, of an exception its kind alone unless debugging."""

    def __init__(self, *, debug: bool) -> None:
        super().__init__()
        self._debug = debug

    def emit(self, record: logging.LogRecord) -> None:
        """Log the first line of a record."""
        line = (record.getMessage().splitlines() or [""])[0]
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        structlog.get_logger(record.name).log(
            record.levelno, line, error=kind, exc_info=self._debug and record.exc_info
        )
