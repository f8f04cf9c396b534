"""A bucket on any server that speaks S3, signed by AWS Signature Version 4: put, get, remove, and nothing else."""

from __future__ import annotations

import base64
import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote, urlsplit

import httpx

# How a server says that it failed, without the words around it.
_CODE = re.compile(rb"<Code>([A-Za-z]{1,60})</Code>")
# Seconds for one object of some 5 MB.
TIMEOUT = 60.0


class NotStored(Exception):
    """Raised where a bucket does not do what it is asked; the text says why, without its address."""


@dataclass(frozen=True)
class Access:
    """How a bucket is reached, by the names of AWS's environment variables.

    Args:
        endpoint: address of the server, like https://s3.eu-central-1.amazonaws.com.
        key, secret: the access key; with as few rights as its use needs.
    """

    endpoint: str
    region: str
    key: str
    secret: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Access:
        """Read it from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL_S3.

        Raises:
            KeyError: with the name of a variable that is missing.
        """
        region = environment.get("AWS_REGION") or "us-east-1"
        endpoint = environment.get("AWS_ENDPOINT_URL_S3") or f"https://s3.{region}.amazonaws.com"
        return cls(endpoint.rstrip("/"), region, environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])


class Bucket:
    """Keeps objects below a prefix. Every method raises `NotStored`."""

    def __init__(self, access: Access, bucket: str, prefix: str) -> None:
        self._access, self._bucket, self._prefix = access, bucket, prefix

    async def put(self, name: str, content: bytes, more: Mapping[str, str] | None = None) -> None:
        """Store an object that is not there yet; one that is stays as it is.

        Args:
            more: headers besides, in small letters, such as those of object lock.
        """
        checksum = base64.b64encode(sha256(content).digest()).decode()
        headers = {"if-none-match": "*", "x-amz-checksum-sha256": checksum, **(more or {})}
        # 412: it is there already, and nothing is written over.
        await self._ask("PUT", name, content, headers, (200, 412))

    async def get(self, name: str) -> bytes | None:
        """Return an object; None where there is none."""
        answer = await self._ask("GET", name, b"", {}, (200, 404))
        return answer.content if answer.status_code == 200 else None

    async def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        await self._ask("DELETE", name, b"", {}, (200, 204, 404))

    async def _ask(
        self, method: str, name: str, content: bytes, more: Mapping[str, str], good: tuple[int, ...]
    ) -> httpx.Response:
        url = f"{self._access.endpoint}/{quote(self._bucket)}/{quote(self._prefix + name)}"
        headers = {
            "host": urlsplit(url).netloc,
            "x-amz-content-sha256": sha256(content).hexdigest(),
            "x-amz-date": datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"),
            **more,
        }
        headers["authorization"] = authorization(self._access, method, urlsplit(url).path, headers)
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
                answer = await client.request(method, url, content=content, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotStored(f"no answer ({type(error).__name__})") from None
        if answer.status_code not in good:
            code = _CODE.search(answer.content)
            raise NotStored(f"HTTP {answer.status_code}{f' {code[1].decode()}' if code else ''}")
        return answer


def bucket_at(address: str) -> Bucket | None:
    """Return the bucket of ``s3://BUCKET/PREFIX``, reached as AWS's variables say; None for another address.

    Raises:
        KeyError: with the name of a variable that is missing.
    """
    scheme, _, rest = address.partition(":")
    name, _, prefix = rest.strip("/").partition("/")
    if scheme != "s3" or not name:
        return None
    return Bucket(Access.from_environment(os.environ), name, f"{prefix}/" if prefix else "")


def authorization(access: Access, method: str, path: str, headers: Mapping[str, str]) -> str:
    """Return the header ``Authorization`` of a request without a query (AWS Signature Version 4).

    Args:
        path: as it is sent, percent-encoded.
        headers: all that are signed, in small letters; x-amz-date and x-amz-content-sha256 among them.
    """
    names = ";".join(sorted(headers))
    listed = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
    request = "\n".join([method, path, "", listed, names, headers["x-amz-content-sha256"]])
    instant = headers["x-amz-date"]
    scope = f"{instant[:8]}/{access.region}/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", instant, scope, sha256(request.encode()).hexdigest()])
    key = f"AWS4{access.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return f"AWS4-HMAC-SHA256 Credential={access.key}/{scope}, SignedHeaders={names}, Signature={signature}"
