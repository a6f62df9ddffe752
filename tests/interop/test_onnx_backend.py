"""The ONNX project's node tests through the server, by back end, against lists that may only grow.

Run as a program it shows what does not pass and why, grouped by operator:

    python tests/interop/test_onnx_backend.py --bin target/debug/longshore --backend tract -k softmax
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import onnx_nodes
import pytest
from conftest import Server
from onnx_nodes import BACKENDS, Watch

WRITE_LISTS = os.environ.get("LONGSHORE_WRITE_LISTS") == "1"
# Cases that Python's onnxruntime passes and a request cannot ask for, with the reason.
NOT_ASKED: dict[str, str] = {}


def ask(backend: str, chosen, repository: Path) -> dict[str, str | None]:
    """Starts a server on these cases, asks for each, and stops it."""
    onnx_nodes.publish_all(repository, chosen, backend)
    server = Server(repository, *onnx_nodes.flags(backend))
    # tract does, within itself, on graphs that it has wrong; such a version fails to load.
    server.may_panic = backend in ("tract", "default")
    try:
        return onnx_nodes.ask_all(server.client, chosen)
    finally:
        server.stop()


@pytest.fixture(scope="module")
def results():
    """What became of each case, by back end; each is asked once."""
    known: dict[str, dict[str, str | None]] = {}

    def of(backend: str) -> dict[str, str | None]:
        if backend not in known:
            chosen, _ = onnx_nodes.cases()
            with tempfile.TemporaryDirectory() as folder:
                known[backend] = ask(backend, chosen, Path(folder))
        return known[backend]

    return of


@pytest.fixture
def say(capsys):
    """Prints a line even where the test passes."""

    def line(text: str):
        with capsys.disabled():
            print(f"\n  {text}", end="", flush=True)

    return line


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_passed_passes_still(backend, results, say):
    chosen, left_out = onnx_nodes.cases()
    watch = Watch()
    found = results(backend)
    say(f"{onnx_nodes.score(backend, chosen, found)}; {watch}; not carried: "
        + ", ".join(f"{count} {what}" for what, count in left_out.most_common()))
    if WRITE_LISTS:
        onnx_nodes.write_list(backend, found)
    broken = {name: found.get(name, "there is no such case") for name in onnx_nodes.listed(backend)}
    broken = {name: why for name, why in broken.items() if why is not None}
    assert not broken, f"{len(broken)} cases that passed do not: {broken}"


def test_onnx_runtime_passes_all_that_it_passes_in_python(results, say):
    chosen, _ = onnx_nodes.cases()
    python = {case.name: onnx_nodes.in_process(case) for case in chosen}
    say(onnx_nodes.score("onnxruntime in Python", chosen, python))
    found = results("onnxruntime")
    lost = {
        name: found[name]
        for name, why in python.items()
        if why is None and found[name] is not None and name not in NOT_ASKED
    }
    assert not lost, f"{len(lost)} cases pass in Python and not through the server: {lost}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default=os.environ.get("LONGSHORE_BIN"), help="the server's binary")
    parser.add_argument("--backend", choices=[*BACKENDS, "python"], default="default",
                        help="default: what runs without a library; python: onnxruntime in this process")
    parser.add_argument("-k", dest="part", default="", help="only cases whose name or operator holds this")
    parser.add_argument("--write", action="store_true", help="write the list of those that pass")
    asked = parser.parse_args()
    if asked.bin:
        os.environ["LONGSHORE_BIN"] = asked.bin
    chosen, left_out = onnx_nodes.cases()
    part = asked.part.lower()
    chosen = [case for case in chosen if part in case.name.lower() or part in case.operator.lower()]
    if not chosen:
        sys.exit(f"no case holds {asked.part!r}")
    watch = Watch()
    if asked.backend == "python":
        found = {case.name: onnx_nodes.in_process(case) for case in chosen}
    else:
        with tempfile.TemporaryDirectory() as folder:
            found = ask(asked.backend, chosen, Path(folder))
    print(onnx_nodes.by_operator(chosen, found))
    print(f"{onnx_nodes.score(asked.backend, chosen, found)}; {watch}")
    print("not carried: " + ", ".join(f"{count} {what}" for what, count in left_out.most_common()))
    if asked.write and not asked.part and asked.backend != "python":
        onnx_nodes.write_list(asked.backend, found)
    gone = [name for name in onnx_nodes.listed(asked.backend) if found.get(name, None if asked.part else "") is not None]
    if gone:
        sys.exit(f"listed, and do not pass: {' '.join(gone)}")


if __name__ == "__main__":
    main()
