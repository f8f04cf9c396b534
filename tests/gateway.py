"""A payment gateway for tests: a real HTTP server with a book of its own, which misbehaves as told.

It runs in threads of its own, so it answers whatever the loop of the tests is busy with.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

from standardwebhooks import Webhook

TOKEN = "gateway-token"
SECRET = "whsec_" + base64.b64encode(b"g" * 32).decode()

# What can go wrong with a POST; those of ANY can with a GET as well.
Whim = Literal[
    "lose",  # take the request and hang up, nothing done
    "lose_after",  # book, and hang up
    "late",  # book, and answer when nobody listens any more
    "book_late",  # book only when the caller has long given up
    "twice",  # book, and send the answer twice
    "500",  # nothing done
    "500_after",  # book, and say 500
    "429",  # nothing done
    "409",  # nothing done: another request under the key is under way
    "garbage",  # book, and answer what is no payout
    "other_key",  # book, and answer about somebody else's
    "redirect",  # send the caller elsewhere
    "pending",  # take it; `decide` pays or refuses it later
    "refuse",  # 422, with a reason that is a code
    "refuse_in_words",  # 400, with a reason that names somebody
    "fail",  # book it as failed and answer so
    "wrong_amount",  # book and answer nine fen more
]
ANY: tuple[Whim, ...] = ("lose", "late", "twice", "500", "429", "garbage")
CHAOS: tuple[Whim, ...] = (
    "lose", "lose_after", "late", "book_late", "twice", "500", "500_after", "429", "409", "garbage", "pending",
)  # fmt: skip


@dataclass
class Booked:
    """One line of the gateway's book; ``amount`` in yuan."""

    key: str
    case: str
    amount: str
    state: str
    reference: str = ""
    reason: str = ""
    asked: int = 0

    def as_json(self) -> dict[str, Any]:
        """The line as the gateway speaks of it."""
        at = datetime.now(UTC).isoformat() if self.state == "paid" else None
        shown = {name: value for name, value in vars(self).items() if name != "asked"}
        return {**shown, "at": at}


class MisbehavingGateway:
    """The gateway; see `misbehaving_gateway`.

    Args:
        delay: seconds after which a late answer comes; longer than the client waits.
        page: lines on a page of the list.
    """

    def __init__(self, delay: float, page: int) -> None:
        self.url = ""
        self.delay, self.page = delay, page
        # Every payment made, in order: paid twice would be two lines.
        self.book: list[Booked] = []
        # Method and path of every request; the key of every order that was sent.
        self.requests: list[tuple[str, str]] = []
        self.orders: list[str] = []
        # The next whims, of POSTs and of GETs by key; nothing when they are used up.
        self.posts: list[Whim] = []
        self.gets: list[Whim] = []
        # Says yes to that share of all requests, and picks a whim.
        self.chance: random.Random | None = None
        self.share = 0.5
        self.lock = threading.RLock()
        self.came = threading.Condition()
        self.closing = threading.Event()
        self.elsewhere: list[str] = []
        self._numbers = count(1)

    # --- the book ---------------------------------------------------------------------------------

    def find(self, key: str) -> Booked | None:
        """The line under a key."""
        with self.lock:
            return next((line for line in self.book if line.key == key), None)

    def paid(self) -> dict[str, list[str]]:
        """The amounts paid, by key."""
        with self.lock:
            keys = Counter(line.key for line in self.book if line.state == "paid")
            return {key: [line.amount for line in self.book if (line.key, line.state) == (key, "paid")] for key in keys}

    def enter(self, key: str, amount: str, *, case: str = "", state: str = "paid") -> Booked:
        """Write a line, as the gateway's own people could."""
        with self.lock:
            line = Booked(key, case, amount, state)
            if state == "paid":
                line.reference = f"GW-{next(self._numbers)}"
            self.book.append(line)
            return line

    def decide(self, key: str, state: str = "paid") -> Booked:
        """Decide what is pending."""
        with self.lock:
            line = self.find(key)
            assert line is not None
            assert line.state == "pending"
            line.state = state
            line.reference = f"GW-{next(self._numbers)}" if state == "paid" else ""
            line.reason = "account_closed" if state == "failed" else ""
            return line

    def take(self, order: dict[str, Any], state: str = "paid") -> Booked:
        """Carry out an order once: under a known key the line that stands there is the answer.

        What failed is tried anew.
        """
        with self.lock:
            line = self.find(order["reference"])
            if line is not None and line.state == "failed":
                self.book.remove(line)
                line = None
            return line or self.enter(order["reference"], order["amount"], case=order["case"], state=state)

    def whim(self, planned: list[Whim], possible: tuple[Whim, ...]) -> Whim | None:
        """What goes wrong next."""
        with self.lock:
            if planned:
                return planned.pop(0)
            if self.chance is not None and self.chance.random() < self.share:
                return self.chance.choice(possible)
            return None

    # --- being asked ------------------------------------------------------------------------------

    def note(self, method: str, path: str) -> None:
        """Keep a request."""
        with self.came:
            self.requests.append((method, path))
            self.came.notify_all()

    async def asked(self, method: str, times: int = 1) -> None:
        """Wait until that many requests of a method have come."""

        def enough() -> bool:
            return [made for made, _ in self.requests].count(method) >= times

        def wait() -> bool:
            with self.came:
                return self.came.wait_for(enough, timeout=30)

        assert await asyncio.to_thread(wait), f"{times} {method} did not come"

    # --- calling back -----------------------------------------------------------------------------

    def signed(self, key: str, /, secret: str = SECRET, **changes: Any) -> tuple[dict[str, str], bytes]:
        """Headers and body of a callback about a line of the book."""
        line = self.find(key)
        body = json.dumps({**(line.as_json() if line else {"key": key}), **changes})
        id_, now = f"cb_{uuid4().hex}", datetime.now(UTC)
        return {
            "Content-Type": "application/json",
            "Webhook-Id": id_,
            "Webhook-Timestamp": str(int(now.timestamp())),
            "Webhook-Signature": Webhook(secret).sign(id_, now, body),
        }, body.encode()

    def call_back(self, url: str, key: str) -> int:
        """Send a callback; the status of the answer."""
        headers, body = self.signed(key)
        with urlopen(Request(url, body, headers, method="POST"), timeout=10) as answer:
            return int(answer.status)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gateway: MisbehavingGateway

    def log_message(self, format: str, *args: Any) -> None:
        return None

    def do_POST(self) -> None:
        gateway = self.gateway
        content = self.rfile.read(int(self.headers["content-length"]))
        gateway.note("POST", self.path)
        if self.path == "/elsewhere":
            gateway.elsewhere.append(self.headers.get("authorization", ""))
        if not self._authorized():
            return
        order = json.loads(content)
        with gateway.lock:
            gateway.orders.append(order["reference"])
        if self.headers["idempotency-key"] != order["reference"] or order["currency"] != "CNY":
            self._answer(400, {"reason": "bad_order"})
            return
        known = gateway.find(order["reference"])
        if known is not None and known.amount != order["amount"]:
            self._answer(422, {"reason": "other_amount_under_this_key"})
            return
        self._take(order, gateway.whim(gateway.posts, CHAOS))

    def _take(self, order: dict[str, Any], whim: Whim | None) -> None:
        gateway = self.gateway
        if self._undone(whim):
            return
        if whim == "book_late":
            gateway.closing.wait(gateway.delay)
            gateway.take(order)
            self.close_connection = True
        elif whim == "redirect":
            self._answer(307, {}, ("location", f"{gateway.url}/elsewhere"))
        elif whim == "pending":
            line = gateway.take(order, "pending")
            self._answer(202 if line.state == "pending" else 200, line.as_json())
        elif whim == "refuse":
            self._answer(422, {"reason": "account_closed"})
        elif whim == "refuse_in_words":
            self._answer(400, {"reason": "Zhang San has no account"})
        elif whim == "fail":
            line = gateway.take(order, "pending")
            if line.state == "pending":
                gateway.decide(line.key, "failed")
            self._answer(200, line.as_json())
        elif whim == "wrong_amount":
            with gateway.lock:
                line = gateway.take(order)
                line.amount = f"{line.amount[:-1]}9"
            self._answer(200, line.as_json())
        else:
            self._say(gateway.take(order), whim)

    def do_GET(self) -> None:
        gateway = self.gateway
        gateway.note("GET", self.path)
        if not self._authorized():
            return
        address = urlsplit(self.path)
        key = unquote(address.path.removeprefix("/payouts").removeprefix("/"))
        if not key:
            self._list(parse_qs(address.query))
            return
        whim = gateway.whim(gateway.gets, ANY)
        if self._undone(whim):
            return
        line = gateway.find(key)
        if line is None:
            self._answer(404, {})
            return
        with gateway.lock:
            line.asked += 1
            # In chaos, what is pending is decided when it is asked for the second time.
            if gateway.chance is not None and line.state == "pending" and line.asked > 1:
                gateway.decide(key)
        self._say(line, whim)

    def _list(self, query: dict[str, list[str]]) -> None:
        gateway = self.gateway
        with gateway.lock:
            first = int(query.get("after", ["0"])[0])
            last = first + min(gateway.page, int(query["limit"][0]))
            lines = [line.as_json() for line in gateway.book[first:last]]
            more = str(last) if last < len(gateway.book) else None
        self._answer(200, {"payouts": lines, "next": more})

    def _authorized(self) -> bool:
        if self.headers.get("authorization") == f"Bearer {TOKEN}":
            return True
        self._answer(401, {})
        return False

    def _undone(self, whim: Whim | None) -> bool:
        """Whether the request came to nothing."""
        if whim == "lose":
            self.close_connection = True
        elif whim in ("500", "429", "409"):
            self._answer(int(whim), {})
        else:
            return False
        return True

    def _say(self, line: Booked, whim: Whim | None) -> None:
        if whim == "lose_after":
            self.close_connection = True
            return
        if whim == "late":
            self.gateway.closing.wait(self.gateway.delay)
        if whim == "500_after":
            self._answer(500, {})
        elif whim == "garbage":
            self._answer(200, "<html>paid</html>")
        elif whim == "other_key":
            self._answer(200, {**line.as_json(), "key": "another"})
        else:
            for _ in range(2 if whim == "twice" else 1):
                self._answer(200, line.as_json())

    def _answer(self, status: int, content: Any, *headers: tuple[str, str]) -> None:
        body = json.dumps(content).encode()
        try:
            self.send_response(status)
            for name, value in (("content-type", "application/json"), ("content-length", str(len(body))), *headers):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # whoever asked has given up
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    # Beyond the default of five, connections of a hundred claims would be refused rather than queued.
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that was killed in mid-request is part of the play."""


@contextmanager
def misbehaving_gateway(*, delay: float = 1.0, page: int = 500) -> Iterator[MisbehavingGateway]:
    """A running gateway; it behaves well until told otherwise.

    Its ``url`` goes into CASELADDER_PAYOUT_URL, `TOKEN` and `SECRET` beside it. ``posts`` and
    ``gets`` hold whims for the next requests; ``chance = random.Random(seed)`` has it misbehave at random.
    """
    gateway = MisbehavingGateway(delay, page)
    handler = type("Handler", (_Handler,), {"gateway": gateway})
    with _Server(("127.0.0.1", 0), handler) as server:
        gateway.url = f"http://127.0.0.1:{server.server_address[1]}/payouts"
        # Asked often whether to end: a test waits for it.
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield gateway
        finally:
            gateway.closing.set()
            server.shutdown()
            thread.join()
