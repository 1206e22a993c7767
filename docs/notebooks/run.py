"""Executes the notebooks of this folder: `python docs/notebooks/run.py [NAMES] [--out FOLDER]`.

A notebook is kept as a script in jupytext's percent format: `# %%` begins a cell of code, and
`# %% [markdown]` one of text. So it can be read and compared as text, and runs as a script, too.
Here jupytext makes it an .ipynb, nbclient executes it, and the result with its pictures is written
to FOLDER/NAME.ipynb (--html: to NAME.html as well). The kernel is this Python with this minidl;
nothing is installed or read in the user's home. It ends with an error if a cell fails or warns:
the cell's source and what it said are printed.

It needs the `notebooks` extra: pip install -e '.[notebooks]'
"""

import argparse
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbclient
import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbconvert import HTMLExporter

HERE = Path(__file__).resolve().parent
SCRIPTS = {
    path.stem: path for path in sorted(HERE.glob("*.py")) if path.name != Path(__file__).name
}
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", help=f"which notebooks: {', '.join(SCRIPTS)} (default: all)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out"),
        help="folder for the executed notebooks (default: %(default)s)",
    )
    parser.add_argument("--html", action="store_true", help="a web page beside each notebook")
    parser.add_argument(
        "--timeout", type=float, default=300, help="seconds for each cell (default: %(default)g)"
    )
    options = parser.parse_args()
    names = [Path(name).stem for name in options.names] or list(SCRIPTS)
    if strangers := sorted(set(names) - set(SCRIPTS)):
        parser.error(f"there is no notebook {', '.join(strangers)}; there are {', '.join(SCRIPTS)}")
    if options.out.is_file():
        parser.error("--out must name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    failed = [name for name in names if not run(name, options)]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def run(name, options):
    """Executes a notebook and writes it; whether no cell failed or warned."""
    notebook = jupytext.read(SCRIPTS[name])
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
    }
    begin = time.perf_counter()
    trouble = execute(notebook, options.timeout)
    took = time.perf_counter() - begin
    path = options.out / f"{name}.ipynb"
    nbformat.write(notebook, path)
    if options.html:
        page, _ = HTMLExporter().from_notebook_node(notebook, {"metadata": {"name": name}})
        path.with_suffix(".html").write_text(page, encoding="utf-8")
    for number, source, said in trouble:
        print(
            f"{SCRIPTS[name].name}: cell {number} failed:\n\n{source}\n\n{said}\n", file=sys.stderr
        )
    print(
        f"{name}: {len(notebook.cells)} cells, {took:.1f} s: {'FAILED' if trouble else path}",
        flush=True,
    )
    return not trouble


class Kernel(AsyncKernelManager):
    """A kernel of this interpreter, whatever is installed; it listens on files, not on ports."""

    def __init__(self, **options):
        sockets = "ipc" if os.name == "posix" else "tcp"
        file = os.path.join(os.environ["JUPYTER_RUNTIME_DIR"], "kernel.json")
        native = KernelSpecManager(kernel_dirs=[])
        super().__init__(
            kernel_spec_manager=native, transport=sockets, connection_file=file, **options
        )


def execute(notebook, timeout):
    """Runs all cells; [(number, source, what was said)] of those that failed or warned."""
    with tempfile.TemporaryDirectory() as work:
        os.environ["JUPYTER_RUNTIME_DIR"] = work
        env = {
            k: v for k, v in os.environ.items() if k != "MPLBACKEND"
        }  # the kernel's own shows pictures in the notebook
        path = os.pathsep.join(filter(None, (str(HERE.parents[1]), env.get("PYTHONPATH"))))
        env |= {"PYTHONPATH": path, "IPYTHONDIR": work, "MINIDL_QUIET": "1"}
        client = nbclient.NotebookClient(
            notebook,
            kernel_name="python3",
            kernel_manager_class=Kernel,
            timeout=timeout,
            resources={"metadata": {"path": work}},
        )
        try:
            client.execute(env=env)
        except nbclient.exceptions.CellExecutionError:
            pass  # the cell has it among its outputs
        except (nbclient.exceptions.CellTimeoutError, nbclient.exceptions.DeadKernelError) as error:
            return [("?", "", str(error))]
    return [
        (k, cell.source, said)
        for k, cell in enumerate(notebook.cells, 1)
        if (said := complaint(cell))
    ]


def complaint(cell):
    """What a cell should not say: its error, or what it wrote to stderr, such as warnings."""
    outputs = cell.get("outputs", [])
    errors = ["\n".join(out.traceback) for out in outputs if out.output_type == "error"]
    warned = [out.text for out in outputs if out.output_type == "stream" and out.name == "stderr"]
    return COLOURS.sub("", "\n".join(errors + warned))


if __name__ == "__main__":
    main()
