"""The pages of backprop that pages of the site have in frames. The example explain_backprop.py makes them."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES, DOCS = ROOT / "examples", ROOT / "docs"
FRAME = re.compile(r'<iframe class="explain" src="explain/explain_(\w+)\.html"')


def write(folder):
    """Makes the pages of backprop, by the example that makes them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / f"explain_{name}.html" for name in embedded()]
    sources = [EXAMPLES / "explain_backprop.py", *(ROOT / "minidl" / "viz").rglob("*.*")]
    newest = max(path.stat().st_mtime for path in sources)
    if all(path.exists() and path.stat().st_mtime > newest for path in made):
        return
    command = [sys.executable, "examples/explain_backprop.py", "--out", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    for path in (*folder.glob("*.png"), folder / "explain_backprop.html"):  # its picture, and the report of its run
        path.unlink(missing_ok=True)


def embedded():
    """The names of the pages of backprop that pages of the site have in frames."""
    return sorted({name for path in DOCS.glob("*.md") for name in FRAME.findall(path.read_text(encoding="utf-8"))})
