"use strict";
// Plays an environment over its stream: by keys, buttons or sliders made from its action space, or with random actions.

(() => {
  const RENDER = new Uint8Array([0x92, 2, 0xc0]); // the msgpack request [2, nil]
  const ARROWS = { left: "ArrowLeft", right: "ArrowRight", up: "ArrowUp", down: "ArrowDown" };
  const SHOWN = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };
  const MOST_NUMBERS = 24; // of an observation that has no picture
  const stage = document.getElementById("play");
  if (!stage) return;

  const view = stage.querySelector(".view"), player = document.querySelector("[data-player]");
  const pad = document.querySelector("[data-pad]"), status = document.querySelector("[data-status]");
  const space = JSON.parse(stage.dataset.space), names = JSON.parse(stage.dataset.names);
  const pauseButton = stage.querySelector("[data-pause]"), resetButton = stage.querySelector("[data-reset]");
  const say = (text) => { status.textContent = text; };
  const show = (name, value) => { stage.querySelector(`[data-show=${name}]`).textContent = value; };
  const number = (value) => Number(value).toLocaleString("en", { maximumFractionDigits: 2 }).replace("-", "−");

  // --- actions: what the player has chosen for the next step ----------------------------------------------------------

  function discrete() {
    const first = space.start ?? 0, held = [];
    const idle = names.findIndex((name) => /nothing/.test(name));
    const keys = {};
    let clicked = null;
    for (let action = 0; action < space.n; action++) {
      const arrow = Object.keys(ARROWS).find((word) => (names[action] ?? "").includes(word));
      const key = arrow && !(ARROWS[arrow] in keys) ? ARROWS[arrow] : String(action);
      keys[key] = action;
      const button = document.createElement("button");
      button.type = "button";
      const cap = document.createElement("kbd");
      cap.textContent = SHOWN[key] ?? key;
      button.append(cap, ` ${names[action] ?? action}`);
      button.addEventListener("click", () => { clicked = action; });
      pad.append(button);
    }
    addEventListener("keydown", (event) => {
      if (!(event.key in keys) || event.target.closest("input, select, textarea")) return;
      event.preventDefault();
      if (!held.includes(event.key)) held.push(event.key);
      if (!event.repeat) clicked = keys[event.key];
    });
    addEventListener("keyup", (event) => { held.splice(held.indexOf(event.key), held.includes(event.key) ? 1 : 0); });
    addEventListener("blur", () => held.splice(0));
    return {
      random: () => first + Math.floor(Math.random() * space.n),
      next() {
        const action = held.length ? keys[held.at(-1)] : clicked;
        clicked = null;
        return action !== null ? first + action : idle >= 0 ? first + idle : null; // null: wait for a key
      },
    };
  }

  const flat = (value) => (Array.isArray(value) ? value.flatMap(flat) : [value]);

  function box() {
    const low = flat(space.low).map((each) => Math.max(each, -10)), high = flat(space.high).map((each) => Math.min(each, 10));
    const sliders = low.map((bottom, index) => {
      const label = document.createElement("label"), slider = document.createElement("input");
      const output = document.createElement("output");
      Object.assign(slider, { type: "range", min: bottom, max: high[index], step: "any" });
      slider.value = Math.min(Math.max(0, bottom), high[index]);
      const tell = () => { output.textContent = number(slider.value); };
      slider.addEventListener("input", tell);
      tell();
      label.append(names[index] ?? `action ${index}`, slider, output);
      pad.append(label);
      return slider;
    });
    const shaped = (values, shape) => {
      if (shape.length < 2) return values;
      const size = values.length / shape[0];
      return Array.from({ length: shape[0] }, (_, row) => shaped(values.slice(row * size, (row + 1) * size), shape.slice(1)));
    };
    return {
      random: () => shaped(low.map((bottom, index) => bottom + Math.random() * (high[index] - bottom)), space.shape),
      next: () => shaped(sliders.map((slider) => Number(slider.value)), space.shape),
    };
  }

  const KINDS = { Discrete: discrete, Box: box };

  // --- an instance and its stream -------------------------------------------------------------------------------------

  function picture(message) { // [2, nil, bin] in msgpack
    const bytes = new Uint8Array(message);
    const header = { 0xc4: 2, 0xc5: 3, 0xc6: 5 }[bytes[3]];
    return header === undefined ? null : new Blob([bytes.subarray(3 + header)], { type: "image/png" });
  }

  async function draw(message) {
    const blob = picture(message);
    if (blob === null) return;
    const bitmap = await createImageBitmap(blob);
    let canvas = view.querySelector("canvas");
    if (!canvas) {
      canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", "The environment's picture");
      view.replaceChildren(canvas);
    }
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
    }
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
  }

  function list(observation) {
    const text = document.createElement("pre");
    const values = flat(typeof observation === "object" && observation !== null ? Object.values(observation) : observation);
    text.textContent = values.slice(0, MOST_NUMBERS).map((value) => (typeof value === "number" ? number(value) : value)).join("\n");
    if (values.length > MOST_NUMBERS) text.textContent += `\n… ${values.length} numbers`;
    view.replaceChildren(text);
  }

  const isRandom = () => document.getElementById("player").value === "random";

  async function create() {
    const answer = await fetch(stage.dataset.address, { method: "POST", headers: { "X-CSRFToken": stage.dataset.csrf } });
    const made = answer.headers.get("Content-Type")?.startsWith("application/json") ? await answer.json() : {};
    if (answer.redirected) throw new Error("your session has ended: reload the page and log in again");
    if (!answer.ok) throw new Error(made.message ?? "the server did not make an instance");
    return made;
  }

  async function start() {
    say("Making an instance …");
    const actions = (KINDS[space.name] ?? (() => { throw new Error(`a ${space.name} action space cannot be played here; use the code below`); }))();
    const made = await create();
    const address = new URL(stage.dataset.stream.replace("TOKEN", made.token), location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    let total = 0, steps = 0, episodes = 0, waiting = true, over = false, paused = false, sent = 0;

    function send(request) {
      waiting = true;
      sent = performance.now();
      socket.send(JSON.stringify(request));
      if (made.pictures) socket.send(RENDER);
    }
    function reset() {
      [total, steps, over] = [0, 0, false];
      show("episode", ++episodes);
      send({ op: "reset" });
    }
    function tick() {
      setTimeout(tick, 1000 / document.getElementById("speed").value);
      if (waiting || over || paused || document.hidden || socket.readyState !== WebSocket.OPEN) return;
      const action = isRandom() ? actions.random() : actions.next();
      if (action !== null) send({ op: "step", action });
    }

    socket.addEventListener("open", () => {
      say("");
      player.hidden = pauseButton.hidden = resetButton.hidden = false;
      view.focus();
      reset();
      tick();
    });
    socket.addEventListener("message", async (event) => {
      if (typeof event.data !== "string") {
        await draw(event.data);
        waiting = false;
        return;
      }
      const reply = JSON.parse(event.data);
      if (reply.op === "error") {
        over = true;
        say(`${reply.message}. Reset to play on.`);
      } else if (reply.op === "step") {
        total += reply.reward;
        steps += 1;
        over = reply.terminated || reply.truncated;
        if (over) say(`The episode is over: return ${number(total)} in ${steps} steps.`);
        if (over && isRandom()) setTimeout(() => over && !waiting && reset(), 1000);
      } else {
        say("");
      }
      show("return", number(total));
      show("step", steps);
      show("latency", `${number(performance.now() - sent)} ms`);
      if (over && !isRandom()) resetButton.focus();
      if (!made.pictures) {
        if ("observation" in reply) list(reply.observation);
        waiting = false;
      }
    });
    socket.addEventListener("close", () => {
      say("The connection to the server has ended. Reload the page to play again.");
      pauseButton.hidden = resetButton.hidden = true;
    });
    addEventListener("pagehide", () => socket.readyState === WebSocket.OPEN && socket.send('{"op": "close"}'));
    resetButton.addEventListener("click", () => {
      if (!waiting || over) reset();
      view.focus();
    });
    pauseButton.addEventListener("click", () => {
      paused = !paused;
      pauseButton.textContent = paused ? "Resume" : "Pause";
    });
  }

  stage.querySelector("[data-start]").addEventListener("click", async (event) => {
    event.currentTarget.disabled = true;
    const button = event.currentTarget;
    try {
      await start();
    } catch (error) {
      say(`${error.message[0].toUpperCase()}${error.message.slice(1)}.`);
      button.disabled = false;
    }
  });
})();
