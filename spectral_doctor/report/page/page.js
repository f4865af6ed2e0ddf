"use strict";
(() => {
  const root = document.documentElement;

  const toggle = document.getElementById("theme");
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches);
  const showTheme = () => toggle.setAttribute("aria-pressed", String(isDark()));
  toggle.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  systemDark.addEventListener("change", showTheme);
  showTheme();
  toggle.hidden = false;

  const byNumber = (key, sign) => (a, b) => sign * (Number(a.dataset[key]) - Number(b.dataset[key]));
  const inOrder = byNumber("order", 1);
  const orders = {
    order: inOrder,
    plateau: byNumber("plateau", 1),
    deficit: byNumber("deficit", -1),
    name: (a, b) => a.dataset.name.localeCompare(b.dataset.name, "en", { numeric: true }),
  };

  for (const section of document.querySelectorAll("[data-filtered]")) {
    const form = section.querySelector("form");
    const search = form.querySelector("input[type=search]");
    const boxes = [...form.querySelectorAll("input[type=checkbox]")];
    const sort = form.querySelector("select");
    const status = form.querySelector("[role=status]");
    const lists = [...section.querySelectorAll("[data-sortable]")];

    const filter = () => {
      const wanted = search.value.trim().toLowerCase();
      const states = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
      let shown = 0;
      for (const list of lists) {
        shown = 0;
        for (const item of list.children) {
          const { name, state } = item.dataset;
          item.hidden = !(name.toLowerCase().includes(wanted) && states.has(state));
          shown += item.hidden ? 0 : 1;
        }
      }
      status.textContent = `${shown} of ${lists[0].children.length} layers shown`;
    };
    const arrange = () => {
      for (const list of lists) {
        const items = [...list.children].sort((a, b) => orders[sort.value](a, b) || inOrder(a, b));
        list.append(...items);
      }
    };
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", filter);
    sort.addEventListener("change", arrange);
    form.hidden = false;
    // A browser may bring back what was typed before a reload.
    filter();
    arrange();
  }

  // What is folded away on the screen is not lost on paper.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details.on-paper:not([open])")];
    for (const details of opened) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of opened) details.open = false;
  });
})();
