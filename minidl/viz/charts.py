"""Small charts as SVG text, for pages that need no library and no network: lines, dots on a log scale, matrices, pictures."""

import base64
import html
import math

import numpy as np

from ..tensors.describing import png

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # of Okabe and Ito: for the colour-blind, too
LEAST, MOST = (
    1e-300,
    1e300,
)  # numbers that differ by less are one; numbers beyond it are drawn at the edge: their differences would be infinite
DASHES = ("", "6 3", "2 2", "8 3 2 3", "1 3", "10 4")
STYLE = """<style>
:root { --bg: #fff; --fg: #1d2125; --mute: #596068; --line: #c9ced4; --cell: 0, 90, 160; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --bg: #16181b; --fg: #e6e8ea; --mute: #a3abb4; --line: #4a525c;
  --cell: 90, 170, 240; } }
.chart { max-width: 100%; height: auto; font: 12px system-ui, "DejaVu Sans", sans-serif; }
.chart text { fill: var(--fg); } .chart .mute { fill: var(--mute); } .chart .axis { stroke: var(--line); }
.chart .bad { fill: #c0392b; font-weight: bold; }
</style>
"""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
{style}<style>
body {{ background: var(--bg); color: var(--fg); font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; margin: 1rem auto;
  max-width: 70rem; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid var(--line); }}
section {{ break-inside: avoid; }} pre, table {{ overflow-x: auto; display: block; font-size: 13px; }}
pre.text {{ white-space: pre-wrap; }}
td, th {{ padding: .1rem .8rem .1rem 0; text-align: left; vertical-align: top; }}
figure {{ display: inline-block; margin: .3rem .6rem .3rem 0; vertical-align: top; }}
figcaption {{ font-size: 13px; color: var(--mute); max-width: 11rem; }}
img {{ max-width: 100%; image-rendering: pixelated; }} img.smooth {{ image-rendering: auto; }}
p.mute {{ color: var(--mute); }}
</style></head><body>
{body}
</body></html>
"""


def page(title, body):
    """A whole HTML page, in light or dark as the reader's system is."""
    return PAGE.format(title=html.escape(title), style=STYLE, body=body)


def svg(width, height, title, parts):
    """The parts as one picture with a title, which screen readers say."""
    title = html.escape(title)
    head = (
        f'<svg class="chart" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{title}">'
    )
    return "\n".join([head, f"<title>{title}</title>", *parts, "</svg>"])


def number(x):
    """A number as on an axis: short.

    >>> number(1200.0), number(0.25), number(3e-07), number(float("nan"))
    ('1,200', '0.25', '3e-07', 'nan')
    """
    if not math.isfinite(x):
        return str(x)
    if x and (abs(x) < 1e-3 or abs(x) >= 1e6):
        return f"{x:.3g}"
    return f"{x:,.4g}" if abs(x) < 1000 else f"{x:,.0f}"


def ticks(low, high):
    """About five round numbers from low to high.

    >>> ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (step * m) <= 6)
    first = math.ceil(low / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, math.floor(high / step + 1e-9) + 1)]


def powers(low, high):
    """Powers of ten around low to high, eight at the most: (exponents of the ends, exponents shown)."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    last = max(last, first + 1)
    step = -(-(last - first) // 8)
    return first, last, range(first, last + 1, step)


def _text(x, y, words, anchor="start", kind=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{html.escape(words)}</text>'


def _line(x, y, x2, y2, style='class="axis"'):
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'


def lines(series, x_label, title, width=560, height=300):
    """series: {name: [(x, y)]}; numbers that are not finite leave gaps."""
    points = {name: [(float(x), float(y)) for x, y in values] for name, values in series.items()}
    xs = [x for values in points.values() for x, y in values]
    ys = [y for values in points.values() for _, y in values if math.isfinite(y)]
    if not xs or not ys:
        return f'<p class="mute">{html.escape(title)}: no finite numbers</p>'
    left, right, top, bottom = 64, 12, 14 + 18 * len(points), 40
    low, high, begin, end = max(min(ys), -MOST), min(max(ys), MOST), min(xs), max(xs)
    low, high = (low - 0.5, high + 0.5) if high - low < LEAST else (min(low, 0) if 0 <= low < 0.5 * high else low, high)
    begin, end = (begin - 0.5, end + 0.5) if begin == end else (begin, end)

    def at(x, y):
        across = left + (x - begin) / (end - begin) * (width - left - right)
        return across, height - bottom - (min(max(y, low), high) - low) / (high - low) * (height - top - bottom)

    parts = []
    for y in ticks(low, high):
        parts += [
            _line(left, at(begin, y)[1], width - right, at(begin, y)[1]),
            _text(left - 6, at(begin, y)[1] + 4, number(y), "end"),
        ]
    whole = all(x == round(x) for x in xs)
    for x in ticks(begin, end):
        if whole and x != round(x):  # there is no epoch 1.5
            continue
        parts.append(_text(at(x, low)[0], height - bottom + 16, number(x), "middle"))
    parts.append(_text((left + width) / 2, height - 6, x_label, "middle", "mute"))
    for i, (name, values) in enumerate(points.items()):
        style = f'stroke="{COLOURS[i % 6]}" stroke-width="2" fill="none" stroke-dasharray="{DASHES[i % 6]}"'
        path, pen = [], "M"
        for x, y in values:
            if math.isfinite(y):
                path.append("{}{:.1f} {:.1f}".format(pen, *at(x, y)))
                pen = "L"
            else:
                pen = "M"
        parts.append(f'<path d="{" ".join(path)}" {style}/>')
        gaps = sum(not math.isfinite(y) for _, y in values)
        parts.append(_line(left, 12 + 18 * i, left + 26, 12 + 18 * i, style))
        parts.append(_text(left + 32, 16 + 18 * i, name + (f" ({gaps} numbers are not finite)" if gaps else "")))
    return svg(width, height, title, parts)


def dots(names, values, remarks, title, width=560):
    """A row for each name with a dot at its value on a log scale; None, 0 and what is not finite have a remark only."""
    good = [x for x in values if x and math.isfinite(x)]
    left, row = min(24 + 7 * max(map(len, names), default=0), 260), 20
    height = 50 + row * len(names)
    parts = [_text(0, 14, title, kind="mute")]
    if good:
        first, last, shown = powers(min(good), max(good))
        span = width - left - 190

        def at(exponent):
            return left + (exponent - first) / (last - first) * span

        for exponent in shown:
            parts += [
                _line(at(exponent), 24, at(exponent), height - 22),
                _text(at(exponent), height - 6, f"1e{exponent}", "middle"),
            ]
    for i, (name, x, remark) in enumerate(zip(names, values, remarks, strict=True)):
        y = 38 + row * i
        short = name if len(name) <= 34 else "…" + name[-33:]
        parts.append(_text(left - 8, y + 4, short, "end"))
        place = left + 6
        if x and math.isfinite(x):
            place = at(math.log10(x))
            parts += [
                _line(left, y, place, y),
                f'<circle cx="{place:.1f}" cy="{y}" r="4.5" fill="{COLOURS[1 if remark else 0]}"/>',
            ]
            parts.append(_text(width - 180, y + 4, f"{x:.1e}", kind="mute"))
        if remark:
            parts.append(_text(width - 120 if x and math.isfinite(x) else place, y + 4, remark, kind="bad"))
    return svg(width, height, title, parts)


def matrix(values, rows, columns, title, *, texts=None, cell=34):
    """Cells whose colour is a share from 0 to 1, with a text in each; None is left white."""
    left = 16 + 7 * max((len(str(name)) for name in rows), default=0)
    width, height = left + cell * len(columns) + 8, 34 + 22 * len(rows) + 8
    parts = []
    for j, name in enumerate(columns):
        parts.append(_text(left + cell * (j + 0.5), 20, str(name), "middle", "mute"))
    for i, name in enumerate(rows):
        y = 28 + 22 * i
        parts.append(_text(left - 6, y + 15, str(name), "end", "mute"))
        for j, share in enumerate(values[i]):
            if share is not None and math.isfinite(share):
                colour = f"fill:rgba(var(--cell), {0.08 + 0.62 * share:.2f})" if share > 0 else "fill:none"
                parts.append(f'<rect x="{left + cell * j}" y="{y}" width="{cell - 1}" height="21" style="{colour}"/>')
            if texts is not None and texts[i][j]:
                parts.append(_text(left + cell * (j + 0.5), y + 15, texts[i][j], "middle"))
    return svg(width, height, title, parts)


def address(image):
    """An image of whole numbers from 0 to 255, (H, W) in grey or (H, W, 3) in colour, as the address of a PNG within a page."""
    image = np.asarray(image).astype(np.uint8)
    image = image if image.ndim == 3 else np.repeat(image[..., None], 3, -1)
    return "data:image/png;base64," + base64.b64encode(png(image)).decode()


def signed(array):
    """Numbers as colours: blue below 0, white at 0, orange above; the largest size is full colour."""
    most = np.abs(array[np.isfinite(array)]).max(initial=0) or 1
    share = np.nan_to_num(np.clip(array / most, -1, 1))[..., None]
    ends = np.where(share < 0, np.array([27, 99, 150]), np.array([196, 84, 10]))
    return np.round(255 + np.abs(share) * (ends - 255))


def grey(array):
    """Numbers as grey, from the smallest, black, to the largest, white."""
    array = np.nan_to_num(np.asarray(array, np.float64))
    low, high = array.min(initial=np.inf), array.max(initial=-np.inf)
    return np.round(255 * (array - low) / (high - low)) if high > low else np.zeros(array.shape)


def picture(image, title, caption="", scale=64, smooth=False):
    """An image with a caption, `scale` pixels high on the page."""
    kind = ' class="smooth"' if smooth else ""
    wide = max(1, round(scale * image.shape[1] / image.shape[0]))
    tag = f'<img src="{address(image)}" alt="{html.escape(title, quote=True)}" width="{wide}" height="{scale}"{kind}>'
    return f"<figure>{tag}<figcaption>{html.escape(caption)}</figcaption></figure>"
