"""A bucket with object lock as a place for checkpoints: any server that speaks S3, signed by AWS Signature Version 4.

A locked object is kept until its date by the server itself, whoever asks for it to be removed (mode COMPLIANCE).
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import quote, urlsplit

import httpx

# How a server says that it failed, without the words around it.
_CODE = re.compile(rb"<Code>([A-Za-z]{1,60})</Code>")
# Seconds for one object of some 5 MB.
TIMEOUT = 60.0


class NotStored(Exception):
    """Raised where a bucket does not take an object; the text says why, without its address."""


@dataclass(frozen=True)
class Access:
    """How a bucket is reached, by the names of AWS's environment variables.

    Args:
        endpoint: address of the server, like https://s3.eu-central-1.amazonaws.com.
        key, secret: the access key; it needs to put objects and their retention, and nothing else.
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


class S3Bucket:
    """Puts an object for each checkpoint into a bucket, and locks it.

    Args:
        retain: for how long the server keeps an object.
    """

    def __init__(self, access: Access, bucket: str, prefix: str, retain: timedelta) -> None:
        self._access, self._bucket, self._prefix, self._retain = access, bucket, prefix, retain

    async def put(self, name: str, content: bytes, now: datetime) -> None:
        """Store an object that is not there yet; one that is stays as it is.

        Raises:
            NotStored: it was not taken.
        """
        url = f"{self._access.endpoint}/{quote(self._bucket)}/{quote(self._prefix + name)}"
        until = (now + self._retain).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        digest = sha256(content)
        headers = {
            "host": urlsplit(url).netloc,
            "if-none-match": "*",
            "x-amz-checksum-sha256": base64.b64encode(digest.digest()).decode(),
            "x-amz-content-sha256": digest.hexdigest(),
            "x-amz-date": now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ"),
            "x-amz-object-lock-mode": "COMPLIANCE",
            "x-amz-object-lock-retain-until-date": until,
        }
        headers["authorization"] = authorization(self._access, "PUT", urlsplit(url).path, headers)
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
                answer = await client.put(url, content=content, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotStored(f"no answer ({type(error).__name__})") from None
        # 412: it is there already, and nothing is written over.
        if answer.status_code not in (200, 412):
            code = _CODE.search(answer.content)
            raise NotStored(f"HTTP {answer.status_code}{f' {code[1].decode()}' if code else ''}")


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
