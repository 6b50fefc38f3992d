"use strict";
// Makes tabs of the code sections, and lets "/" focus the search field. Without it, the sections are shown one below the other.

(() => {
  function tabs(box) {
    const sections = [...box.querySelectorAll("section")];
    const bar = document.createElement("div");
    bar.className = "tabs";
    bar.setAttribute("role", "tablist");
    const buttons = sections.map((section) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = section.querySelector("h3").textContent;
      button.setAttribute("role", "tab");
      button.setAttribute("aria-controls", section.id);
      section.setAttribute("role", "tabpanel");
      section.querySelector("h3").hidden = true;
      bar.append(button);
      return button;
    });
    const show = (chosen) => {
      sections.forEach((section, index) => { section.hidden = index !== chosen; });
      buttons.forEach((button, index) => {
        button.setAttribute("aria-selected", index === chosen);
        button.tabIndex = index === chosen ? 0 : -1;
      });
    };
    buttons.forEach((button, index) => {
      button.addEventListener("click", () => show(index));
      button.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const next = (index + step + buttons.length) % buttons.length;
        show(next);
        buttons[next].focus();
      });
    });
    const copy = document.createElement("button");
    copy.type = "button";
    copy.className = "last";
    copy.textContent = "Copy";
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(sections.find((section) => !section.hidden).querySelector("code").textContent);
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = "Copy"; }, 2000);
    });
    const row = document.createElement("div");
    row.className = "tabs";
    row.append(bar);
    if (navigator.clipboard) row.append(copy); // only where the page is served over TLS, or from this machine
    bar.className = "row";
    box.prepend(row);
    show(0);
  }

  document.querySelectorAll("[data-tabs]").forEach(tabs);
  const search = document.querySelector("[data-search]");
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || !search || event.target.closest("input, textarea, select")) return;
    event.preventDefault();
    search.focus();
  });
})();
