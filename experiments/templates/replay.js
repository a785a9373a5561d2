"use strict";
(() => {
  const get = (id) => document.getElementById(id);
  const [frame, play, strip, map, tip] = ["frame", "play", "strip", "map", "tip"].map(get);
  const live = document.body.dataset.live, LABEL = 18, GAP = 8;
  const [ABSENT, , DRAINING, CUT, GONE] = [0, 1, 2, 3, 4];
  let data = null, cells = null, shown = [], layout = [], pitch = 0, only = -1, colours = {}, order = [];

  // --- data: every frame becomes, for each instance, where in `cells` its numbers begin -------------

  async function embedded() {
    const bytes = Uint8Array.from(atob(get("data").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  }

  function take(fresh) {
    data = fresh;
    const changes = data.frames.changes, count = data.instances.length;
    cells = new Uint16Array(2 + changes.reduce((sum, flat) => sum + flat.length, 0));
    let free = 2;  // at 0: nothing is there
    const now = new Int32Array(count);
    shown = changes.map((flat) => {
      let instance = 0;
      for (let i = 0; i < flat.length;) {
        instance += flat[i];
        const length = flat[i + 1];
        now[instance] = free;
        cells[free] = length;
        for (let k = 0; k < length; k++) cells[free + 1 + k] = flat[i + 2 + k];
        free += length + 1;
        i += length + 2;
      }
      return now.slice();
    });
    delete data.frames.changes;
    frame.max = data.frames.ms.length - 1;
    order = data.instances.map((_, i) => i).sort((a, b) => {
      const [, zoneA, typeA] = data.instances[a], [, zoneB, typeB] = data.instances[b];
      return zoneA < zoneB ? -1 : zoneA > zoneB ? 1 : typeA < typeB ? -1 : typeA > typeB ? 1 : a - b;
    });
  }

  // --- the look --------------------------------------------------------------------------------------

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  function readColours() {
    colours = {};
    for (const name of ["ink", "soft", "line", "cell", "draining", "cut", "fault", "c0", "c1", "c2"]) colours[name] = css(`--${name}`);
    const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
    // Eight that are told apart by everybody, then as many as there are, by the golden angle.
    colours.groups = data.groups.map((_, g) => g < 8 ? css(`--c${g}`) : `hsl(${(g * 137.5) % 360} 50% ${dark ? 62 : 45}%)`);
  }

  function legend() {
    const box = get("legend");
    box.replaceChildren(...data.groups.slice(0, 24).map((name, g) => {
      const button = document.createElement("button"), swatch = document.createElement("i");
      swatch.style.background = colours.groups[g];
      button.type = "button";
      button.setAttribute("aria-pressed", String(only === g));
      button.append(swatch, name);
      button.addEventListener("click", () => { only = only === g ? -1 : g; legend(); draw(); });
      return button;
    }));
    if (data.groups.length > 24) box.append(`24 of ${data.groups.length} shown`);
  }

  const clock = (ms) => {
    const s = Math.floor(ms / 1000), two = (n) => String(n).padStart(2, "0");
    return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  };

  function listEvents() {
    get("events").replaceChildren(...data.events.map(([ms, kind, text, count]) => {
      const line = document.createElement("li"), time = document.createElement("time"), what = document.createElement("span");
      line.className = `k${kind}`;
      time.textContent = clock(ms);
      what.textContent = count > 1 ? `${count.toLocaleString("en")} × ${text}` : text;
      line.append(time, what);
      line.addEventListener("click", () => { stop(); show(frameAt(ms)); });
      return line;
    }));
    if (!data.events.length) get("events").textContent = "none";
  }

  // --- drawing ---------------------------------------------------------------------------------------

  function sized(canvas, width, height) {
    const ratio = window.devicePixelRatio || 1;
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    return pen;
  }

  // Squares as large as fit in about a screen, zone by zone.
  function arrange() {
    const width = Math.floor(map.parentElement.clientWidth), zones = new Map();
    for (const i of order) {
      const zone = data.instances[i][1] || "no zone";
      if (!zones.has(zone)) zones.set(zone, []);
      zones.get(zone).push(i);
    }
    const tall = (size) => [...zones.values()].reduce(
      (sum, members) => sum + LABEL + GAP + Math.ceil(members.length / Math.floor(width / size)) * size, 0);
    pitch = 88;
    while (pitch > 5 && tall(pitch) > 560) pitch -= 1;
    // A row for each zone, where squares stay large enough for that.
    const row = Math.floor(width / Math.max(1, ...[...zones.values()].map((members) => members.length)));
    if (row >= 34) pitch = Math.min(pitch, row);
    const columns = Math.floor(width / pitch);
    layout = [];
    const labels = [];
    let top = 0;
    for (const [zone, members] of zones) {
      labels.push([`${zone} · ${members.length}`, top + LABEL - 6]);
      top += LABEL;
      members.forEach((instance, i) => layout.push([instance, (i % columns) * pitch, top + Math.floor(i / columns) * pitch]));
      top += Math.ceil(members.length / columns) * pitch + GAP;
    }
    layout.labels = labels;
    sized(map, width, Math.max(1, top));
    sized(strip, Math.floor(strip.parentElement.clientWidth), 44);
    drawStrip();
    draw();
  }

  function draw() {
    const at = Number(frame.value), now = shown[at], pen = map.getContext("2d"), by = Number(get("by").value);
    pen.clearRect(0, 0, map.width, map.height);
    pen.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    pen.fillStyle = colours.soft;
    for (const [text, y] of layout.labels) pen.fillText(text, 0, y);
    const size = pitch - (pitch > 9 ? 2 : 1);
    for (const [instance, x, y] of layout) {
      const from = now[instance], length = cells[from];
      if (!length || cells[from + 1] === ABSENT) continue;
      const status = cells[from + 1];
      pen.fillStyle = colours.cell;
      pen.fillRect(x, y, size, size);
      if (status === GONE) { cross(pen, x, y, size); continue; }
      stack(pen, from, x, y, size, by);
      if (status === DRAINING || status === CUT) outline(pen, x, y, size, status);
    }
    const counters = data.frames.counters[at], ms = data.frames.ms[at];
    get("time").textContent = clock(ms);
    count(counters);
    map.setAttribute("aria-label", `Instances at ${clock(ms)}: ${counters[0]} tasks running`);
    follow(ms);
    cursor(at);
  }

  // The groups of an instance as layers from its floor, each as high as its share. Where a square
  // is too small for layers it has the colour of its largest group, the stronger the fuller it is.
  function stack(pen, from, x, y, size, by) {
    if (size < 9) { blend(pen, from, x, y, size, by); return; }
    let level = 0;
    for (let k = from + 3; k < from + 1 + cells[from]; k += 3) {
      const low = Math.round(size * level / 100);
      level = Math.min(100, level + cells[k + by]);
      const high = Math.max(Math.round(size * level / 100), cells[k + by] ? low + 1 : low);
      pen.globalAlpha = only < 0 || only === cells[k] ? 1 : 0.15;
      pen.fillStyle = colours.groups[cells[k]];
      pen.fillRect(x, y + size - Math.min(high, size), size, Math.min(high, size) - low);
    }
    pen.globalAlpha = 1;
  }

  function blend(pen, from, x, y, size, by) {
    let most = 0, full = 0, group = 0;
    for (let k = from + 3; k < from + 1 + cells[from]; k += 3) {
      if (only >= 0 && only !== cells[k]) continue;
      full += cells[k + by];
      if (cells[k + by] > most) [most, group] = [cells[k + by], cells[k]];
    }
    if (!full) return;
    pen.globalAlpha = 0.15 + 0.85 * Math.min(1, full / 100);
    pen.fillStyle = colours.groups[group];
    pen.fillRect(x, y, size, size);
    pen.globalAlpha = 1;
  }

  function outline(pen, x, y, size, status) {
    const wide = size > 20 ? 3 : size > 8 ? 2 : 1;
    pen.lineWidth = wide;
    pen.strokeStyle = status === CUT ? colours.cut : colours.draining;
    pen.setLineDash(status === CUT && size > 8 ? [3, 2] : []);
    pen.strokeRect(x + wide / 2, y + wide / 2, size - wide, size - wide);
    pen.setLineDash([]);
  }

  function cross(pen, x, y, size) {
    pen.strokeStyle = colours.fault;
    pen.lineWidth = size > 20 ? 2 : 1;
    pen.beginPath();
    pen.moveTo(x + size * 0.2, y + size * 0.8);
    pen.lineTo(x + size * 0.8, y + size * 0.2);
    pen.stroke();
  }

  const COUNTERS = [
    ["running", (c) => c.running], ["starting", (c) => c.pending], ["waiting", (c) => c.waiting],
    ["instances", (c) => c.present], ["busy", (c) => c.busy], ["$ / hour", (c) => c.microusd_hour / 1e6],
  ];
  function count(values) {
    const named = Object.fromEntries(data.counters.map((name, i) => [name, values[i]]));
    COUNTERS.forEach(([name, of], i) => {
      const cell = get("counters").children[i].lastChild, value = of(named);
      cell.textContent = name === "$ / hour" ? value.toFixed(2) : value.toLocaleString("en");
      cell.classList.toggle("bad", name === "waiting" && value > 0);
    });
  }

  function drawStrip() {
    const pen = strip.getContext("2d"), width = strip.clientWidth, high = 40;
    const { ms, counters } = data.frames, end = Math.max(1, ms[ms.length - 1]);
    const at = Object.fromEntries(data.counters.map((name, i) => [name, i]));
    const most = Math.max(1, ...counters.map((c) => c[at.waiting]));
    pen.clearRect(0, 0, width, 44);
    pen.fillStyle = colours.cell;
    pen.fillRect(0, 0, width, high);
    const line = (colour, of) => {
      pen.strokeStyle = colour;
      pen.lineWidth = 1.5;
      pen.beginPath();
      counters.forEach((c, i) => pen.lineTo(width * ms[i] / end, high - 1 - (high - 2) * of(c)));
      pen.stroke();
    };
    line(colours.c0, (c) => c[at.cpu] ? c[at.cpu_used] / c[at.cpu] : 0);
    line(colours.c2, (c) => c[at.memory] ? c[at.memory_used] / c[at.memory] : 0);
    line(colours.c1, (c) => c[at.waiting] / most);
    pen.fillStyle = colours.fault;
    for (const [when, kind] of data.events) if (kind === 1) pen.fillRect(width * when / end - 1, high - 8, 2, 12);
    strip.drawn = pen.getImageData(0, 0, strip.width, strip.height);
  }

  function cursor(at) {
    const pen = strip.getContext("2d"), { ms } = data.frames;
    pen.putImageData(strip.drawn, 0, 0);
    pen.fillStyle = colours.ink;
    pen.fillRect(Math.min(strip.clientWidth - 2, strip.clientWidth * ms[at] / Math.max(1, ms[ms.length - 1])), 0, 2, 44);
  }

  // The list stands where the time is.
  function follow(ms) {
    const list = get("events");
    let last = null;
    data.events.forEach(([when], i) => {
      const line = list.children[i], later = when > ms;
      line.classList.toggle("later", later);
      if (!later) last = line;
    });
    list.scrollTop = last ? Math.max(0, last.offsetTop - list.clientHeight * 0.6) : 0;
  }

  // --- what one can do -------------------------------------------------------------------------------

  const frameAt = (ms) => {
    const found = data.frames.ms.findIndex((at) => at >= ms);
    return found < 0 ? data.frames.ms.length - 1 : found;
  };
  function show(at) { frame.value = at; tip.hidden = true; draw(); }

  let timer = 0;
  function stop() { clearInterval(timer); timer = 0; play.textContent = "Play"; }
  function start() {
    if (Number(frame.value) >= Number(frame.max)) frame.value = 0;
    play.textContent = "Pause";
    clearInterval(timer);
    timer = setInterval(() => {
      if (Number(frame.value) >= Number(frame.max)) stop();
      else show(Number(frame.value) + 1);
    }, Number(get("speed").value));
  }
  play.addEventListener("click", () => (timer ? stop() : start()));
  get("speed").addEventListener("change", () => { if (timer) start(); });
  get("by").addEventListener("change", draw);
  frame.addEventListener("input", () => { stop(); show(Number(frame.value)); });

  function point(event) {
    const box = map.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    const hit = layout.find(([, left, top]) => x >= left && x < left + pitch && y >= top && y < top + pitch);
    const from = hit ? shown[Number(frame.value)][hit[0]] : 0;
    tip.hidden = !hit || !cells[from];
    if (tip.hidden) return;
    const [name, zone, type] = data.instances[hit[0]], status = cells[from + 1];
    const lines = [`${name} · ${type} · ${zone}`, ["", "active", "draining", "agent cut off", "gone"][status] + `, ${cells[from + 2]} tasks`];
    for (let k = from + 3; k < from + 1 + cells[from]; k += 3) {
      lines.push(`${data.groups[cells[k]]}: CPU ${cells[k + 1]} %, memory ${cells[k + 2]} %`);
    }
    tip.textContent = lines.join("\n");
    tip.style.left = `${Math.max(8, Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8))}px`;
    const above = event.clientY - tip.offsetHeight - 14;
    tip.style.top = `${above > 8 ? above : event.clientY + 18}px`;
  }
  map.addEventListener("pointermove", point);
  map.addEventListener("pointerdown", point);
  map.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") tip.hidden = true; });
  window.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  function redraw() { readColours(); legend(); arrange(); }
  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (data && window.innerWidth !== width) { width = window.innerWidth; arrange(); } });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (data) redraw(); });

  // --- the tasks of a live run: of the instance that was clicked, or of all --------------------------

  let chosen = "";
  function row(kind, values) {
    const line = document.createElement("tr");
    line.append(...values.map((value) => {
      const cell = document.createElement(kind);
      cell.textContent = value;
      return cell;
    }));
    return line;
  }
  async function listTasks() {
    const found = await (await fetch(`tasks.json?instance=${encodeURIComponent(chosen)}`, { cache: "no-store" })).json();
    get("where").textContent = chosen ? `on ${chosen} (click it again for all)` : "(click an instance for its own)";
    const rest = found.more ? [row("td", [`and ${found.more.toLocaleString("en")} more`])] : [];
    get("tasks").replaceChildren(row("th", found.columns), ...found.rows.map((each) => row("td", each)), ...rest);
  }
  if (live) map.addEventListener("click", (event) => {
    const box = map.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    const hit = layout.find(([, left, top]) => x >= left && x < left + pitch && y >= top && y < top + pitch);
    const name = hit ? data.instances[hit[0]][0] : "";
    chosen = name === chosen ? "" : name;
    listTasks().catch(() => {});
  });

  // --- the beginning; a live page comes back for more ------------------------------------------------

  for (const [name] of COUNTERS) {
    const box = document.createElement("div"), term = document.createElement("dt");
    term.textContent = name;
    box.append(term, document.createElement("dd"));
    get("counters").append(box);
  }

  let silentSince = "";
  async function refresh() {
    try {
      const atEnd = !data || (!timer && frame.value === frame.max), ms = data && data.frames.ms[Number(frame.value)];
      take(live ? await (await fetch(live, { cache: "no-store" })).json() : await embedded());
      frame.value = live ? (atEnd ? frame.max : frameAt(ms)) : opening();
      get("error").hidden = true;
      silentSince = "";
      listEvents();
      redraw();
      if (live) await listTasks();
      document.body.dataset.ready = data.frames.ms.length;
    } catch (error) {
      get("error").hidden = false;
      // Where no server answers, fetch throws a TypeError.
      const silent = live && error instanceof TypeError, last = data ? " What is shown is the last that it told." : "";
      silentSince = silentSince || new Date().toLocaleTimeString();
      get("error").textContent = silent
        ? `The run does not answer since ${silentSince}: it is over, or was interrupted.${last} The page follows a run that is taken up again at the same address.`
        : `This page cannot be shown: ${error.message}`;
    }
    if (live) setTimeout(refresh, 2000);
  }

  // A finished run opens where there is something to see: at its first fault, or in the middle.
  function opening() {
    const fault = data.events.find(([, kind]) => kind === 1);
    return fault ? Math.min(frameAt(fault[0]) + 1, Number(frame.max)) : Math.floor(data.frames.ms.length / 2);
  }
  refresh();
})();
