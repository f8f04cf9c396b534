"""Calling addresses that somebody else chose: only where they may lead, whatever a name resolves to.

A name is resolved, every address it has is judged, and the connection goes to an address that was
judged. So a name that resolves otherwise a moment later leads nowhere else.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Literal

import httpx
from cachetools import TTLCache

from cases.vocabulary.refusals import Refused

# Which addresses besides the public ones: none, this machine's own, or those of private networks too.
Private = Literal["forbid", "loopback", "allow"]
Resolve = Callable[[str, int], Awaitable[list[str]]]
LONGEST_URL = 2000
# Seconds to find out the addresses of a name, and for which they are then used; of so many names at once.
PATIENCE, REMEMBERED, NAMES = 5, 30, 100
_UNICAST = ipaddress.ip_network("2000::/3")
# Where clouds give a machine its credentials or its settings, beside link-local addresses: Alibaba, Azure, Oracle;
# AWS and Google on IPv6.
_CLOUDS = frozenset(
    map(ipaddress.ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
# Addresses of IPv4 hosts on networks that have IPv6 only.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class PrivateAddress(httpx.ConnectError):
    """The host has an address that may not be called."""


class UnknownHost(httpx.ConnectError):
    """The host has no address."""


async def resolve(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a host.

    Raises:
        OSError: it knows none.
        UnicodeError: no host can have such a name.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Guard:
    """Judges where calls may go.

    Args:
        private: which addresses are allowed besides the public ones. Link-local ones never are: no
            receiver has one, but the services that give a machine its credentials do; nor are their other ones.
        resolve: finds out the addresses of a host.
    """

    def __init__(self, private: Private, resolve: Resolve = resolve) -> None:
        self._private = private
        self._resolve = resolve

    async def check(self, url: str) -> None:
        """Look at an address before it is taken down.

        Raises:
            Refused: ``invalid``: it is no usable address; ``private_address``: it leads where calls may not go.
        """
        parts = _read(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            async with asyncio.timeout(PATIENCE):
                addresses = await self.addresses(parts.host, port)
        except (UnknownHost, TimeoutError):
            raise Refused("invalid", f"url: the host {parts.host} is not known") from None
        except PrivateAddress:
            raise Refused(
                "private_address",
                f"url: the host {parts.host} has an address that events may not go to; allowed are public ones"
                f" (CASELADDER_PRIVATE_SUBSCRIBERS = {self._private})",
            ) from None
        if parts.scheme == "http" and any(_reach(address) == "public" for address in addresses):
            raise Refused("invalid", f"url: {parts.host} is reached over public networks; allowed is https:// only")

    async def addresses(self, host: str, port: int) -> list[str]:
        """Find the addresses of a host, all of which may be called.

        Raises:
            PrivateAddress: one may not.
            UnknownHost: it has none.
        """
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise UnknownHost("the host is not known")
        if not all(self._allows(address) for address in found):
            raise PrivateAddress("the host has an address that may not be called")
        return found

    def _allows(self, address: str) -> bool:
        reach = _reach(address)
        if reach == "loopback":
            return self._private != "forbid"
        return reach == "public" or (reach == "private" and self._private == "allow")


def _read(url: str) -> httpx.URL:
    if len(url) > LONGEST_URL or not url or not all("!" <= character <= "~" for character in url):
        raise Refused("invalid", f"url: allowed are 1 to {LONGEST_URL} visible ASCII characters")
    try:
        parts = httpx.URL(url)
        usable = parts.scheme in ("http", "https") and bool(parts.host)
    except httpx.InvalidURL:
        usable = False
    if not usable or (parts.port is not None and not 0 < parts.port < 1 << 16):
        raise Refused("invalid", "url: it is no address like https://hooks.example.com/caseladder")
    if parts.userinfo or parts.fragment:
        raise Refused("invalid", "url: it has no user and no fragment; what is sent proves itself by its signature")
    return parts


def _reach(address: str) -> Literal["public", "loopback", "private", "never"]:
    """Tell where an address leads."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        # An IPv4 address in disguise leads where that one does.
        nat64 = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
        ip = ip.ipv4_mapped or ip.sixtofour or nat64 or ip
    if ip.is_loopback:
        return "loopback"
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip in _CLOUDS:
        return "never"
    public = ip.is_global and (ip.version == 4 or ip in _UNICAST)
    return "public" if public else "private"


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to addresses that the guard allows; Host and the name in the certificate stay the URL's.

    Redirects are the client's business: it must not follow them.
    """

    def __init__(self, guard: Guard, tls: ssl.SSLContext) -> None:
        self._guard = guard
        self._inner = httpx.AsyncHTTPTransport(verify=tls, trust_env=False)
        self._known: TTLCache[tuple[str, int], list[str]] = TTLCache(NAMES, REMEMBERED)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the first address of its host that takes a connection."""
        host, port = request.url.host, request.url.port or (443 if request.url.scheme == "https" else 80)
        failed: httpx.TransportError | None = None
        for address in await self._addresses(host, port):
            pinned = httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return await self._inner.handle_async_request(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failed = error
        assert failed is not None
        raise failed

    async def _addresses(self, host: str, port: int) -> list[str]:
        known = self._known.get((host, port))
        if known is None:
            known = self._known[host, port] = await self._guard.addresses(host, port)
        return known

    async def aclose(self) -> None:
        """Close every connection."""
        await self._inner.aclose()
