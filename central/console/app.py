"""The routes of the console and of the interface for programs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from fastapi import FastAPI, Header, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from central.console.feed import Feed
from central.console.gate import Gate, Pass, locked
from central.console.stream import Reader, events
from central.store.alerts import PAGE
from central.store.state import Store

HERE = Path(__file__).parent
COOKIE_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class ConsoleSettings:
    """What the console needs to know."""

    host: str
    port: int
    token: str
    threshold: float
    silent_after_ms: int
    retention_ms: int


def make_app(
    store: Store,
    feed: Feed,
    settings: ConsoleSettings,
    *,
    clock: Callable[[], int],
    received: Callable[[], int] = lambda: 0,
    notices: Callable[[], tuple[str, ...]] = tuple,
) -> ASGIApp:
    """Build the application, gate first.

    `received` tells how many bytes came from the boxes, `notices` what a person has to do.
    """
    pages = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined)
    admission = Pass(settings.token, settings.port)
    reader = Reader(store, store.database.meta("store") or "", clock, settings.silent_after_ms, notices)
    app = FastAPI(title="Sightline", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    locked_page = pages.get_template("locked.html").render()
    _add_entrance(app, pages, admission, settings, locked_page)
    _add_programs(app, reader, feed, received)
    _add_pictures(app, store)
    return Gate(app, admission=admission, hosts=_hosts(settings), locked_page=locked_page)


def _add_entrance(
    app: FastAPI, pages: Environment, admission: Pass, settings: ConsoleSettings, locked_page: str
) -> None:
    page = pages.get_template("live.html").render(
        threshold=settings.threshold,
        retention_ms=settings.retention_ms,
        silent_after_s=settings.silent_after_ms // 1000,
    )

    @app.get("/healthz", include_in_schema=False)
    def healthz() -> Response:
        return Response("ok\n", media_type="text/plain")

    @app.get("/login", include_in_schema=False)
    def login(request: Request, token: str = "") -> Response:
        if not admission.opens(token):
            return locked(locked_page, page="text/html" in request.headers.get("accept", "text/html"))
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(
            admission.cookie_name,
            admission.cookie_value,
            max_age=COOKIE_DAYS * 86400,
            httponly=True,
            samesite="strict",
            path="/",
        )
        return answer

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def live() -> HTMLResponse:
        return HTMLResponse(page)


def _add_programs(app: FastAPI, reader: Reader, feed: Feed, received: Callable[[], int]) -> None:
    @app.get("/api/alerts")
    def alerts(after: Annotated[str | None, Query(max_length=64)] = None) -> Response:
        """Return alerts in the order they were made, at most a thousand; `more` says that there are others."""
        found = reader.store.alerts.created_after(after, PAGE)
        return _json({"alerts": found, "more": len(found) == PAGE})

    @app.get("/api/tally")
    def tally() -> Response:
        """Return what was counted since the beginning, in numbers alone; `pending` waits to be judged now."""
        here = {"pending": reader.store.inbox.waiting(), "bytes_received": received()}
        return _json(reader.store.alerts.totals() | here)

    @app.get("/api/health")
    def health() -> Response:
        """Return how each admitted box is."""
        return _json(reader.health())

    @app.get("/api/events")
    async def stream(
        after: Annotated[str, Query(max_length=64)] = "",
        last_event_id: Annotated[str, Header(max_length=64)] = "",
    ) -> StreamingResponse:
        """Stream alerts as server-sent events, beginning after the last event id the reader knows."""
        return StreamingResponse(
            events(reader, feed, last_event_id or after),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )


def _add_pictures(app: FastAPI, store: Store) -> None:
    @app.get("/alerts/{alert_id}/probe.jpg")
    def probe(alert_id: str) -> Response:
        """Return the face that was seen."""
        return _jpeg(store.alerts.probe(alert_id))

    @app.get("/alerts/{alert_id}/reference.jpg")
    def reference(alert_id: str) -> Response:
        """Return the enrolled face."""
        return _jpeg(store.alerts.reference(alert_id))


def _hosts(settings: ConsoleSettings) -> frozenset[str]:
    names = {"127.0.0.1", "localhost", "[::1]", f"[{settings.host}]" if ":" in settings.host else settings.host}
    bare = names if settings.port == 80 else set()
    return frozenset({f"{name}:{settings.port}" for name in names} | bare)


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _jpeg(data: bytes | None) -> Response:
    if data is None:
        return Response("no such picture\n", status_code=404, media_type="text/plain")
    return Response(data, media_type="image/jpeg")
