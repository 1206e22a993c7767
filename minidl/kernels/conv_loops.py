"""The loops of `conv`, from the smallest outwards: gather a panel, multiply, put in place; `correlate` has them all.

    y[o, pixel] = Σ_k A[o, k] · B[k, pixel]

A, the weights, lies in stripes of PACKED_ROWS rows (`pack_weights`). B is never whole: `gather` makes a panel of it, `depth` by
`columns` numbers, from rows of the source that `find_pieces` found. A source is an image or, where there is a stride or a
border, its planes.
"""

import numpy as np

from .arrays import empty_array, zero_array
from .jit import jit
from .planes import place, sort
from .tile import (
    GATHERED,
    PACKED_ROWS,
    PACKED_VECTORS,
    VECTOR_BYTES,
    copy_run,
    gather_rows,
    moved,
    pack_stripe,
    packed_tile,
)

DEPTH = 192  # k is cut in blocks of at most this many: a panel of B stays in the L1 cache (18 KiB; AVX-512: 36 KiB)
BLOCK_STRIPES = 64  # stripes of A that stay in the L2 cache while panels pass by (192 KiB of float32)


@jit
def pack_weights(w, bias, orders, phases, groups, group_step, rows, row_step, packed, part, parts):
    """One share of the stripes of rows of A for every phase and group; after all of them the bias, padded to whole stripes."""
    stripes = (rows + PACKED_ROWS - 1) // PACKED_ROWS
    units, last_phase = groups * stripes, phases.shape[0] - 1
    total = phases[last_phase, 0] + phases[last_phase, 1]
    for unit in range(units * part // parts, units * (part + 1) // parts):
        g, row = unit // stripes, unit % stripes * PACKED_ROWS
        start, last = g * group_step + row * row_step, min(PACKED_ROWS, rows - row) - 1
        for f in range(phases.shape[0]):
            k0, depth = phases[f, 0], phases[f, 1]
            pack_stripe(w, start, row_step, last, orders, k0, depth, packed, (k0 * units + unit * depth) * PACKED_ROWS)
        for r in range(PACKED_ROWS):
            at = (total * units + unit) * PACKED_ROWS + r
            packed[at] = bias[g * rows + row + r] if r <= last and bias.size else 0


@jit
def find_pieces(pixel, n, lines, width, pitch, image, sources, targets, lanes):
    """Whole vectors that, copied in this order, put n pixels from `pixel` on side by side; their number.

    Vectors that reach over the end of a row are overwritten by the next row.
    """
    count, done, line, j = 0, 0, pixel // width, pixel % width
    while done < n:
        length = min(n - done, width - j)
        start = line // lines * image + line % lines * pitch + j
        for piece in range(0, length, lanes):
            moved = min(piece, max(0, length - lanes))
            sources[count], targets[count] = start + moved, done + moved
            count += 1
        done += length
        line, j = line + 1, 0
    return count


@jit
def gather(source, start, steps, k, depth, farthest, sources, targets, count, panel):
    """panel[q] = the pixels that `find_pieces` found, moved by steps[k + q] ≤ farthest."""
    lanes = VECTOR_BYTES // source.itemsize
    reach = 0
    for piece in range(count):
        reach = max(reach, sources[piece])
    if count <= GATHERED and start + farthest + reach + lanes <= source.size:
        gather_rows(source, start, steps, k, depth, sources, targets, count, panel)
        return
    for q in range(depth):
        for piece in range(count):
            s, t = start + steps[k + q] + sources[piece], q * PACKED_VECTORS * lanes + targets[piece]
            for i in range(min(lanes, source.size - s)):  # what a whole vector would read past the end is not needed
                panel[t + i] = source[s + i]


@jit
def correlate(x, packed, y, sizes, planes, steps, along, phases, images, chunk, groups, channels, rows, part, parts):
    """One share of a convolution as a Plan describes it; channels and rows are those of x and of y per group.

    The work is cut in items (a band of rows of `chunk` images) and units (a stripe of rows of A, of a group). A share is some
    of the items with all units, or all items with some units. For each item and group the image is sorted into planes; for
    each phase a product of matrices follows, and what it gave is put where it belongs in y.
    """
    stripes = (rows + PACKED_ROWS - 1) // PACKED_ROWS
    items = (images + chunk - 1) // chunk * sizes.bands
    item0, item1, unit0, unit1 = share(items, groups * stripes, part, parts)
    # As many numbers as a product may give before it is put in its place; none where it is written to y at once.
    held = 0
    for f in range(phases.shape[0]):
        held += chunk * rows * min(sizes.band, phases[f, 3]) * (sizes.pitch if sizes.direct else phases[f, 4])
    buffered = chunk > 1 or sizes.direct or phases[0, 3] * phases[0, 4] < sizes.pixels
    out = empty_array(held if buffered else 0, x.dtype)
    # From a channel to the next, and from an image to the next, in what the taps read: the planes, or the images themselves.
    channel_step = planes.shape[0] * sizes.plane_rows * sizes.pitch
    image_step = channel_step * (channels if sizes.sorts else groups * channels)
    columns = PACKED_VECTORS * VECTOR_BYTES // x.itemsize
    planar = zero_array(chunk * image_step + columns if sizes.sorts else 0, x.dtype)
    panel = zero_array(DEPTH * columns + VECTOR_BYTES // x.itemsize, x.dtype)
    pieces = empty_array(columns, np.int64), empty_array(columns, np.int64)
    for item in range(item0, item1):
        n0, i0 = item // sizes.bands * chunk, item % sizes.bands * sizes.band
        together = min(chunk, images - n0)
        for g in range(unit0 // stripes, (unit1 + stripes - 1) // stripes):
            stripe0, stripe1 = max(unit0 - g * stripes, 0), min(unit1 - g * stripes, stripes)
            row0, row1 = stripe0 * PACKED_ROWS, min(stripe1 * PACKED_ROWS, rows)
            if sizes.sorts:
                fill_planes(x, sizes, planes, n0, together, i0, groups, g, channels, planar)
                source, base = moved(planar, 0), 0
            else:
                source, base = moved(x, 0), (n0 * groups + g) * channels * channel_step + i0 * sizes.pitch
            out_at = 0
            for f in range(phases.shape[0]):
                k_at, k_all, across = phases[f, 0], phases[f, 1], phases[f, 4]
                down = max(0, min(sizes.band, phases[f, 3] - i0))
                n_pixels = max(0, (down - 1) * sizes.pitch + across) if sizes.direct else together * down * across
                c, c_at, c_step = y, (n0 * groups + g) * rows * sizes.pixels + i0 * across, sizes.pixels
                if buffered:
                    c, c_at, c_step = out, out_at - row0 * n_pixels, n_pixels
                # Where A and the bias of this phase and group begin, counted in stripes; the bias comes after all of A.
                a_at, bias_at = (k_at * groups + g * k_all) * stripes, (sizes.total * groups + g) * stripes
                lines, line = (1, down * across) if across == sizes.pitch else (down, across)
                multiply(
                    packed, a_at, bias_at, rows, stripe0, stripe1, source, base, steps, k_at, k_all, n_pixels, lines, line,
                    image_step, sizes, along, panel, pieces, c, c_at, c_step,
                )  # fmt: skip
                if buffered:
                    first, step = (n0 * groups + g) * rows, sizes.pitch if sizes.direct else across
                    spread(
                        out, out_at, step, n_pixels // together, y, phases, f, i0, down, sizes.pixels, first, groups * rows,
                        together, row0, row1,
                    )  # fmt: skip
                out_at += n_pixels * (row1 - row0)


@jit
def share(items, units, part, parts):
    """(first item, last, first unit, last), the last ones not included. What shares out more evenly is shared: items or units.

    Units cost more: each share has the same images to prepare.
    """
    most_items, most_units = (items + parts - 1) // parts, (units + parts - 1) // parts
    if 10 * items * most_units >= 9 * units * most_items:
        return items * part // parts, items * (part + 1) // parts, 0, units
    return 0, items, units * part // parts, units * (part + 1) // parts


@jit
def fill_planes(x, sizes, planes, n0, together, i0, groups, g, channels, planar):
    """Sorts group g of some images into planes, for the rows of y from i0 on: (image, channel, plane, row, pixel)."""
    image = sizes.height, sizes.width
    origin, stride = (sizes.top + i0 * sizes.stride_h, sizes.left), (sizes.stride_h, sizes.stride_w)
    channel_step = planes.shape[0] * sizes.plane_rows * sizes.pitch
    for n in range(together):
        for c in range(channels):
            start = (((n0 + n) * groups + g) * channels + c) * sizes.height * sizes.width
            at = (n * channels + c) * channel_step
            sort(x, start, image, origin, stride, planes, sizes.plane_rows, sizes.pitch, planar, at)


@jit
def multiply(
    packed, a_at, bias_at, rows, stripe0, stripe1, source, base, steps, k_at, k_all, n_pixels, lines, line, image_step, sizes,
    along, panel, pieces, c, c_at, c_step,
):  # fmt: skip
    """c[row, pixel] = bias[row] + Σ_k A[row, k] · source[base + place of pixel + steps[k_at + k]], for some stripes of rows.

    k goes in blocks of equal depth: the first writes c, with the bias; the others add to it. For a block and a few stripes of
    A, panels of `columns` pixels pass by: each is gathered once (or read where it lies, if `direct`) and meets every stripe.
    """
    lanes = VECTOR_BYTES // panel.itemsize
    columns = PACKED_VECTORS * lanes
    sources, targets = pieces
    blocks = (k_all + DEPTH - 1) // DEPTH
    depth = (k_all + blocks - 1) // blocks
    for k in range(0, k_all, depth):
        kn = min(depth, k_all - k)
        for s0 in range(stripe0, stripe1, BLOCK_STRIPES):
            for p in range(0, n_pixels, columns):
                n = min(columns, n_pixels - p)
                b, b_at, b_steps, b_k = source, base + p, steps, k_at + k
                if not sizes.direct:
                    count = find_pieces(p, n, lines, line, sizes.pitch, image_step, sources, targets, lanes)
                    gather(source, base, steps, k_at + k, kn, sizes.farthest, sources, targets, count, panel)
                    b, b_at, b_steps, b_k = moved(panel, 0), 0, along, 0
                for s in range(s0, min(s0 + BLOCK_STRIPES, stripe1)):
                    row = s * PACKED_ROWS
                    a, bias = (a_at + s * k_all + k) * PACKED_ROWS, (bias_at + s) * PACKED_ROWS
                    packed_tile(
                        packed, a, b, b_at, b_steps, lanes, b_k, kn, c, c_at + row * c_step + p, c_step, lanes, bias, k,
                        rows - row, n,
                    )  # fmt: skip


@jit
def spread(out, at, line, length, y, phases, f, i0, down, pixels, first, image_rows, together, row0, row1):
    """From `out`, which holds (rows, images, `length` pixels in lines) of a band of phase f, to the places in y."""
    start, across, row_step, step = phases[f, 2], phases[f, 4], phases[f, 5], phases[f, 6]
    for r in range(row0, row1):
        for n in range(together):
            target = (first + n * image_rows + r) * pixels + start + i0 * row_step
            if step == 1 and row_step == across == line:
                copy_run(out, at, y, target, down * across)
            else:
                place(out, at, line, down, across, y, target, row_step, step)
            at += length
