"""Editors: type checkers find nothing in right programs, and most of ten mistakes in a wrong one."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROGRAMS = Path(__file__).parent / "typing"
ENOUGH = 8


@pytest.mark.skipif(importlib.util.find_spec("basedpyright") is None, reason="basedpyright is not installed")
def test_basedpyright_finds_mistakes_and_no_others(tmp_path):
    settings = {
        "typeCheckingMode": "basic",
        "include": [str(PROGRAMS), str(ROOT / "examples")],
        "extraPaths": [str(ROOT), str(ROOT / "examples")],
        "pythonVersion": "3.10",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)["generalDiagnostics"]
    told = [x for x in told if x["severity"] == "error"]
    elsewhere = [x for x in told if not x["file"].endswith("mistakes.py")]
    assert not elsewhere, "\n".join(f"{x['file']}:{x['range']['start']['line'] + 1}: {x['message']}" for x in elsewhere)
    lines = {x["range"]["start"]["line"] for x in told}
    assert_enough(lines)


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_mypy_finds_nothing_in_right_programs(tmp_path):
    files = [PROGRAMS / "program.py", *sorted((ROOT / "examples").glob("*.py"))]
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--ignore-missing-imports",
        "--follow-imports=silent",
        "--cache-dir",
        str(tmp_path),
    ]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout


def assert_enough(lines):
    source = (PROGRAMS / "mistakes.py").read_text().splitlines()
    planted = {i for i, line in enumerate(source) if re.search(r"# mistake", line)}
    missed = [source[i] for i in sorted(planted - lines)]
    assert len(planted) == 10
    assert len(planted & lines) >= ENOUGH, f"not found: {missed}"
    assert not lines - planted
