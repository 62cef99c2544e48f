"use strict";
// Tables that are sorted and searched, message sequence diagrams, buttons that copy and save. Texts from a run get into
// the page as text nodes alone.
(() => {
  const ROW_PX = 28, SPARE_ROWS = 12, PRINTED_ROWS = 100, DRAWN = 24;
  const UNITS = [[1e12, "s"], [1e9, "ms"], [1e6, "us"], [1e3, "ns"], [1, "ps"]];
  const SVG = "http://www.w3.org/2000/svg";
  const whole = new Intl.NumberFormat("en");
  const tables = new Map();

  function made(name, attributes = {}, ...inner) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...inner);
    return node;
  }

  function drawn(name, attributes, ...inner) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...inner);
    return node;
  }

  function timeText(ps, digits = 6) {
    if (!ps) return "0 s";
    const [size, unit] = UNITS.find(([least]) => Math.abs(ps) >= least) || [1, "ps"];
    return `${Number((ps / size).toPrecision(digits))} ${unit}`;
  }

  function shown(column, row) {
    const value = column.values[row];
    if (column.kind === "name") return column.names[value];
    if (value === null) return "";
    if (column.kind === "time") return timeText(value);
    return column.kind === "count" ? whole.format(value) : String(Number(value.toPrecision(6)));
  }

  // What a column is sorted by: numbers as they are, names by their place in the alphabet, none at the end.
  function keysOf(column) {
    if (column.keys) return column.keys;
    let of = (value) => (value === null ? Infinity : value);
    if (column.kind === "name") {
      const order = column.names.map((_, place) => place);
      const compare = new Intl.Collator("en", { numeric: true }).compare;
      order.sort((a, b) => compare(column.names[a], column.names[b]));
      const rank = [];
      order.forEach((place, at) => { rank[place] = at; });
      of = (place) => rank[place];
    }
    column.keys = Float64Array.from(column.values, of);
    return column.keys;
  }

  // Whether a row has a word. A number that has it is found by its digits; of names each is looked at once.
  function having(columns, word) {
    const named = columns.filter((column) => column.kind === "name")
      .map((column) => [column.values, column.names.map((name) => name.toLowerCase().includes(word))]);
    const counted = /\d/.test(word) ? columns.filter((column) => column.kind !== "name").map((column) => column.values) : [];
    const zero = word === "0";
    return (row) => {
      for (const [values, has] of named) if (has[values[row]]) return true;
      for (const values of counted) {
        const value = values[row];
        if (value ? String(value).includes(word) : zero && value === 0) return true;
      }
      return false;
    };
  }

  // A table that has elements for the rows in sight alone.
  class Table {
    constructor(place, data) {
      this.columns = data.columns;
      this.count = this.columns.length ? this.columns[0].values.length : 0;
      this.sorted = null;
      this.all = Uint32Array.from({ length: this.count }, (_, row) => row);
      this.order = this.all;
      this.whole = false;
      this.build(place, data);
      this.draw();
    }

    build(place, data) {
      this.search = made("input", { type: "search", placeholder: "Search the rows", "aria-label": "Search the rows" });
      this.told = made("span", { role: "status" });
      this.body = made("tbody");
      this.heads = this.columns.map((column) => {
        const head = made("th", { scope: "col", class: column.kind === "name" ? "" : "right" });
        const button = made("button", { type: "button" }, column.label);
        button.addEventListener("click", () => this.sortBy(column));
        head.append(button);
        return head;
      });
      const widths = this.columns.map((column) => made("col", { style: `width: ${this.width(column)}ch` }));
      const table = made("table", {}, made("colgroup", {}, ...widths), made("thead", {}, made("tr", {}, ...this.heads)), this.body);
      this.rows = made("div", { class: "rows", tabindex: "0", role: "region", "aria-label": "rows" }, table);
      place.append(made("div", { class: "bar" }, this.search, this.told), this.rows);
      this.choosable = Boolean(data.commands);
      if (this.choosable) this.choose(place, data);
      this.search.addEventListener("input", () => this.apply());
      this.rows.addEventListener("scroll", () => this.draw());
      addEventListener("resize", () => this.draw());
      addEventListener("beforeprint", () => { this.whole = true; this.draw(); });
      addEventListener("afterprint", () => { this.whole = false; this.draw(); });
    }

    // A row that is chosen shows its command below the table.
    choose(place, data) {
      const code = made("code"), bar = made("div", { class: "bar" }, made("button", { type: "button", "data-copy": "" }, "Copy"));
      const shown = made("div", { class: "copied" }, made("pre", {}, code), bar);
      shown.hidden = true;
      place.append(shown);
      this.rows.addEventListener("click", (event) => {
        const line = event.target.closest("tbody tr[data-row]");
        if (line) this.choice(Number(line.dataset.row), data, shown);
      });
      this.rows.addEventListener("keydown", (event) => {
        if (event.key === "Enter" && event.target.dataset.row) this.choice(Number(event.target.dataset.row), data, shown);
      });
    }

    choice(row, data, shown) {
      const [before, after] = data.commands[data.points[row]];
      this.chosen = row;
      shown.querySelector("code").textContent = before + data.seeds[row] + after;
      shown.querySelector("button").textContent = "Copy";
      shown.hidden = false;
      this.draw();
    }

    width(column) {
      let most = column.label.length + 2;
      if (column.kind === "name") for (const name of column.names) most = Math.max(most, name.length);
      else if (column.kind === "count") most = Math.max(most, whole.format(column.values.reduce((a, b) => Math.max(a, b), 0)).length);
      else most = Math.max(most, 11);
      return Math.min(most, 60) + 2;
    }

    sortBy(column) {
      const falls = this.sorted === column && !this.falls;
      this.sorted = column;
      this.falls = falls;
      this.heads.forEach((head, at) => {
        head.removeAttribute("aria-sort");
        head.firstChild.textContent = this.columns[at].label;
        if (this.columns[at] === column) {
          head.setAttribute("aria-sort", falls ? "descending" : "ascending");
          head.firstChild.textContent += falls ? " ▼" : " ▲";
        }
      });
      const keys = keysOf(column), sign = falls ? -1 : 1;
      this.all.sort((a, b) => sign * (keys[a] - keys[b] || 0) || a - b);
      this.apply();
    }

    apply() {
      const tests = this.search.value.toLowerCase().split(/\s+/).filter(Boolean).map((word) => having(this.columns, word));
      this.order = tests.length ? this.all.filter((row) => tests.every((test) => test(row))) : this.all;
      this.rows.scrollTop = 0;
      this.draw();
    }

    draw() {
      const found = this.order.length;
      const first = this.whole ? 0 : Math.max(0, Math.floor(this.rows.scrollTop / ROW_PX) - SPARE_ROWS);
      const seen = this.whole ? PRINTED_ROWS : Math.ceil(this.rows.clientHeight / ROW_PX) + 2 * SPARE_ROWS;
      const last = Math.min(found, first + Math.max(seen, SPARE_ROWS));
      const lines = [this.space(first)];
      for (let at = first; at < last; at += 1) lines.push(this.line(this.order[at]));
      lines.push(this.space(this.whole ? 0 : found - last));
      this.body.replaceChildren(...lines);
      const printed = this.whole && found > last ? `, the first ${last} here` : "";
      this.told.textContent = `${whole.format(found)} of ${whole.format(this.count)} rows${printed}`;
    }

    line(row) {
      const line = made("tr", this.choosable ? { "data-row": String(row), tabindex: "0" } : {});
      if (row === this.chosen) line.className = "chosen";
      for (const column of this.columns) {
        const text = shown(column, row);
        const cell = made("td", column.kind === "name" ? { title: text } : { class: "right" }, text);
        if (column.kind === "time") cell.title = `${column.values[row]} ps`;
        line.append(cell);
      }
      return line;
    }

    space(rows) {
      return made("tr", {}, made("td", { class: "space", colspan: String(this.columns.length), style: `height: ${rows * ROW_PX}px` }));
    }
  }

  // Messages as arrows between the parties' lines, time going down.
  class Sequence {
    constructor(place, data) {
      this.columns = Object.fromEntries(data.columns.map((column) => [column.name, column]));
      this.parties = data.parties;
      this.first = 0;
      this.axis = "stepped";
      this.build(place);
      this.choose(0);
      new ResizeObserver(() => this.draw()).observe(this.drawing);
    }

    build(place) {
      const sessions = this.columns.session.names;
      this.session = made("select", { "aria-label": "Session" }, ...sessions.map((name, at) => made("option", { value: String(at) }, name)));
      this.session.addEventListener("change", () => this.choose(Number(this.session.value)));
      const axes = made("fieldset", {});
      for (const axis of ["stepped", "linear", "logarithmic"]) {
        const radio = made("input", { type: "radio", name: "axis", value: axis, ...(axis === this.axis ? { checked: "" } : {}) });
        radio.addEventListener("change", () => { this.axis = axis; this.draw(); });
        axes.append(made("label", {}, radio, ` ${axis}`));
      }
      this.back = made("button", { type: "button" }, "Earlier");
      this.on = made("button", { type: "button" }, "Later");
      this.back.addEventListener("click", () => this.turn(-DRAWN));
      this.on.addEventListener("click", () => this.turn(DRAWN));
      this.told = made("span", { role: "status" });
      this.drawing = made("div", { class: "drawing", tabindex: "0" });
      place.append(made("div", { class: "bar" }, this.session, axes), made("div", { class: "bar" }, this.back, this.on, this.told), this.drawing);
    }

    choose(session) {
      const { session: of, sent_ps: sent, arrival_ps: arrival } = this.columns;
      this.rows = [];
      of.values.forEach((value, row) => { if (value === session) this.rows.push(row); });
      this.rows.sort((a, b) => sent.values[a] - sent.values[b] || arrival.values[a] - arrival.values[b] || a - b);
      this.first = 0;
      this.draw();
    }

    turn(by) {
      this.first = Math.min(Math.max(0, this.first + by), Math.max(0, this.rows.length - 1));
      this.draw();
    }

    value(name, row) {
      return this.columns[name] ? this.columns[name].values[row] : 0;
    }

    draw() {
      const rows = this.rows.slice(this.first, this.first + DRAWN);
      this.back.disabled = this.first === 0;
      this.on.disabled = this.first + DRAWN >= this.rows.length;
      this.told.textContent = `messages ${whole.format(this.first + 1)} to ${whole.format(this.first + rows.length)} of ${whole.format(this.rows.length)}`;
      const ends = rows.map((row) => this.columns.direction.names[this.columns.direction.values[row]].split("@")[0].split("->"));
      const seen = new Set(ends.flat());
      const parties = this.parties.filter((name) => seen.has(name));
      for (const name of seen) if (!parties.includes(name)) parties.push(name);
      const left = 92, step = Math.max(90, Math.min(320, (this.drawing.clientWidth - left - 40) / Math.max(1, parties.length - 1)));
      const x = (name) => left + 20 + parties.indexOf(name) * step;
      const times = this.scale(rows);
      const width = left + 40 + step * Math.max(1, parties.length - 1), height = times.height + 70;
      const svg = drawn("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "message sequence" });
      for (const name of parties) {
        const most = Math.floor(step / 7);
        const label = name.length > most ? `${name.slice(0, most - 1)}…` : name;
        svg.append(drawn("line", { class: "life", x1: x(name), x2: x(name), y1: 28, y2: height - 10 }));
        svg.append(drawn("text", { x: x(name), y: 18, "text-anchor": "middle" }, label, drawn("title", {}, name)));
      }
      for (const [ps, y] of times.ticks) {
        svg.append(drawn("line", { class: "tick", x1: left, x2: width - 10, y1: y, y2: y }));
        svg.append(drawn("text", { class: "soft", x: left - 8, y: y + 4, "text-anchor": "end" }, timeText(ps, 7)));
      }
      const labels = [];
      rows.forEach((row, at) => svg.append(...this.arrow(row, x(ends[at][0]), x(ends[at][1]), times.y, labels)));
      this.drawing.replaceChildren(svg);
    }

    // Where a time is drawn, and which times are written beside the diagram.
    scale(rows) {
      const top = 44, sent = rows.map((row) => this.columns.sent_ps.values[row]);
      const all = [...new Set([...sent, ...rows.map((row) => this.columns.arrival_ps.values[row])])].sort((a, b) => a - b);
      const begin = all[0] || 0, end = all[all.length - 1] || 0;
      let y, height;
      if (this.axis === "stepped") {
        const place = new Map(all.map((ps, at) => [ps, top + at * 26]));
        height = all.length * 26;
        y = (ps) => place.get(ps);
      } else {
        height = Math.max(420, rows.length * 22);
        const unit = all.slice(1).reduce((least, ps) => Math.min(least, ps - begin), Infinity);
        const of = this.axis === "linear" ? (ps) => ps - begin : (ps) => Math.log1p((ps - begin) / unit);
        const most = of(end) || 1;
        y = (ps) => top + (height * of(ps)) / most;
      }
      const ticks = [];
      for (const ps of all) if (!ticks.length || y(ps) - ticks[ticks.length - 1][1] >= 16) ticks.push([ps, y(ps)]);
      return { y, height, ticks };
    }

    arrow(row, x1, x2, y, labels) {
      const sent = this.columns.sent_ps.values[row], arrival = this.columns.arrival_ps.values[row];
      const y1 = y(sent), y2 = y(arrival), copies = this.value("copies", row), kind = copies ? "quantum" : "";
      const bits = this.value("payload_bits", row) + this.value("control_bits", row);
      const what = this.columns.kind.names[this.columns.kind.values[row]];
      const short = copies ? `${whole.format(copies)} ${what}` : `${what}, ${whole.format(bits)} b`;
      const counts = ["qubits_sent", "qubits_delivered", "ebits", "payload_bits", "control_bits"];
      const told = [`${this.columns.direction.names[this.columns.direction.values[row]]}, ${what} ${this.value("number", row)}`,
        `sent ${timeText(sent)}, arrived ${timeText(arrival)} (${timeText(arrival - sent)})`];
      if (copies) told.push(`${whole.format(copies)} copies`);
      for (const name of counts) if (this.value(name, row)) told.push(`${whole.format(this.value(name, row))} ${this.columns[name].label}`);
      const angle = Math.atan2(y2 - y1, x2 - x1), size = copies ? 11 : 8;
      const head = [0.4, -0.4].map((turn) => `${x2 - size * Math.cos(angle + turn)},${y2 - size * Math.sin(angle + turn)}`);
      const path = `M${x1} ${y1}L${x2} ${y2}`;
      const group = drawn("g", {}, drawn("title", {}, told.join("\n")),
        drawn("path", { class: "wide", d: path }), drawn("path", { class: `arrow ${kind}`, d: path }),
        drawn("polygon", { class: `head ${kind}`, points: `${x2},${y2} ${head.join(" ")}` }));
      const at = { x: x1 + 0.4 * (x2 - x1), y: y1 + 0.4 * (y2 - y1) - 5 };  // arrows that cross do so in the middle
      const room = !labels.some((other) => Math.abs(other.x - at.x) < 130 && Math.abs(other.y - at.y) < 13);
      if (room && short.length * 6 < Math.abs(x2 - x1)) {
        labels.push(at);
        group.append(drawn("text", { class: "halo", x: at.x, y: at.y, "text-anchor": "middle" }, short));
      }
      return [group];
    }
  }

  function dataOf(place) {
    const name = place.dataset.table;
    if (!tables.has(name)) tables.set(name, JSON.parse(document.getElementById(name).textContent));
    return tables.get(name);
  }

  for (const place of document.querySelectorAll(".sequence")) new Sequence(place, dataOf(place));
  for (const place of document.querySelectorAll(".table")) new Table(place, dataOf(place));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const code = button.closest(".copied").querySelector("code");
    getSelection().selectAllChildren(code);  // to copy by hand where the browser refuses
    navigator.clipboard?.writeText(code.textContent).then(() => { button.textContent = "Copied"; }, () => {});
  });
  for (const button of document.querySelectorAll("[data-save]")) {
    button.addEventListener("click", () => {
      const code = button.closest(".copied").querySelector("code");
      const url = URL.createObjectURL(new Blob([code.textContent], { type: "application/yaml" }));
      made("a", { href: url, download: button.dataset.save }).click();
      URL.revokeObjectURL(url);
    });
  }
})();
