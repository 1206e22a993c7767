"""minidl's docstrings are plain text. Here they become reST that shows the same text.

In them |x − t| is an absolute value and h_{t−1} has an index: nothing is markup but `code` in backquotes and the titles of
books in stars. A line that ends early was meant to end there, as the lines of a formula do; one that ends because the next word
had no room goes on. What is indented keeps its spaces, and examples stay code.
"""

import re

FULL = 128 - 12  # a line that would be longer than this with the next word may have been broken for want of room
CODE = re.compile(r"(?<![\w`])`([^`\s](?:[^`]*[^`\s])?)`(?![\w`])")
TITLE = re.compile(r"(?<![\w*])\*([A-Z](?:[\w ,'’–-]*\w)?)\*(?![\w*])")
MARKUP = str.maketrans({x: f"\\{x}" for x in "\\*`|_@"})


def rest(text, link=None):
    """Lines of reST that show a plain text. link: gives reST for a name in backquotes that leads somewhere, else None."""
    lines = []
    for block in re.split(r"\n\s*\n", text.expandtabs().strip("\n")):
        for kind, part in _parts(block.splitlines()):
            lines += [*_KINDS[kind](part, link or _nothing), ""]
    return lines


def inline(text, link=None):
    """One line of text with everything escaped that reST would take for markup."""
    spans, end = [], 0
    for match in sorted([*CODE.finditer(text), *TITLE.finditer(text)], key=lambda match: match.start()):
        if match.start() < end:
            continue
        spans.append(_escaped(text[end : match.start()]))
        code = match.re is CODE
        inner = match[1]
        found = (link or _nothing)(inner) if code else None
        marked = found or (f"``{inner}``" if code else f"*{_escaped(inner)}*")
        before = "" if match.start() == 0 or text[match.start() - 1] == " " else "\\ "
        after = "" if match.end() == len(text) or text[match.end()] in " .,;:" else "\\ "
        spans.append(before + marked + after)
        end = match.end()
    return "".join([*spans, _escaped(text[end:])])


def _nothing(name):
    return None


def _escaped(text):
    text = text.translate(MARKUP)
    return f"{text[:-1]}\\:" if text.endswith("::") else text


def _parts(block):
    """(kind, lines) of what is between two empty lines: an example, indented lines, a list, or text."""
    kind, part = None, []
    for line in block:
        new = _kind(line, kind)
        if new != kind and part:
            yield kind, part
            part = []
        kind = new
        part.append(line)
    if part:
        yield kind, part


def _kind(line, before):
    if before == "example" or line.lstrip().startswith(">>> "):
        return "example"  # until the next empty line: what follows is what it prints
    if line.startswith("- ") or (before == "list" and line.startswith("  ")):
        return "list"
    return "indented" if line.startswith(" ") else "text"


def _example(lines, link):
    indent = min(len(line) - len(line.lstrip()) for line in lines)
    return [".. code-block:: pycon", "", *(f"   {line[indent:]}" for line in lines)]


def _indented(lines, link):
    indent = min(len(line) - len(line.lstrip()) for line in lines)
    return ["::", "", *(f"   {line[indent:]}" for line in lines)]


def _list(lines, link):
    items = []
    for line in lines:
        if line.startswith("- "):
            items.append(line[2:])
        else:
            items[-1] += " " + line.strip()
    return [f"- {_first(inline(item, link))}" for item in items]


def _text(lines, link):
    whole = joined(lines)
    if len(whole) == 1:
        return [_first(inline(whole[0], link))]
    return [f"| {inline(line, link)}" for line in whole]


def joined(lines):
    """Lines that were broken for want of room, put together again."""
    whole, last = [], ""
    for line in lines:
        if last and len(last) + 1 + len(line.split(" ", 1)[0]) > FULL:
            whole[-1] += " " + line
        else:
            whole.append(line)
        last = line
    return whole


def _first(text):
    """A paragraph whose first character begins no list, no title and no comment."""
    return text if re.match(r"[^\W\d_]{2}|[^\W\d_] |``", text) else f"\\ {text}"


_KINDS = {"example": _example, "indented": _indented, "list": _list, "text": _text}
