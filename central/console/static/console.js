// The live page. What the server says is kept in one book (book.js); this file shows it and hears the operator.
//
// The large pair follows the newest alert until the operator picks one; then it stays there until Escape.
// A late alert joins the list with its mark and never takes the large place from what is live.

import { Book } from "./book.js";
import { listen } from "./stream.js";
import { age, clock, score, timeOf } from "./words.js";

const $ = (id) => document.getElementById(id);
const root = document.documentElement;
const book = new Book({ retentionMs: Number(root.dataset.retentionMs), most: 200 });
const rows = new Map(); // sighting id -> li
let picked = null; // { sighting, alert } that the operator chose; null: follow the newest
let unseen = 0; // arrived while something was picked
let ready = false; // false while the past is being replayed
let large = null; // the alert that is shown large
let offset = 0; // centre's clock minus this browser's, ms

// ------------------------------------------------------------------ showing

function show() {
  const sightings = book.sightings();
  const chosen = sightings.find((s) => s.id === picked?.sighting);
  if (!chosen) picked = null;
  const sighting = chosen ?? sightings.find((s) => !s.newest.late) ?? sightings[0];
  const alert = sighting && (sighting.alerts.find((a) => a.alert_id === picked?.alert) ?? sighting.newest);
  showStage(sighting, alert);
  showList(sightings, sighting);
  $("number").textContent = sightings.length ? `· ${sightings.length}` : "";
  $("follow").hidden = !picked;
  $("follow").textContent = unseen ? `Back to live · ${unseen} new` : "Back to live";
  document.title = unseen && (picked || document.hidden) ? `(${unseen}) Sightline` : "Sightline";
}

function showStage(sighting, alert) {
  $("empty").hidden = Boolean(alert);
  $("shown").hidden = !alert;
  large = alert ?? null;
  if (!alert) return;
  $("name").textContent = alert.identity;
  $("marks").replaceChildren(...(alert.late ? [lateMark(`LATE · arrived ${age(alert.received_at_ms - alert.raised_at_ms)} after it was seen`)] : []));
  picture($("probe"), alert, "probe", `Face seen by camera ${alert.camera}`);
  picture($("reference"), alert, "reference", `Enrolled photograph of ${alert.identity}`);
  $("seen").textContent = `${timeOf(alert.captured_at_ms, now())}, camera ${alert.camera}`;
  $("enrolled").textContent = `${age(now() - alert.enrolled_at_ms)} ago` + (alert.references > 1 ? `, nearest of ${alert.references}` : "");
  $("score").textContent = score(alert.score, 3);
  $("threshold").textContent = score(alert.threshold, 3);
  $("fill").style.width = share(alert.score);
  $("notch").style.left = share(alert.threshold);
  $("camera").textContent = alert.camera;
  $("when").textContent = timeOf(alert.captured_at_ms, now());
  $("when").title = new Date(alert.captured_at_ms).toISOString();
  $("since").textContent = `${age(now() - alert.captured_at_ms)} ago`;
  $("looks").textContent = alert.revision + 1;
  const passes = sighting.alerts.length > 1 ? sighting.alerts : [];
  replaceChanged($("passes"), passes.map((pass) => passButton(sighting, pass, alert)));
}

function showList(sightings, current) {
  const list = $("list");
  const kept = new Set(sightings.map((s) => s.id));
  for (const [id, row] of rows) if (!kept.has(id)) { row.remove(); rows.delete(id); }
  sightings.forEach((sighting, index) => {
    let row = rows.get(sighting.id);
    if (!row) { row = makeRow(sighting.id); rows.set(sighting.id, row); }
    fillRow(row, sighting, sighting === current);
    // Moving a row takes the focus from it: only rows out of place are moved.
    if (list.children[index] !== row) {
      const focused = row.contains(document.activeElement);
      list.insertBefore(row, list.children[index] ?? null);
      if (focused) row.firstChild.focus();
    }
  });
}

function makeRow(id) {
  const row = document.createElement("li");
  const button = part("button", "");
  button.type = "button";
  button.addEventListener("click", () => pick(id));
  const text = part("span", "text");
  const first = part("span", "line");
  first.append(part("b", "score"), part("span", "time"), part("span", "mark-late"));
  const second = part("span", "line");
  second.append(part("span", "camera"), part("span", "more"));
  text.append(part("span", "name"), first, second);
  button.append(document.createElement("img"), document.createElement("img"), text);
  row.append(button);
  return row;
}

function fillRow(row, sighting, current) {
  const alert = sighting.newest;
  const [probe, reference] = row.querySelectorAll("img");
  picture(probe, alert, "probe", "");
  picture(reference, alert, "reference", "");
  row.querySelector(".name").textContent = alert.identity;
  row.querySelector(".score").textContent = score(alert.score);
  row.querySelector(".time").textContent = timeOf(alert.captured_at_ms, now());
  row.querySelector(".mark-late").replaceChildren(...(alert.late ? [lateMark("LATE")] : []));
  row.querySelector(".camera").textContent = sighting.cameras.join(" · ");
  row.querySelector(".more").textContent = sighting.alerts.length > 1 ? `${sighting.alerts.length} passes` : "";
  row.firstChild.setAttribute("aria-current", String(current));
}

function passButton(sighting, pass, shown) {
  const button = part("button", "");
  button.type = "button";
  button.textContent = `${clock(pass.captured_at_ms)} · ${pass.camera} · ${score(pass.score)}` + (pass.late ? " · LATE" : "");
  button.setAttribute("aria-current", String(pass === shown));
  button.addEventListener("click", () => pick(sighting.id, pass.alert_id));
  return button;
}

function picture(image, alert, kind, words) {
  // The revision makes a new address: what is shown is never the picture of an earlier look.
  const address = `/alerts/${alert.alert_id}/${kind}.jpg?r=${alert.revision}`;
  if (image.getAttribute("src") !== address) image.src = address;
  image.alt = words;
}

function part(kind, className) {
  const element = document.createElement(kind);
  if (className) element.className = className;
  return element;
}

function lateMark(words) {
  const mark = part("span", "late");
  mark.textContent = words;
  return mark;
}

const share = (value) => `${Math.max(0, Math.min(1, value)) * 100}%`;
const now = () => Date.now() + offset;

// ------------------------------------------------------------------ the operator

function pick(sighting, alert = null) {
  picked = { sighting, alert };
  show();
}

function follow() {
  picked = null;
  unseen = 0;
  show();
  $("list").scrollTop = 0;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape") return follow();
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const all = [...$("list").children].map((row) => row.firstChild);
  const at = all.findIndex((button) => button.getAttribute("aria-current") === "true");
  const next = all[at + (event.key === "ArrowDown" ? 1 : -1)];
  if (!next) return;
  event.preventDefault();
  next.focus();
  next.click();
});
$("follow").addEventListener("click", follow);
document.addEventListener("visibilitychange", () => { if (!document.hidden && !picked) { unseen = 0; show(); } });

// ------------------------------------------------------------------ the centre

listen({
  alert(alert) {
    const isNew = book.put(alert);
    if (ready && isNew) {
      if (picked || document.hidden) unseen += 1;
      $("said").textContent = `${alert.late ? "Late alert" : "Alert"}: ${alert.identity}, camera ${alert.camera}, score ${score(alert.score)}`;
    }
    if (ready) {
      show();
      if (isNew) flash(rows.get(alert.sighting_id));
    }
  },
  ready() { ready = true; show(); },
  health(health) {
    offset = health.now_ms - Date.now();
    showBoxes(health.devices, health.notices);
    showTotals(health.totals);
  },
  state(state, words) {
    $("link").dataset.state = state;
    $("link-word").textContent = { live: "Live", lost: "Lost", connecting: "Connecting" }[state];
    $("lost").hidden = state !== "lost";
    document.body.classList.toggle("stale", state === "lost");
    if ($("lost").textContent !== words) $("lost").textContent = words;
  },
});

function flash(row) {
  if (!row) return;
  row.classList.remove("new");
  void row.offsetWidth; // lets the animation begin again
  row.classList.add("new");
  setTimeout(() => row.classList.remove("new"), 4000);
}

function showBoxes(devices, notices) {
  const chips = devices.map((box) => {
    const chip = document.createElement("li");
    const mark = part("span", "mark");
    mark.setAttribute("aria-hidden", "true");
    const name = part("b", "");
    name.textContent = box.device;
    chip.dataset.state = box.state;
    chip.classList.toggle("drifts", Boolean(box.drifts));
    chip.append(mark, name, boxWords(box));
    chip.title = box.troubles.join("; ");
    return chip;
  });
  if (!chips.length) {
    chips.push(part("li", "quiet"));
    chips[0].textContent = "no box is admitted";
  }
  for (const notice of notices ?? []) {
    const chip = part("li", "");
    chip.dataset.state = "blind";
    chip.textContent = notice;
    chips.push(chip);
  }
  replaceChanged($("boxes"), chips);
}

// Replace children only by different ones: the same again would lose the focus, and be read aloud again.
function replaceChanged(parent, children) {
  const said = (all) => [...all].map((child) => child.outerHTML).join();
  if (said(parent.children) !== said(children)) parent.replaceChildren(...children);
}

function boxWords(box) {
  const waiting = box.waiting ? ` · ${box.waiting} waiting` : "";
  const shed = box.shed ? ` · ${box.shed} shed` : "";
  const trouble = box.troubles.length ? ` · ${box.troubles[0]}` : "";
  const drift = box.drift ? ` · ${box.drift}` : "";
  const rate = box.camera ? ` ${Math.round(box.camera.rate_fps)} pictures a second` : "";
  const state = { seeing: `seeing${rate}`, blind: "BLIND", silent: `SILENT for ${age(box.heard_ago_ms)}`, never: "not heard yet" }[box.state];
  return document.createTextNode(` ${state ?? box.state}${drift}${trouble}${waiting}${shed}`);
}

function showTotals(totals) {
  const shown = { tracks: "passes", candidates: "candidates", below_threshold: "below threshold", alerts: "alerts", sightings: "sightings" };
  $("totals").replaceChildren(...Object.entries(shown).map(([key, words]) => {
    const pair = document.createElement("div");
    const term = document.createElement("dt");
    const value = document.createElement("dd");
    term.textContent = words;
    value.textContent = totals[key].toLocaleString("en-GB");
    pair.append(term, value);
    return pair;
  }));
}

setInterval(() => {
  const time = $("clock").firstChild;
  time.textContent = clock(now());
  if (book.forget(now())) show();
  if (large) $("since").textContent = `${age(now() - large.captured_at_ms)} ago`;
}, 1000);

// ------------------------------------------------------------------ dark and light

function dress(theme) {
  root.dataset.theme = theme;
  $("theme").textContent = theme === "dark" ? "Light" : "Dark";
}
dress(localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"));
$("theme").addEventListener("click", () => {
  dress(root.dataset.theme === "dark" ? "light" : "dark");
  localStorage.setItem("theme", root.dataset.theme);
});
