"""The site's parts: docstrings that become reST, links that lead somewhere, a reference that lacks nothing.

The site itself is built and checked by `make docs`, which .ci/run calls.
"""

import importlib.util
import inspect
import re
import sys
from pathlib import Path

import pytest

import minidl
from minidl import ops

from . import test_documentation

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))
from site_tools import check, explained, links, prose, reading, reference  # noqa: E402

sphinx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("sphinx", "sphinx_gallery")),
    reason="sphinx or sphinx-gallery is not installed: make docs installs them",
)

HARD = [
    "½(x − t)²/beta where |x − t| < beta, else |x − t| − ½beta",
    "n = tanh(W_in x_t + b_in + r·(W_hn h_{t−1} + b_hn)); h_t = (1 − z)·n",
    "a*b and a ** b, **options and *sizes, and one * more",
    "ends with an underscore_ and with two__, a reference_, _private names_",
    "- x is no list",
    "1. is no list either",
    "A. is none",
    ".. this is no comment",
    "what comes next::",
    "|y| = |x|·|w|, |substitution|_",
    r"a backslash \ and \n, \* as well",
    "see [1]_ and <this> and a@b.c",
    "=====",
    ":name: a field",
    "Tensor `x` and `y`s, pre`z`, `a_`, `a * b`, an odd ` and more",
    "as *Dive into Deep Learning* has it, x*Y*z",
]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("y = |x|\ndx = dy·sign(x)", ["| y = \\|x\\|", "| dx = dy·sign(x)"]),
        ("A sentence.", ["A sentence."]),
        ("Where `x` is.", ["Where ``x`` is."]),
        ("`x`s", ["\\ \\`x\\`s"]),
        ("The book *Deep Learning*, *args", ["The book *Deep Learning*, \\*args"]),
        ("- one\n  and more\n- two", ["- one and more", "- two"]),
        (">>> 1 + 1\n2", [".. code-block:: pycon", "", "   >>> 1 + 1", "   2"]),
        ("p:\n    v ← m·v  (first)\n    p ← p − v", ["\\ p:", "", "::", "", "   v ← m·v  (first)", "   p ← p − v"]),
        ("a" * 60 + " " + "b" * 50 + "\ncontinued here", ["a" * 60 + " " + "b" * 50 + "\ncontinued here".replace("\n", " ")]),
        ("a" * 60 + "\nbegins anew", ["| " + "a" * 60, "| begins anew"]),
    ],
)
def test_lines_of_a_docstring(text, lines):
    assert list(prose.rest(text))[: len(lines)] == lines


def test_an_example_goes_on_to_the_empty_line():
    told = prose.rest("Text.\n>>> f(\n...     1)\ntensor(1)\n\nMore.")
    assert told[0] == "Text."
    assert told[2:8] == [".. code-block:: pycon", "", "   >>> f(", "   ...     1)", "   tensor(1)", ""]
    assert told[8] == "More."


def shown(text):
    """What a reader of the reST sees, without messages of the parser."""
    from docutils import core, utils  # noqa: PLC0415

    told = core.publish_doctree("\n".join(prose.rest(text)), settings_overrides={"report_level": 1, "halt_level": 1})
    assert isinstance(told, utils.nodes.document)
    return told.astext()


def plain(text):
    """Without spaces, backquotes of code, stars of titles and dashes of lists, which are shown otherwise."""
    text = prose.TITLE.sub(r"\1", prose.CODE.sub(r"\1", text))
    return re.sub(r"\s+", "", re.sub(r"(?m)^- ", "", text))


@sphinx
@pytest.mark.parametrize("text", HARD)
def test_hard_lines_are_shown_as_they_are(text):
    assert re.sub(r"\s+", "", shown(text)) == (plain(text) if not text.startswith("- ") else plain(text[2:]))
    assert re.sub(r"\s+", "", shown(f"First.\n\n{text}\nand a second line")).startswith("First.")


@sphinx
def test_docstrings_of_all_operations_are_shown_as_they_are():
    for name in dir(ops):
        x = getattr(ops, name)
        if isinstance(x, type) and issubclass(x, ops.Op):
            text = inspect.getdoc(x)
            joined = "\n".join(" ".join(block.splitlines()) for block in text.split("\n\n"))
            assert re.sub(r"\s+", "", shown(text)) == plain(joined), name


def test_the_reference_has_all_that_is_public():
    assert set(reference.public()) == {re.sub(r"^Tensor\.", "minidl.Tensor.", name) for name, _ in test_documentation.PUBLIC}
    assert reference.spaces() == test_documentation.SPACES


def test_the_reference_lacks_nothing():
    assert [problem for name, x in reference.public().items() for problem in reference.lacks(name, x)] == []


def test_what_the_reference_would_lack_is_said():
    def bare(*args, **kwargs):
        pass

    class Named(tuple):
        __doc__ = "Named(a, b)"

    assert reference.lacks("minidl.bare", bare) == [
        "minidl.bare has no docstring of its own",
        "minidl.bare has no example after >>>",
        "minidl.bare has no signature of its own",
    ]
    assert "minidl.Named has no docstring of its own" in reference.lacks("minidl.Named", Named)
    assert reference.lacks("minidl.exp", minidl.exp) == []


def test_pages_of_the_reference(tmp_path):
    assert reference.write(tmp_path) == []
    index = (tmp_path / "index.rst").read_text(encoding="utf-8")
    assert all(f"   {space}\n" in index for space in test_documentation.SPACES)
    text = "".join(path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.rst"))
    described = set(re.findall(r"^\.\. (?:auto|py:)\w+:: ([\w.]+)", text, re.M))
    assert set(reference.public()) <= described
    assert "minidl.ops.MatMul" in described


def test_the_reading_order_names_files_that_are_there(tmp_path):
    order = [path for path, _ in reading.order()]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("An order for reading:")[2].partition("Then the tests")[0]
    assert len(order) == len(set(order)) == table.count("](minidl/") > 25
    reading.write(tmp_path)
    for path in order:
        assert (ROOT / path).is_file(), path
    pages = re.findall(r"^reading/(\S+)$", reading.completed(reading.MARK), re.M)
    assert sorted(f"{page}.rst" for page in pages) == sorted(path.name for path in tmp_path.iterdir())


def test_a_page_of_the_reading_order_has_each_line_that_says_something(tmp_path):
    reading.write(tmp_path)
    page = (tmp_path / "ops-softmax.rst").read_text(encoding="utf-8")
    pieces = [range(int(a) - 1, int(b)) for a, b in re.findall(r":lines: (\d+)-(\d+)", page)]
    source = (ROOT / "minidl" / "ops" / "softmax.py").read_text(encoding="utf-8").splitlines()
    assert [i for piece in pieces for i in piece if source[i].strip()] == [i for i, line in enumerate(source) if line.strip()]


def test_at_least_six_pages_of_backprop_are_embedded():
    program = (ROOT / "examples" / "explain_backprop.py").read_text(encoding="utf-8")
    names = explained.embedded()
    assert len(names) >= 6
    assert all(f"def {name}():" in program for name in names)


def test_every_page_of_markdown_can_be_expanded():
    pages = [*DOCS.glob("*.md"), *(DOCS / "testing").glob("*.md")]
    assert len(pages) > 15
    for path in pages:
        text = links.expanded(path.read_text(encoding="utf-8"), path.relative_to(DOCS).with_suffix("").as_posix())
        assert not links.INCLUDE.search(text)
        for _, _, target in links.LINK.findall("".join(part for part, code in links._split(text) if not code)):
            assert re.match(r"https?:|source:|/|#", target), f"{path.name}: {target}"
            if target.startswith("/") and not re.match(r"/(api|atlas|gallery|reading)/", target):
                assert (DOCS / target[1:].partition("#")[0]).exists(), f"{path.name}: {target}"


@pytest.mark.parametrize(
    ("target", "path", "name", "there"),
    [
        ("README.md#speed", "CONTRIBUTING.md", "", "/benchmarks.md#speed"),
        ("../minidl/information.py", "docs/coverage.md", "`information.entropy`", "source:minidl/information.py#L"),
        ("kl_asymmetry.py", "examples/README.md", "", "/gallery/kl_asymmetry.rst"),
        ("../examples/README.md", "docs/coverage.md", "", "/headings.md"),
        ("examples/digits_mlp.png", "README.md", "", "/../examples/digits_mlp.png"),
        ("tests/PROMISES.md", "README.md", "", "/testing/promises.md"),
        ("tests/table.py", "README.md", "tests/table.py", "source:tests/table.py"),
    ],
)
def test_links_lead_to_pages_of_the_site(target, path, name, there):
    assert links.destination(target, path, name).startswith(there)


@pytest.mark.parametrize("target", ["README.md#nothing", "minidl/nothing.py", "../docs/nothing.md"])
def test_a_link_that_leads_nowhere_is_an_error(target):
    with pytest.raises(LookupError):
        links.destination(target, "examples/README.md" if target.startswith("..") else "CONTRIBUTING.md")


def test_every_section_of_the_readme_that_is_linked_is_on_its_page():
    for anchor, page in links.SECTIONS.items():
        text = links.expanded((DOCS / page).read_text(encoding="utf-8"), page.removesuffix(".md"))
        anchors = [
            re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, re.M)
        ]
        assert anchor in anchors or anchor in links.TITLES or page == "headings.md", anchor


def test_the_checker_of_the_site_finds_what_is_wrong(tmp_path):
    (tmp_path / "other.html").write_text('<h1 id="here">x</h1>')
    good = '<a href="other.html#here">a</a> <a href="https://example.org">b</a> <img src="data:image/png;base64,">'
    (tmp_path / "index.html").write_text(good)
    assert check.problems(tmp_path) == []
    bad = '<a href="none.html">a</a><a href="other.html#there">b</a><script src="https://example.org/x.js"></script>'
    (tmp_path / "index.html").write_text(f'{good}{bad}<iframe src="gone.html"></iframe>{ROOT}')
    assert [problem.split(": ")[1] for problem in check.problems(tmp_path)] == [
        "there is no such page",
        "there is no such place in the page",
        "it would be loaded from elsewhere",
        "there is no such page",
        "it names this machine",
    ]
    (tmp_path / "empty").mkdir()
    assert check.problems(tmp_path / "empty") == [f"there are no pages in {tmp_path / 'empty'}"]


@sphinx
def test_programs_for_the_gallery():
    from site_tools import programs  # noqa: PLC0415

    text = '"""Norms: what |x| is.\n\nTarget: *x* is 1.\n"""\n\nimport sys\n\n\n# --- the picture\n\n\ndef main():\n    pass\n'
    made = programs.prepared(text, "norms")
    assert made.startswith('r"""\nNorms\n==========\n\nNorms: what \\|x\\| is.\n')
    assert "# %%\n# The picture\n# ------" in made
    assert "import sys" in made and "def main():\n    pass" in made
    titles = [
        programs.title(Path(f"{ROOT}/examples/{name}.py").read_text(encoding="utf-8")[3:], name) for name in programs.names()
    ]
    assert len(set(titles)) == len(titles) > 50
    assert all(title and title.count("(") == title.count(")") for title in titles)
    assert set(programs.QUICK) <= set(programs.names())
    with pytest.raises(RuntimeError, match="expected more"):
        programs.missed("expected more")
    programs.missed()
