"use strict";
// Draws an experiment's curve while it grows, and has the assistant write; the pages also work without it.

(() => {
  // --- an experiment --------------------------------------------------------------------------------------------------

  async function watch(chart) {
    const curve = new Curve(chart, chart.dataset.metric);
    const begun = await fill(curve, chart);
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", `${begun.name} over the ${chart.dataset.unit}s; the table has the numbers`);
    if (begun.going_on) follow(curve, chart, begun);
  }

  async function fill(curve, chart) {
    const answer = await fetch(`${chart.dataset.metrics}?metric=${encodeURIComponent(chart.dataset.metric)}`);
    if (!answer.ok) throw new Error(answer.statusText);
    const metrics = await answer.json();
    curve.fill(metrics.timesteps, metrics.values);
    return metrics;
  }

  function follow(curve, chart, begun) {
    const known = begun.timesteps.at(-1) ?? -1;
    const events = new EventSource(`${chart.dataset.liveMetrics}?after=${begun.last}`);
    const timer = setInterval(live.soon, live.EVERY);
    events.addEventListener("metric", (event) => {
      const point = JSON.parse(event.data);
      if (begun.name in point && point.timestep > known) curve.add(point.timestep, point[begun.name]);
      const bar = document.querySelector("#progress progress");
      if (bar) bar.value = Math.max(bar.value, point.timestep);
    });
    events.addEventListener("state", live.soon);
    events.addEventListener("end", () => {
      events.close();
      clearInterval(timer);
      live.soon();
    });
    events.addEventListener("error", () => {
      if (events.readyState !== EventSource.CLOSED) return; // it reconnects automatically
      clearInterval(timer);
      poll(curve, chart); // too many viewers for a stream
    });
  }

  function poll(curve, chart) {
    const timer = setInterval(async () => {
      const metrics = await fill(curve, chart).catch(() => null);
      if (metrics && !metrics.going_on) clearInterval(timer);
      live.soon();
    }, live.EVERY);
  }

  // --- the assistant --------------------------------------------------------------------------------------------------

  function line(text) {
    const heading = /^#{1,6} (.*)$/.exec(text), item = /^(?:[-*]|\d+\.) (.*)$/.exec(text);
    const made = document.createElement(heading ? "h3" : item ? "li" : "p");
    (heading ?? item ?? ["", text])[1].split("**").forEach((part, index) => {
      const piece = document.createElement(index % 2 ? "strong" : "span");
      piece.textContent = part;
      made.append(piece);
    });
    return made;
  }

  function show(report, note, text) {
    const parts = [];
    let list = null;
    for (const each of text.split("\n")) {
      if (!each.trim()) { list = null; continue; }
      const made = line(each);
      if (made.tagName !== "LI") { list = null; parts.push(made); continue; }
      const kind = /^\d/.test(each) ? "ol" : "ul";
      if (list === null || list.tagName.toLowerCase() !== kind) parts.push(list = document.createElement(kind));
      list.append(made);
    }
    if (note) {
      const paragraph = document.createElement("p");
      paragraph.className = "note";
      paragraph.textContent = note;
      parts.unshift(paragraph);
    }
    report.replaceChildren(...parts);
  }

  function write(button, report) {
    let text = "", note = "";
    const events = new EventSource(button.dataset.advice);
    const over = () => {
      events.close();
      button.disabled = false;
      report.setAttribute("aria-busy", "false");
    };
    button.disabled = true;
    report.hidden = false;
    report.setAttribute("aria-busy", "true");
    show(report, "Writing …", "");
    events.addEventListener("author", (event) => { text = ""; note = JSON.parse(event.data).note; });
    events.addEventListener("text", (event) => show(report, note, text += JSON.parse(event.data).text));
    events.addEventListener("end", over);
    events.addEventListener("error", () => {
      over();
      show(report, "The connection was lost.", text);
    });
  }

  // --------------------------------------------------------------------------------------------------------------------

  const chart = document.getElementById("chart");
  const button = document.getElementById("write");
  if (chart) watch(chart).catch(() => {}); // the static picture remains
  if (button) {
    button.hidden = false;
    document.getElementById("as-text").hidden = true;
    button.addEventListener("click", () => write(button, document.getElementById("report")));
  }
})();
