"use strict";
// Replaces the changed [data-live] parts of a page while a part has [data-going-on], and says when the server is lost.

const live = (() => {
  const EVERY = 5000; // milliseconds between refreshes
  const notice = document.createElement("p");
  notice.className = "message";
  notice.setAttribute("role", "status");

  function say(text) { // an empty text removes the notice
    notice.textContent = text;
    if (text) document.getElementById("main").prepend(notice);
    else notice.remove();
  }

  // Keeps what the reader has opened, scrolled or focused.
  function replace(old, now) {
    if (!now || now.innerHTML === old.innerHTML || old.querySelector("details[open]")) return;
    const focused = old.contains(document.activeElement);
    if (focused && document.activeElement.matches("input, a")) return;
    const scrolled = old.querySelector(".log")?.scrollTop;
    old.replaceChildren(...now.childNodes);
    const log = old.querySelector(".log");
    if (log && scrolled !== undefined) log.scrollTop = scrolled;
    if (focused) old.querySelector("button, .log")?.focus();
  }

  async function refresh() {
    const answer = await fetch(location.href, { headers: { Accept: "text/html,application/xhtml+xml" } });
    if (answer.redirected) return say("Your session has ended. Reload the page to log in again.");
    if (answer.status === 503) throw new Error(answer.statusText);
    say("");
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const old of document.querySelectorAll("[data-live]")) {
      const now = fresh.getElementById(old.id);
      if (now) old.toggleAttribute("data-going-on", now.hasAttribute("data-going-on"));
      replace(old, now);
    }
  }

  let busy = false, wanted = false;
  async function soon() {
    wanted = true;
    if (busy || document.hidden) return;
    busy = true;
    while (wanted) {
      wanted = false;
      await refresh().catch(() => say("The server does not answer. This page goes on by itself when it is back."));
    }
    busy = false;
  }

  document.addEventListener("visibilitychange", () => wanted && soon());
  setInterval(() => document.querySelector("[data-going-on]") && soon(), EVERY);
  return { soon, EVERY };
})();
