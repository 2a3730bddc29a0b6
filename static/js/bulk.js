/* Flags chosen in the list. They are kept here by key, as rows are drawn again while the page is
   open; a flag that the list shows no more is not chosen any more. */
import { announce } from "./announcing.js";

const bar = document.getElementById("bulk");
const chosen = new Set();
const boxes = () => [...document.querySelectorAll('#flag-results input[name="flag"]')];

function show() {
  const there = boxes();
  const all = document.querySelector("[data-bulk-all]");
  there.forEach((box) => {
    box.checked = chosen.has(box.value);
  });
  if (all) {
    all.checked = there.length > 0 && there.every((box) => box.checked);
    all.indeterminate = !all.checked && chosen.size > 0;
  }
  const words = `${chosen.size} flag${chosen.size === 1 ? "" : "s"} chosen`;
  const count = bar.querySelector("[data-bulk-count]");
  bar.toggleAttribute("data-chosen", chosen.size > 0);
  if (count.textContent === words) return;
  count.textContent = words;
  announce(chosen.size ? `${words}; what to do with them is below the list` : "No flag chosen");
}

function showFields() {
  const what = bar.elements.what.value;
  for (const more of bar.querySelectorAll("[data-bulk-for]")) {
    const applies = more.dataset.bulkFor.split(" ").includes(what);
    const field = more.querySelector("input, select");
    more.hidden = !applies;
    field.disabled = !applies;
    field.required = applies;
  }
}

/* What can be done to flags of the list that is shown: that of those in use, or of the archived. */
function offer() {
  const { what } = bar.elements;
  const here = document.getElementById("flag-results").dataset.list;
  for (const option of what.options) {
    option.disabled = option.hidden = !option.dataset.lists.split(" ").includes(here);
  }
  if (what.selectedOptions[0]?.disabled ?? true) {
    what.value = [...what.options].find((option) => !option.disabled)?.value ?? "";
  }
  showFields();
}

function clear() {
  chosen.clear();
  show();
}

if (bar) {
  document.addEventListener("change", ({ target }) => {
    if (target.matches('#flag-results input[name="flag"]')) {
      if (target.checked) chosen.add(target.value);
      else chosen.delete(target.value);
    } else if (target.matches("[data-bulk-all]")) {
      boxes().forEach((box) => (target.checked ? chosen.add(box.value) : chosen.delete(box.value)));
    } else if (target === bar.elements.what) {
      showFields();
      return;
    } else {
      return;
    }
    show();
  });
  bar.querySelector("[data-bulk-clear]").addEventListener("click", clear);
  document.addEventListener("bulk-done", clear);
  document.addEventListener("htmx:afterSwap", () => {
    const there = new Set(boxes().map((box) => box.value));
    chosen.forEach((key) => there.has(key) || chosen.delete(key));
    offer();
    show();
  });
  bar.querySelector("[data-bulk-count]").textContent = "0 flags chosen";
  offer();
  show();
}
