"use strict";
/* Draws the document of septum/page/document.py. All that it shows is set as text: no string of a document becomes markup. */

const ROLES = [
  ["GUEST", "pages of guest_memfd"], ["SPT", "mirror and direct tables"], ["EXTERNAL", "S-EPT pages"], ["PAIR", "PAMT pairs"],
  ["CONTROL", "TDR and TDCS"], ["POOL", "in a pool"], ["HAND", "in the hand of a thread"], ["FREE", "free, and yet named"],
];
const KEYS = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 10, PageUp: -10 };

/* An element: its attributes, those that begin with "on" its listeners, those with "--" its variables; then what is in it. */
function h(name, attributes, ...inside) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag || "div");
  if (classes.length) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key.startsWith("--")) made.style.setProperty(key, value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...inside.flat(9).filter((one) => one !== null && one !== undefined && one !== "" && one !== false).map((one) => (one instanceof Node ? one : String(one))));
  return made;
}

/* A value, and before it what it was, where that was another one. */
function fresh(now, before) {
  return before === undefined || before === now ? [now] : [before ? h("del", null, before) : "", before ? " " : "", h("ins", null, now || "none")];
}

function table(heads, rows) {
  return h("div.wide", null, h("table.grid", null, h("tr", null, heads.map((one) => h("th", { scope: "col" }, one))), rows.map((row) => h("tr", null, row.map((cell) => h("td", null, cell))))));
}

/* A counterexample, or a walk, that can be stepped. `walk` is the page on which one chooses the next step oneself, if it is that. */
class Stepper {
  constructor(found, prefix, walk) {
    Object.assign(this, { found, prefix, walk, at: found.steps.length, watched: null });
    this.things = found.things;
    this.options = found.steps.map((step, number) => this.row(step, number + 1));
    this.diagram = h("div.diagram", { role: "listbox", tabindex: 0, "aria-label": "Steps of the schedule", onkeydown: (event) => this.key(event), "--threads": found.threads.length });
    this.panels = h("div.state", { role: "region", "aria-label": "The state after the chosen step" });
    this.controls = this.bar();
    this.fill();
    this.element = h("div", null, this.controls, h("div.stage", null, this.diagram, this.panels));
    this.show(this.at, false);
  }

  fill() {
    const { found } = this;
    const start = h("div.row.start", { role: "option", id: `${this.prefix}-0`, "aria-selected": "false", onclick: () => this.show(0) }, h("span.number", null, "0"), h("div.whole.soft", null, "at the start"));
    this.options.unshift(start);
    this.diagram.append(h("div.row.heads", { role: "presentation" }, h("span"), found.threads.map((one) => h("span", null, one))));
    this.options.forEach((one, number) => {
      if (found.loop !== null && number - 1 === found.loop) this.diagram.append(h("div.rule", { role: "presentation" }, "from here on, for ever"));
      this.diagram.append(one);
    });
    if (found.loop !== null) this.diagram.append(h("div.rule", { role: "presentation" }, `again from step ${found.loop + 1}`));
    if (found.race) this.diagram.append(this.race(found.race));
  }

  row(step, number) {
    const column = Math.max(this.found.threads.indexOf(step.thread), 0);
    const row = h("div.row", { role: "option", id: `${this.prefix}-${number}`, "aria-selected": "false", onclick: () => this.show(number) },
      h("span.number", null, String(number)), h("div.cell", { "--column": column }, h("span.thread-name", null, step.thread), this.lines(step, number)));
    if (step.needed) row.classList.add("needed");
    return row;
  }

  lines(step, number) {
    const lines = step.entered.map(([depth, text]) => h("div.enters", { "--depth": depth }, text));
    const add = (kind, ...inside) => lines.push(h(`div.${kind}`, { "--depth": step.depth }, ...inside));
    if (step.takes) lines.push(h("div.line", { "--depth": 0 }, "\u2192 memory"));
    if (step.line) add("line", h("span.where", null, `${step.line[0].split("/").pop()}:${step.line[1]} `), step.line[2]);
    step.reads.forEach(([place, value]) => add("effect", `reads ${place}: ${value}`));
    if (step.choice !== null) add("effect", `choice ${step.choice}`);
    step.changes.forEach(([place, old, now]) => add("effect", `${place}: `, h("del", null, old), " \u2192 ", h("b", null, now)));
    step.events.forEach((one) => add("effect.event", `* ${one}`));
    if (step.passed.length) add("effect.soft", `takes and releases ${step.passed.join(", ")}`);
    if (step.locks) add("effect.soft", `holds ${step.locks.join(", ") || "no lock"}`);
    const failed = number === this.found.steps.length && (this.found.ends || []).find((one) => one.thread === step.thread && one.state === "failed");
    if (failed) add("line.failing", h("span.where", null, `${failed.stack.at(-1).file.split("/").pop()}:${failed.stack.at(-1).line} `), failed.stack.at(-1).source);
    return lines;
  }

  race(race) {
    const side = (thread, accesses) => h("div.row", { role: "presentation" }, h("span.number"), h("div.cell", { "--column": Math.max(this.found.threads.indexOf(thread), 0) },
      h("span.thread-name", null, thread), accesses.map((one) => h("div.line.failing", { "--depth": 0 }, h("span.where", null, `${one.file.split("/").pop()}:${one.line} `), `${one.function}() ${one.written ? "writes" : "reads"} ${one.place}`))));
    const [first, then] = race.accesses;
    return h("div", { role: "presentation" }, h("div.rule", null, "the step that is no whole"), side(race.thread.thread, [first]), side(race.partner.thread, race.partner_accesses), side(race.thread.thread, [then]));
  }

  bar() {
    const button = (text, name, to, key) => h("button", { type: "button", "aria-label": name, title: key ? `${name} (${key})` : name, onclick: () => this.show(to()) }, text);
    this.slider = h("input", { type: "range", min: 0, max: this.found.steps.length, "aria-label": "Step", oninput: () => this.show(Number(this.slider.value)) });
    this.said = h("output", { "aria-live": "polite" });
    const only = h("input", { type: "checkbox", onchange: () => this.diagram.classList.toggle("only-needed", only.checked) });
    const slice = this.found.steps.some((one) => one.needed) && !this.found.steps.every((one) => one.needed);
    this.watcher = h("select", { "aria-label": "Watch a page or an entry", onchange: () => this.watch(this.watcher.value) }, h("option", { value: "" }, "watch: nothing"), this.watchable().map((one) => h("option", { value: one }, one)));
    return h("div.controls", { role: "group", "aria-label": "Step through the schedule" },
      button("|\u25C0", "the start", () => 0, "Home"), button("\u25C0", "the step before", () => this.at - 1, "\u2191 or k"), button("\u25B6", "the next step", () => this.at + 1, "\u2193 or j"), button("\u25B6|", "the end", () => this.found.steps.length, "End"),
      this.slider, this.said,
      slice && h("label", { title: "the slice: all by which the failed clause comes about" }, only, " only what the failure depends on"),
      slice && button("next of these", "the next step on which the failure depends", () => this.next(1, "needed"), "n"),
      this.watcher, this.watchNext = button("next there", "the next step that touches what is watched", () => this.next(1, "watched"), "w"));
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const to = event.key === "Home" ? 0 : event.key === "End" ? this.found.steps.length
      : event.key in KEYS ? this.at + KEYS[event.key]
      : "nN".includes(event.key) ? this.next(event.key === "n" ? 1 : -1, "needed")
      : "wW".includes(event.key) ? this.next(event.key === "w" ? 1 : -1, "watched") : null;
    if (to === null) return;
    event.preventDefault();
    this.show(to);
  }

  next(way, kind) {
    for (let number = this.at + way; number > 0 && number < this.options.length; number += way)
      if (this.options[number].classList.contains(kind)) return number;
    return this.at;
  }

  watchable() {
    const places = new Set(), pages = new Set();
    for (const step of this.found.steps) for (const place of step.places) {
      const entry = /^table\[(\d+)\]\.word\[\d+\]$/.exec(place), page = /^(?:frame|sp|table)\[(\d+)\]/.exec(place);
      if (page) pages.add(Number(page[1]));
      if (entry || !page) places.add(place);
    }
    return [...[...pages].sort((a, b) => a - b).map((one) => `page ${one}`), ...[...places].sort()];
  }

  watch(what) {
    this.watched = what || null;
    const page = /^page (\d+)$/.exec(what || "");
    const named = page && new RegExp(`(?:^(?:frame|sp|table)\\[${page[1]}\\]|pfn ${page[1]}\\b)`);
    this.found.steps.forEach((step, number) => {
      const touches = page ? step.places.some((one) => named.test(one)) || step.changes.some((one) => one.some((text) => named.test(text))) : step.places.includes(what);
      this.options[number + 1].classList.toggle("watched", Boolean(what) && touches);
    });
    if ([...this.watcher.options].some((one) => one.value === what)) this.watcher.value = what;
    this.watchNext.disabled = !this.watched;
    this.draw();
  }

  show(number, scroll = true) {
    this.options[this.at]?.setAttribute("aria-selected", "false");
    this.at = Math.min(Math.max(number, 0), this.found.steps.length);
    const chosen = this.options[this.at];
    chosen.setAttribute("aria-selected", "true");
    this.diagram.setAttribute("aria-activedescendant", chosen.id);
    this.slider.value = this.at;
    const step = this.found.steps[this.at - 1];
    this.said.textContent = step ? `step ${this.at} of ${this.found.steps.length}: ${step.thread}` : `start, of ${this.found.steps.length} steps`;
    if (scroll) chosen.scrollIntoView({ block: "nearest" });
    else requestAnimationFrame(() => (this.diagram.scrollTop = chosen.offsetTop - this.diagram.clientHeight / 2));
    this.watchNext.disabled = !this.watched;
    this.draw();
    this.walk?.chosen(this.at);
  }

  /* Of the scene at a step, and of the one before it, what there is of a kind. */
  scene(kind, before = false) {
    const scene = this.found.scenes[this.at - (before ? 1 : 0)];
    return scene ? scene[kind].map((number) => this.things[number]) : undefined;
  }

  /* Pairs of what is and of what was, which have the same key. */
  pairs(kind, key) {
    const before = this.scene(kind, true), was = before && new Map(before.map((one) => [key(one), one]));
    return this.scene(kind).map((one) => [one, was ? was.get(key(one)) ?? {} : one]);
  }

  draw() {
    const open = new Map([...this.panels.querySelectorAll("details")].map((one) => [one.dataset.name, one.open]));
    const panel = (name, inside, shut = false, kind = "") => inside && h(`details.panel${kind}`, { open: open.has(name) ? open.get(name) : !shut, "data-name": name }, h("summary", null, name), inside);
    const top = this.panels.scrollTop;
    this.panels.replaceChildren(...[h("h3", null, this.at ? `After step ${this.at} of ${this.found.steps.length}` : "At the start"), panel("This step", this.step()),
      ...(this.found.scenes[this.at] ? [panel("Page tables", this.trees()), panel("2M ranges", this.ranges()), panel("Store buffers", this.buffers()), panel("Locks", this.locks()), panel("Threads", this.threads()),
        panel("Pages", this.frames()), panel("Pools", this.pools()), panel("All fields", this.fields(), this.scene("trees").length > 0, ".raw")] : [])].filter(Boolean));
    this.panels.scrollTop = top;
  }

  step() {
    const step = this.found.steps[this.at - 1];
    if (!step) return h("p.soft", null, "Nothing has run yet.");
    const fact = (...inside) => h("li", null, ...inside);
    return h("ul.facts.mono", null,
      fact(h("b", null, step.thread), " ", step.takes ? "\u2192 memory: it takes the oldest store from the buffer" : step.line ? `${step.line[0]}:${step.line[1]}` : "begins"), step.line && fact(step.line[2]),
      step.choice !== null && fact(`choice ${step.choice}`),
      step.changes.map(([place, old, now]) => fact(`${place}: `, h("del", null, old), " \u2192 ", h("b", null, now))),
      !step.changes.length && fact(h("span.soft", null, "changes nothing")),
      step.events.map((one) => fact(h("span.event", null, `* ${one}`))),
      step.needed && fact(h("b", null, "The failure depends on it"), step.touches.length ? " by" : ""),
      step.touches.map(([place, value, written, line]) => fact(`\u2009\u2009${written ? "writes" : "reads"} ${place}: ${value} `, h("span.soft", null, line))));
  }

  trees() {
    const made = this.pairs("trees", (one) => one.title).map(([tree, was]) => {
      const before = new Map((was.rows || []).map((row) => [`${row.level} ${row.gfn}`, row]));
      const rows = tree.rows.map((row) => {
        const old = before.get(`${row.level} ${row.gfn}`);
        const words = row.words.map((word, side) => {
          if (!word) return h("td");
          const earlier = old?.words[side]?.text;
          return h("td", null, h(`button.word.${word.look}`, { type: "button", tabindex: -1, title: `${word.place}: ${word.text}; click to watch it`, class: `word ${word.look}${word.place === this.watched ? " watch" : ""}`, onclick: () => this.watch(word.place) },
            fresh(word.text.replace(/^SEPT /, ""), earlier === undefined ? undefined : earlier.replace(/^SEPT /, ""))));
        });
        const depth = tree.levels - row.level;
        return [h(row.unlike ? "tr.unlike" : "tr", null, h(depth ? "td.at" : "td.at.top", { "--depth": depth }, `L${row.level} gfn ${row.gfn}`), words),
          row.unlike && h("tr", null, h("td"), h("td.unlike-note", { colspan: words.length }, `\u2260 ${row.unlike}`))];
      });
      return h("div.tree", null, h("h3", null, tree.title), h("table", null, h("tr", null, h("th", { scope: "col" }, "entry"), tree.sides.map((one) => h("th", { scope: "col" }, one))), rows));
    });
    const unlike = this.scene("trees").some((tree) => tree.rows.some((row) => row.unlike));
    return made.length ? h("div", null, h("div.trees", null, made), unlike && h("p.hint", null, "Entries may be unlike while mmu_lock is held for write; otherwise the property agreement is violated.")) : null;
  }

  ranges() {
    const rows = this.pairs("ranges", (one) => one.number).map(([one, was]) => {
      const pair = (range) => (range.pair === undefined ? undefined : range.pair ? `${range.pair === "PAMT" ? "installed" : range.pair} ${range.pair_pages.join(",\u00a0")}`.trim().replace(" ", "\u00a0") : "none");
      const odd = one.refcount !== one.count && this.found.scenes[this.at];
      return [String(one.number), fresh(pair(one), pair(was)), fresh(String(one.count), was.count === undefined ? undefined : String(was.count)),
        h(odd ? "span.warn" : "span", null, fresh(String(one.refcount), was.refcount === undefined ? undefined : String(was.refcount))), fresh(one.pages.join(" "), was.pages?.join(" ")),
        [fresh(one.lock, was.lock), one.design.map(([name, value]) => ` ${name}: ${value}`)]];
    });
    return rows.length ? table(["range", "PAMT pair", "pages that the module counts", "host's refcount", "pages in it", "locked"], rows) : null;
  }

  frames() {
    const frames = this.pairs("frames", (one) => one.number);
    if (!frames.length) return null;
    const chip = ([one, was]) => h("button", { type: "button", tabindex: -1, class: `chip ${one.role}${one.wrong ? " wrong" : ""}${`page ${one.number}` === this.watched ? " watch" : ""}${was.role !== one.role || was.type !== one.type || was.named?.join() !== one.named.join() ? " now" : ""}`,
      title: `page ${one.number}, ${one.role}${one.range ? `, 2M range ${one.range}` : ""}; named by ${one.named.join(", ") || "nothing"}; click to watch it`, onclick: () => this.watch(`page ${one.number}`) },
      h("b", null, String(one.number)), one.type && ` ${one.type}`, one.range ? ` r${one.range}` : "", one.refcount ? ` \u00d7${one.refcount}` : "", was.role && was.role !== one.role ? [" ", h("del", null, was.role)] : "",
      one.wrong && h("b", null, ` ${one.wrong}`), one.role !== "POOL" && h("small", null, one.named[0] || "\u2009", one.named.length > 1 ? ` +${one.named.length - 1}` : ""));
    const rows = ROLES.map(([role, name]) => [name, frames.filter(([one]) => one.role === role)]).filter(([, of]) => of.length);
    return h("div", null, h("div.roles", null, rows.map(([name, of]) => [h("div.label", null, name), h("div.chips", null, of.map(chip))])), h("p.hint", null, `${this.found.scenes[this.at].free} pages are free. A number is a page, r its 2M range; below it what names it.`));
  }

  pools() {
    const rows = this.pairs("pools", (one) => one.place).map(([one, was]) => [h("span.mono", null, one.place), fresh(String(one.count), was.count === undefined ? undefined : String(was.count)),
      one.slots.map((page) => h(page ? "span.slot.filled" : "span.slot", null, page ? String(page) : "\u2009")), one.content]);
    return rows.length ? table(["pool", "pages", "slots", "holds"], rows) : null;
  }

  locks() {
    const who = (one) => (one.writer === undefined ? undefined : one.module || [one.writer.length ? `${one.writer.join(", ")} (write)` : "", one.readers.length ? `${one.readers.join(", ")} (read)` : ""].filter(Boolean).join("; "));
    const rows = this.pairs("locks", (one) => one.place).map(([one, was]) => [h("span.mono", null, one.place), who(one) || who(was) ? fresh(who(one), who(was) === undefined ? "" : who(was)) : h("span.soft", null, "free"), one.waits.length ? h("span.warn", null, one.waits.join(", ")) : ""]);
    return rows.length ? table(["lock", "held by", "who waits"], rows) : null;
  }

  buffers() {
    const rows = this.pairs("buffers", (one) => one.thread).map(([one]) => [one.thread, one.stores.length ? one.stores.map(([place, value], at) => `${at ? "; " : ""}${place}: ${value}`) : h("span.soft", null, "empty")]);
    return rows.length ? table(["thread", "stores that the memory has yet to take, the oldest first"], rows) : null;
  }

  threads() {
    return h("div", null, this.scene("threads").map((one) => h("div", null, h("b", null, one.thread), " ", h(one.state === "failed" ? "span.bad" : one.state === "blocked" ? "span.warn" : "span", null, one.state),
      one.waits_for ? `, waits for ${one.waits_for}` : "", one.locks.length ? h("span.soft", null, `, holds ${one.locks.join(", ")}`) : "",
      h("ol.stack", { "aria-label": `Calls of ${one.thread}, the innermost first` }, one.state === "not started" ? [] : [...one.stack].reverse().map((call, depth) => h((this.found.own || []).includes(call.file) ? "li.own" : "li", null, `${call.function}(${call.arguments}) `, h("span.soft", null, `${call.file}:${call.line}`), depth ? "" : [h("br"), call.source.trim()]))))));
  }

  fields() {
    const cells = (group) => new Map(group.cells || []);
    return h("ul.facts.mono", null, this.pairs("fields", (one) => one.name).map(([one, was]) => h("li", null, h("b", null, one.name), " ", one.cells.map(([name, value], number) => [number ? "; " : "", name && `${name.replace(/^\./, "")}: `, fresh(value, was.cells ? cells(was).get(name) ?? "" : undefined)]))));
  }
}

const VERDICTS = { holds: "good", violated: "bad", vacuous: "warn", incomplete: "warn", "not applicable": "soft" };

/* The table of verdicts; a violation leads to what was found there. */
function verdicts(results, findings) {
  const lead = (one) => findings.findIndex((found) => found.design === one.design && (found.scenario === one.scenario || found.again.some((other) => other.scenario === one.scenario)) && found.property === one.property);
  const rows = [];
  let design = null;
  for (const one of results) {
    if (one.design !== design) rows.push(h("tr", null, h("th.design", { colspan: 6, scope: "rowgroup" }, one.design)));
    design = one.design;
    const text = one.verdict === "violated" && one.property ? `violated: ${one.property}` : one.verdict, to = one.verdict === "violated" ? lead(one) : -1;
    const number = (value) => h("td.number", null, one.states ? value : "");
    rows.push(h("tr", null, h("td", null, one.scenario), h("td", null, h(`span.${VERDICTS[one.verdict]}`, null, to < 0 ? text : h("a.bad", { href: `#finding-${to}`, onclick: () => open(to) }, text)), one.reason && one.verdict !== "holds" ? h("div.hint", null, one.reason) : ""),
      number(one.states.toLocaleString("en")), number(one.transitions.toLocaleString("en")), number(one.depth), number(one.seconds.toFixed(2))));
  }
  return h("div.wide", null, h("table.plain", null, h("thead", null, h("tr", null, ["scenario", "verdict", "states", "transitions", "depth", "seconds"].map((one, at) => h(at > 1 ? "th.number" : "th", { scope: "col" }, one)))), h("tbody", null, rows)));
}

function open(number) { document.getElementById(`finding-${number}`)?.setAttribute("open", ""); }

function finding(found, number) {
  const body = h("div");
  const fill = () => {
    if (body.firstChild) return;
    body.append(h("p.bad", null, h("b", null, found.clause || found.property)), found.length ? h("p.soft", null, found.length) : "", found.reason ? h("p.soft", null, found.reason) : "");
    if (found.steps) body.append(h("p.hint", null, "Step with ", h("kbd", null, "\u2193"), " ", h("kbd", null, "\u2191"), " or ", h("kbd", null, "j"), " ", h("kbd", null, "k"), ", or by a click; ", h("kbd", null, "n"), " goes to the next step on which the failure depends; a page or an entry that is clicked is watched, and ", h("kbd", null, "w"), " goes to the next step there."), new Stepper(found, `f${number}`).element);
    if (found.command) body.append(h("p", null, "Replay it with"), h("pre.command", null, found.command));
    if (found.again.length) body.append(h("p", null, "It fails at the same place in"), h("ul", null, found.again.map((one) => h("li", null, one.scenario, " ", h("code.soft", null, one.command)))));
  };
  const made = h("details", { id: `finding-${number}`, open: number === 0, ontoggle: () => made.open && fill() }, h("summary", null, h("h2", null, `${found.design}, ${found.scenario}: `, h("span.bad", null, `violated: ${found.property}`))), body);
  if (number === 0) fill();
  return made;
}

/* What is no check: sections of septum/page/sections.py. */
function sections(given) {
  const look = (cell) => (cell === "holds" ? "good" : /^[A-Z][A-Z \n]{2,}$/.test(cell) ? "bad" : "");
  return given.map((one) => h("section", null, h("h2", null, one.title), one.heads.length ? h("div.wide", null, h("table.plain", null,
    h("thead", null, h("tr", null, one.heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", null, one.rows.map((row) => h("tr", null, row.map((cell, at) => (at ? h("td", { class: look(cell) }, cell) : h("th.row", { scope: "row" }, cell)))))))) : "",
    one.paragraphs.map((text) => h(one.heads.length ? "p.hint" : "p", null, text)), one.chart && chart(one.chart), one.text && h("pre.command", null, one.text)));
}

/* Lines over time, each with a dash of its own, so that they can be told without colour. */
function chart(given) {
  const svg = (tag, attributes, ...inside) => { const made = document.createElementNS("http://www.w3.org/2000/svg", tag); for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value); made.append(...inside); return made; };
  const [width, height, left, bottom] = [760, 240, 80, 26], first = given.times[0], span = given.times.at(-1) - first || 1, most = Math.max(...given.values.flat()) || 1;
  const x = (time) => left + ((width - left - 10) * (time - first)) / span, y = (value) => height - bottom - ((height - bottom - 12) * value) / most;
  const marks = [[left, 16, given.most, "end", -6], [left, height - bottom, "0", "end", -6], [left, height - 6, given.begins, "start", 0], [width - 10, height - 6, given.ends, "end", 0]].map(([at, down, text, anchor, by]) => svg("text", { x: at + by, y: down, "text-anchor": anchor }, text));
  const lines = given.values.map((values, n) => svg("polyline", { class: `series-${n}`, points: values.map((value, at) => `${x(given.times[at]).toFixed(1)},${y(value).toFixed(1)}`).join(" ") }));
  const names = given.names.map((name, n) => svg("text", { x: width - 14, y: 30 + 16 * n, "text-anchor": "end", class: `name-${n}` }, name));
  return svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Mapped memory by page size, at most ${given.most}` }, svg("path", { class: "axis", d: `M${left} 10V${height - bottom}H${width - 10}` }), ...marks, ...lines, ...names);
}

function page(made) {
  const main = h("main", null, h("header", null, h("h1", null, made.title), h("p.soft", null, made.said)));
  if (made.results) main.append(h("section", { "aria-label": "Verdicts" }, verdicts(made.results, made.findings)));
  if (made.findings) main.append(...made.findings.map(finding));
  if (made.sections) main.append(...sections(made.sections));
  document.body.prepend(main);
  addEventListener("beforeprint", () => document.querySelectorAll("details:not(.raw)").forEach((one) => one.setAttribute("open", "")));
}

const given = document.getElementById("document");
if (given) page(JSON.parse(given.textContent));
