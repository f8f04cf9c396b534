"""A small IMAP server for tests: enough of RFC 9051 to log in, search, fetch and mark."""

from __future__ import annotations

import asyncio
import re
from types import TracebackType


class ImapServer:
    """Keeps messages in memory, each with whether it was seen; on a port of its own while it is entered."""

    def __init__(self, *messages: bytes) -> None:
        self.messages, self.seen = list(messages), [False] * len(messages)
        self.password, self.folder = "p@ss word", "INBOX"
        self.port = 0
        self.asked: list[str] = []

    async def __aenter__(self) -> ImapServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK [CAPABILITY IMAP4rev1] ready\r\n")
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            tag, _, asked = line.partition(" ")
            self.asked.append(asked.split(" ")[0] if asked.startswith("LOGIN") else asked)
            for told in self._answer(asked):
                writer.write(told + b"\r\n")
            good = self._is_good(asked)
            writer.write(f"{tag} {'OK' if good else 'NO'} {'done' if good else 'refused: 13800000000'}\r\n".encode())
            await writer.drain()
            if asked == "LOGOUT":
                break
        writer.close()

    def _is_good(self, asked: str) -> bool:
        if asked.startswith("LOGIN"):
            return asked == f'LOGIN care@x.test "{self.password}"'
        return not asked.startswith("SELECT") or asked == f'SELECT "{self.folder}"'

    def _answer(self, asked: str) -> list[bytes]:
        if asked == "CAPABILITY":
            return [b"* CAPABILITY IMAP4rev1"]
        if asked.startswith("SELECT"):
            return [f"* {len(self.messages)} EXISTS".encode()]
        if asked == "UID SEARCH UNSEEN":
            unseen = [str(place + 11) for place, seen in enumerate(self.seen) if not seen]
            return [f"* SEARCH {' '.join(unseen)}".rstrip().encode()]
        if found := re.fullmatch(r"UID FETCH (\d+) \(BODY\.PEEK\[\]<0\.(\d+)>\)", asked):
            place = int(found[1]) - 11
            content = self.messages[place][: int(found[2])]
            return [
                f"* {place + 1} FETCH (UID {found[1]} BODY[]<0> {{{len(content)}}}".encode() + b"\r\n" + content + b")"
            ]
        if found := re.fullmatch(r"UID STORE (\d+) \+FLAGS\.SILENT \(\\Seen\)", asked):
            self.seen[int(found[1]) - 11] = True
        if asked == "LOGOUT":
            return [b"* BYE"]
        return []
