/* Rows of variations: added, removed, and checked while one types. */
import { announce } from "./announcing.js";
import { pointOut } from "./fields.js";

const EXPECTED = { integer: "a whole number", float: "a number", json: "JSON" };

function problemWith(text, type) {
  if (type === "string" || type === "boolean" || text.trim() === "") return "";
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `Expected ${EXPECTED[type]}: ${error.message}`;
  }
  if (type === "integer" && !Number.isSafeInteger(value)) return "Expected a whole number within ±(2^53−1)";
  if (type === "float" && typeof value !== "number") return "Expected a number";
  return "";
}

function attach(box) {
  const form = box.closest("form");
  const rows = box.querySelector("[data-variation-rows]");
  const blank = box.querySelector("[data-variation-blank]");
  const type = () => form.querySelector("[name=type]:checked")?.value ?? box.dataset.type;

  const check = (area) => {
    const row = area.closest("[data-variation]");
    const said = row.querySelector("[data-variation-problem]");
    const problem = problemWith(area.value, type());
    said.textContent = problem;
    said.hidden = !problem;
    area.toggleAttribute("aria-invalid", Boolean(problem));
    if (problem) area.setAttribute("aria-invalid", "true");
    area.rows = Math.min(14, area.value.split("\n").length);
  };
  const checkAll = () => {
    box.toggleAttribute("data-boolean", type() === "boolean" && "typeMayChange" in box.dataset);
    rows.querySelectorAll("[data-variation-value]").forEach(check);
  };

  box.addEventListener("click", (event) => {
    if (event.target.closest("[data-variation-add]")) {
      rows.append(blank.content.cloneNode(true));
      rows.lastElementChild.querySelector("input").focus();
    }
    const remove = event.target.closest("[data-variation-remove]");
    if (remove) {
      const row = remove.closest("[data-variation]");
      const near = row.previousElementSibling ?? row.nextElementSibling;
      row.remove();
      (near?.querySelector("input") ?? box.querySelector("[data-variation-add]")).focus();
      announce("Variation removed");
    }
  });
  box.addEventListener("input", (event) => {
    if (event.target.matches("[data-variation-value]")) check(event.target);
  });
  form.addEventListener("change", (event) => {
    if (event.target.name === "type") checkAll();
  });
  checkAll();
}

document.querySelectorAll("[data-variations]").forEach(attach);
pointOut();
