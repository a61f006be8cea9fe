"use strict";
// The page can be read without this script. It adds the list of sub-calls: 10,000 of them are
// unpacked in blocks after the first paint, only the rows in view are elements, and a search works
// in slices of a few milliseconds so that typing stays fluid.
(() => {
  const ROW = 72; // pixels, as in the style
  const SLICE_MS = 8;
  const LONGEST_SHOWN = 400; // characters of a row's texts
  const $ = (id) => document.getElementById(id);
  const later = () => new Promise((done) => setTimeout(done));

  // -- the theme
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const showTheme = () => {
    const isDark = chosen === null ? dark.matches : chosen === "dark";
    $("theme").setAttribute("aria-pressed", String(isDark));
  };
  $("theme").hidden = false;
  $("theme").addEventListener("click", () => {
    const isDark = chosen === null ? dark.matches : chosen === "dark";
    chosen = isDark ? "light" : "dark";
    document.documentElement.dataset.theme = chosen;
    showTheme();
  });
  dark.addEventListener("change", showTheme);
  showTheme();

  for (const link of document.querySelectorAll("nav a")) {
    if (!document.querySelector(link.getAttribute("href"))) link.hidden = true;
  }

  // What is folded is printed too.
  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details")) fold.open = true;
  });

  // -- the sub-calls
  const calls = [];
  const total = document.querySelectorAll("script.calls").length;
  let shown = []; // indices in `calls` of those found, in order
  let only = null; // "node:cell" of the one cell whose calls are wanted
  let search = 0; // the number of the newest search; older ones end
  let opened = -1; // the index in `shown` of the one in the dialog
  let reading = true;

  async function unpack(element) {
    const bytes = Uint8Array.from(atob(element.textContent), (char) => char.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  async function readAll() {
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    for (const element of document.querySelectorAll("script.calls")) {
      for (const call of await unpack(element)) {
        call.text = [call.question, call.prompt, call.reply].join("\n").toLowerCase();
        calls.push(call);
      }
      element.remove();
      await later();
    }
    reading = false;
    // One height for all searches, so that nothing below moves while somebody types.
    const height = Math.min(innerHeight * 0.6, 7.5 * ROW);
    $("list").style.height = `${Math.min(height, calls.length * ROW + 2)}px`;
    await find();
  }

  const words = () => $("query").value.toLowerCase().split(/\s+/).filter(Boolean);

  function isWanted(call, wanted) {
    if ($("failed").checked && !call.failed) return false;
    if (only !== null && `${call.node}:${call.cell}` !== only) return false;
    return wanted.every((word) => call.text.includes(word));
  }

  async function find() {
    const mine = ++search;
    const wanted = words();
    const hits = [];
    let since = performance.now();
    for (let index = 0; index < calls.length; index++) {
      if (isWanted(calls[index], wanted)) hits.push(index);
      if (performance.now() - since > SLICE_MS) {
        await later();
        if (mine !== search) return;
        since = performance.now();
      }
    }
    shown = hits;
    $("list").scrollTop = 0;
    const all = `${calls.length.toLocaleString("en")} sub-call${calls.length === 1 ? "" : "s"}`;
    const some = `${hits.length.toLocaleString("en")} of ${all}`;
    const found = hits.length === calls.length ? all : some;
    $("found").textContent = reading ? `Reading … ${all} so far` : found;
    $("list").dataset.found = String(hits.length);
    draw(true);
  }

  // -- rows: only those in view are elements
  const rows = new Map();

  function draw(anew) {
    if (anew) {
      for (const row of rows.values()) row.remove();
      rows.clear();
      $("rows").style.height = `${shown.length * ROW}px`;
    }
    const first = Math.max(0, Math.floor($("list").scrollTop / ROW) - 4);
    const last = Math.min(shown.length, first + Math.ceil($("list").clientHeight / ROW) + 8);
    for (const [index, row] of rows) {
      if ((index < first || index >= last) && !row.contains(document.activeElement)) {
        row.remove();
        rows.delete(index);
      }
    }
    const wanted = words();
    for (let index = first; index < last; index++) {
      if (rows.has(index)) continue;
      const row = drawn(index, wanted);
      rows.set(index, row);
      const after = [...rows.keys()].filter((other) => other > index).sort((a, b) => a - b)[0];
      $("rows").insertBefore(row, after === undefined ? null : rows.get(after));
    }
  }

  function drawn(index, wanted) {
    const call = calls[shown[index]];
    const row = document.createElement("div");
    row.setAttribute("role", "listitem");
    row.setAttribute("aria-setsize", String(shown.length));
    row.setAttribute("aria-posinset", String(index + 1));
    row.style.top = `${index * ROW}px`;
    const button = document.createElement("button");
    button.type = "button";
    if (call.failed) button.className = "failed";
    button.append(
      line("where", where(call), []),
      line("prompt", excerpt(call.prompt, wanted), wanted),
      line("reply", excerpt(call.reply, wanted), wanted),
    );
    button.addEventListener("click", () => open(index));
    row.append(button);
    return row;
  }

  const where = (call) => {
    const seconds = call.seconds ? ` · ${call.seconds.toFixed(2)} s` : "";
    return `node ${call.node} · cell ${call.cell} · ${call.name}${seconds}`;
  };

  /** The beginning of a text, or what is around the first word that was searched. */
  function excerpt(text, wanted) {
    const low = text.slice(0, 200000).toLowerCase();
    const hit = Math.max(-1, ...wanted.map((word) => low.indexOf(word)));
    const start = hit > 60 ? hit - 40 : 0;
    return (start ? "… " : "") + text.slice(start, start + LONGEST_SHOWN).replace(/\s+/g, " ");
  }

  function line(kind, text, wanted) {
    const made = document.createElement("span");
    made.className = kind;
    marked(made, text, wanted);
    return made;
  }

  /** Append a text with the searched words marked. */
  function marked(element, text, wanted) {
    const low = text.toLowerCase();
    let index = 0;
    while (wanted.length && low.length === text.length) {
      const next = wanted
        .map((word) => [low.indexOf(word, index), word.length])
        .filter(([at]) => at >= 0)
        .sort((a, b) => a[0] - b[0] || b[1] - a[1])[0];
      if (next === undefined || element.childNodes.length > 2000) break;
      const mark = document.createElement("mark");
      mark.textContent = text.slice(next[0], next[0] + next[1]);
      element.append(text.slice(index, next[0]), mark);
      index = next[0] + next[1];
    }
    element.append(text.slice(index));
  }

  // -- one call
  function open(index) {
    opened = index;
    const call = calls[shown[index]];
    $("detail-title").textContent = where(call);
    const at = call.at === null ? "" : `${call.at.toFixed(1)} s after the start`;
    const child = call.child ? `answered by node ${call.child}` : "";
    const facts = [call.model, child, call.used, at].filter(Boolean);
    $("detail-facts").textContent = facts.join(" · ");
    $("detail-map").hidden = !call.question;
    for (const name of ["question", "prompt", "reply"]) {
      const element = $(`detail-${name}`);
      element.textContent = "";
      marked(element, call[name] || (name === "prompt" ? "(not in a notebook alone)" : ""), words());
      element.scrollTop = 0;
    }
    $("previous").disabled = index === 0;
    $("next").disabled = index === shown.length - 1;
    if (!$("detail").open) $("detail").showModal();
  }

  function focusRow(index) {
    if (index < 0 || index >= shown.length) return;
    const list = $("list");
    const top = index * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
    draw(false);
    rows.get(index).firstChild.focus({ preventScroll: true });
  }

  function narrow(cell) {
    only = cell;
    $("only").hidden = cell === null;
    if (cell !== null) {
      const [node, number] = [cell.slice(0, cell.lastIndexOf(":")), cell.split(":").pop()];
      $("only").textContent = `only node ${node}, cell ${number} ×`;
      $("only").setAttribute("aria-label", `Only node ${node}, cell ${number}. Show all`);
    }
    return find();
  }

  if (!total) return;
  $("explorer").hidden = false;
  $("query").addEventListener("input", find);
  $("failed").addEventListener("change", find);
  $("only").addEventListener("click", () => narrow(null).then(() => $("query").focus()));
  $("list").addEventListener("scroll", () => draw(false), { passive: true });
  addEventListener("resize", () => draw(false));
  $("list").addEventListener("keydown", (event) => {
    const now = [...rows].find(([, row]) => row.contains(document.activeElement));
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 6, PageUp: -6 };
    if (now === undefined || (moves[event.key] === undefined && !["Home", "End"].includes(event.key)))
      return;
    event.preventDefault();
    const ends = { Home: 0, End: shown.length - 1 };
    const index = ends[event.key] ?? now[0] + moves[event.key];
    focusRow(Math.min(shown.length - 1, Math.max(0, index)));
  });
  $("query").addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && shown.length) {
      event.preventDefault();
      focusRow(0);
    }
  });
  $("previous").addEventListener("click", () => open(opened - 1));
  $("next").addEventListener("click", () => open(opened + 1));
  $("close").addEventListener("click", () => $("detail").close());
  $("detail").addEventListener("close", () => focusRow(opened));
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-only]");
    if (link !== null) narrow(link.dataset.only);
  });
  readAll();
})();
