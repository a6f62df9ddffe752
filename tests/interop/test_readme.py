"""Everything that the README shows in a console was run: here, again, in its order.

Commands run in a copy of what they need, against one server that the README's own
`cargo run` line starts; ports 8500 and 8501 stand for those that it got.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conftest import ROOT, Server, longshore_binary

README = ROOT / "README.md"
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Not run here: CI's first section runs the tests, and the environment has its pins already.
ELSEWHERE = ["cargo test", "cargo build", "cargo install", "cargo bench", "git clone", "cd ", "pip install", "python -m venv"]
COMMAND_SECONDS = 120
# A person is slower than the server; a test is not.
SHOWN_WITHIN_SECONDS = 10
# What differs from run to run.
VARYING = [
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? ?(ns|µs|ms|s)\b"), "DURATION"),
]


@dataclass
class Step:
    """One command of the README, and the lines that it shows below it."""

    command: str
    shown: list[str] = field(default_factory=list)


def steps(text: str) -> list[Step]:
    """The console blocks of a page, in order."""
    found = []
    for block in CONSOLE.findall(text):
        step = None
        for line in block.splitlines():
            if step is not None and is_unfinished(step.command):
                step.command += "\n" + line
            elif line.startswith("$ "):
                step = Step(line[2:])
                found.append(step)
            else:
                assert step is not None, f"a console block begins with a command, not with {line!r}"
                step.shown.append(line)
    return found


def is_unfinished(command: str) -> bool:
    """Whether the next line still belongs to this command."""
    if command.endswith("\\"):
        return True
    try:
        shlex.split(command, comments=True)
    except ValueError:  # A quotation is open.
        return True
    return False


def same(shown: list[str], printed: str) -> bool:
    """Whether a page shows what was printed: as JSON where it is JSON, else line by line.

    A line of dots, or one that ends in dots, stands for what the page leaves out.
    """
    try:
        return values(as_shown(shown)) == values(printed)
    except ValueError:
        pass
    pattern = ""
    for line in settled("\n".join(shown)).splitlines():
        stem = re.sub(r"(\.\.\.|…)$", "", line)
        if stem.strip() == "" and stem != line:
            pattern += r"(.*\n)*?"
        else:
            pattern += re.escape(stem.rstrip()) + (r".*\n" if stem != line else r"[ \t]*\n")
    return re.fullmatch(pattern, settled(printed).rstrip("\n") + "\n" if printed.strip() else "") is not None


def as_shown(shown: list[str]) -> str:
    return "\n".join(shown)


def values(text: str) -> list:
    """All JSON values of a text, one after another."""
    decoder, found, text = json.JSONDecoder(), [], text.strip()
    if not text:
        raise ValueError("no JSON")
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].lstrip()
    return found


def settled(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, name in VARYING:
        text = pattern.sub(name, text)
    return text


class Console:
    """The directory, the tools and the server of someone who follows the README."""

    def __init__(self, folder: Path):
        self.folder = folder
        for part in ["model_repository", "examples"]:
            shutil.copytree(ROOT / part, folder / part)
        tools = folder / ".tools"
        tools.mkdir()
        grpcurl = os.environ.get("GRPCURL") or shutil.which("grpcurl")
        assert grpcurl, "grpcurl is needed: `cargo install grpcurl-rs`, or name it in GRPCURL"
        (tools / "grpcurl").symlink_to(Path(grpcurl).resolve())
        (tools / "longshore").symlink_to(longshore_binary())
        path = [str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]
        self.environment = os.environ | {"PATH": os.pathsep.join(path), "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.server: Server | None = None

    def run(self, step: Step):
        command = step.command.split("#")[0].strip() if step.command.startswith("cargo") else step.command
        if any(command.startswith(start) for start in ELSEWHERE):
            return
        if re.match(r"(cargo run --release\b|longshore($| serve\b| --))", command):
            self.start(step)
            return
        if "8500" in command or "8501" in command:
            assert self.server, f"the page asks a server that it did not start: {command}"
            command = re.sub(r"[\w.]+:8500", self.server.address, command)
            command = re.sub(r"[\w.]+:8501", self.server.rest_address, command)
        end = time.monotonic() + SHOWN_WITHIN_SECONDS
        while True:
            ran = subprocess.run(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=COMMAND_SECONDS,
            )
            printed = ran.stdout + ("" if ran.returncode == 0 else ran.stderr)
            if self.server:
                printed = printed.replace(self.server.address, "localhost:8500")
                printed = printed.replace(self.server.rest_address, "localhost:8501")
            if (same(step.shown, printed) if step.shown else ran.returncode == 0):
                return
            if time.monotonic() > end or not command.startswith(("grpcurl", "curl")):
                pytest.fail(
                    f"$ {step.command}\nthe page shows:\n{as_shown(step.shown)}\n\n"
                    f"it printed (exit code {ran.returncode}):\n{printed}\n{ran.stderr}"
                )
            time.sleep(0.2)

    def start(self, step: Step):
        """The page's own line for the server, on a port that is free."""
        words = shlex.split(step.command, comments=True)
        flags = words[words.index("--") + 1 :] if "--" in words else []
        assert self.server is None, "one server is enough for a page"
        self.server = Server(self.folder / "model_repository", *flags)
        self.server.client.wait_available("linear_regression", 1)
        if not step.shown:
            return
        assert self.server.rest_listening.wait(SHOWN_WITHIN_SECONDS), self.server.text()
        port, rest_port = (address.rsplit(":")[-1] for address in (self.server.address, self.server.rest_address))
        end = time.monotonic() + SHOWN_WITHIN_SECONDS
        while True:
            printed = "".join(self.server.printed)
            printed = re.sub(rf"(127\.0\.0\.1|localhost|\[::\]):({port}|8500)\b", "HOST:8500", printed)
            printed = re.sub(rf"(127\.0\.0\.1|localhost|\[::\]):({rest_port}|8501)\b", "HOST:8501", printed)
            printed = printed.replace(str(self.server.repository), "model_repository")
            shown = [re.sub(r"(127\.0\.0\.1|localhost|\[::\]):(850[01])\b", r"HOST:\2", line) for line in step.shown]
            shown = [line.replace("./model_repository", "model_repository") for line in shown]
            if same(shown, printed):
                return
            if time.monotonic() > end:
                pytest.fail("the page shows:\n" + "\n".join(shown) + "\n\nthe server printed:\n" + printed)
            time.sleep(0.1)


def test_what_the_readme_shows_is_what_happens(tmp_path):
    console = Console(tmp_path)
    found = steps(README.read_text(encoding="utf-8"))
    commands = [step.command for step in found]
    assert any(command.startswith("cargo run --release") for command in commands)
    for verb in [" list", " describe", "PredictionService/Predict", "ModelService/GetModelStatus"]:
        assert any("grpcurl" in command and verb in command for command in commands), verb
    assert any(command.startswith("curl") and ":predict" in command for command in commands)
    try:
        for step in found:
            console.run(step)
    finally:
        if console.server:
            console.server.stop()


@pytest.mark.parametrize(
    ("shown", "printed", "alike"),
    [
        (["{", '  "a": 1, "b": [2]', "}"], '{"b":[2],\n"a":1}\n', True),
        (["{", '  "a": 1', "}"], '{"a": 2}\n', False),
        (["one", "two"], "one\ntwo\n", True),
        (["one"], "one\ntwo\n", False),
        (["one", "..."], "one\ntwo\nthree\n", True),
        (["one", "…", "three"], "one\ntwo\nthree\n", True),
        (["one ..."], "one and only\n", True),
        (["one", "...", "four"], "one\ntwo\nthree\n", False),
        (["loaded in 3 ms"], "loaded in 17.2 ms\n", True),
        (["(.*)"], "anything\n", False),
        ([], "something\n", False),
    ],
)
def test_a_page_and_an_output_are_compared_as_a_reader_would(shown, printed, alike):
    assert same(shown, printed) == alike


def test_commands_and_their_outputs_are_told_apart():
    page = "text\n```console\n$ one -d '{\n  \"a\": 1\n}' \\\n  more\nout\n$ two\n```\n```toml\n$ no\n```\n"
    assert steps(page) == [Step("one -d '{\n  \"a\": 1\n}' \\\n  more", ["out"]), Step("two")]
