"use strict";
// A metric's curve over the timesteps or episodes, drawn by uPlot: raw values faint, their running mean strong.

class Curve {
  static MOST = 4000; // points; beyond that, neighbours are merged
  static WINDOW = 20; // points in the running mean, or a tenth of all if that is less

  constructor(place, name) {
    this.place = place;
    this.name = name;
    this.timesteps = [];
    this.values = [];
    this.plot = null;
    this.due = false;
    new ResizeObserver(() => this.plot && this.plot.setSize(this.size())).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  fill(timesteps, values) {
    this.timesteps = timesteps;
    this.values = values;
    this.redraw();
  }

  add(timestep, value) {
    this.timesteps.push(timestep);
    this.values.push(value);
    if (this.timesteps.length > Curve.MOST) this.merge();
    if (this.due) return;
    this.due = true;
    setTimeout(() => {
      this.due = false;
      if (this.plot) this.plot.setData(this.data());
      else this.redraw();
    }, 250);
  }

  merge() {
    const mean = (one, other) => (one === null ? other : other === null ? one : (one + other) / 2);
    const even = (_, index) => index % 2 === 0;
    this.values = this.values.map((value, index) => mean(value, this.values[index + 1] ?? null)).filter(even);
    this.timesteps = this.timesteps.map((timestep, index) => this.timesteps[index + 1] ?? timestep).filter(even);
  }

  data() {
    return [this.timesteps, this.values, this.smoothed()];
  }

  smoothed() {
    const width = Math.max(1, Math.min(Curve.WINDOW, Math.floor(this.values.length / 10)));
    let sum = 0, count = 0;
    return this.values.map((value, index) => {
      if (value !== null) { sum += value; count += 1; }
      const left = index >= width ? this.values[index - width] : null;
      if (left !== null) { sum -= left; count -= 1; }
      return count ? sum / count : null;
    });
  }

  size() {
    return { width: this.place.clientWidth, height: Math.min(340, Math.max(220, this.place.clientWidth / 2)) };
  }

  redraw() {
    if (this.plot) this.plot.destroy();
    this.plot = null;
    if (!this.timesteps.length) return; // the image already shows that there are no values yet
    this.place.querySelector("img").hidden = true;
    const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const axis = { stroke: color("--ink"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line"), width: 1 } };
    const number = (_, value) => (value === null || value === undefined ? "–" : Number(value.toPrecision(5)).toLocaleString("en"));
    const numbers = (plot, ticks) => ticks.map((tick) => number(plot, tick));
    this.plot = new uPlot({
      ...this.size(),
      scales: { x: { time: false } },
      axes: [{ ...axis, values: numbers, space: 70 }, { ...axis, values: numbers, size: 64 }],
      series: [
        { label: this.place.dataset.unit, value: number },
        { label: this.name, stroke: color("--faint"), width: 1, value: number, points: { show: this.values.length < 3 } },
        { label: "running mean", stroke: color("--accent"), width: 2, value: number, points: { show: false } },
      ],
    }, this.data(), this.place);
  }
}
