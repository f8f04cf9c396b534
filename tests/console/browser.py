"""The Chromium for browser tests: the one on PATH, the one that is configured, or one that apt installs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PACKAGES = ("chromium", "fonts-noto-cjk")
ADVICE = (
    "the browser tests need Chromium: install it with your package manager "
    "(Debian, Ubuntu: apt-get install chromium fonts-noto-cjk), or name one in CASELADDER_CHROMIUM"
)
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


class NoBrowser(Exception):
    """Raised when there is no browser and it cannot be installed; the message says what to install."""


def find() -> Path | None:
    """Find the browser: the one in CASELADDER_CHROMIUM, or else the first on PATH; None if there is none."""
    named = os.environ.get("CASELADDER_CHROMIUM")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)
    return None if found is None else Path(found)


def ensure() -> Path:
    """Find the browser, and install it with apt if it is missing and this process runs as root.

    Raises:
        NoBrowser: there is no browser and it could not be installed.
    """
    found = find()
    if found is not None:
        return found
    if shutil.which("apt-get") is None or os.geteuid() != 0 or os.environ.get("CASELADDER_CHROMIUM"):
        raise NoBrowser(ADVICE)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(
            ["apt-get", "-qq", *command], env=environment, capture_output=True, text=True, check=False, timeout=600
        )
        if done.returncode:
            raise NoBrowser(f"{ADVICE}; apt-get {command[0]} said: {done.stderr.strip()[-500:]}")
    found = find()
    if found is None:
        raise NoBrowser(ADVICE)
    return found


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Run a browser with its own profile for the block.

    Raises:
        NoBrowser: there is no browser and it could not be installed.
    """
    program = ensure()
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        try:
            yield made
        finally:
            await made.close()


if __name__ == "__main__":
    try:
        print(ensure())
    except NoBrowser as error:
        sys.exit(str(error))
