"""A payment gateway for tests: a real HTTP server with a book of payments, and with faults on request.

It runs in its own threads, so it answers even while the event loop of the tests is busy.
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

# The faults of a POST request; those in GET_FAULTS are also faults of a GET request.
Fault = Literal[
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
GET_FAULTS: tuple[Fault, ...] = ("lose", "late", "twice", "500", "429", "garbage")
POST_FAULTS: tuple[Fault, ...] = (
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
        """Return the line as the gateway sends it."""
        at = datetime.now(UTC).isoformat() if self.state == "paid" else None
        shown = {name: value for name, value in vars(self).items() if name != "asked"}
        return {**shown, "at": at}


class MisbehavingGateway:
    """The gateway; see `misbehaving_gateway`.

    Args:
        delay: seconds before a late answer is sent; must be longer than the client waits.
        page: the number of lines on a page of the list.
    """

    def __init__(self, delay: float, page: int) -> None:
        self.url = ""
        self.delay, self.page = delay, page
        # Every payment in order; a claim that was paid twice would have two lines.
        self.book: list[Booked] = []
        # Method and path of every request; the key of every order that was sent.
        self.requests: list[tuple[str, str]] = []
        self.orders: list[str] = []
        # The body of every order that was sent.
        self.sent: list[dict[str, Any]] = []
        # The faults of the next POST and GET requests.
        self.posts: list[Fault] = []
        self.gets: list[Fault] = []
        # If set, chooses at random a fault for this share of the other requests.
        self.chance: random.Random | None = None
        self.share = 0.5
        self.lock = threading.RLock()
        self.came = threading.Condition()
        self.closing = threading.Event()
        self.elsewhere: list[str] = []
        self._numbers = count(1)

    # --- the book ---------------------------------------------------------------------------------

    def find(self, key: str) -> Booked | None:
        """Return the line with a key."""
        with self.lock:
            return next((line for line in self.book if line.key == key), None)

    def paid(self) -> dict[str, list[str]]:
        """Return the amounts that were paid, by key."""
        with self.lock:
            keys = Counter(line.key for line in self.book if line.state == "paid")
            return {key: [line.amount for line in self.book if (line.key, line.state) == (key, "paid")] for key in keys}

    def enter(self, key: str, amount: str, *, case: str = "", state: str = "paid") -> Booked:
        """Add a line to the book without an order."""
        with self.lock:
            line = Booked(key, case, amount, state)
            if state == "paid":
                line.reference = f"GW-{next(self._numbers)}"
            self.book.append(line)
            return line

    def decide(self, key: str, state: str = "paid") -> Booked:
        """Set the state of a line that is pending."""
        with self.lock:
            line = self.find(key)
            assert line is not None
            assert line.state == "pending"
            line.state = state
            line.reference = f"GW-{next(self._numbers)}" if state == "paid" else ""
            line.reason = "account_closed" if state == "failed" else ""
            return line

    def take(self, order: dict[str, Any], state: str = "paid") -> Booked:
        """Carry out an order, or return the line that its key already has unless that one failed."""
        with self.lock:
            line = self.find(order["reference"])
            if line is not None and line.state == "failed":
                self.book.remove(line)
                line = None
            return line or self.enter(order["reference"], order["amount"], case=order["case"], state=state)

    def fault(self, planned: list[Fault], possible: tuple[Fault, ...]) -> Fault | None:
        """Choose the fault of a request; None if it has none."""
        with self.lock:
            if planned:
                return planned.pop(0)
            if self.chance is not None and self.chance.random() < self.share:
                return self.chance.choice(possible)
            return None

    # --- requests ---------------------------------------------------------------------------------

    def note(self, method: str, path: str) -> None:
        """Record a request."""
        with self.came:
            self.requests.append((method, path))
            self.came.notify_all()

    async def asked(self, method: str, times: int = 1) -> None:
        """Wait until so many requests of a method have arrived."""

        def enough() -> bool:
            return [made for made, _ in self.requests].count(method) >= times

        def wait() -> bool:
            with self.came:
                return self.came.wait_for(enough, timeout=30)

        assert await asyncio.to_thread(wait), f"{times} {method} did not come"

    # --- callbacks --------------------------------------------------------------------------------

    def signed(self, key: str, /, secret: str = SECRET, **changes: Any) -> tuple[dict[str, str], bytes]:
        """Return the headers and the body of a callback about a line of the book."""
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
        """Send a callback and return the status of the answer."""
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
            gateway.sent.append(order)
        if self.headers["idempotency-key"] != order["reference"] or order["currency"] != "CNY":
            self._answer(400, {"reason": "bad_order"})
            return
        known = gateway.find(order["reference"])
        if known is not None and known.amount != order["amount"]:
            self._answer(422, {"reason": "other_amount_under_this_key"})
            return
        self._take(order, gateway.fault(gateway.posts, POST_FAULTS))

    def _take(self, order: dict[str, Any], fault: Fault | None) -> None:
        gateway = self.gateway
        if self._undone(fault):
            return
        if fault == "book_late":
            gateway.closing.wait(gateway.delay)
            gateway.take(order)
            self.close_connection = True
        elif fault == "redirect":
            self._answer(307, {}, ("location", f"{gateway.url}/elsewhere"))
        elif fault == "pending":
            line = gateway.take(order, "pending")
            self._answer(202 if line.state == "pending" else 200, line.as_json())
        elif fault == "refuse":
            self._answer(422, {"reason": "account_closed"})
        elif fault == "refuse_in_words":
            self._answer(400, {"reason": "Zhang San has no account"})
        elif fault == "fail":
            line = gateway.take(order, "pending")
            if line.state == "pending":
                gateway.decide(line.key, "failed")
            self._answer(200, line.as_json())
        elif fault == "wrong_amount":
            with gateway.lock:
                line = gateway.take(order)
                line.amount = f"{line.amount[:-1]}9"
            self._answer(200, line.as_json())
        else:
            self._say(gateway.take(order), fault)

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
        fault = gateway.fault(gateway.gets, GET_FAULTS)
        if self._undone(fault):
            return
        line = gateway.find(key)
        if line is None:
            self._answer(404, {})
            return
        with gateway.lock:
            line.asked += 1
            # With faults at random, a pending line is decided at the second request for it.
            if gateway.chance is not None and line.state == "pending" and line.asked > 1:
                gateway.decide(key)
        self._say(line, fault)

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

    def _undone(self, fault: Fault | None) -> bool:
        """Answer with a fault that does nothing; return whether it was one."""
        if fault == "lose":
            self.close_connection = True
        elif fault in ("500", "429", "409"):
            self._answer(int(fault), {})
        else:
            return False
        return True

    def _say(self, line: Booked, fault: Fault | None) -> None:
        if fault == "lose_after":
            self.close_connection = True
            return
        if fault == "late":
            self.gateway.closing.wait(self.gateway.delay)
        if fault == "500_after":
            self._answer(500, {})
        elif fault == "garbage":
            self._answer(200, "<html>paid</html>")
        elif fault == "other_key":
            self._answer(200, {**line.as_json(), "key": "another"})
        else:
            for _ in range(2 if fault == "twice" else 1):
                self._answer(200, line.as_json())

    def _answer(self, status: int, content: Any, *headers: tuple[str, str]) -> None:
        body = json.dumps(content).encode()
        try:
            self.send_response(status)
            for name, value in (("content-type", "application/json"), ("content-length", str(len(body))), *headers):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # the client has given up
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    # With the default of five, some of the connections of a hundred claims would be refused.
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the error, since tests kill clients in the middle of a request."""


@contextmanager
def misbehaving_gateway(*, delay: float = 1.0, page: int = 500) -> Iterator[MisbehavingGateway]:
    """Run a gateway for the block, which has no faults at first.

    Its ``url``, `TOKEN` and `SECRET` are for the settings CASELADDER_PAYOUT_*. ``posts`` and ``gets`` take the
    faults of the next requests; ``chance = random.Random(seed)`` makes faults at random.

    Args:
        delay: seconds before a late answer is sent; must be longer than the client waits.
        page: the number of lines on a page of the list.
    """
    gateway = MisbehavingGateway(delay, page)
    handler = type("Handler", (_Handler,), {"gateway": gateway})
    with _Server(("127.0.0.1", 0), handler) as server:
        gateway.url = f"http://127.0.0.1:{server.server_address[1]}/payouts"
        # A short poll interval, since a test waits for the end.
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield gateway
        finally:
            gateway.closing.set()
            server.shutdown()
            thread.join()
