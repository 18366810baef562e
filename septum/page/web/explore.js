"use strict";
/* `septum explore`: one chooses the next step oneself. Draws with page.js what septum/page/walk.py says of a schedule. */

class Explorer {
  constructor(about) {
    Object.assign(this, { about, schedule: [], options: [], busy: false });
    const button = (text, title, action) => h("button", { type: "button", title, onclick: action }, text);
    this.back = button("back", "take the last step back (u)", () => this.look(this.schedule.slice(0, -1)));
    this.failing = about.begins.length > 0 && button("before the failure", "to the step before the one that fails", () => this.look(about.begins.slice(0, -1)));
    this.witness = about.witnesses.length > 0 && h("select", { "aria-label": "Go to a witness", onchange: () => this.to(this.witness.value) }, h("option", { value: "" }, "to a witness"), about.witnesses.map((one) => h("option", { value: one.name }, one.name)));
    this.message = h("p", { role: "status" });
    this.next = h("section", { "aria-label": "What may come next" });
    this.stage = h("section");
    const exports = [["token", "a token", "txt"], ["itf", "ITF", "itf.json"], ["perfetto", "Perfetto", "perfetto.json"], ["pytest", "pytest", "py"], ["svg", "SVG", "svg"]].map(([kind, name, end]) => button(name, `the schedule as ${name}`, () => this.export(kind, end)));
    document.title = `septum explore ${about.design} ${about.scenario}`;
    document.body.prepend(h("main", null, h("header", null, h("h1", null, `${about.design}, ${about.scenario}`), h("p.soft", null, about.title)),
      h("div.controls", null, button("start anew", "to the start", () => this.look([])), this.back, this.failing, this.witness, h("span.soft", null, "export:"), exports),
      h("p.hint", null, "A digit takes that step, ", h("kbd", null, "u"), " takes the last one back. Choose an earlier step to go on from there."), this.message, this.next, this.stage));
    document.addEventListener("keydown", (event) => this.key(event));
    this.look(about.begins.slice(0, -1));
  }

  async ask(path, given, kind = "json") {
    const answer = await fetch(path, given === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(given) });
    if (!answer.ok) throw new Error((answer.headers.get("Content-Type") || "").includes("json") ? (await answer.json()).error : await answer.text());
    return answer[kind]();
  }

  /* Runs one thing after the other; what goes wrong is said. */
  async doing(what) {
    if (this.busy) return;
    this.busy = true;
    document.body.setAttribute("aria-busy", "true");
    try { await what(); } catch (error) { this.say(error.message, "bad"); }
    this.busy = false;
    document.body.removeAttribute("aria-busy");
  }

  say(text, kind = "soft") { this.message.replaceChildren(h(`span.${kind}`, null, text)); }

  look(schedule) {
    return this.doing(async () => {
      const found = await this.ask("/look", schedule), watched = this.stepper?.watched, focused = this.stepper?.diagram === document.activeElement;
      this.schedule = schedule;
      this.found = found;
      this.at = schedule.length;
      this.stepper = new Stepper(found, "w", { chosen: (number) => this.chosen(number) });
      this.stage.replaceChildren(this.stepper.element);
      if (watched) this.stepper.watch(watched);
      if (focused) this.stepper.diagram.focus();
      const reached = Object.entries(found.reached).sort(([, one], [, other]) => one - other).map(([name, step]) => `${name} in step ${step}`).join(", ");
      this.say(found.fails ? `Fails: ${found.fails}` : reached ? `Reached: ${reached}` : "", found.fails ? "bad" : "soft");
      this.draw(found.options, schedule.length);
    });
  }

  /* Another step was chosen: what could come after it. */
  chosen(number) {
    if (!this.found || number === this.at) return;
    this.at = number;
    if (number === this.schedule.length) return this.draw(this.found.options, number);
    const prefix = this.schedule.slice(0, number);
    this.doing(async () => this.draw(await this.ask("/options", prefix), number)).then(() => { if (this.stepper.at !== this.at) this.chosen(this.stepper.at); });
  }

  draw(options, at) {
    Object.assign(this, { options, at });
    this.back.disabled = !this.schedule.length;
    const cut = at < this.schedule.length;
    const cards = options.map((one, number) => h("button.option.card", { type: "button", onclick: () => this.take(number) }, h("b", null, number < 9 ? `${number + 1} ` : "", one.name, one.ways > 1 ? `, choice ${one.choice}` : ""), h("span.line", null, one.line),
      one.changes.map((change) => h("span.effect", null, `${change.place}: `, h("del", null, change.old), " \u2192 ", h("b", null, change.new))), !one.changes.length && h("span.effect.soft", null, "changes nothing"), one.fails && h("span.failing", null, `fails: ${one.fails}`)));
    const none = this.found?.fails && !cut ? "The run has failed; take a step back." : "Nobody can go on.";
    this.next.replaceChildren(h("h2", null, at ? `After step ${at}, next` : "At the start, next", cut && h("span.soft", null, ` (cuts off the ${this.schedule.length - at} after it)`)), cards.length ? h("div.cards", null, cards) : h("p.soft", null, none),
      this.stepper.scene("threads").filter((one) => one.state === "blocked").map((one) => h("p.hint", null, `${one.thread} waits for ${one.waits_for}`)));
  }

  take(number) {
    const one = this.options[number];
    if (one) return this.look([...this.schedule.slice(0, this.at), [one.thread, one.choice]]);
  }

  to(witness) {
    this.witness.value = "";
    let way = null;
    return this.doing(async () => { this.say(`looks for a way to ${witness}`); way = await this.ask(`/way/${encodeURIComponent(witness)}`, null); }).then(() => way && this.look(way));
  }

  export(kind, end) {
    return this.doing(async () => {
      const text = await this.ask(`/export/${kind}`, this.schedule.slice(0, this.at), "text");
      if (kind === "token") return this.say(`septum explore ${this.about.design} ${this.about.scenario} --token ${text}`);
      const link = h("a", { href: URL.createObjectURL(new Blob([text], { type: "application/octet-stream" })), download: `${kind === "pytest" ? "test_" : ""}${this.about.scenario}.${end}` });
      link.click();
      URL.revokeObjectURL(link.href);
    });
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (/^[1-9]$/.test(event.key)) this.take(Number(event.key) - 1);
    else if (event.key === "u" && this.schedule.length) this.look(this.schedule.slice(0, -1));
  }
}

fetch("/about").then((answer) => answer.json()).then((about) => { window.explorer = new Explorer(about); });
