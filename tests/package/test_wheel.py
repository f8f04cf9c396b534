"""The package as its users have it: built, installed in an environment of its own, beside their own modules."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.cli.program import ROOT, Answer, Up, environment

# It waits for the package registries, and a first installation compiles a hundred packages.
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

BACKEND = """\
import asyncio
import json
import os
import sys
from pathlib import Path

import activities, cases, workflows
from caseladder import CaseClient, Refused


async def main() -> None:
    client = await CaseClient.connect(Path(sys.argv[1]))
    view = await client.file("complaint", {"key": workflows.KEY, "facts": {"category": "delay"}})
    view = await client.command(view["id"], "acknowledge", {"by": {"id": "agent-7", "role": "agent"}})
    try:
        await client.command(view["id"], "fly", {"by": {"id": "agent-7", "role": "agent"}})
    except Refused as refusal:
        print(json.dumps({"view": view, "code": refusal.code, "owners": [activities.OWNER, cases.OWNER]}))


asyncio.run(main())
# The SDK's threads can abort the interpreter while it is taken down (temporalio/sdk-python issue 300).
sys.stdout.flush()
os._exit(0)
"""


@dataclass(frozen=True)
class Installed:
    """The installed program and a folder of its user."""

    bin: Path
    folder: Path

    @property
    def program(self) -> str:
        """The console script."""
        return str(self.bin / "caseladder")

    def run(self, *arguments: str) -> Answer:
        """Run a program in the user's folder."""
        done = subprocess.run(
            arguments, cwd=self.folder, env=environment(), capture_output=True, text=True, timeout=120, check=False
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def __call__(self, *arguments: str) -> Answer:
        """Run a command of caseladder."""
        return self.run(self.program, *arguments)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel made from the source distribution, in a fresh environment; a folder with modules named as ours."""
    place = tmp_path_factory.mktemp("package")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(place / "dist"), str(ROOT))
    (wheel,) = (place / "dist").glob("*.whl")
    made = Installed(place / "env" / "bin", place / "shop")
    constraints = ("-c", str(ROOT / "constraints.txt"))
    if uv := shutil.which("uv"):
        run(uv, "venv", "--python", sys.executable, str(place / "env"))
        run(uv, "pip", "install", "--python", str(made.bin / "python"), *constraints, f"{wheel}[embedded]")
    else:
        run(sys.executable, "-m", "venv", str(place / "env"))
        run(str(made.bin / "python"), "-m", "pip", "install", *constraints, f"{wheel}[embedded]")
    (made.folder / "activities").mkdir(parents=True)
    (made.folder / "activities" / "__init__.py").write_text('OWNER = "shop"\n')
    (made.folder / "cases.py").write_text('OWNER = "shop"\n')
    (made.folder / "workflows.py").write_text('KEY = "ORDER-1"\n')
    (made.folder / "backend.py").write_text(BACKEND)
    return made


def run(*command: str) -> None:
    """Run a step of the installation; what it says is shown when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def up(installed: Installed) -> Iterator[Up]:
    """The installed stack with its own sample cases."""
    stack = Up(installed.folder.parent / "data", "--examples", command=[installed.program], cwd=installed.folder)
    try:
        yield stack
    finally:
        stack.end()


def test_commands_without_a_server_work(installed: Installed) -> None:
    version = installed("--version")
    assert version.out == "0.1.0\n", version.err
    assert installed("schema", "complaint").json["required"] == ["key", "facts"]
    # The forms come along, each in a file of its own.
    assert installed("schema", "leave").json["title"] == "LeaveIntake"
    # It inherits from the policy that is shipped.
    policy = ROOT / "cases" / "policy" / "cross_company.toml"
    assert installed("policy", "check", str(policy), "--json").json["name"] == "cross_company"
    scenario = ROOT / "tests" / "scenarios" / "01a-inquiry-answered-at-the-limit.toml"
    assert installed("rehearse", str(scenario)).code == 0
    assert installed("assess", str(ROOT / "examples" / "claim-lost-parcel.toml"), "--json").code == 0


def test_a_user_s_type_checker_knows_the_client(installed: Installed) -> None:
    wrong = installed.folder / "wrong.py"
    wrong.write_text(BACKEND.replace("client.file(", "client.file(1, "))
    check = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(installed.bin / "python")]
    cache = ["--cache-dir", str(installed.folder.parent / "mypy")]
    right = installed.run(*check, *cache, "backend.py")
    assert right.code == 0, right.out
    said = installed.run(*check, *cache, "wrong.py").out
    assert 'Argument 1 to "file" of "CaseClient" has incompatible type "int"' in said


def test_the_main_job_runs_beside_a_user_s_own_modules(installed: Installed, up: Up) -> None:
    samples = {path.stem.replace("-", ":sample-", 1) for path in (ROOT / "examples").glob("*-*.*")}
    assert {(sample["id"], sample["outcome"]) for sample in up.says["samples"]} == {(id, "filed") for id in samples}
    told = installed.run(str(installed.bin / "python"), "backend.py", str(up.data)).json
    assert told["view"]["acknowledged"]
    assert (told["code"], told["owners"]) == ("unknown_command", ["shop", "shop"])
    data = ("--data", str(up.data))
    assert installed("show", "complaint:ORDER-1", *data, "--json").json["acknowledged"]
    listed = installed("list", *data, "--limit", "100", "--json").json
    assert samples <= {case["id"] for case in listed}
    assert installed("audit", "verify", *data, "--json").json["ok"]


def test_ctrl_c_leaves_nothing_running(up: Up) -> None:
    family = up.family()
    assert len(family) > 4, "PostgreSQL, Temporal, the worker and the API"
    assert up.stop() == 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    left = [one.pid for one in psutil.process_iter(["cmdline"]) if str(up.data) in " ".join(one.info["cmdline"] or ())]
    assert left == []
