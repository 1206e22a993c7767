// ---- data
const D = JSON.parse(document.getElementById("data").textContent), N = D.nodes, S = D.steps, A = D.arrays, B = D.boxes;
const $ = id => document.getElementById(id);
const el = (tag, cls, text) => {
  const e = document.createElement(tag);
  if (cls) e.className = cls;
  if (text != null) e.textContent = text;
  return e;
};
const F = N.map((n, i) => i).filter(i => N[i].kind === "op"), LOSS = F.length, END = F.length + S.length;
const forwardAt = new Map(F.map((i, k) => [i, k + 1])), stepOf = new Map(S.map((s, k) => [s.node, k]));
const MANY = 3; // a leaf with more users is drawn beside each of them
const users = N.map(() => []);
N.forEach((n, i) => n.needs.forEach(j => users[j].push(i)));
const repeated = i => N[i].kind !== "op" && users[i].length > MANY;
const shares = N.map(() => []); // of each node: what is sent to it
S.forEach((s, k) => s.out.forEach(o => shares[o.to].push({ step: k, from: s.node, out: o })));
const pathOf = b => { const p = []; while (b !== null) { p.unshift(b); b = B[b].parent; } return p; };
const boxPath = B.map((_, b) => pathOf(b));
const pathOfNode = i => N[i].box === null ? [] : boxPath[N[i].box];
const members = B.map(() => []);
N.forEach((n, i) => { for (const b of pathOfNode(i)) members[b].push(i); });

// ---- words
const num = v => typeof v === "string" ? v.replace("inf", "∞").replace("-", "−") : v == null ? "–" : !isFinite(v) ? String(v)
  : v === 0 ? "0" : (Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3 ? v.toExponential(2) : String(+v.toPrecision(4))).replace(/-/g, "−");
const shapeText = s => s == null ? "no result" : s.length ? s.join("×") : "scalar";
const shapeOf = a => a == null ? "" : shapeText(A[a].shape);
const title = i => N[i].kind === "op" ? N[i].name + (N[i].var ? ` (${N[i].var})` : "") : N[i].name;
const short = i => N[i].kind === "op" ? N[i].name : N[i].box !== null && N[i].kind === "parameter" ? N[i].name.split(".").pop() : N[i].name;
const boxText = b => (B[b].turn ? `${B[b].turn}. ` : "") + (B[b].attr ? `${B[b].attr}: ` : "") + B[b].label + (B[b].times ? ` ×${B[b].times}` : "");
const list = parts => parts.length < 2 ? parts.join("") : parts.slice(0, -1).join(", ") + " and " + parts[parts.length - 1];
const size = a => a == null || A[a].rms === undefined ? 0 : +A[a].rms || 0;
const sizeOfDy = s => Math.sqrt(s.dy.reduce((t, a) => t + size(a) ** 2, 0));
function sentence(k) {
  if (k === 0) return `Before the first operation. ${F.length} operations lead to the loss; then ${S.length} steps lead back.`;
  if (k <= LOSS) {
    const i = F[k - 1], n = N[i], got = n.needs.map(j => `${title(j)} ${shapeText(N[j].shape)}`);
    const gives = n.error && n.shape === null ? `fails: ${n.error}` : `gives ${shapeText(n.shape)}` + (n.values.length === 1 && A[n.values[0]].n === 1 ? `, ${num(A[n.values[0]].mean)}` : "");
    const end = i === D.loss && !D.error && S.length ? " This is the loss; its gradient with respect to itself is 1." : "";
    return `Forward ${k} of ${F.length}: ${n.name} takes ${list(got) || "numbers"} and ${gives}.${end}`;
  }
  const s = S[k - LOSS - 1], to = s.out.map(o => `${shapeOf(o.dx)} to ${title(o.to)}`);
  return `Back ${k - LOSS} of ${S.length}: ${N[s.node].name} receives dy ${list(s.dy.filter(a => a !== null).map(shapeOf))}, size ${num(sizeOfDy(s))}, and `
    + (N[s.node].error ? `fails: ${N[s.node].error}.` : to.length ? `sends ${list(to)}.` : "sends nothing on.");
}

// ---- arrays and their pictures
function floats(a) {
  const x = A[a];
  if (x.f === undefined) {
    if (x.data === undefined) x.f = null;
    else {
      const text = atob(x.data), bytes = new Uint8Array(text.length);
      for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
      x.f = new Float32Array(bytes.buffer);
      delete x.data;
    }
  }
  return x.f;
}
// {w, h, at(x, y) -> place in the shown part, or −1}: a matrix as it is, more axes as tiles, rows of square length as pictures
function plane(a, pictures) {
  const s = A[a].shown, n = s.length;
  if (n < 2 && !(pictures && n === 1)) return { w: n ? s[0] : 1, h: 1, at: x => x };
  let w = s[n - 1], h = n > 1 ? s[n - 2] : 1, tiles = s.slice(0, -2).reduce((p, q) => p * q, 1);
  if (pictures) { tiles = n > 1 ? s[0] : 1; h = w = Math.round(Math.sqrt(w)); }
  if (tiles <= 1) return { w, h, at: (x, y) => y * w + x };
  const columns = Math.min(tiles, Math.max(1, Math.round(Math.sqrt(tiles * 2.2 * h / w)), Math.min(tiles, Math.floor(48 / (w + 1)))));
  const lines = Math.ceil(tiles / columns);
  return { w: columns * (w + 1) - 1, h: lines * (h + 1) - 1, at: (x, y) => {
    const i = x / (w + 1) | 0, j = y / (h + 1) | 0, u = x % (w + 1), v = y % (h + 1), t = j * columns + i;
    return u < w && v < h && t < tiles ? (t * h + v) * w + u : -1;
  } };
}
const square = a => { const s = A[a].shown || [], q = Math.sqrt(s[s.length - 1]); return s.length <= 2 && q >= 7 && q % 1 === 0; };
const pictured = new Set(); // arrays shown as pictures
N.forEach(n => { if (n.kind === "constant" && n.values.length && square(n.values[0]) && n.shape.length === 2) pictured.add(n.values[0]); });
const dark = () => document.documentElement.dataset.theme === "dark";
let sharedScale = false;
const gradientArrays = new Set(S.flatMap(s => [...s.dy, ...s.out.map(o => o.dx)]).filter(a => a != null));
const largest = a => Math.max(Math.abs(+A[a].min || 0), Math.abs(+A[a].max || 0));
const common = { gradient: 0, value: 0 };
A.forEach((x, a) => { const k = gradientArrays.has(a) ? "gradient" : "value"; common[k] = Math.max(common[k], largest(a)); });
const scaleOf = a => (sharedScale ? common[gradientArrays.has(a) ? "gradient" : "value"] : largest(a)) || 1;
const PLUS = [217, 95, 2], MINUS = [27, 99, 180], NAN = [190, 0, 190];
function colour(v, m) {
  if (v !== v) return NAN;
  if (!isFinite(v)) return v > 0 ? [90, 30, 0] : [0, 20, 70];
  const base = dark() ? [30, 34, 39] : [255, 255, 255], t = Math.min(1, Math.abs(v) / m) ** .7, c = v >= 0 ? PLUS : MINUS;
  return base.map((b, k) => b + (c[k] - b) * t);
}
function paint(a, most) {
  const f = floats(a), p = plane(a, pictured.has(a)), c = el("canvas"), m = scaleOf(a);
  c.width = Math.max(1, Math.min(p.w, most));
  c.height = Math.max(1, Math.min(p.h, most));
  const g = c.getContext("2d"), image = g.createImageData(c.width, c.height);
  for (let y = 0, o = 0; y < c.height; y++) for (let x = 0; x < c.width; x++, o += 4) {
    const k = p.at(x, y);
    if (k < 0 || k >= f.length) continue;
    const [r, gr, b] = colour(f[k], m);
    image.data[o] = r; image.data[o + 1] = gr; image.data[o + 2] = b; image.data[o + 3] = 255;
  }
  g.putImageData(image, 0, 0);
  c.plane = p;
  return c;
}
function thumb(a, what, w = 58, h = 26) {
  if (a == null || !A[a].n) return null;
  if (A[a].n === 1) return el("small", what === "gradient" ? "kink" : "", (what === "gradient" ? "∂ " : "") + num(A[a].mean === undefined ? NaN : A[a].mean));
  if (!floats(a)) return null;
  const c = paint(a, 64), k = Math.min(w / c.width, h / c.height);
  c.style.width = Math.max(4, Math.min(w, c.width * k)) + "px";
  c.style.height = Math.max(4, Math.min(h, c.height * Math.max(k, Math.min(4, h / c.height)))) + "px";
  c.title = what;
  return c;
}
const indexText = index => `[${index.join(", ")}]`;
function unravel(k, shape) {
  const index = [];
  for (let d = shape.length - 1; d >= 0; d--) { index.unshift(k % shape[d]); k = Math.floor(k / shape[d]); }
  return index;
}
const ravel = (index, shape) => index.reduce((k, i, d) => k * shape[d] + i, 0);

// One array in the side panel: words, picture, legend, and the number under the pointer. tell(index or null) is called for it.
function shown(label, a, tell) {
  const box = el("div", "array");
  if (a == null) return box;
  const x = A[a], stats = x.n > 1 && x.min !== undefined ? `min ${num(x.min)}, mean ${num(x.mean)}, max ${num(x.max)}, size ${num(x.rms)}` : "";
  const zero = x.n > 1 && x.zeros ? `, ${x.zeros} of ${x.n} are 0` : "";
  box.append(el("div", "cap", `${label}: ${shapeText(x.shape)} ${x.dtype}` + (x.n === 1 && x.min !== undefined ? ` = ${num(x.min)}` : x.n === 0 ? ", empty" : `, ${stats}${zero}`)));
  if (x.bad) box.append(el("div", "bad", `not finite: ${x.bad[0]} NaN, ${x.bad[1]} +∞, ${x.bad[2]} −∞ (painted purple, dark orange, dark blue)`));
  if (x.n < 2) return box;
  const f = floats(a);
  if (!f) { box.append(el("div", "cap", "left out: the page would exceed its budget")); return box; }
  const c = paint(a, 400), room = Math.min(400, ($("side").clientWidth || 400) - 34), k = Math.max(room / c.width < 1 ? room / c.width : 1, Math.min(16, Math.floor(room / c.width), Math.floor(210 / c.height)));
  c.style.width = c.width * k + "px";
  c.style.height = c.height * Math.max(k, c.height === 1 ? 14 : 0) + "px";
  c.tabIndex = 0;
  c.setAttribute("role", "img");
  c.setAttribute("aria-label", `${label}, ${shapeText(x.shape)}, from ${num(x.min)} to ${num(x.max)}; arrow keys read its elements`);
  const picture = el("div", "picture"), over = el("canvas"), read = el("div", "cap", "\u00a0"), p = c.plane;
  over.width = c.width; over.height = c.height;
  Object.assign(over.style, { position: "absolute", left: 0, top: 0, width: c.style.width, height: c.style.height, pointerEvents: "none", borderColor: "transparent" });
  picture.append(c, over);
  let cx = 0, cy = 0;
  const say = (px, py) => {
    const k = p.at(px, py);
    if (k < 0 || k >= f.length) { read.textContent = "\u00a0"; return; }
    const index = unravel(k, x.shown);
    read.textContent = `${label}${indexText(index)} = ${num(f[k])}`;
    if (tell) tell(index, f[k]);
  };
  c.onmousemove = e => {
    const r = c.getBoundingClientRect();
    cx = Math.min(c.width - 1, Math.max(0, Math.floor((e.clientX - r.left) / r.width * c.width)));
    cy = Math.min(c.height - 1, Math.max(0, Math.floor((e.clientY - r.top) / r.height * c.height)));
    say(cx, cy);
  };
  c.onmouseleave = () => tell && tell(null);
  c.onkeydown = e => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
    if (!move) return;
    cx = Math.max(0, Math.min(c.width - 1, cx + move[0]));
    cy = Math.max(0, Math.min(c.height - 1, cy + move[1]));
    say(cx, cy);
    e.preventDefault();
    e.stopPropagation();
  };
  const legend = el("div", "legend"), m = scaleOf(a), bar = el("i"), css = v => `rgb(${colour(v, m).map(Math.round).join()})`;
  bar.style.background = `linear-gradient(90deg, ${[-1, -.5, 0, .5, 1].map(t => css(t * m)).join()})`;
  legend.append(el("span", "", num(-m)), bar, el("span", "", num(m) + (sharedScale ? " (shared)" : "")));
  if (square(a)) {
    const button = el("button", "", pictured.has(a) ? "as rows" : "as pictures");
    button.onclick = () => { pictured.has(a) ? pictured.delete(a) : pictured.add(a); thumbs.clear(); side(); };
    legend.append(button);
  }
  box.append(picture, legend, read);
  if (x.shown.join() !== x.shape.join()) box.append(el("div", "cap", `shown: the first ${x.shown.join("×")}`));
  box.mark = inside => { // paints the elements for which inside(index) holds
    const g = over.getContext("2d"), image = g.createImageData(over.width, over.height);
    if (inside) for (let y = 0, o = 0; y < over.height; y++) for (let px = 0; px < over.width; px++, o += 4) {
      const k = p.at(px, y);
      if (k >= 0 && k < f.length && inside(unravel(k, x.shown))) { image.data[o] = 0; image.data[o + 1] = 170; image.data[o + 2] = 80; image.data[o + 3] = 150; }
    }
    g.putImageData(image, 0, 0);
  };
  return box;
}
// Whether the element `index` of an input is one that the output's element `y` depends on: see minidl/viz/reach.py.
function reached(rule, index, shape, y, yShape) {
  if (rule === "flat") return ravel(index, shape) === ravel(y, yShape);
  return rule.every(([kind, k, ...more], axis) => {
    const i = index[axis], at = y[k];
    if (kind === "all") return true;
    if (kind === "same") return i === at;
    if (kind === "upto") return i <= at;
    if (kind === "spans") return i >= more[0][at] && i < more[0][at] + more[1][at];
    const [stride, padding, dilation, count] = more, d = i - (stride * at - padding);
    return d >= 0 && d % dilation === 0 && d / dilation < count;
  });
}

// ---- boxes: what is drawn
const tree = { items: new Map(), edges: new Map(), enters: new Map(), leaves: new Map() }, keyPath = new Map(); // key -> the boxes around it
const push = (map, key, value) => { if (!map.has(key)) map.set(key, []); map.get(key).push(value); };
const links = []; // {a, b: keys of nodes, step of the share or −1, rms of dx}
{
  const seen = new Set(), add = (key, path) => {
    keyPath.set(key, path);
    path.forEach((b, d) => { const k = "b" + b; if (!seen.has(k)) { seen.add(k); push(tree.items, d ? path[d - 1] : null, k); keyPath.set(k, path.slice(0, d)); } });
    push(tree.items, path.length ? path[path.length - 1] : null, key);
  };
  N.forEach((n, i) => {
    n.needs.forEach(j => { const k = `a${j}.${i}`; if (repeated(j) && !keyPath.has(k)) add(k, pathOfNode(i)); });
    if (!repeated(i)) add("n" + i, pathOfNode(i));
  });
  const done = new Set(), sent = new Map();
  S.forEach((s, k) => s.out.forEach(o => sent.set(`${o.to}>${s.node}`, { step: k, rms: size(o.dx) })));
  N.forEach((n, i) => n.needs.forEach(j => {
    const a = repeated(j) ? `a${j}.${i}` : "n" + j, b = "n" + i, p = keyPath.get(a), q = keyPath.get(b);
    if (done.has(a + ">" + b)) return;
    done.add(a + ">" + b);
    let d = 0;
    while (d < p.length && d < q.length && p[d] === q[d]) d++;
    const box = d ? p[d - 1] : null, x = d < p.length ? "b" + p[d] : a, y = d < q.length ? "b" + q[d] : b, pair = `${box}|${x}>${y}`;
    if (x !== y && !done.has(pair)) { done.add(pair); push(tree.edges, box, [x, y]); }
    const ways = (map, path, key, name) => path.slice(d).map((outer, k) => {
      const inner = d + k + 1 < path.length ? "b" + path[d + k + 1] : key, id = `${outer}|${name(inner)}`;
      if (!done.has(id)) { done.add(id); push(map, outer, inner); }
      return id;
    });
    const route = [...ways(tree.leaves, p, a, k => k + ">null").reverse(), pair, ...ways(tree.enters, q, b, k => "null>" + k)];
    links.push({ a, b, route, ...(sent.get(`${j}>${i}`) || { step: -1, rms: 0 }) });
  }));
}
const nodeOf = key => key[0] === "n" ? +key.slice(1) : key[0] === "a" ? +key.slice(1).split(".")[0] : null;
const W = 156, sizes = key => {
  if (key[0] === "b") return { w: Math.max(W, Math.min(300, 40 + 9 * boxText(+key.slice(1)).length)), h: 58 };
  const n = N[nodeOf(key)];
  return n.kind === "op" ? { w: W, h: 80 } : key[0] === "a" ? { w: 104, h: 42 } : { w: 128, h: 72 };
};
const open = new Set();
function openSome(limit) { // opens boxes from the outside as long as few enough items show
  open.clear();
  let level = (tree.items.get(null) || []).filter(k => k[0] === "b"), count = (tree.items.get(null) || []).length;
  while (level.length) {
    const next = [];
    for (const k of level) {
      const b = +k.slice(1), inside = tree.items.get(b) || [];
      if (count + inside.length - 1 > limit || B[b].kind === "fold") continue;
      count += inside.length - 1;
      open.add(b);
      next.push(...inside.filter(q => q[0] === "b"));
    }
    level = next;
  }
}
const visible = key => { for (const b of keyPath.get(key)) if (!open.has(b)) return "b" + b; return key; };

let places = [], placeOf = new Map(), edges = [], zoom = 1, stageW = 0, stageH = 0;
const MARGIN = 24, drawn = new Map(), drawnEdges = new Map(), svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
svg.setAttribute("aria-hidden", "true");
function lay() {
  const t0 = performance.now(), got = arrange(tree, open, sizes);
  places = got.places.map(p => ({ ...p, x: p.x + MARGIN, y: p.y + MARGIN }));
  placeOf = new Map(places.map(p => [p.key, p]));
  stageW = got.w + 2 * MARGIN;
  stageH = got.h + 2 * MARGIN;
  const pairs = new Map();
  for (const l of links) {
    const a = visible(l.a), b = visible(l.b);
    if (a === b) continue;
    const e = pairs.get(a + ">" + b);
    if (e) { if (l.step >= 0) e.steps.push(l.step); e.rms = Math.max(e.rms, l.rms); }
    else pairs.set(a + ">" + b, { key: a + ">" + b, a, b, steps: l.step >= 0 ? [l.step] : [], rms: l.rms, bends: l.route.flatMap(r => got.bends.get(r) || []) });
  }
  edges = [...pairs.values()];
  for (const e of edges) route(e);
  for (const x of drawn.values()) x.remove();
  for (const x of drawnEdges.values()) x.remove();
  drawn.clear();
  drawnEdges.clear();
  resize();
  window.layoutMs = performance.now() - t0;
}
function route(e) {
  const p = placeOf.get(e.a), q = placeOf.get(e.b);
  const way = [[p.x + p.w / 2, p.y + p.h]];
  for (const d of e.bends) way.push([d.x + MARGIN, d.y + MARGIN], [d.x + MARGIN, d.y + d.h + MARGIN]);
  way.push([q.x + q.w / 2, q.y]);
  let path = `M${way[0]}`;
  for (let i = 1; i < way.length; i++) {
    const [x1, y1] = way[i - 1], [x2, y2] = way[i], k = Math.max(10, (y2 - y1) / 2);
    path += i % 2 ? `C${x1},${y1 + k} ${x2},${y2 - k} ${x2},${y2}` : `L${x2},${y2}`;
  }
  e.d = path;
  const xs = way.map(v => v[0]), ys = way.map(v => v[1]);
  e.box = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}
function resize() {
  const st = $("stage");
  st.style.width = stageW + "px";
  st.style.height = stageH + "px";
  st.style.transform = `scale(${zoom})`;
  st.style.marginRight = stageW * (zoom - 1) + "px";
  st.style.marginBottom = stageH * (zoom - 1) + "px";
  const v = $("view"), side = Math.max(0, (v.clientWidth - stageW * zoom) / 2);
  st.style.left = side + "px";
  svg.setAttribute("width", stageW);
  svg.setAttribute("height", stageH);
}
// Draws what is in view, in the order of the layout (so that Tab goes from top to bottom), and removes what has left it.
function draw() {
  const v = $("view"), off = parseFloat($("stage").style.left) || 0, far = 150;
  const x0 = (v.scrollLeft - off) / zoom - far, y0 = v.scrollTop / zoom - far;
  const x1 = x0 + v.clientWidth / zoom + 2 * far, y1 = y0 + v.clientHeight / zoom + 2 * far;
  const inView = p => printing || (p.x < x1 && p.x + p.w > x0 && p.y < y1 && p.y + p.h > y0), st = $("stage"), wanted = new Set();
  if (svg.parentNode !== st) st.append(svg);
  let cursor = svg.nextSibling;
  for (const p of places) {
    if (!inView(p)) continue;
    wanted.add(p.key);
    let e = drawn.get(p.key);
    if (!e) {
      e = p.open ? openBox(p) : p.key[0] === "b" ? closedBox(p) : node(p);
      drawn.set(p.key, e);
      st.insertBefore(e, cursor);
      if (e.mark) e.mark();
    }
    cursor = e.nextSibling;
  }
  for (const [key, e] of drawn) if (!wanted.has(key)) { e.remove(); drawn.delete(key); }
  const seen = new Set();
  for (const e of edges) {
    if (!printing && (e.box[0] > x1 || e.box[2] < x0 || e.box[1] > y1 || e.box[3] < y0)) continue;
    seen.add(e.key);
    if (!drawnEdges.has(e.key)) {
      const path = document.createElementNS(svg.namespaceURI, "path");
      path.setAttribute("d", e.d);
      svg.append(path);
      drawnEdges.set(e.key, path);
      markEdge(e, path);
    }
  }
  for (const [key, path] of drawnEdges) if (!seen.has(key)) { path.remove(); drawnEdges.delete(key); }
}
let printing = false, waiting = false;
const later = () => { if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; draw(); }); } };
const put = (e, p) => Object.assign(e.style, { left: p.x + "px", top: p.y + "px", width: p.w + "px", height: p.h + "px" });
function openBox(p) {
  const b = +p.key.slice(1), frame = el("div", "box"), label = el("button", "boxlabel", "▾ " + boxText(b));
  put(frame, p);
  Object.assign(label.style, { left: "6px", top: "4px", maxWidth: p.w - 16 + "px" });
  label.setAttribute("aria-expanded", "true");
  label.title = "close " + boxText(b);
  label.onclick = () => toggle(b);
  frame.append(label);
  return frame;
}
function closedBox(p) {
  const b = +p.key.slice(1), e = el("button", "node closed"), ops = members[b].filter(i => N[i].kind === "op").length;
  put(e, p);
  e.dataset.key = p.key;
  e.append(el("b", "", "▸ " + boxText(b)), el("small", "", `${ops} operation${ops === 1 ? "" : "s"}`));
  e.setAttribute("aria-expanded", "false");
  e.title = boxText(b);
  e.onclick = () => toggle(b);
  e.mark = () => markBox(e, b);
  return e;
}
function node(p) {
  const i = nodeOf(p.key), n = N[i], e = el("button", "node " + n.kind + (n.unrecorded ? " unrecorded" : ""));
  put(e, p);
  e.dataset.key = p.key;
  e.title = title(i) + " " + shapeText(n.shape);
  e.append(el("b", short(i).length > 15 ? "long" : "", short(i)), el("small", "", (i === D.loss && !n.error ? "loss  " : n.kind === "op" && n.var ? n.var + "  " : "") + shapeText(n.shape) + (n.outputs ? ` and ${n.outputs - 1} more` : "")));
  if (p.key[0] === "n") e.append(el("div", "pics"));
  e.onclick = () => { chosen = i; mark(); side(); };
  e.mark = () => markNode(e, i);
  return e;
}
function toggle(b) {
  open.has(b) ? open.delete(b) : open.add(b);
  const v = $("view"), before = placeOf.get("b" + b), top = before ? before.y * zoom - v.scrollTop : 0;
  lay();
  const now = placeOf.get("b" + b);
  if (now) v.scrollTop = now.y * zoom - top;
  draw();
  const e = drawn.get("b" + b);
  if (e) (e.querySelector(".boxlabel") || e).focus({ preventScroll: true });
  $("all").textContent = open.size === B.length ? "close all" : "open all";
}

// ---- the state: a place in time, and what is chosen
let pos = LOSS, chosen = D.loss, timer = null;
const nowNode = () => pos === 0 ? -1 : pos <= LOSS ? F[pos - 1] : S[pos - LOSS - 1].node;
const backSteps = () => Math.max(0, pos - LOSS); // how many steps back have been made
function arrived(i) { // how many of its shares
  const list = shares[i], k = backSteps();
  let low = 0, high = list.length;
  while (low < high) { const m = (low + high) >> 1; list[m].step < k ? low = m + 1 : high = m; }
  return low;
}
const gradient = i => N[i].grad != null ? N[i].grad : stepOf.has(i) ? S[stepOf.get(i)].dy[0] : null;
const computed = i => N[i].kind !== "op" || forwardAt.get(i) <= pos;
const verdicts = i => {
  const own = stepOf.has(i) ? S[stepOf.get(i)].out.flatMap(o => Array.isArray(o.check) ? o.check : []) : [];
  return own.concat(Array.isArray(N[i].chain) ? N[i].chain : []);
};
const wrongRule = i => stepOf.has(i) && S[stepOf.get(i)].out.some(o => Array.isArray(o.check) && o.check.some(c => c.verdict === "wrong"));
const wrong = new Set(N.map((_, i) => i).filter(i => N[i].error || wrongRule(i)));
const wrongChain = new Set(N.map((_, i) => i).filter(i => Array.isArray(N[i].chain) && N[i].chain.some(c => c.verdict === "wrong")));
const thumbs = new Map();
let hits = [], hit = -1;
function markNode(e, i) {
  const n = N[i], all = shares[i].length, got = arrived(i), isLoss = i === D.loss && backSteps() > 0;
  e.classList.toggle("now", i === nowNode());
  e.classList.toggle("chosen", i === chosen);
  e.classList.toggle("later", !computed(i));
  e.classList.toggle("done", (all > 0 && got === all) || isLoss);
  e.classList.toggle("some", got > 0 && got < all);
  e.classList.toggle("wrong", wrong.has(i));
  e.classList.toggle("hit", hits.includes(i));
  const pics = e.querySelector(".pics"), showGradient = (all > 0 && got === all) || isLoss, state = `${computed(i)}${showGradient}${sharedScale}${dark()}`;
  if (!pics || pics.dataset.state === state) return;
  pics.dataset.state = state;
  const room = n.kind === "op" ? 62 : 46;
  const parts = [computed(i) && n.values.length ? thumb(n.values[0], "value", room) : null, showGradient ? thumb(gradient(i), "gradient", room) : null];
  pics.replaceChildren(...parts.filter(x => x));
}
const boxSpan = B.map((_, b) => {
  const ks = members[b].map(i => stepOf.get(i)).filter(k => k !== undefined), fs = members[b].map(i => forwardAt.get(i)).filter(k => k);
  return { first: Math.min(...ks), last: Math.max(...ks), begin: Math.min(...fs), bad: members[b].some(i => wrong.has(i)) };
});
function markBox(e, b) {
  const s = boxSpan[b], k = backSteps(), now = nowNode();
  e.classList.toggle("now", now >= 0 && pathOfNode(now).includes(b));
  e.classList.toggle("chosen", pathOfNode(chosen).includes(b));
  e.classList.toggle("later", s.begin > pos);
  e.classList.toggle("done", s.last < k);
  e.classList.toggle("some", s.first < k && s.last >= k);
  e.classList.toggle("wrong", s.bad);
  e.classList.toggle("hit", hits.some(i => pathOfNode(i).includes(b)));
}
const logs = links.map(l => l.rms).filter(r => r > 0).map(Math.log10);
const lowest = logs.reduce((a, b) => Math.min(a, b), Infinity), highest = logs.reduce((a, b) => Math.max(a, b), -Infinity);
function markEdge(e, path) {
  const k = backSteps(), used = e.steps.some(s => s < k), hot = k > 0 && e.steps.includes(k - 1);
  path.setAttribute("class", "edge" + (hot ? " hot" : used ? " passed" : ""));
  const t = e.rms > 0 && highest > lowest ? (Math.log10(e.rms) - lowest) / (highest - lowest) : e.rms > 0 ? .5 : 0;
  path.style.strokeWidth = used ? 1 + 5 * t : "";
}
function mark() {
  for (const e of drawn.values()) if (e.mark) e.mark();
  for (const e of edges) { const path = drawnEdges.get(e.key); if (path) markEdge(e, path); }
}
function go(k, quiet) {
  pos = Math.max(0, Math.min(END, k));
  const now = nowNode();
  if (now >= 0) chosen = now;
  $("slider").value = pos;
  $("slider").setAttribute("aria-valuetext", sentence(pos));
  $("count").textContent = pos <= LOSS ? `forward ${pos} / ${LOSS}` : `back ${pos - LOSS} / ${S.length}`;
  $("say").textContent = sentence(pos);
  for (const [id, off] of [["first", pos === 0], ["prev", pos === 0], ["next", pos === END], ["last", pos === END]]) $(id).disabled = off;
  mark();
  side();
  strip();
  if (!quiet) reveal(now);
}
function keyOf(i) { return visible(repeated(i) ? `a${i}.${users[i][0]}` : "n" + i); }
function reveal(i) {
  const p = i >= 0 && placeOf.get(keyOf(i)), v = $("view");
  if (!p) return;
  const off = parseFloat($("stage").style.left) || 0, left = p.x * zoom + off, top = p.y * zoom, edge = 30;
  const inside = left >= v.scrollLeft + edge && left + p.w * zoom <= v.scrollLeft + v.clientWidth - edge && top >= v.scrollTop + edge && top + p.h * zoom <= v.scrollTop + v.clientHeight - edge;
  if (!inside) v.scrollTo({ left: left - (v.clientWidth - p.w * zoom) / 2, top: top - (v.clientHeight - p.h * zoom) / 2 });
  draw();
}
function play() {
  if (timer) { clearInterval(timer); timer = null; } else {
    if (pos === END) go(0);
    timer = setInterval(() => { go(pos + 1); if (pos === END) play(); }, 800);
  }
  $("play").textContent = timer ? "pause" : "play";
  $("play").setAttribute("aria-pressed", String(!!timer));
}
function setZoom(z) {
  const v = $("view"), cx = (v.scrollLeft + v.clientWidth / 2) / zoom, cy = (v.scrollTop + v.clientHeight / 2) / zoom;
  zoom = Math.max(.08, Math.min(2.5, z));
  resize();
  v.scrollTo(cx * zoom - v.clientWidth / 2, cy * zoom - v.clientHeight / 2);
  draw();
}
function fit() {
  const v = $("view");
  if (!v.clientWidth) return;
  const whole = Math.min(1, (v.clientWidth - 4) / stageW, (v.clientHeight - 4) / stageH), width = Math.min(1, (v.clientWidth - 4) / stageW);
  setZoom(whole >= .7 ? whole : Math.max(.7, width)); // smaller than that nothing can be read: scroll
  reveal(nowNode());
}
// |dy| of every step back, on a log scale: a gradient that vanishes or explodes is seen here.
function strip() {
  const c = $("strip"), w = c.clientWidth, h = 40, r = window.devicePixelRatio || 1;
  c.style.display = S.length ? "" : "none";
  if (!w || !S.length) return;
  c.width = w * r;
  c.height = h * r;
  const g = c.getContext("2d"), css = getComputedStyle(document.documentElement), ink = name => css.getPropertyValue(name).trim();
  g.scale(r, r);
  const sizesOf = S.map(sizeOfDy), ls = sizesOf.filter(x => x > 0).map(Math.log10), a = Math.floor(ls.reduce((p, q) => Math.min(p, q), 0)), b = Math.ceil(ls.reduce((p, q) => Math.max(p, q), a + 1));
  const x0 = 62, step = (w - x0 - 4) / S.length, y = v => 4 + (h - 8) * (b - Math.log10(v)) / (b - a);
  g.fillStyle = ink("--mute");
  g.font = "10px sans-serif";
  g.fillText("|dy| 1e" + b, 2, 11);
  g.fillText("1e" + a, 27, h - 2);
  S.forEach((s, k) => {
    g.fillStyle = ink(k === pos - LOSS - 1 ? "--fg" : wrong.has(s.node) ? "--bad" : k < pos - LOSS ? "--hot" : "--line");
    const top = sizesOf[k] > 0 ? y(sizesOf[k]) : h - 4;
    g.fillRect(x0 + k * step, top, Math.max(1, step - (step > 4 ? 1 : 0)), h - 2 - top);
  });
  c.setAttribute("aria-label", `size of dy along the way back, log scale: ${num(sizesOf[0])} at the loss, ${num(sizesOf[S.length - 1])} at the last step, smallest ${num(sizesOf.reduce((p, q) => Math.min(p, q)))}`);
  c.title = "|dy| of each step back, log scale; click to go there";
}

// ---- the side panel
function table(head, rows) {
  const t = el("table"), tr = el("tr"), scroll = scrolls(el("div", "scroll"), "table");
  head.forEach(x => { const th = el("th", "", x); th.scope = "col"; tr.append(th); });
  t.append(tr);
  for (const row of rows) { const r = el("tr"); row.forEach(x => r.append(x instanceof Node ? cellOf(x) : el("td", "", x))); t.append(r); }
  scroll.append(t);
  return scroll;
}
const scrolls = (e, name) => { e.tabIndex = 0; e.setAttribute("role", "group"); e.setAttribute("aria-label", name); return e; }; // so that keys can scroll it
const cellOf = x => { const td = el("td"); td.append(x); return td; };
function checks(rows, name) {
  if (rows == null) return [];
  if (!Array.isArray(rows)) return [el("p", "cap", `${name}: not checked, ${rows}`)];
  const count = v => rows.filter(c => c.verdict === v).length, out = [];
  const bad = count("wrong"), kinks = rows.filter(c => c.verdict === "kink"), odd = count("not finite");
  out.push(table([name, "backward", "quotient", "verdict"], rows.map(c => [indexText(c.at), num(c.back), num(c.quotient), el("span", { ok: "ok", wrong: "bad", kink: "kink" }[c.verdict] || "", { ok: "✓", wrong: "✗", kink: "kink" }[c.verdict] || c.verdict)])));
  for (const c of kinks) out.push(el("p", "cap kink", c.near ? `${indexText(c.at)} lies within ${num(c.near)} of a kink; a smaller step does not reach it, and its quotient agrees.` : `${indexText(c.at)} lies at a kink: the slope is ${num(c.sides[0])} to the left and ${num(c.sides[1])} to the right. Backward chooses one slope for each element of y; this is no error.`));
  out.push(bad ? el("p", "bad", `✗ ${bad} of ${rows.length} differ from the difference quotient`) : odd ? el("p", "cap", `${odd} of ${rows.length} are not finite and cannot be compared`) : el("p", "ok", kinks.length ? `✓ ${rows.length - kinks.length} agree, ${kinks.length} at a kink` : "✓ agrees with the difference quotient"));
  return out;
}
function link(i, text) {
  const b = el("button", "", text || title(i));
  b.onclick = () => { chosen = i; mark(); side(); reveal(i); };
  return b;
}
const heading = text => el("h3", "", text);
function fold(text, ...inside) {
  const d = el("details");
  d.append(el("summary", "", text), ...inside);
  d.open = opened.has(text.split(":")[0]);
  d.ontoggle = () => opened[d.open ? "add" : "delete"](text.split(":")[0]);
  return d;
}
const opened = new Set();
function formula(n) {
  const rule = n.rule && D.rules[n.rule], box = el("div", "formula");
  if (!rule || !rule.doc) return null;
  rule.doc.split("\n").forEach((line, k) => box.append(el("div", k && /(^|[\s:,(])d\(?\w+\)?(\[[^\]]*\])?\s*=|∂/.test(line) ? "back" : "", line.replace(/(\S) {2,}/g, "$1   "))));
  return box;
}
function side() {
  const n = N[chosen], s = $("side"), add = (...parts) => s.append(...parts.filter(x => x));
  s.replaceChildren();
  for (const text of D.notes) add(el("p", "note", text));
  if (D.error) add(el("p", "error", D.error));
  if (!n) return;
  const kind = { op: n.unrecorded && !n.error ? "not recorded (no_grad, or nothing wants a gradient)" : `operation ${forwardAt.get(chosen)} of ${F.length}`, parameter: "parameter", leaf: "leaf that requires grad", constant: "constant: no gradient is wanted" }[n.kind];
  add(el("h2", "", title(chosen)), el("div", "cap", [kind, ...pathOfNode(chosen).map(boxText)].join(" › ")));
  if (n.error && n.error !== D.error) add(el("p", "error", n.error));
  else if (n.error) add(el("p", "bad", "✗ this operation failed"));
  add(formula(n));
  if (n.line != null) {
    const line = D.lines[n.line], pre = scrolls(el("pre"), "your line in its context");
    line.text.forEach(([k, text]) => pre.append(el(k === line.line ? "mark" : "span", "", `${String(k).padStart(4)}  ${text}\n`)));
    add(heading(`your line: ${line.file}:${line.line}`), pre);
  }
  // forward: inputs and output; the elements that an element of y depends on are painted green
  const inputs = [];
  if (n.needs.length) {
    add(heading(n.needs.length > 1 ? "takes" : "takes one array"));
    n.needs.forEach((j, k) => {
      const before = n.needs.indexOf(j), a = inputArray(j), times = n.needs.filter(x => x === j).length;
      if (before < k && inputs[before]) { inputs.push({ ...inputs[before], rule: null }); return; }
      const view = shown(title(j) + (times > 1 ? ` (${times} times)` : ""), a);
      inputs.push({ view, rule: n.reach && n.reach[k], shape: N[j].shape });
      if (a == null) view.append(el("div", "cap", `${title(j)}: ${shapeText(N[j].shape)}`));
      add(view);
    });
  }
  if (n.kind === "op" && n.values.length) {
    const known = inputs.some(x => x.rule), told = el("div", "cap");
    add(heading(n.values.length > 1 ? "gives" : "gives y"));
    const tell = index => inputs.forEach((x, k) => n.needs.indexOf(n.needs[k]) === k && x.view.mark && x.view.mark(index && x.rule ? at => reached(x.rule, at, x.shape, index, n.shape) : null));
    if (computed(chosen)) n.values.forEach((a, k) => add(shown(n.values.length > 1 ? `y${k}` : "y", a, known ? tell : null)));
    else add(el("p", "cap", "not computed yet"));
    if (known && A[n.values[0]].n > 1) add(el("div", "cap", "Point at an element of y: what it depends on is painted green above."));
    add(told);
  } else n.values.forEach(a => add(shown(n.name, a)));
  gradients(n, add);
  back(n, add);
  nudge(n, add);
  const facts = [...(n.options || []).map(x => [...x, "option"]), ...(n.saved || []).map(x => [...x, "saved"])];
  if (facts.length) add(fold("what forward was told and kept for backward", ...facts.map(([name, v, what]) => typeof v === "string" ? el("div", "cap", `${what} ${name} = ${v}`) : shown(`${what} ${name}` + (v.name ? ` (${v.name})` : ""), v.array))));
  if (n.rule && D.rules[n.rule]) for (const src of D.rules[n.rule].source) add(fold(`${src.name}: ${src.where}`, scrolls(el("pre", "", src.text), "source of " + src.name)));
  parameters(add);
}
const inputArray = j => N[j].values.length ? N[j].values[0] : null;
function gradients(n, add) {
  if (n.kind === "constant" || !(shares[chosen].length || (chosen === D.loss && S.length))) return;
  const list = shares[chosen], got = list.slice(0, arrived(chosen)), label = n.kind === "op" ? "dy" : "d" + n.name.split(".").pop();
  add(heading(n.kind === "op" ? "dy: the gradient of the loss with respect to y" : "the gradient of the loss with respect to it"));
  if (chosen === D.loss) { add(el("p", "", "1")); return; }
  if (!got.length) { add(el("p", "cap", `has not arrived yet: ${list.length} share${list.length > 1 ? "s" : ""} will come from ${[...new Set(list.slice(0, 6).map(x => N[x.from].name))].join(", ")}`)); return; }
  const whole = got.length === list.length ? gradient(chosen) : null, numbers = el("div", "cap", "\u00a0");
  if (list.length > 1) {
    add(el("p", "cap", `used ${list.length} times: ${got.length} of ${list.length} shares have arrived, and they add up`));
    const row = el("div", "sum");
    got.slice(0, 12).forEach((x, k) => {
      const t = thumb(x.out.dx, "gradient", 64, 44);
      if (k) row.append(el("b", "", "+"));
      if (t) { t.title = "from " + N[x.from].name; row.append(t); }
    });
    if (got.length > 12) row.append(el("span", "cap", `and ${got.length - 12} more`));
    add(row);
  }
  const tell = index => {
    if (!index || list.length < 2) { numbers.textContent = "\u00a0"; return; }
    const parts = got.map(x => { const f = floats(x.out.dx), s = A[x.out.dx].shown; return f && index.every((i, d) => i < s[d]) ? f[ravel(index, s)] : NaN; });
    const text = parts.slice(0, 8).map(num).join(" + ") + (parts.length > 8 ? ` + ${parts.length - 8} more` : "");
    numbers.textContent = `${text} = ${num(parts.reduce((p, q) => p + q, 0))}`;
  };
  if (whole != null) add(shown(label, whole, tell), list.length > 1 ? numbers : null);
  if (whole != null) checks(n.chain, "whole chain").forEach(x => add(x));
}
function back(n, add) {
  if (!stepOf.has(chosen) || stepOf.get(chosen) >= backSteps()) return;
  const s = S[stepOf.get(chosen)];
  add(heading("sends back"));
  for (const o of s.out) {
    add(shown(`to ${title(o.to)}`, o.dx));
    checks(o.check, "this rule").forEach(x => add(x));
  }
}
function nudge(n, add) {
  if (!n.nudge || pos < END && arrived(chosen) < shares[chosen].length) return;
  add(heading("nudge it: for a small step the loss changes by gradient times step"));
  const select = el("select"), out = el("div");
  select.setAttribute("aria-label", "element to nudge");
  n.nudge.forEach((x, k) => { const o = el("option", "", `${n.name}${x.at.length ? indexText(x.at) : ""} = ${num(x.value)}`); o.value = k; select.append(o); });
  const show = () => {
    const x = n.nudge[+select.value || 0];
    out.replaceChildren(table(["moved by h", "predicted: gradient·h", "true change of the loss", "off by"], x.rows.map(([h, p, t]) => [num(h), num(p), num(t), typeof t === "number" && t !== 0 ? (100 * Math.abs(p - t) / Math.abs(t)).toPrecision(2) + " %" : "–"])));
  };
  select.onchange = show;
  show();
  add(select, out);
}
function parameters(add) {
  const list = N.map((n, i) => i).filter(i => N[i].grad != null && (N[i].kind === "parameter" || N[i].kind === "leaf"));
  if (!list.length) return;
  const ls = list.map(i => size(N[i].grad)).filter(x => x > 0).map(Math.log10), a = ls.reduce((p, q) => Math.min(p, q), 0) - 1, b = ls.reduce((p, q) => Math.max(p, q), a + 1);
  add(fold("gradients of all parameters", table(["parameter", "shape", "size", "log scale"], list.slice(0, 300).map(i => {
    const r = size(N[i].grad), bar = el("span", "log");
    bar.style.width = r > 0 ? 4 + 70 * (Math.log10(r) - a) / (b - a) + "px" : 0;
    return [link(i), shapeText(N[i].shape), num(r), bar];
  }))));
}
function status() {
  const p = $("status"), all = N.flatMap((_, i) => verdicts(i)), count = v => all.filter(c => c.verdict === v).length;
  const bad = new Set([...wrong, ...(wrong.size ? [] : wrongChain)]);
  p.replaceChildren();
  if (D.error) p.append(el("span", "bad", "✗ the program failed: "));
  else if (bad.size) p.append(el("span", "bad", `✗ ${count("wrong")} of ${all.length} numbers differ from the difference quotient: `));
  else if (all.length) p.append(el("span", "ok", `✓ ${count("ok")} numbers agree with difference quotients` + (count("kink") ? `, ${count("kink")} lie at kinks` : "")));
  [...bad].slice(0, 4).forEach(i => p.append(link(i), " "));
}

// ---- search, keys, buttons
function search(forward) {
  const q = $("search").value.trim().toLowerCase(), was = hits.join();
  hits = q ? N.map((n, i) => i).filter(i => [N[i].name, N[i].var || "", shapeText(N[i].shape), ...pathOfNode(i).map(boxText)].some(t => t.toLowerCase().includes(q))) : [];
  hit = hits.join() !== was ? 0 : hits.length ? (hit + (forward ? 1 : 0)) % hits.length : -1;
  $("hits").textContent = q ? `${hits.length ? hit + 1 : 0} of ${hits.length}` : "";
  if (hits.length) { chosen = hits[hit]; side(); reveal(chosen); }
  mark();
}
function around(d) { // to an input or a user of what is chosen
  const to = d < 0 ? N[chosen].needs[0] : users[chosen][0];
  if (to === undefined) return;
  chosen = to;
  mark();
  side();
  reveal(to);
  $("say").textContent = `${title(to)}, ${N[to].kind === "op" ? "operation" : N[to].kind}, ${shapeText(N[to].shape)}.`;
}
function openAll() {
  if (open.size === B.length) openSome(0); else B.forEach((_, b) => open.add(b));
  $("all").textContent = open.size === B.length ? "close all" : "open all";
  lay();
  fit();
  draw();
}
function repaint() { thumbs.clear(); for (const e of drawn.values()) { const p = e.querySelector(".pics"); if (p) p.dataset.state = ""; } mark(); side(); strip(); }
function shareScale() { sharedScale = !sharedScale; $("scale").setAttribute("aria-pressed", String(sharedScale)); repaint(); }
function theme(name) { document.documentElement.dataset.theme = name || (dark() ? "light" : "dark"); repaint(); }
const KEYS = { ArrowRight: () => go(pos + 1), ArrowLeft: () => go(pos - 1), ArrowUp: () => around(-1), ArrowDown: () => around(1), Home: () => go(0), End: () => go(END), l: () => go(LOSS),
  "+": () => setZoom(zoom * 1.2), "=": () => setZoom(zoom * 1.2), "-": () => setZoom(zoom / 1.2), f: fit, e: openAll, s: shareScale, d: () => theme(), "/": () => $("search").focus() };
document.addEventListener("keydown", e => {
  const t = e.target;
  if (e.ctrlKey || e.metaKey || e.altKey || t.id === "search" || t.tagName === "SELECT") { if (t.id === "search" && e.key === "Enter") search(true); return; }
  if (t === $("side") && /Arrow(Up|Down)|Home|End/.test(e.key)) return; // the panel scrolls
  const f = KEYS[e.key.length === 1 ? e.key.toLowerCase() : e.key];
  if (f && !(t === $("slider") && /Arrow|Home|End/.test(e.key))) { f(); e.preventDefault(); }
  else if (e.key === " " && !/BUTTON|SUMMARY|INPUT/.test(t.tagName)) { play(); e.preventDefault(); }
});
const buttons = { first: () => go(0), prev: () => go(pos - 1), next: () => go(pos + 1), last: () => go(END), loss: () => go(LOSS), play, fit, all: openAll, scale: shareScale,
  theme: () => theme(), smaller: () => setZoom(zoom / 1.2), larger: () => setZoom(zoom * 1.2) };
for (const [id, f] of Object.entries(buttons)) $(id).onclick = f;
$("slider").max = END;
$("slider").oninput = e => go(+e.target.value);
$("search").oninput = () => search(false);
$("strip").onclick = e => { const r = $("strip").getBoundingClientRect(); go(LOSS + 1 + Math.floor((e.clientX - r.left - 62) / (r.width - 66) * S.length)); };
$("view").addEventListener("scroll", later, { passive: true });
$("view").addEventListener("wheel", e => { if (e.ctrlKey) { e.preventDefault(); setZoom(zoom * (e.deltaY < 0 ? 1.1 : .9)); } }, { passive: false });
window.addEventListener("beforeprint", () => { printing = true; draw(); });
window.addEventListener("afterprint", () => { printing = false; draw(); });
document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
$("all").hidden = !B.length;
openSome(60);
$("all").textContent = open.size === B.length ? "close all" : "open all";
lay();
status();
fit();
go(LOSS, true);
let fitted = false; // in a notebook the frame may have no size yet
new ResizeObserver(() => { resize(); if (!fitted && $("view").clientWidth > 60) { fitted = true; fit(); } else draw(); strip(); }).observe($("view"));
document.body.dataset.ready = "1";
