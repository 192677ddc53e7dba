// Joins the feed, the controls and the drawings.
import { Chart, Spark } from "./chart.js";
import { Feed } from "./feed.js";
import { Fresh } from "./fresh.js";
import { Marbles } from "./marbles.js";

const $ = id => document.getElementById(id);
const clock = () => performance.now() / 1000;
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const feed = new Feed(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/telemetry`);
const chart = new Chart($("chart")), marbles = new Marbles($("marbles")), fresh = new Fresh($("fresh"));
const sparks = { memory: new Spark($("memory-spark")), net_in: new Spark($("net-in-spark")), net_out: new Spark($("net-out-spark")), load: new Spark($("load-spark")) };
const arrivals = [];
let counts = { in: 0, out: 0 }, offset = 0, resumeAt = 0, toast = 0;

const bytes = n => n < 1e3 ? `${n} B/s` : n < 1e6 ? `${(n / 1e3).toFixed(1)} kB/s` : `${(n / 1e6).toFixed(1)} MB/s`;
const show = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };

const receive = {
  hello: message => { show("host", message.host); show("chart-note", `${message.cores} cores, their mean, and the moving window`); },
  settings: message => { chart.percent = message.percent; },
  alert: message => {
    $("alert").hidden = !message.on;
    show("alert", `CPU ${message.cpu} %, above ${message.percent} %`);
  },
  error: message => complain(message.message),
  sample: message => {
    const gap = Date.now() / 1000 - message.at;
    offset = offset ? Math.min(offset, gap) : gap;
    fresh.add("age", gap - offset, clock());
    chart.add(message);
    for (const name of Object.keys(sparks)) sparks[name].add(message[name]);
    show("memory", `${message.memory.toFixed(1)} %`);
    show("net-in", bytes(message.net_in));
    show("net-out", bytes(message.net_out));
    show("load", message.load.toFixed(2));
    Object.values(sparks).forEach(spark => spark.draw());
    if (calm.matches) draw();
  },
};

const labels = {
  sample: message => message.mean.toFixed(0), alert: message => message.on ? "on" : "off", settings: () => "set", hello: () => "hi", error: () => "err",
  rate: message => `${message.hz}Hz`, window: message => `${message.seconds}s`, threshold: message => `${message.percent}%`, close: message => `${message.code}`, fail: () => "✕",
};

function complain(text) {
  show("error", text);
  $("error").hidden = false;
  clearTimeout(toast);
  toast = setTimeout(() => { $("error").hidden = true; }, 4000);
}

function count(lane, kind, message) {
  counts[lane] += 1;
  arrivals.push(clock());
  show(`count-${lane}`, `${counts[lane]}`);
  marbles.add(lane, kind, labels[message?.type]?.(message) ?? "?!", clock());
}

feed.addEventListener("message", ({ detail }) => {
  count("in", detail.type, detail);
  if (detail.in_flight !== null) fresh.add("flight", detail.in_flight, clock());
  show("rtt", detail.rtt === null ? "–" : `${(detail.rtt * 1000).toFixed(1)} ms`);
  receive[detail.type]?.(detail);
});
feed.addEventListener("sent", ({ detail }) => count("out", "control", detail));
feed.addEventListener("closed", ({ detail }) => {
  show("close-code", `${detail.code}`);
  show("close-reason", detail.reason || "–");
  marbles.end(detail.code, detail.reason, clock());
  $("alert").hidden = true;
});
feed.addEventListener("state", ({ detail }) => {
  show("state", detail.state);
  $("state").dataset.state = detail.state;
  $("reconnect").disabled = detail.state !== "closed";
  resumeAt = detail.wait ? clock() + detail.wait / 1000 : 0;
  if (detail.state === "open") controls.forEach(send => send());
});

function control(id, type, field, unit) {
  const send = () => feed.send({ type, [field]: Number($(id).value) });
  $(id).addEventListener("input", () => { show(`${id}-value`, `${$(id).value} ${unit}`); send(); });
  return () => { if ($(id).value !== $(id).defaultValue) send(); };
}
const controls = [control("rate", "rate", "hz", "Hz"), control("window", "window", "seconds", "s"), control("threshold", "threshold", "percent", "%")];

$("work").addEventListener("input", () => {
  feed.work = Number($("work").value);
  show("work-value", `${feed.work} ms a message`);
});

$("close-1000").onclick = () => feed.send({ type: "close", code: 1000 });
$("close-4001").onclick = () => feed.send({ type: "close", code: 4001, reason: "bye" });
$("fail").onclick = () => feed.send({ type: "fail" });
$("garbage").onclick = () => feed.sendText("{not json", { type: "garbage" });
$("reconnect").onclick = () => feed.connect();
$("auto").onchange = event => {
  feed.auto = event.target.checked;
  if (!feed.auto) { feed.stop(); resumeAt = 0; }
};

const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = name => { root.dataset.theme = name; };
theme(dark.matches ? "dark" : "light");
dark.addEventListener("change", () => theme(dark.matches ? "dark" : "light"));
$("theme").onclick = () => theme(root.dataset.theme === "dark" ? "light" : "dark");

function draw() {
  chart.draw(Date.now() / 1000 - offset);
  marbles.draw(clock());
  fresh.draw(clock());
  show("age", fresh.text("age"));
  show("in-flight", fresh.text("flight"));
  while (arrivals.length && arrivals[0] < clock() - 2) arrivals.shift();
  show("speed", (arrivals.length / 2).toFixed(0));
  show("countdown", resumeAt > clock() ? `in ${(resumeAt - clock()).toFixed(1)} s` : "");
}
function frame() {
  if (!calm.matches) draw();
  requestAnimationFrame(frame);
}
requestAnimationFrame(frame);
if (calm.matches) setInterval(draw, 500);
feed.connect();
