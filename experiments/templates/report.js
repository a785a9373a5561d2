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
  const GONE = 255, LABEL = 20, GAP = 8;
  const zones = new Map();
  data.instances.forEach(([, zone], i) => {
    if (!zones.has(zone)) zones.set(zone, []);
    zones.get(zone).push(i);
  });
  let shown = [], colours = [], ink = "", soft = "";

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  function readColours() {
    const stops = css("--stops").split(",").map((s) => rgb(s.trim()));
    ink = css("--ink");
    soft = css("--soft");
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
      canvas.addEventListener("pointermove", (event) => point(view, event));
      canvas.addEventListener("pointerdown", (event) => point(view, event));
      // A finger that lifts leaves the canvas too: what it tapped stays to be read.
      canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") tip.hidden = true; });
      return view;
    });
    get("map-note").textContent = (data.faults[faults.value] || []).map(([, words]) => words).join("; ");
    arrange();
  }

  // Squares as large as the panel's width allows, but no panel much taller than a phone is wide.
  function arrange() {
    for (const view of shown) {
      const width = Math.floor(view.canvas.parentElement.clientWidth);
      const height = (pitch) => [...zones.values()].reduce(
        (sum, members) => sum + LABEL + GAP + Math.ceil(members.length / Math.floor(width / pitch)) * pitch, 0);
      let pitch = 26;
      while (pitch > 4 && height(pitch) > 300) pitch -= 1;
      const columns = Math.floor(width / pitch), ratio = window.devicePixelRatio || 1;
      view.cells = [];
      view.labels = [];
      view.pitch = pitch;
      let top = 0;
      for (const [zone, members] of zones) {
        view.labels.push([zone, top + LABEL - 6]);
        top += LABEL;
        members.forEach((instance, i) => {
          view.cells.push([instance, (i % columns) * pitch, top + Math.floor(i / columns) * pitch]);
        });
        top += Math.ceil(members.length / columns) * pitch + GAP;
      }
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
    for (const [instance, x, y] of view.cells) {
      const fill = view.fills[base + instance];
      if (fill !== GONE) { there += 1; total += fill; }
      if (fill === GONE) cross(pen, x, y, size);
      else if (fill === 0) pen.strokeRect(x + 0.5, y + 0.5, size - 1, size - 1);
      else { pen.fillStyle = colours[Math.min(fill, 100)]; pen.fillRect(x, y, size, size); }
    }
    const mean = there ? Math.round(total / there) : 0;
    view.note.textContent = busy === undefined
      ? "the run was interrupted before this time" : `${busy} of ${there} busy, ${mean} % full on average`;
    view.canvas.setAttribute("aria-label", `Instances under ${view.name}: ${view.note.textContent}`);
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
    const hit = view.cells.find(([, left, top]) => x >= left && x < left + pitch && y >= top && y < top + pitch);
    tip.hidden = !hit;
    if (!hit) return;
    const [name, zone, type] = data.instances[hit[0]];
    const fill = view.fills[Number(frame.value) * data.instances.length + hit[0]];
    const state = fill === GONE ? "not there" : fill === 0 ? "empty" : `${fill} % full`;
    tip.textContent = `${name} · ${state}\n${type} · ${zone}`;
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
})();
