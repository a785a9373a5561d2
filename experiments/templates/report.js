"use strict";
// Choosing a strategy in the key dims the others in every chart.
(() => {
  const key = document.getElementById("key");
  if (!key) return;
  key.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const on = button.getAttribute("aria-pressed") !== "true";
    for (const other of key.children) other.setAttribute("aria-pressed", String(on && other === button));
    document.getElementById("plots").classList.toggle("chosen", on);
    for (const line of document.querySelectorAll(".line")) {
      line.classList.toggle("on", on && line.dataset.s === button.dataset.s);
    }
  });
})();

// The cluster map: one canvas per strategy, all at the same moment.
(() => {
  const source = document.getElementById("map-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const get = (id) => document.getElementById(id);
  const layout = get("map-layout"), faults = get("map-faults"), frame = get("map-frame");
  const play = get("map-play"), panels = get("map-panels"), tip = get("map-tip");
  const GONE = 255, LABEL = 20, GAP = 8, LINES = 520, mode = get("map-view");
  const count = data.instances.length;
  let shown = [], colours = [], ink = "", soft = "", empty = "";

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  function readColours() {
    const stops = css("--stops").split(",").map((s) => rgb(s.trim()));
    ink = css("--ink");
    soft = css("--soft");
    empty = css("--line");
    colours = Array.from({ length: 101 }, (_, fill) => {
      const at = (fill / 100) * (stops.length - 1), i = Math.min(Math.floor(at), stops.length - 2);
      const mix = stops[i].map((c, k) => Math.round(c + (stops[i + 1][k] - c) * (at - i)));
      return `rgb(${mix})`;
    });
  }

  function options(select, names) {
    const old = select.value;
    select.replaceChildren(...names.map((name) => new Option(name, name)));
    if (names.includes(old)) select.value = old;
  }

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  // As long runs are: minutes and seconds, hours and minutes from three hours on, then days.
  const length = data.ms.length ? data.ms[data.ms.length - 1] : 0, two = (n) => String(n).padStart(2, "0");
  const clock = (ms) => {
    const s = Math.floor(ms / 1000), h = Math.floor(s / 3600);
    if (length < 3 * 3600e3) return `${Math.floor(s / 60)}:${two(s % 60)} min`;
    const time = `${two(Math.floor(s / 60) % 60)} h`;
    return length < 72 * 3600e3 ? `${h}:${time}` : `${Math.floor(h / 24)} d ${h % 24}:${time}`;
  };

  // Panels for the runs of the chosen layout and faults.
  function choose() {
    options(faults, Object.keys(data.runs[layout.value]));
    const runs = data.runs[layout.value][faults.value];
    panels.replaceChildren();
    shown = runs.map(([strategy, text, busy]) => {
      const panel = document.createElement("div"), title = document.createElement("h3");
      const note = document.createElement("p"), canvas = document.createElement("canvas");
      title.textContent = data.strategies[strategy];
      note.className = "note";
      canvas.setAttribute("role", "img");
      panel.append(title, note, canvas);
      panels.append(panel);
      const view = { name: data.strategies[strategy], fills: bytes(text), busy, note, canvas, cells: [], pitch: 0 };
      view.spans = spans(view);
      view.zones = byZone(view);
      canvas.addEventListener("pointermove", (event) => point(view, event));
      canvas.addEventListener("pointerdown", (event) => point(view, event));
      // A finger that lifts leaves the canvas too: what it tapped stays to be read.
      canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") tip.hidden = true; });
      return view;
    });
    get("map-note").textContent = (data.faults[faults.value] || []).map(([, words]) => words).join("; ");
    arrange();
  }

  // Of each instance its first and last frame in a run; none where it never was.
  function spans(view) {
    const found = new Map();
    for (let at = 0; at < data.ms.length; at += 1) {
      for (let i = 0; i < count; i += 1) {
        if (view.fills[at * count + i] === GONE) continue;
        if (found.has(i)) found.get(i)[1] = at; else found.set(i, [at, at]);
      }
    }
    return found;
  }

  // By zone: its instances by type, the first to come first, and places for squares. One that comes
  // when another of its type and zone is gone takes that one's place.
  function byZone(view) {
    const found = new Map();
    const order = [...view.spans.keys()].sort((a, b) => data.instances[a][2] < data.instances[b][2] ? -1
      : data.instances[a][2] > data.instances[b][2] ? 1 : view.spans.get(a)[0] - view.spans.get(b)[0] || a - b);
    for (const i of order) {
      const [, zone, type] = data.instances[i], [first, last] = view.spans.get(i);
      if (!found.has(zone)) found.set(zone, { members: [], places: [], types: new Map() });
      const there = found.get(zone);
      there.members.push(i);
      there.types.set(type, (there.types.get(type) || 0) + 1);
      let place = there.places.find((each) => each.type === type && each.until < first);
      if (!place) there.places.push(place = { type, until: last, holds: [] });
      place.until = last;
      place.holds.push(i);
    }
    return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  const named = (zone, { types }) =>
    `${zone || "no zone"}: ${[...types].map(([type, n]) => `${n} ${type || "instances"}`).join(", ")}`;

  // A line for each instance, from left to right the run.
  function arrangeLines(view, width) {
    const total = [...view.zones.values()].reduce((sum, zone) => sum + zone.members.length, 0);
    const pitch = Math.min(8, Math.max(1, LINES / Math.max(1, total)));
    let top = 0;
    for (const [zone, there] of view.zones) {
      view.labels.push([named(zone, there), top + LABEL - 6]);
      top += LABEL;
      there.members.forEach((instance, i) => { view.cells.push([[instance], 0, Math.round(top + i * pitch), width]); });
      top += there.members.length * pitch + GAP;
    }
    view.pitch = pitch;
    return top;
  }

  // Squares as large as the panel's width allows, but no panel much taller than a phone is wide.
  function arrangeSquares(view, width) {
    const height = (pitch) => [...view.zones.values()].reduce(
      (sum, { places }) => sum + LABEL + GAP + Math.ceil(places.length / Math.floor(width / pitch)) * pitch, 0);
    let pitch = 26;
    while (pitch > 4 && height(pitch) > 300) pitch -= 1;
    const columns = Math.floor(width / pitch);
    let top = 0;
    for (const [zone, there] of view.zones) {
      view.labels.push([named(zone, there), top + LABEL - 6]);
      top += LABEL;
      there.places.forEach(({ holds }, i) => {
        view.cells.push([holds, (i % columns) * pitch, top + Math.floor(i / columns) * pitch, pitch]);
      });
      top += Math.ceil(there.places.length / columns) * pitch + GAP;
    }
    view.pitch = pitch;
    return top;
  }

  function arrange() {
    for (const view of shown) {
      const width = Math.floor(view.canvas.parentElement.clientWidth);
      const ratio = window.devicePixelRatio || 1;
      view.cells = [];
      view.labels = [];
      const top = mode.value === "run" ? arrangeLines(view, width) : arrangeSquares(view, width);
      view.canvas.style.height = `${top}px`;
      view.canvas.width = Math.round(width * ratio);
      view.canvas.height = Math.round(top * ratio);
      view.canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    draw();
  }

  function draw() {
    tip.hidden = true;
    const at = Number(frame.value), base = at * data.instances.length;
    get("map-time").textContent = `at ${clock(data.ms[at])}`;
    for (const view of shown) drawPanel(view, base, view.busy[at]);
  }

  // `busy` is counted in the run: how full an instance is does not tell a daemon from other tasks.
  function drawPanel(view, base, busy) {
    const pen = view.canvas.getContext("2d"), size = view.pitch - (view.pitch > 7 ? 2 : 1);
    let there = 0, total = 0;
    pen.clearRect(0, 0, view.canvas.width, view.canvas.height);
    pen.font = "13px system-ui, 'DejaVu Sans', sans-serif";
    pen.fillStyle = ink;
    for (const [zone, y] of view.labels) pen.fillText(zone, 0, y);
    pen.strokeStyle = soft;
    pen.lineWidth = 1;
    const at = Number(frame.value);
    for (let i = 0; i < count; i += 1) {
      const fill = view.fills[base + i];
      if (fill !== GONE) { there += 1; total += fill; }
    }
    if (mode.value === "run") drawLines(view, pen, at);
    else for (const [holds, x, y] of view.cells) drawSquare(view, pen, x, y, size, holds, at);
    const mean = there ? Math.round(total / there) : 0;
    view.note.textContent = busy === undefined
      ? "the run was interrupted before this time" : `${busy} of ${there} busy, ${mean} % full on average`;
    view.canvas.setAttribute("aria-label", `Instances under ${view.name}: ${view.note.textContent}`);
  }

  // The instance that is in a place at a frame; else the last that was; else none.
  function inPlace(view, holds, at) {
    const known = holds.filter((i) => view.spans.get(i)[0] <= at);
    return known.length ? known[known.length - 1] : undefined;
  }

  function drawSquare(view, pen, x, y, size, holds, at) {
    const instance = inPlace(view, holds, at);
    if (instance === undefined) return;  // nobody has come yet
    const fill = view.fills[at * count + instance];
    if (fill === GONE) cross(pen, x, y, size);
    else if (fill === 0) pen.strokeRect(x + 0.5, y + 0.5, size - 1, size - 1);
    else { pen.fillStyle = colours[Math.min(fill, 100)]; pen.fillRect(x, y, size, size); }
  }

  function drawLines(view, pen, at) {
    const frames = data.ms.length, high = view.pitch > 3 ? view.pitch - 1 : Math.ceil(view.pitch);
    for (const [[instance], , y, width] of view.cells) {
      const step = width / frames, [first, last] = view.spans.get(instance);
      pen.fillStyle = empty;
      pen.fillRect(first * step, y, (last - first + 1) * step, high);
      for (let from = first; from <= last;) {
        const fill = view.fills[from * count + instance];
        let to = from + 1;
        while (to <= last && view.fills[to * count + instance] === fill) to += 1;
        if (fill === GONE) pen.clearRect(from * step, y, (to - from) * step, high);
        else if (fill) { pen.fillStyle = colours[Math.min(fill, 100)]; pen.fillRect(from * step, y, (to - from) * step, high); }
        from = to;
      }
    }
    const width = view.cells.length ? view.cells[0][3] : 0, x = ((at + 0.5) * width) / frames;
    pen.strokeStyle = ink;
    pen.beginPath();
    pen.moveTo(x, 0); pen.lineTo(x, view.canvas.height);
    pen.stroke();
  }

  function cross(pen, x, y, size) {
    const a = size * 0.28, b = size * 0.72;
    pen.beginPath();
    pen.moveTo(x + a, y + a); pen.lineTo(x + b, y + b);
    pen.moveTo(x + b, y + a); pen.lineTo(x + a, y + b);
    pen.stroke();
  }

  function point(view, event) {
    const box = view.canvas.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top, pitch = view.pitch;
    const lines = mode.value === "run";
    const hit = view.cells.find(([, left, top, wide]) => x >= left && x < left + wide && y >= top && y < top + pitch);
    const at = lines && hit ? Math.min(data.ms.length - 1, Math.floor((x * data.ms.length) / hit[3])) : Number(frame.value);
    const instance = hit && (lines ? hit[0][0] : inPlace(view, hit[0], at));
    tip.hidden = instance === undefined;
    if (instance === undefined) return;
    const [name, zone, type] = data.instances[instance], [first, last] = view.spans.get(instance);
    const fill = view.fills[at * count + instance];
    const state = fill === GONE ? "not there" : fill === 0 ? "empty" : `${fill} % full`;
    const until = last === data.ms.length - 1 ? "the end" : clock(data.ms[last]);
    tip.textContent = `${name} · ${state} at ${clock(data.ms[at])}\n${type} · ${zone} · there from ${clock(data.ms[first])} to ${until}`;
    const left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8);
    const above = event.clientY - tip.offsetHeight - 14;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above > 8 ? above : event.clientY + 18}px`;
  }

  let timer = 0;
  function stop() {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  }
  play.addEventListener("click", () => {
    if (timer) { stop(); return; }
    if (Number(frame.value) >= data.ms.length - 1) frame.value = 0;
    play.textContent = "Pause";
    timer = setInterval(() => {
      if (Number(frame.value) >= data.ms.length - 1) { stop(); return; }
      frame.value = Number(frame.value) + 1;
      draw();
    }, 450);
  });
  frame.addEventListener("input", () => { stop(); draw(); });
  layout.addEventListener("change", choose);
  mode.addEventListener("change", arrange);
  faults.addEventListener("change", choose);
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth !== width) { width = window.innerWidth; arrange(); }
  });
  window.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); draw(); });

  // Start where there is something to see: two minutes before a first fault, or the middle.
  frame.max = Math.max(0, data.ms.length - 1);
  const first = Object.values(data.faults).flat().map(([ms]) => ms).sort((a, b) => a - b)[0];
  const start = first === undefined ? data.ms[data.ms.length >> 1] : first - 120000;
  frame.value = Math.max(0, data.ms.findIndex((ms) => ms >= start));
  options(layout, Object.keys(data.runs));
  readColours();
  choose();
  // Where many come and go, the whole run says more than a moment of it.
  const cells = shown.flatMap((view) => [...view.spans.values()]);
  const there = cells.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  if (there < 0.7 * cells.length * data.ms.length) { mode.value = "run"; arrange(); }
})();
