"""Checks the site that was built: links within it lead somewhere, nothing is loaded from elsewhere, no page names this machine.

python docs/site_tools/check.py out/site
"""

import getpass
import platform
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
LOADED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("link", "href"), ("source", "src"), ("video", "src")}


class Page(HTMLParser):
    """The links of a page, [(tag, attribute, target)], and its marks."""

    def __init__(self, text):
        super().__init__()
        self.links, self.marks = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.append((tag, name, value))
            elif (name == "id" or (tag == "a" and name == "name")) and value:
                self.marks.add(value)


def problems(folder):
    """What is wrong with the pages in a folder: a list of sentences."""
    folder = Path(folder).resolve()
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.html"))}
    pages = {path: Page(text) for path, text in texts.items()}
    found = [] if pages else [f"there are no pages in {folder}"]
    for path, page in pages.items():
        here = path.relative_to(folder).as_posix()
        for tag, name, target in page.links:
            problem = _wrong(folder, pages, path, tag, name, target)
            if problem:
                found.append(f"{here}: {problem}: {target}")
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".html", ".ipynb", ".py", ".js", ".css", ".txt", ".zip") and path.is_file():
            text = texts.get(path) or path.read_text(encoding="utf-8", errors="replace")
            found += [f"{path.relative_to(folder).as_posix()}: it names this machine: {x}" for x in machine() if x in text]
    return found


def _wrong(folder, pages, path, tag, name, target):
    parts = urlsplit(target)
    if parts.scheme == "data":
        return None
    if parts.scheme or parts.netloc:
        if (tag, name) in LOADED:
            return "it would be loaded from elsewhere"
        return None if parts.scheme in ("http", "https", "mailto") else "the link is of no known kind"
    there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if there.is_dir():
        there /= "index.html"
    if not there.is_relative_to(folder) or not there.exists():
        return "there is no such page"
    mark = unquote(parts.fragment)
    if mark and there in pages and mark not in pages[there].marks and mark != "top":
        return "there is no such place in the page"
    return None


def machine():
    """Words that would name this machine: the folder of the project, the home folder's path, the name of the host."""
    home, host, user = str(Path.home()), platform.node(), getpass.getuser()
    return [str(ROOT), *([f"{home}/"] if home != "/" else []), *([host] if len(host) > 8 else []), f"{user}@"]


def main():
    found = problems(sys.argv[1])
    if found:
        sys.exit("\n".join([*found, f"{len(found)} problems"]))
    pages = len(list(Path(sys.argv[1]).rglob("*.html")))
    print(f"{pages} pages: all links within the site lead somewhere, nothing is loaded from elsewhere")


if __name__ == "__main__":
    main()
