"use strict";
(() => {
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const tone = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const opened = new Map();

  async function unpack(id) {
    const element = document.getElementById(id);
    if (!element) return null;
    const bytes = Uint8Array.from(atob(element.textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }
  function dataOf(id) {
    if (!opened.has(id)) opened.set(id, unpack(id).then((text) => (text === null ? {} : JSON.parse(text))));
    return opened.get(id);
  }
  let charting = null;
  function library() {
    if (!charting) charting = unpack("library").then((source) => {
      if (source === null) throw new Error("the charting library is not in this file");
      const element = document.createElement("script");
      element.textContent = source;
      document.head.append(element);
      return window.Plotly;
    });
    return charting;
  }

  /* ---- the timeline ---- */
  const PANELS = [["Services", 0.23], ["Messages in Redis", 0.15], ["Chunks by state", 0.15], ["Samples per second", 0.155], ["Request latency", 0.165], ["Postgres connections", 0.15]];
  const TICKS = [[0.001, "1 ms"], [0.003, "3 ms"], [0.01, "10 ms"], [0.03, "30 ms"], [0.1, "100 ms"], [0.3, "300 ms"], [1, "1 s"], [3, "3 s"], [10, "10 s"], [30, "30 s"], [100, "100 s"]];
  const isNarrow = () => window.innerWidth < 760;
  const STATES = { healthy: "", starting: "/", unhealthy: "x", frozen: ".", down: "\\" };

  function axes(data) {
    const layout = {}, gap = isNarrow() ? 0.05 : 0.036, replicas = (data.states || []).map((row) => row.replica);
    let top = 1;
    PANELS.forEach(([, share], index) => {
      const bottom = top - share;
      layout["yaxis" + (index ? index + 1 : "")] = {
        domain: [Math.max(0, bottom), top - gap], rangemode: "tozero", fixedrange: true,
        gridcolor: tone("line"), zeroline: false, automargin: true, tickfont: { size: 11 }, nticks: 4,
      };
      top = bottom;
    });
    Object.assign(layout.yaxis, { type: "category", autorange: "reversed", showgrid: false, categoryorder: "array", categoryarray: replicas, tickmode: "array", tickvals: replicas, ticktext: replicas });
    const seen = data.latency || {}, took = [...(seen.median || []), ...(seen.worst || []), ...(seen.failed || []).map((one) => one[1]), ...(seen.refused || []).map((one) => one[1])].filter((value) => value > 0);
    const low = took.length ? Math.floor(Math.log10(Math.min(...took))) : -2, high = took.length ? Math.ceil(Math.log10(Math.max(...took))) : 0;
    Object.assign(layout.yaxis5, { type: "log", rangemode: "normal", range: [Math.max(-3, low), Math.max(high, low + 1)], tickvals: TICKS.map((one) => one[0]), ticktext: TICKS.map((one) => one[1]) });
    return layout;
  }
  function lines(data) {
    const traces = [], t = data.t || [];
    const line = (panel, name, y, colour, extra) => {
      if (y && y.some((value) => value !== null)) traces.push(Object.assign({ type: "scatter", mode: "lines", name, x: t, y, xaxis: "x", yaxis: "y" + panel, line: { color: tone(colour), width: 1.8, shape: "hv" }, legend: "legend" + panel, hovertemplate: "%{y:,}" }, extra));
    };
    Object.entries(data.queues || {}).forEach(([name, y], index) => line(2, "queue " + name, y, ["c1", "c6", "c5", "c4"][index % 4]));
    line(2, "unacked", data.unacked, "c2", { line: { color: tone("c2"), width: 1.8, shape: "hv", dash: "dot" } });
    [["DONE", "c3"], ["PENDING", "c1"], ["FAILED", "fault"]].forEach(([name, colour]) => line(3, name, (data.chunks || {})[name], colour, { stackgroup: "chunks", line: { color: tone(colour), width: 1, shape: "hv" } }));
    line(4, "acknowledged", data.acknowledged, "c1");
    line(4, "present in Postgres", data.present, "c3", { line: { color: tone("c3"), width: 1.8, shape: "hv", dash: "dot" } });
    Object.entries(data.connections || {}).forEach(([name, y], index) => line(6, name, y, ["c1", "c2", "c3", "c4", "c5", "c6"][index % 6]));
    return traces;
  }
  function latency(data) {
    const seen = data.latency || {}, traces = [];
    const at = (name, y, colour, dash) => traces.push({ type: "scatter", mode: "lines", name, x: seen.t, y, yaxis: "y5", legend: "legend5", line: { color: tone(colour), width: 1.5, dash }, hovertemplate: "%{y:.3f} s" });
    if (seen.t && seen.t.length) { at("median", seen.median, "c1"); at("worst", seen.worst, "c6", "dot"); }
    const marks = (name, found, marker) => { if (found && found.length) traces.push({ type: "scatter", mode: "markers", name, x: found.map((one) => one[0]), y: found.map((one) => Math.max(one[1], 0.001)), text: found.map((one) => one[2]), yaxis: "y5", legend: "legend5", marker, hovertemplate: "%{text}, %{y:.3f} s" }); };
    marks("refused", seen.refused, { color: tone("soft"), symbol: "circle-open", size: 6 });
    marks("no good answer", seen.failed, { color: tone("fault"), symbol: "x", size: 7 });
    return traces;
  }
  function states(data) {
    return Object.entries(STATES).map(([state, shape]) => {
      const x = [], base = [], y = [], text = [];
      (data.states || []).forEach((row) => row.spans.forEach(([from, to, name]) => {
        if (name !== state) return;
        x.push(Math.max(to - from, 0.05)); base.push(from); y.push(row.replica); text.push(row.replica + " " + state + " " + from.toFixed(1) + "–" + to.toFixed(1) + " s");
      }));
      return { type: "bar", orientation: "h", name: state, x, base, y, text, textposition: "none", hoverinfo: "skip", marker: { color: tone(state), pattern: { shape, size: 7, solidity: 0.25, fillmode: "overlay", fgcolor: tone("ink"), fgopacity: 0.55 }, line: { width: 0 } }, width: 0.72, yaxis: "y", legend: "legend", visible: x.length ? true : "legendonly", showlegend: x.length > 0 };
    });
  }
  function stateTexts(data) {
    const t = data.t || [], rows = data.states || [];
    if (!rows.length) return [];
    const at = (row, now) => (row.spans.find(([from, to]) => now >= from && now <= to) || [0, 0, "unknown"])[2];
    const text = t.map((now) => rows.map((row) => [row.replica, at(row, now)]).filter(([, state]) => state !== "healthy").map((one) => one.join(" ")).join(", ") || "all healthy");
    return [{ type: "scatter", mode: "lines", name: "services", x: t, y: t.map(() => rows[0].replica), text, yaxis: "y", opacity: 0, showlegend: false, hovertemplate: "%{text}" }];
  }
  function moments(data) {
    const found = data.marks || [], replicas = (data.states || []).map((row) => row.replica);
    const trace = (kind, name, symbol, panel, y) => {
      const own = found.filter((mark) => mark[2] === kind && (panel !== "" || replicas.includes(mark[1])));
      return { type: "scatter", mode: "markers", name, x: own.map((mark) => mark[0]), y: own.map(y), text: own.map((mark) => mark[3]), yaxis: "y" + panel, legend: "legend" + panel, cliponaxis: false, marker: { symbol, size: 11, color: tone("paper"), line: { width: 2, color: tone(kind === "harmed" ? "fault" : "ink") } }, hovertemplate: "%{text}" };
    };
    return [trace("takeover", "claim taken over", "diamond", "", (mark) => mark[1]), trace("again", "executed again", "triangle-right", "", (mark) => mark[1]), trace("harmed", "chunk with lost samples", "x-thin", "3", () => 0)].filter((one) => one.x.length);
  }
  function faultShapes(data) {
    const shapes = [], annotations = [], end = Math.max(0, ...(data.t || []));
    (data.faults || []).forEach((fault, index) => {
      if (fault.inject === null) return;
      const until = fault.heal === null ? end : fault.heal;
      shapes.push({ type: "rect", xref: "x", yref: "paper", x0: fault.inject, x1: Math.max(until, fault.inject + 0.02), y0: 0, y1: 1, fillcolor: tone("fault"), opacity: 0.14, line: { width: 0 }, layer: "below" });
      const mark = (x, dash) => { if (x !== null) shapes.push({ type: "line", xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1, line: { color: tone("fault"), width: 1.2, dash } }); };
      mark(fault.inject, "solid"); mark(fault.bite, "dot"); mark(fault.heal, "dash");
      annotations.push({ xref: "x", yref: "paper", x: fault.inject, y: 1, yanchor: "bottom", xanchor: "left", yshift: 2 + 14 * (index % 3), showarrow: false, text: fault.name + " " + fault.target, font: { size: 11, color: tone("fault") } });
    });
    return { shapes, annotations };
  }
  function figure(data) {
    const layout = Object.assign(axes(data), faultShapes(data), {
      height: isNarrow() ? 1150 : 920, margin: { l: 64, r: 14, t: 20 + 14 * Math.min(3, (data.faults || []).length), b: 44 }, paper_bgcolor: tone("paper"), plot_bgcolor: tone("paper"), font: { color: tone("ink"), size: 12 },
      barmode: "overlay", hovermode: "x unified", hoversubplots: "axis", dragmode: "zoom", hoverlabel: { bgcolor: tone("panel"), bordercolor: tone("line"), font: { color: tone("ink"), size: 11 } },
      xaxis: { anchor: "y6", domain: [0, 1], title: { text: "seconds since " + (data.start || "").slice(11, 23) + " UTC" }, gridcolor: tone("line"), zeroline: false, range: span(data), showspikes: true, spikemode: "across", spikethickness: 1, spikecolor: tone("soft"), spikedash: "solid", unifiedhovertitle: { text: "+%{x:.2f} s" } },
    });
    const narrow = isNarrow();
    PANELS.forEach((panel, index) => {
      const domain = layout["yaxis" + (index ? index + 1 : "")].domain;
      layout["legend" + (index ? index + 1 : "")] = { orientation: "h", x: narrow ? 0 : 1, xanchor: narrow ? "left" : "right", y: domain[1], yanchor: "bottom", bgcolor: "rgba(0,0,0,0)", font: { size: narrow ? 10 : 11 }, itemwidth: 30, visible: !(narrow && index === 0) };
      layout.annotations.push({ xref: "paper", yref: "paper", x: 0, xanchor: "left", y: domain[1], yanchor: "bottom", yshift: narrow && index ? (index === 1 || index === 4 ? 36 : 20) : 3, showarrow: false, text: "<b>" + panel[0] + "</b>", font: { size: 12 } });
    });
    return { traces: [...states(data), ...stateTexts(data), ...lines(data), ...latency(data), ...moments(data)], layout };
  }
  const span = (data) => [0, Math.max(1, ...(data.t || []), ...((data.latency || {}).t || []), ...(data.faults || []).map((fault) => fault.heal || fault.inject || 0)) * 1.01];

  const drawing = new Map();
  function draw(chart) {
    if (!drawing.has(chart)) drawing.set(chart, drawNow(chart));
    return drawing.get(chart);
  }
  async function drawNow(chart) {
    chart.dataset.drawn = "drawing";
    try {
      const [plotly, data] = await Promise.all([library(), dataOf(chart.dataset.packed)]);
      const { traces, layout } = figure(data.timeline);
      chart.replaceChildren();
      await plotly.newPlot(chart, traces, layout, { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"] });
      chart.dataset.drawn = "yes";
    } catch (error) {
      chart.dataset.drawn = "failed";
      chart.textContent = "The chart could not be drawn: " + error.message;
      throw error;
    }
  }
  async function redraw() {
    for (const chart of all(".chart[data-drawn=yes]")) {
      const data = await dataOf(chart.dataset.packed), { traces, layout } = figure(data.timeline);
      layout.xaxis.range = chart.layout.xaxis.range.slice();
      await window.Plotly.react(chart, traces, layout);
    }
  }
  async function zoom(chart, how) {
    await draw(chart);
    const data = (await dataOf(chart.dataset.packed)).timeline, whole = span(data);
    let [from, to] = chart.layout.xaxis.range;
    const width = to - from, middle = (from + to) / 2;
    if (how === "all") [from, to] = whole;
    if (how === "in") [from, to] = [middle - width / 4, middle + width / 4];
    if (how === "out") [from, to] = [middle - width, middle + width];
    if (how === "left") [from, to] = [from - width / 4, to - width / 4];
    if (how === "right") [from, to] = [from + width / 4, to + width / 4];
    if (how === "fault") {
      const points = data.faults.flatMap((fault) => [fault.inject, fault.bite, fault.heal]).filter((x) => x !== null);
      if (points.length) [from, to] = [Math.min(...points) - 2, Math.max(...points) + 4];
    }
    await window.Plotly.relayout(chart, { "xaxis.range": [from, to] });
  }

  /* ---- what happened, in words ---- */
  function happenings(data) {
    const found = [];
    (data.faults || []).forEach((fault) => [["inject", "injected"], ["bite", "bit"], ["heal", "healed"]].forEach(([key, word]) => { if (fault[key] !== null) found.push([fault[key], fault.name + " " + word + " (" + fault.target + ")"]); }));
    (data.states || []).forEach((row) => row.spans.forEach(([from, , name], index) => { if (index) found.push([from, row.replica + " became " + name]); }));
    const peak = (name, column) => { let best = null; (column || []).forEach((value, index) => { if (value !== null && (best === null || value > column[best])) best = index; }); if (best !== null && column[best]) found.push([data.t[best], name + " at its highest: " + column[best].toLocaleString("en")]); };
    Object.entries(data.queues || {}).forEach(([name, column]) => peak("queue " + name, column));
    peak("unacked", data.unacked);
    (data.health || []).forEach((value, index) => { const before = index ? data.health[index - 1] : 0; if ((value > 0) !== (before > 0)) found.push([data.t[index], "/health/imports " + (value > 0 ? "turned 503 on " + value + " replica(s)" : "is 200 again everywhere")]); });
    (data.marks || []).forEach(([at, replica, , text]) => found.push([at, text + (replica ? " (" + replica + ")" : "")]));
    return found.sort((a, b) => a[0] - b[0]);
  }
  function row(cells, heading, name) {
    const line = document.createElement("tr");
    if (name) line.className = name;
    cells.forEach((text, index) => { const cell = document.createElement(heading ? "th" : "td"); if (heading) cell.scope = "col"; cell.textContent = text; if (!heading && !index) cell.className = "when"; line.append(cell); });
    return line;
  }
  async function fillEvents(section) {
    const table = section.querySelector("table[data-events]"), chart = section.querySelector(".chart");
    if (!table || table.rows.length) return;
    const data = (await dataOf(chart.dataset.packed)).timeline;
    const head = document.createElement("thead"), body = document.createElement("tbody");
    head.append(row(["When", "What"], true));
    happenings(data).forEach(([at, text]) => body.append(row(["+" + at.toFixed(2) + " s", text])));
    table.replaceChildren(head, body);
  }

  /* ---- logs ---- */
  const MOST_ROWS = 1500;
  async function fillLogs(panel) {
    if (panel.dataset.filled) return;
    panel.dataset.filled = "yes";
    const found = (await dataOf(panel.dataset.packed)).logs, logs = found.lines, body = panel.querySelector("tbody");
    const replicas = Array.from(new Set(logs.map((line) => line[1]))).sort(), select = panel.querySelector("[data-log=replica]");
    replicas.forEach((name) => { const option = document.createElement("option"); option.textContent = option.value = name; select.append(option); });
    const words = logs.map((line) => line.slice(0, 4).join(" ").toLowerCase());
    const text = panel.querySelector("[data-log=text]"), loud = panel.querySelector("[data-log=loud]"), count = panel.querySelector("[data-log=count]");
    const many = (number) => number.toLocaleString("en") + (number === 1 ? " line" : " lines");
    const gap = (size) => row(["", "", "", "… " + many(size) + " left out …"], false, "gap");
    const filter = () => {
      const wanted = text.value.trim().toLowerCase().split(/\s+/).filter(Boolean), isAsked = wanted.length > 0 || select.value || loud.checked;
      const rows = [];
      let shown = 0, matching = 0, next = 0;
      logs.forEach(([when, replica, level, line, kind, number, unasked], index) => {
        if (kind === "mark") { rows.push(row([when, replica, level, line], false, kind)); return; }
        const is = isAsked ? (!select.value || replica === select.value) && (!loud.checked || kind.includes("loud")) && wanted.every((word) => words[index].includes(word)) : unasked;
        if (!is) return;
        matching += 1;
        if (shown >= MOST_ROWS) return;
        if (!isAsked && number > next) rows.push(gap(number - next));
        next = Math.max(next, number + 1);
        shown += 1;
        rows.push(row([when, replica, level, line], false, kind));
      });
      if (!isAsked && found.total > next) rows.push(gap(found.total - next));
      body.replaceChildren(...rows);
      const held = logs.filter((line) => line[4] !== "mark").length;
      count.textContent = isAsked ? (shown < matching ? "the first " + shown + " of " : "") + matching.toLocaleString("en") + " found in " + many(held) : shown.toLocaleString("en") + " of " + many(found.total);
    };
    [text, select, loud].forEach((control) => control.addEventListener("input", filter));
    all("[data-find]", panel).forEach((button) => button.addEventListener("click", () => { text.value = button.dataset.find; filter(); }));
    filter();
  }

  /* ---- the page ---- */
  const seen = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (!entry.isIntersecting) return;
    seen.unobserve(entry.target);
    if (entry.target.classList.contains("chart")) draw(entry.target); else fillLogs(entry.target);
  }), { rootMargin: "300px" });
  function wake(section) {
    if (section.dataset.awake) return;
    section.dataset.awake = "yes";
    all(".chart, .logs", section).forEach((element) => seen.observe(element));
    all("details.events", section).forEach((element) => element.addEventListener("toggle", () => fillEvents(section)));
    all("[data-zoom]", section).forEach((button) => button.addEventListener("click", () => zoom(section.querySelector(".chart"), button.dataset.zoom)));
  }
  all("details.scenario").forEach((section) => {
    if (section.open) wake(section);
    section.addEventListener("toggle", () => { if (section.open) wake(section); });
  });
  function reveal() {
    const target = location.hash.length > 1 ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
    const section = target ? target.closest("details.scenario") : null;
    if (section) { section.open = true; target.scrollIntoView(); }
  }
  window.addEventListener("hashchange", reveal);
  all('a[href^="#s-"]').forEach((link) => link.addEventListener("click", () => setTimeout(reveal)));
  document.getElementById("open-bad").addEventListener("click", (event) => all("details.scenario" + event.target.dataset.opens).forEach((section) => { section.open = true; }));
  document.getElementById("close-all").addEventListener("click", () => all("details.scenario").forEach((section) => { section.open = false; }));
  all(".copy").forEach((button) => button.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(button.dataset.copy); button.textContent = "Copied"; }
    catch { const range = document.createRange(); range.selectNodeContents(button.previousElementSibling); getSelection().removeAllRanges(); getSelection().addRange(range); button.textContent = "Selected"; }
  }));
  const PAPER_WIDTH = 660, FEW = 6, openCharts = () => all("details.scenario[open] .chart");
  if (all("details.scenario").length <= FEW) (window.requestIdleCallback || setTimeout)(() => openCharts().forEach(draw));
  document.getElementById("print").addEventListener("click", async () => { await Promise.all(openCharts().map(draw)); window.print(); });
  const fitted = (width) => all(".chart[data-drawn=yes]").forEach((chart) => window.Plotly.relayout(chart, width ? { width, autosize: false } : { width: null, autosize: true }));
  window.addEventListener("beforeprint", () => { fitted(PAPER_WIDTH); openCharts().forEach(draw); });
  window.addEventListener("afterprint", () => fitted(0));
  const verdict = document.getElementById("matrix-verdict"), words = document.getElementById("matrix-text");
  function filterMatrix() {
    const wanted = words.value.trim().toLowerCase(), rows = all("#matrix-table tbody tr");
    rows.forEach((line) => { line.hidden = (verdict.value && !line.dataset.verdict.split(",").includes(verdict.value)) || !line.textContent.toLowerCase().includes(wanted); });
    document.getElementById("matrix-count").textContent = rows.filter((line) => !line.hidden).length + " of " + rows.length;
  }
  if (verdict) [verdict, words].forEach((control) => control.addEventListener("input", filterMatrix));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  reveal();
})();
