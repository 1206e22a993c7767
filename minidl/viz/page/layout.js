"use strict";
// Where boxes and operations are placed: the same as minidl/viz/layout.py. Each box is laid out by itself, inner ones first.
const GAP_X = 22, GAP_Y = 34, PAD = 14, HEAD = 26, BEND = 12;

// items: [{key, w, h}] in the order of creation; edges: [[key, key], …] without cycles. enters, leaves: the keys that lines
// from and to the outside lead to; the bends of their ways to the top and to the bottom are those of "null>b" and "a>null".
// Gives {w, h, at: Map key -> {x, y}, bends: Map "a>b" -> [{x, y}, …]}.
function placeLevel(items, edges, enters = [], leaves = []) {
  const n = items.length, number = new Map(items.map((it, i) => [it.key, i]));
  const before = items.map(() => []), after = items.map(() => []);
  for (const [a, b] of edges) {
    const i = number.get(a), j = number.get(b);
    before[j].push(i);
    after[i].push(j);
  }
  const layer = new Array(n).fill(0), waiting = before.map(p => p.length), order = [];
  for (let i = 0; i < n; i++) if (!waiting[i]) order.push(i);
  for (let k = 0; k < order.length; k++) for (const j of after[order[k]]) {
    layer[j] = Math.max(layer[j], layer[order[k]] + 1);
    if (!--waiting[j]) order.push(j);
  }
  // A branch that leads to one place only is drawn beside it.
  const own = new Array(n).fill(false);
  for (const i of order) own[i] = before[i].every(p => after[p].length === 1 && own[p]);
  for (const i of order.slice().reverse()) if (after[i].length && own[i]) {
    layer[i] = Math.min(...after[i].map(j => layer[j])) - 1;
  }
  const rows = [], cell = [];
  for (const i of order) {
    while (rows.length <= layer[i]) rows.push([]);
    cell[i] = { key: items[i].key, w: items[i].w, h: items[i].h, up: [], down: [] };
    rows[layer[i]].push(cell[i]);
  }
  const chains = new Map();
  for (const i of order) for (const j of after[i]) {
    let a = cell[i];
    const chain = [];
    for (let l = layer[i] + 1; l < layer[j]; l++) {
      const d = { key: null, w: BEND, h: 0, up: [a], down: [] };
      a.down.push(d);
      rows[l].push(d);
      chain.push(d);
      a = d;
    }
    a.down.push(cell[j]);
    cell[j].up.push(a);
    if (chain.length) chains.set(items[i].key + ">" + items[j].key, chain);
  }
  const way = (part, c, side, other) => part.map(row => {
    const d = { key: null, w: BEND, h: 0, up: [], down: [] };
    c[side].push(d);
    d[other].push(c);
    row.push(d);
    return c = d;
  });
  for (const k of enters) { const i = number.get(k); chains.set("null>" + k, way(rows.slice(0, layer[i]).reverse(), cell[i], "up", "down").reverse()); }
  for (const k of leaves) { const i = number.get(k); chains.set(k + ">null", way(rows.slice(layer[i] + 1), cell[i], "down", "up")); }
  const middle = c => c.x + c.w / 2;
  for (const row of rows) { let x = 0; for (const c of row) { c.x = x; x += c.w + GAP_X; } }
  for (let sweep = 0; sweep < 8; sweep++) {
    const side = sweep % 2 ? "down" : "up";
    for (const row of sweep % 2 ? rows.slice().reverse() : rows) {
      for (const c of row) c.wish = c[side].length ? c[side].reduce((s, d) => s + middle(d), 0) / c[side].length : middle(c);
      row.sort((p, q) => p.wish - q.wish);
      let x = -Infinity, off = 0;
      for (const c of row) { c.x = Math.max(x, c.wish - c.w / 2); x = c.x + c.w + GAP_X; off += middle(c) - c.wish; }
      for (const c of row) c.x -= off / row.length;
    }
  }
  let left = Infinity, right = -Infinity, y = 0;
  for (const row of rows) for (const c of row) { left = Math.min(left, c.x); right = Math.max(right, c.x + c.w); }
  const at = new Map();
  for (const row of rows) {
    const h = row.reduce((m, c) => Math.max(m, c.h), 0);
    for (const c of row) { c.x -= left; c.y = y + (h - c.h) / (c.up.length ? 2 : 1); if (c.key !== null) at.set(c.key, { x: c.x, y: c.y }); }
    for (const c of row) if (c.key === null) { c.y = y; c.h = h; }
    y += h + GAP_Y;
  }
  const bends = new Map();
  for (const [k, chain] of chains) bends.set(k, chain.map(d => ({ x: d.x + d.w / 2, y: d.y, h: d.h })));
  return { w: n ? right - left : 0, h: n ? y - GAP_Y : 0, at, bends };
}

// tree: {items: Map box -> [key], edges: Map box -> [[key, key]], enters, leaves: Map box -> [key]}, where null is the page and a box's key is "b" + number.
// open: Set of box numbers; size(key): {w, h} of what is closed or no box. Gives {w, h, places: [{key, x, y, w, h, open}],
// bends: Map "box|a>b" -> [{x, y, h}]}: boxes come before what is in them.
function arrange(tree, open, size) {
  function inner(box) {
    const subs = new Map(), items = [];
    for (const key of tree.items.get(box) || []) {
      const number = key[0] === "b" ? +key.slice(1) : null;
      if (number !== null && open.has(number)) {
        const sub = inner(number), label = size(key).w;
        subs.set(key, sub);
        items.push({ key, w: Math.max(label, sub.w + 2 * PAD), h: sub.h + PAD + HEAD });
      } else items.push({ key, ...size(key) });
    }
    return { items, subs, ...placeLevel(items, ...["edges", "enters", "leaves"].map(k => tree[k].get(box) || [])) };
  }
  const places = [], bends = new Map();
  function spread(level, box, x, y) {
    for (const [k, chain] of level.bends) bends.set(box + "|" + k, chain.map(p => ({ x: p.x + x, y: p.y + y, h: p.h })));
    for (const it of level.items) {
      const p = level.at.get(it.key), sub = level.subs.get(it.key);
      places.push({ key: it.key, x: x + p.x, y: y + p.y, w: it.w, h: it.h, open: !!sub });
      if (sub) spread(sub, +it.key.slice(1), x + p.x + (it.w - sub.w) / 2, y + p.y + HEAD);
    }
  }
  const top = inner(null);
  spread(top, null, 0, 0);
  return { w: top.w, h: top.h, places, bends };
}
