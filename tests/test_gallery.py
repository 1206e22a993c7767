"""What runs the examples: `make gallery` fails where one misses its target, and fills the table of examples/README.md."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SPEC = importlib.util.spec_from_file_location("gallery", ROOT / "examples" / "gallery.py")
gallery = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(gallery)

ROWS = """\
| heading | program | picture | time | result |
| --- | --- | --- | ---: | --- |
| Chain Rule | [one](one.py) | — | — | — |
|  | [two](two.py) | two.png | 12 s | as before |
| H(Y\\|X) | [one](one.py) | — | — | — |
No row: [one](one.py)
"""


def run(tmp_path, code, quick=False):
    path = tmp_path / "example.py"
    path.write_text(code, encoding="utf-8")
    return gallery.run(path, quick, 1)


def result(name, **changes):
    return {name: {"error": None, "seconds": 3.4, "picture": "out/one.png", "result": "0.9 of 1"} | changes}


def test_a_target_that_is_met(tmp_path):
    found = run(tmp_path, "print('accuracy 97 %')\nprint('picture: out/example.png')\nprint('  ')")
    assert (found["error"], found["result"], found["picture"]) == (None, "accuracy 97 %", "out/example.png")
    assert 0 < found["seconds"] < 60


def test_a_target_that_is_missed_says_what_was_expected(tmp_path):
    found = run(tmp_path, "import sys\nprint('accuracy 90 %')\nsys.exit('expected 97 %')")
    assert (found["error"], found["result"]) == ("expected 97 %", "accuracy 90 %")
    assert "ZeroDivisionError" in run(tmp_path, "1 / 0")["error"]
    assert run(tmp_path, "import os\nos._exit(3)")["error"] == "exit code 3"


def test_a_program_that_does_not_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "TIMEOUT", 0.5)
    assert run(tmp_path, "while True: pass")["error"] == "stopped after 0.5 s"


def test_quick_and_the_number_of_threads_are_passed_on(tmp_path):
    code = "import os, sys\nprint(sys.argv[1:], os.environ['MINIDL_NUM_THREADS'], os.getcwd())"
    assert run(tmp_path, code, quick=True)["result"] == f"['--quick'] 1 {ROOT}"
    assert run(tmp_path, code)["result"].startswith("[] 1")


def test_a_failure_fails_the_whole(tmp_path, monkeypatch, capsys):
    codes = {"good": "print('fine')", "bad": "import sys; sys.exit('expected more')", "ladder_x": "print('fast')"}
    for name, code in codes.items():
        (tmp_path / f"{name}.py").write_text(code)
    (tmp_path / "_shared.py").write_text("1 / 0")
    (tmp_path / "README.md").write_text(ROWS, encoding="utf-8")
    monkeypatch.setattr(gallery, "HERE", tmp_path)
    monkeypatch.setattr(gallery, "README", tmp_path / "README.md")
    monkeypatch.setattr(sys, "argv", ["gallery.py", "--jobs", "2"])
    with pytest.raises(SystemExit, match=r"failed: bad\.py"):
        gallery.main()
    told = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[1] for line in told[:2]) == ["bad", "good"] and told[2].split()[1] == "ladder_x"
    assert "2 of 3 examples met their targets" in told[3]
    monkeypatch.setattr(sys, "argv", ["gallery.py", "good", "ladder_x.py"])
    gallery.main()
    assert "2 of 2" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["nothing"], ["--jobs", "0"], ["--quick", "--write"]])
def test_what_makes_no_sense_is_told(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gallery.py", *arguments])
    with pytest.raises(SystemExit):
        gallery.main()
    assert "expected names of examples, 1 job or more, and --write without --quick" in capsys.readouterr().err


def test_rows_are_filled_for_each_heading():
    lines = gallery.filled(ROWS, result("one.py")).splitlines()
    assert lines[2] == "| Chain Rule | [one](one.py) | one.png | 3 s | 0.9 of 1 |"
    assert lines[4] == "| H(Y\\|X) | [one](one.py) | one.png | 3 s | 0.9 of 1 |"
    assert [lines[i] for i in (0, 1, 3, 5)] == [ROWS.splitlines()[i] for i in (0, 1, 3, 5)]
    changed = gallery.filled(ROWS, result("two.py", picture=None, result="a | b"))
    assert "|  | [two](two.py) | in the terminal | 3 s | a \\| b |" in changed
    again = gallery.filled(changed, result("two.py"))
    assert "|  | [two](two.py) | one.png | 3 s | 0.9 of 1 |" in again
    assert gallery.filled(ROWS, result("one.py", error="missed")) == ROWS


def test_what_takes_long_begins_first():
    assert gallery.seconds(ROWS, Path("two.py")) == 12
    assert gallery.seconds(ROWS, Path("one.py")) == float("inf")
