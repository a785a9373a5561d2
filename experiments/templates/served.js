"use strict";
const $ = (id) => document.getElementById(id);
const make = (tag, text, kind) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
};
const ECS = "AmazonEC2ContainerServiceV20141113.";
const TASKS_MOST = 40;
let shown = null;
let cells = [];

async function post(path, headers, body) {
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.message || answer.statusText);
  return said;
}
const ecs = (operation, params) => post("/", {
  "content-type": "application/x-amz-json-1.1", "x-amz-target": ECS + operation,
}, { ...params });
const beside = (path, params) =>
  post("/_stowplan/" + path, { "content-type": "application/json" }, params);

const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
const DEEDS = {
  clock: (f) => [null, () => beside("clock", { factor: isNaN(f.factor) ? f.factor : +f.factor })],
  add: (f, cluster) => [`${f.count} ${f.type} launched`,
    () => beside("instances", {
      instance_type: f.type, count: +f.count, cluster, zones: zoneNames(),
    })],
  drain: (f, cluster) => [`${count(+f.count, "instance")} of ${f.zone} drained`, async () => {
    const filter = `attribute:ecs.availability-zone == ${f.zone}`;
    const found = await ecs("ListContainerInstances", { cluster, status: "ACTIVE", filter });
    const some = found.containerInstanceArns.slice(0, +f.count);
    if (!some.length) throw new Error(`no ACTIVE instance in ${f.zone}`);
    return ecs("UpdateContainerInstancesState",
      { cluster, containerInstances: some, status: "DRAINING" });
  }],
  lose: (f, cluster) => [`${f.zone} lost`, () => beside("lose-zone", { cluster, zone: f.zone })],
  run: (f, cluster) => [`${count(+f.count, "task")} of ${f.family} run`, async () => {
    const said = await ecs("RunTask", { cluster, taskDefinition: f.family, count: +f.count });
    if (said.failures.length) {
      throw new Error(`${said.failures.length} of ${f.count} not placed: ${said.failures[0].reason}`);
    }
  }],
  serve: (f, cluster) => [`service ${f.name} of ${f.count} created`, () => ecs("CreateService", {
    cluster, serviceName: f.name, taskDefinition: f.family, desiredCount: +f.count,
  })],
  scale: (f, cluster) => [`${f.service} scaled to ${f.count}`,
    () => ecs("UpdateService", { cluster, service: f.service, desiredCount: +f.count })],
  strategy: (f, cluster) => [`${f.service} placed by ${f.strategy}`, () => {
    const [type, ...field] = f.strategy.split(":");
    const link = field.length ? { type, field: field.join(":") } : { type };
    return ecs("UpdateService",
      { cluster, service: f.service, placementStrategy: [link], forceNewDeployment: true });
  }],
  define: (f) => [null, () => ecs("RegisterTaskDefinition", {
    family: f.family,
    containerDefinitions: [{ name: "app", image: "app", cpu: +f.cpu, memory: +f.memory }],
  })],
};

function say(text, bad) {
  $("said").textContent = text;
  $("said").className = bad ? "bad" : "";
}
async function act(form) {
  const fields = Object.fromEntries(new FormData(form));
  const [what, does] = DEEDS[form.dataset.do](fields, shown.cluster);
  try {
    if (what) await beside("note", { what, cluster: shown.cluster });
    await does();
    say(what || "done");
  } catch (error) {
    say(error.message, true);
  }
  await look();
}
const zoneNames = () => {
  const there = shown.zones.map(([zone]) => zone).filter((zone) => zone);
  return there.length > 1 ? there : ["a", "b", "c"].map((letter) => shown.region + letter);
};

const money = (n) => n === null ? "–" : "$" + n.toFixed(n < 10 ? 3 : 2);
const share = (n) => n === null ? "–" : (100 * n).toFixed(n < 1 ? 2 : 0) + " %";
const mean = (n) => n === null ? "–" : n.toFixed(n && n < 10 ? 2 : 0);
const clock = (s) => {
  const whole = Math.floor(s), two = (n) => String(n).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
};

function options(select, names) {
  const same = select.options.length === names.length &&
    names.every((name, at) => select.options[at].value === name);
  if (same) return;
  const before = select.value;
  select.replaceChildren(...names.map((name) => new Option(name, name)));
  if (names.includes(before)) select.value = before;
}
function rows(table, heads, lines) {
  const head = make("tr");
  head.append(...heads.map((text) => make("th", text)));
  const body = lines.map((line) => {
    const row = make("tr");
    row.append(...line.map((text) => make("td", text, typeof text === "number" ? "number" : "")));
    return row;
  });
  table.replaceChildren(head, ...body);
}

function draw() {
  const canvas = $("map"), by = +$("by").value;
  const style = getComputedStyle(document.body), color = (name) => style.getPropertyValue(name).trim();
  const width = canvas.clientWidth, all = shown.zones.reduce((sum, [, found]) => sum + found.length, 0);
  const cell = all > 2000 ? 8 : all > 300 ? 14 : 26, gap = cell > 10 ? 3 : 1, head = 20;
  const across = Math.max(1, Math.floor(width / (cell + gap)));
  let height = 0;
  for (const [, found] of shown.zones) {
    height += head + Math.ceil(found.length / across) * (cell + gap) + 8;
  }
  const ratio = window.devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = Math.max(40, height) * ratio;
  canvas.style.height = Math.max(40, height) + "px";
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = "12px system-ui, sans-serif";
  cells = [];
  let top = 0;
  if (!all) {
    pen.fillStyle = color("--soft");
    pen.fillText("No instances yet: launch some above.", 0, 20);
  }
  for (const [zone, found] of shown.zones) {
    pen.fillStyle = color("--soft");
    pen.fillText(`${zone || "no zone"}: ${count(found.length, "instance")}`, 0, top + 14);
    top += head;
    found.forEach((each, at) => {
      const x = (at % across) * (cell + gap), y = top + Math.floor(at / across) * (cell + gap);
      const fill = (cell * each[by]) / 100;
      pen.fillStyle = color("--cell");
      pen.fillRect(x, y, cell, cell);
      pen.fillStyle = color(by === 2 ? "--c0" : "--c2");
      pen.fillRect(x, y + cell - fill, cell, fill);
      if (each[4]) {
        pen.strokeStyle = color(each[4] === 1 ? "--draining" : "--cut");
        pen.lineWidth = cell > 10 ? 3 : 2;
        pen.strokeRect(x + 1, y + 1, cell - 2, cell - 2);
      }
      cells.push([x, y, cell, zone, each]);
    });
    top += Math.ceil(found.length / across) * (cell + gap) + 8;
  }
}
function tip(event) {
  const box = $("map").getBoundingClientRect();
  const x = event.clientX - box.left, y = event.clientY - box.top;
  const hit = cells.find(([left, top, size]) =>
    x >= left && x < left + size && y >= top && y < top + size);
  $("tip").hidden = !hit;
  if (!hit) return;
  const [, , , zone, [name, type, cpu, memory, status, tasks]] = hit;
  $("tip").textContent = `${name}\n${type}, ${zone}\nCPU ${cpu} %, memory ${memory} %, ` +
    `${count(tasks, "task")}${["", ", draining", ", agent cut off"][status]}`;
  $("tip").style.left = Math.min(event.clientX + 12, window.innerWidth - 290) + "px";
  $("tip").style.top = event.clientY + 14 + "px";
}

function show() {
  const { totals } = shown;
  const factor = shown.factor === null ? "as fast as it can"
    : shown.factor ? shown.factor + "×" : "stands still";
  const figures = [
    ["time, " + factor, clock(shown.now)], ["instances", totals.instances],
    ["tasks running", totals.running], ["tasks waiting", totals.waiting],
    ["dollars, now an hour", `${money(totals.dollars)}, ${money(totals.dollarsHour)}`],
    ["availability so far", share(totals.availability)],
  ];
  $("counters").replaceChildren(...figures.map(([name, value]) => {
    const pair = make("div");
    pair.append(make("dt", name), make("dd", value, name === "tasks waiting" && value ? "bad" : ""));
    return pair;
  }));
  options($("cluster"), shown.clusters);
  $("cluster").value = shown.cluster;
  $("does").hidden = !shown.simulated;
  for (const each of document.querySelectorAll(".zones")) {
    options(each, shown.zones.map(([zone]) => zone));
  }
  for (const each of document.querySelectorAll(".families")) options(each, shown.definitions);
  for (const each of document.querySelectorAll(".services")) {
    options(each, shown.services.map(([name]) => name));
  }
  const arrow = (before, after, as) => `${as(before)} → ${as(after)}`;
  $("effects").hidden = !shown.effects.length;
  $("effects").querySelector("tbody").replaceChildren(...shown.effects.map(
    ([at, what, dollars, dollarsThen, waits, waitsThen, up, upThen]) => {
      const row = make("tr");
      row.append(
        make("td", clock(at), "number"), make("td", what),
        make("td", arrow(dollars, dollarsThen, money), "number"),
        make("td", arrow(waits, waitsThen, mean), "number"),
        make("td", arrow(up, upThen, share), "number"),
      );
      return row;
    }));
  $("events").replaceChildren(...shown.events.map(([at, text]) => {
    const line = make("li");
    line.append(make("time", clock(at)), make("span", text));
    return line;
  }));
  rows($("services"), ["service", "desired", "running", "pending", "placed by", "state"],
    shown.services);
  rows($("tasks"), shown.tasks.columns, shown.tasks.rows.slice(0, TASKS_MOST));
  const left = shown.tasks.rows.length + shown.tasks.more - TASKS_MOST;
  $("more").textContent = left > 0 ? `and ${left} more` : "";
  draw();
}

let looking = false;
async function look() {
  if (looking) return;
  looking = true;
  try {
    const name = (shown && $("cluster").value) || "default";
    let answer = await fetch("/_stowplan/page.json?cluster=" + encodeURIComponent(name));
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.message || answer.statusText);
    const first = shown === null;
    shown = said;
    if (first) {
      const select = document.querySelector("select[name=factor]");
      select.value = shown.factor === null ? "fast" : shown.factor ? String(shown.factor) : "step";
    }
    show();
    $("error").hidden = true;
  } catch (error) {
    $("error").hidden = false;
    $("error").textContent = error.message;
  } finally {
    looking = false;
  }
}
for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(form);
  });
}
$("step").addEventListener("click", async () => {
  await beside("clock", { advance: "10m" });
  await look();
});
$("cluster").addEventListener("change", look);
$("by").addEventListener("change", draw);
$("map").addEventListener("pointermove", tip);
$("map").addEventListener("pointerleave", () => { $("tip").hidden = true; });
window.addEventListener("resize", () => shown && draw());
look();
setInterval(look, 1500);
