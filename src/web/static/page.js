// Has the figures of a volume follow what it does. Everything else works without scripts.
"use strict";

const INTERVAL_MS = 1000;
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

function bytes(count) {
  let unit = 0;
  while (count >= 1024 && unit + 1 < UNITS.length) {
    count /= 1024;
    unit += 1;
  }
  return (unit === 0 || count >= 100 ? Math.round(count) : count.toFixed(1)) + " " + UNITS[unit];
}

function tell(section, key, text) {
  const cell = section.querySelector(`[data-figure="${key}"]`);
  if (cell && cell.textContent !== text) cell.textContent = text;
}

function row(kind) {
  const line = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = kind.operation;
  line.append(head);
  for (const text of [kind.count, kind.mean, kind.most]) {
    const cell = document.createElement("td");
    cell.className = "figure";
    cell.textContent = text;
    line.append(cell);
  }
  return line;
}

function show(section, was, is, seconds) {
  const since = was && was.started === is.started ? was : null;
  if (since) {
    const requests = is.requests - since.requests;
    tell(section, "requests", String(Math.round(requests / seconds)));
    const mean = requests > 0 ? (is.nanos - since.nanos) / requests / 1000 : null;
    tell(section, "latency", mean === null ? "–" : Math.round(mean) + " us");
    tell(section, "read", bytes((is.read_bytes - since.read_bytes) / seconds));
    tell(section, "written", bytes((is.written_bytes - since.written_bytes) / seconds));
  }
  tell(section, "waiting", is.waiting === null ? "–" : String(is.waiting));
  const table = section.querySelector("[data-kinds]");
  if (table) {
    const kinds = [...is.kinds].sort((a, b) => b.count - a.count);
    table.replaceChildren(...kinds.map(row));
  }
}

async function follow(section) {
  for (const hidden of section.querySelectorAll("[data-needs-script]")) hidden.hidden = false;
  let was = null;
  let at = 0;
  for (;;) {
    if (!document.hidden) {
      try {
        const answer = await fetch(section.dataset.live, { signal: AbortSignal.timeout(15000) });
        if (!answer.ok) throw new Error(answer.status);
        const is = await answer.json();
        const now = performance.now();
        show(section, was, is, (now - at) / 1000);
        was = is;
        at = now;
        section.classList.remove("stale");
        tell(section, "state", "");
      } catch {
        section.classList.add("stale");
        tell(section, "state", "The volume does not answer: these figures are old.");
      }
    }
    await new Promise((resume) => setTimeout(resume, INTERVAL_MS));
  }
}

for (const section of document.querySelectorAll("[data-live]")) follow(section);
