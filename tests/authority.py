"""A timestamp authority for tests: ``openssl ts -reply`` behind an HTTP server on this machine."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_CONFIG = """\
[tsa]
default_tsa = one
[one]
serial = {serial}
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""


class TimestampAuthority:
    """The authority: a root, an intermediate, and the certificate that signs, as public ones have them.

    Args:
        answer: bytes to answer with instead of a response; None for a response.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir()
        self._folder, self.port = folder, 0
        self.answer: bytes | None = None
        self.status = "200 OK"
        self.queries: list[bytes] = []
        self.root = folder / "root.pem"
        (folder / "tsa.cnf").write_text(_CONFIG.format(serial=folder / "serial"))
        (folder / "serial").write_text("01\n")
        # As public ones have it, by RSA; those above with keys that are made sooner.
        key, short = (
            ("-newkey", "rsa:2048", "-nodes"),
            ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        )
        self._openssl("req", "-x509", *short, "-keyout", "root.key", "-out", "root.pem", "-subj", f"/CN={name} root")
        issuer = "root"
        for part, subject, extension, made in (
            ("between", f"/CN={name} between", "basicConstraints=critical,CA:TRUE", short),
            ("signer", f"/O={name}/CN=Time stamping", "extendedKeyUsage=critical,timeStamping", key),
        ):
            (folder / f"{part}.ext").write_text(extension)
            self._openssl("req", *made, "-keyout", f"{part}.key", "-out", f"{part}.csr", "-subj", subject)
            by = ("-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-CAcreateserial", "-days", "30")
            self._openssl("x509", "-req", "-in", f"{part}.csr", *by, "-extfile", f"{part}.ext", "-out", f"{part}.pem")
            issuer = part

    @property
    def url(self) -> str:
        """The address."""
        return f"http://127.0.0.1:{self.port}/tsr"

    def reply(self, query: bytes) -> bytes:
        """Return the response to a query."""
        (self._folder / "query").write_bytes(query)
        signer = ("-signer", "signer.pem", "-inkey", "signer.key", "-chain", "between.pem")
        self._openssl("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", *signer, "-out", "response")
        return (self._folder / "response").read_bytes()

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True, timeout=30)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one request."""
        # Who is answered too much hangs up.
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert "content-type: application/timestamp-query" in head
            query = await reader.readexactly(int(head.partition("content-length:")[2].split()[0]))
            self.queries.append(query)
            body = await asyncio.to_thread(self.reply, query) if self.answer is None else self.answer
            headers = f"content-type: application/timestamp-reply\r\ncontent-length: {len(body)}\r\nconnection: close"
            writer.write(f"HTTP/1.1 {self.status}\r\n{headers}\r\n\r\n".encode() + body)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def authority(folder: Path, name: str = "Example TSA") -> AsyncIterator[TimestampAuthority]:
    """Run an authority for the block, which keeps what it has in a new folder."""
    made = await asyncio.to_thread(TimestampAuthority, folder, name)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()
