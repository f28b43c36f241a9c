"use strict";
const at = (id) => document.getElementById(id);
const say = (id, text) => { at(id).textContent = text; };
const numbers = location.pathname.replace(/\/+$/, "") + "/status.json";
const samples = [];
let lastGood = Date.now();

const size = (bytes) => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) { bytes /= 1024; unit += 1; }
  return (unit === 0 || bytes >= 100 ? bytes.toFixed(0) : bytes.toFixed(1)) + " " + units[unit];
};
const span = (ms) => {
  if (ms < 1000) { return Math.round(ms) + " ms"; }
  if (ms < 10000) { return (ms / 1000).toFixed(1) + " s"; }
  const s = Math.floor(ms / 1000);
  if (s < 100) { return s + " s"; }
  if (s < 6000) { return Math.floor(s / 60) + " min"; }
  if (s < 172800) { return Math.floor(s / 3600) + " h"; }
  return Math.floor(s / 86400) + " days";
};
const ago = (ms) => (ms < 1000 ? "now" : span(Math.floor(ms / 1000) * 1000).replace(".0", "") + " ago");
const share = (part, whole) => (whole > 0 ? (100 * part / whole) : 0);

// Rows of a table: each cell is text, or [text, class].
const fill = (id, rows, nothing) => {
  const body = at(id);
  const made = rows.map((cells) => {
    const row = document.createElement("tr");
    for (const cell of cells) {
      const [text, kind] = Array.isArray(cell) ? cell : [cell, ""];
      const place = document.createElement("td");
      place.textContent = text;
      place.title = text;
      if (kind) { place.className = kind; }
      row.append(place);
    }
    return row;
  });
  if (made.length === 0) {
    const row = document.createElement("tr");
    const place = document.createElement("td");
    place.colSpan = 9;
    place.className = "none";
    place.textContent = nothing;
    row.append(place);
    made.push(row);
  }
  body.replaceChildren(...made);
};
const bar = (id, parts) => {
  [...at(id).children].forEach((part, index) => { part.style.width = parts[index] + "%"; });
};
const kind = (result) => result.replace(" ", "-");

const draw = (busy, all) => {
  samples.push(busy);
  if (samples.length > 121) { samples.shift(); }
  const first = 121 - samples.length;
  const points = samples.map((value, index) => (first + index) + "," + (29 - 28 * Math.min(1, value / Math.max(1, all))).toFixed(1));
  at("line").setAttribute("points", points.join(" "));
  at("area").setAttribute("points", first + ",30 " + points.join(" ") + " 120,30");
};

const show = (now) => {
  document.title = now.slots.busy + "/" + now.slots.all + " distccd " + now.host;
  say("host", now.host);
  say("about", "Pumphouse " + now.version + ", up " + span(now.uptime_s * 1000));
  say("busy", now.slots.busy);
  say("slots", now.slots.all);
  draw(now.slots.busy, now.slots.all);
  const results = now.results;
  if (results) {
    const asked = results.hits + results.kept + results.not_kept;
    say("hit-rate", asked > 0 ? share(results.hits, asked).toFixed(0) + "%" : "–");
    say("hits", " " + results.hits + " of " + asked + " jobs, " + size(results.hit_bytes));
    bar("fates", [share(results.hits, asked), share(results.kept, asked), share(results.not_kept, asked)]);
  } else {
    say("hits", " results are not kept");
  }
  const store = now.store;
  if (store) {
    say("bytes", size(store.bytes));
    say("limit", " of " + size(store.limit) + ", " + store.blobs + " files");
    bar("room", [Math.min(100, share(store.bytes, store.limit))]);
    say("evicted", store.evicted + " evicted" + (store.damaged > 0 ? ", " + store.damaged + " damaged" : ""));
  } else {
    say("limit", " there is no store");
  }
  say("connections", now.connections);
  say("rate", " " + now.compiles[0] + " compiles a minute");
  const endings = now.endings.filter((ending) => ending.count > 0);
  say("endings", endings.map((ending) => ending.count + " " + ending.what).join(", "));
  say("present", now.present > now.running.length ? "the first " + now.running.length + " of " + now.present : "");
  fill("running", now.running.map((job) => [job.phase, [span(job.phase_ms), "number"], [span(job.ms), "number"], job.source,
    job.compiler, job.peer]), "nothing runs");
  fill("reasons", now.reasons.map((why) => [[why.count, "number"], [why.result, kind(why.result)], why.reason]), "nothing yet");
  fill("recent", now.recent.map((job) => [ago(now.now_ms - job.ended_ms), [span(job.ms), "number"],
    [job.result, kind(job.result)], [job.ending, job.ending === "COMPILE_OK" ? "" : "wrong"], job.source, job.compiler, job.peer,
    job.reason]), "no job yet");
};

const ask = async () => {
  try {
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), 5000);
    const answer = await fetch(numbers, { cache: "no-store", signal: limit.signal });
    show(await answer.json());
    clearTimeout(timer);
    lastGood = Date.now();
    at("stale").hidden = true;
  } catch (error) {
    say("stale", "No answer for " + span(Date.now() - lastGood) + "; what is shown is as old as that.");
    at("stale").hidden = false;
  }
};
const keepAsking = async () => {
  if (!document.hidden) { await ask(); }
  setTimeout(keepAsking, 1000);
};
document.addEventListener("visibilitychange", () => { if (!document.hidden) { ask(); } });
keepAsking();
