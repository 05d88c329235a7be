"""The routes of the dashboard. Reads are folds of the journal and stored sums; writes are what the command
line does, under the name that the person gives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

from anyio import CapacityLimiter, to_thread
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from gates.stages import STAGES, stage_named
from monitor import acts
from monitor.button import Hand, override
from monitor.config import ConfigError, Loaded, load, load_reach
from monitor.journal import Journal, JournalError
from monitor.report import page, stage_now
from monitor.report.collect import collect
from monitor.report.collect import constraint as charted
from monitor.serve import machine, pages
from monitor.serve.access import Access, Session, Throttled
from monitor.status import in_control
from monitor.store import StoreError
from monitor.verdicts import store_of

COOKIE = "monitor_session"
MOST_FORM = 1 << 14
LOCAL = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY",
    "Cache-Control": "no-store", "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip
HERE = Path(__file__).parent
FILES = {
    "style.css": (HERE.parent / "report" / "style.css", "text/css"),
    "serve.css": (HERE / "serve.css", "text/css"),
    "fresh.js": (HERE / "fresh.js", "text/javascript"),
}


class Refused(Exception):
    """What is answered in place of the page: a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass
class Dashboard:
    """What the routes share. DuckDB and the charts are used by one request at a time."""

    path: Path
    access: Access
    environ: Mapping[str, str]
    clock: Callable[[], datetime]
    kept: machine.Kept = field(default_factory=machine.Kept)
    drawn: dict[tuple[str, ...], tuple[int, str]] = field(default_factory=dict)
    turn: threading.Lock = field(default_factory=threading.Lock)

    def loaded(self) -> Loaded:
        return load(self.path)

    def session(self, request: Request) -> Session | None:
        """The session of a request: by cookie, by a bearer token, or that of a visitor where no token is
        asked for."""
        now = self.clock()
        found = self.access.session(request.cookies.get(COOKIE, ""), now)
        if found is not None:
            return found
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token and not self.access.open:
            role = self.access.role_of(token)
            return Session("", "view", "", now) if role else None
        if not self.access.open:
            return None
        person = "text/html" in request.headers.get("accept", "")
        return self.access.begun("operate", now) if person else Session("", "operate", "", now)


def build(
    path: Path, access: Access, environ: Mapping[str, str], clock: Callable[[], datetime]
) -> Starlette:
    """The application over the configuration at `path`, which is read anew for each page."""
    board = Dashboard(path, access, environ, clock)
    # Those who act never wait behind those who look.
    lanes = {"view": CapacityLimiter(20), "operate": CapacityLimiter(8)}
    env = page.templates(HERE / "templates", HERE.parent / "report")

    def html(name: str, session: Session | None, status: int = 200, **values: Any) -> Response:
        text = env.get_template(name).render(session=session, access=access, **values)
        response = HTMLResponse(text, status)
        if session is not None and session.id:
            _remember(response, session)
        return response

    def route(
        place: str, handler: Callable[[Request, Session], Response], *, role: str = "view", form: bool = False
    ) -> Route:
        async def answered(request: Request) -> Response:
            session: Session | None = None
            try:
                _own_host(request, access)
                session = board.session(request)
                if session is None:
                    return _login_first(request)
                if form:
                    request.state.form = await _form(request, session)
                if role == "operate" and session.role != "operate":
                    raise Refused(403, "This token may look, not act. Sign in with the operate token.")
                return await to_thread.run_sync(handler, request, session, limiter=lanes[role])
            except Refused as refused:
                return html("said.html.j2", session, refused.status, title="Not done", lines=[str(refused)])
            except (ConfigError, JournalError, StoreError) as error:
                return html("said.html.j2", session, 503, title="This cannot be shown", lines=[str(error)])
            except Exception as error:  # a page that broke is told, and the others go on
                lines = [f"This should not have happened: {type(error).__name__}."]
                return html("said.html.j2", session, 500, title="This cannot be shown", lines=lines)

        return Route(place, answered, methods=["POST"] if form else ["GET"])

    def index(request: Request, session: Session) -> Response:
        loaded = board.loaded()
        if not store_of(loaded).journal.exists():
            raise ConfigError(["nothing has run yet; run `monitor run` first"])
        found = pages.board(loaded, board.clock(), environ)
        return html("board.html.j2", session, board=found, stages=[s.replace("_", " ") for s in STAGES],
                    config=loaded.config, now=board.clock())  # fmt: skip

    def policy(request: Request, session: Session) -> Response:
        loaded, now = board.loaded(), board.clock()
        try:
            stage = stage_named(request.query_params.get("stage") or stage_now(loaded, now))
        except ValueError as error:
            raise Refused(404, str(error)) from None

        def draw() -> str:
            found = collect(loaded, stage=stage, as_of=now, controls=in_control(loaded, environ))
            return page.html(found, served=True)

        return HTMLResponse(_kept(board, loaded, ("policy", stage), draw))

    def constraint(request: Request, session: Session) -> Response:
        loaded, now, name = board.loaded(), board.clock(), request.path_params["name"]
        if name not in loaded.config.constraints:
            raise Refused(404, f"No constraint of monitor.yaml is called '{name}'.")

        def draw() -> str:
            figure = charted(loaded, now, stage_now(loaded, now), name)
            return "" if figure is None else env.get_template("figure.html.j2").render(figure=figure)

        drawn = _kept(board, loaded, ("constraint", name), draw)
        rule = loaded.config.constraints[name]
        return html("constraint.html.j2", session, constraint=name, rule=rule, drawn=Markup(drawn))

    def incident(request: Request, session: Session) -> Response:
        found = pages.incident(board.loaded(), request.path_params["name"])
        if found is None:
            raise Refused(404, "There is no such incident.")
        return html("incident.html.j2", session, one=found)

    def ack(request: Request, session: Session) -> Response:
        form, name = request.state.form, request.path_params["name"]
        _said(form, "by", "reason")
        acts.acknowledge(
            board.loaded(), name, by=form["by"], reason=form["reason"], accept=False,
            real=form.get("real", "yes") == "yes", at=board.clock(),
        )  # fmt: skip
        return RedirectResponse(f"/incident/{quote(name, safe='')}", 303)

    def button(request: Request, session: Session) -> Response:
        reach, _, _ = load_reach(board.path)
        return html("override.html.j2", session, policies=reach.policies)

    def press(request: Request, session: Session) -> Response:
        form = request.state.form
        _said(form, "by", "reason")
        reach, folder, _ = load_reach(board.path)
        if form.get("policy", "").strip() != reach.policies.candidate:
            raise Refused(400, f"Nothing was done: type the policy's name, {reach.policies.candidate}.")
        done = override(reach, folder, Hand(form["by"], form["reason"], board.clock(), environ))
        instead = f"{done.safe} is in control in place of {done.policy}"
        took = f"{instead}, after {done.seconds:.2f} s, as read back."
        failed = f"{done.safe} is NOT in control: {done.error}. Put it in control in the service itself, now."
        title = "It did not take" if done.error else "Done"
        lines = [failed if done.error else took, *done.warnings]
        return html("said.html.j2", session, 500 if done.error else 200, title=title, lines=lines)

    def gates(request: Request, session: Session) -> Response:
        return html("gates.html.j2", session, verdicts=pages.verdicts(board.loaded(), board.clock()))

    def gate(request: Request, session: Session) -> Response:
        found = pages.difference(board.loaded(), int(request.path_params["seq"]))
        if found is None:
            raise Refused(404, "There is no such verdict.")
        return html("gate.html.j2", session, here=found[0], before=found[1], changes=found[2])

    def metrics(request: Request, session: Session) -> Response:
        with board.turn:
            text = machine.metrics(board.loaded(), board.clock(), board.kept)
        return Response(text, media_type=None, headers={"Content-Type": machine.TYPE})

    async def login_page(request: Request) -> Response:
        return html("login.html.j2", None, error="")

    async def login(request: Request) -> Response:
        try:
            form = await _form(request, None)
            client = request.client.host if request.client else ""
            session = access.enter(form.get("token", ""), client, clock())
        except Throttled:
            return html("login.html.j2", None, 429, error="Too many wrong tokens. Wait a minute.")
        except Refused as refused:
            return html("login.html.j2", None, refused.status, error=str(refused))
        if session is None:
            return html("login.html.j2", None, 403, error="This token is not known.")
        response = RedirectResponse("/", 303)
        _remember(response, session)
        return response

    def logout(request: Request, session: Session) -> Response:
        access.left(session.id)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE)
        return response

    def health(request: Request) -> Response:
        try:
            ok, sentence = machine.healthy(board.loaded(), board.clock())
        except ConfigError:
            ok, sentence = False, "monitor.yaml cannot be used"
        return JSONResponse({"status": "ok" if ok else "failed", "detail": sentence}, 200 if ok else 503)

    def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in FILES:
            return PlainTextResponse("there is no such file", 404)
        path, kind = FILES[name]
        return PlainTextResponse(path.read_text("utf-8"), media_type=kind)

    app = Starlette(
        routes=[
            route("/", index), route("/policy", policy), route("/constraint/{name}", constraint),
            route("/incident/{name}", incident),
            route("/incident/{name}/ack", ack, role="operate", form=True),
            route("/override", button), route("/override", press, role="operate", form=True),
            route("/gates", gates), route("/gates/{seq:int}", gate), route("/metrics", metrics),
            Route("/login", login_page, methods=["GET"]), Route("/login", login, methods=["POST"]),
            route("/logout", logout, form=True),
            Route("/healthz", health), Route("/static/{name}", static),
        ]
    )  # fmt: skip
    return Secured(app)  # type: ignore[return-value]


class Secured:
    """Puts the headers on every answer, errors too."""

    def __init__(self, app: Starlette) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                known = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((k.lower().encode(), v.encode()) for k, v in HEADERS.items()
                      if k.lower().encode() not in known),
                ]  # fmt: skip
            await send(message)

        await self._app(scope, receive, sent)


def _kept(board: Dashboard, loaded: Loaded, name: tuple[str, ...], draw: Callable[[], str]) -> str:
    """A drawn page, drawn again once the journal has gone on."""
    with Journal(store_of(loaded).journal, busy_seconds=2.0) as journal:
        count = journal.count()
    with board.turn:
        known = board.drawn.get(name)
        if known is None or known[0] != count:
            if len(board.drawn) > 50:
                board.drawn.clear()
            board.drawn[name] = known = (count, draw())
        return known[1]


def _own_host(request: Request, access: Access) -> None:
    """Without tokens, only pages that were asked for under a name of this machine: another name that leads
    here belongs to somebody else's page."""
    host = request.headers.get("host", "")
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    if access.open and name not in LOCAL:
        raise Refused(421, "Without tokens the dashboard answers to 127.0.0.1 and localhost only.")


async def _form(request: Request, session: Session | None) -> dict[str, str]:
    """The fields of a form that was sent from a page of this session. Raises Refused."""
    origin = request.headers.get("origin")
    if origin is not None and origin.split("://")[-1] != request.headers.get("host", ""):
        raise Refused(403, "This form came from another site; nothing was done.")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_FORM:
            raise Refused(413, "This form is too large; nothing was done.")
    fields = {k: v[-1] for k, v in parse_qs(body.decode("utf-8", "replace"), max_num_fields=20).items()}
    if session is not None and not (session.form and Access.own_form(session, fields.get("form", ""))):
        raise Refused(403, "This form was not sent from a page of yours; nothing was done. Load it again.")
    return fields


def _remember(response: Response, session: Session) -> None:
    response.set_cookie(COOKIE, session.id, httponly=True, samesite="strict", path="/")


def _said(form: Mapping[str, str], *names: str) -> None:
    lacks = [name for name in names if not form.get(name, "").strip()]
    if lacks:
        raise Refused(400, f"Nothing was done: '{lacks[0]}' is empty; say who and why.")


def _login_first(request: Request) -> Response:
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/login", 303)
    return PlainTextResponse("a token is needed: sign in at /login, or send it as a bearer token", 401)


