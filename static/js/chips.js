/* A field of many values: Enter adds, Backspace in an empty field takes the last away, a paste of
   several lines (or a comma-separated line) adds them all. Each value is kept as JSON. */
import { announce } from "./announcing.js";

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

export function valuesIn(field) {
  return [...field.querySelectorAll(".value-chip")].map((chip) =>
    chip.dataset.json === undefined ? chip.dataset.text : JSON.parse(chip.dataset.json),
  );
}

/* What was typed as a value of the kind the field takes; throws the sentence to show. */
function read(text, kind) {
  if (kind === "number") {
    if (!NUMBER.test(text)) throw new Error(`Expected a number such as 18 or 2.5, got “${text}”`);
    return Number(text);
  }
  if (kind === "boolean") {
    if (text !== "true" && text !== "false") throw new Error(`Expected true or false, got “${text}”`);
    return text === "true";
  }
  if (kind === "instant") return /[Zz]|[+-]\d\d:\d\d$/.test(text) ? text : `${withSeconds(text)}Z`;
  return text;
}

const withSeconds = (text) => (/T\d\d:\d\d$/.test(text) ? `${text}:00` : text);

function kindOf(field) {
  if (field.dataset.takes !== "any") return field.dataset.takes;
  return field.closest("[data-node]")?.querySelector("[data-value-type]")?.value ?? "text";
}

function add(field, text) {
  const value = read(text, kindOf(field));
  const json = JSON.stringify(value);
  const known = valuesIn(field).some((other) => JSON.stringify(other) === json);
  if (known) return;
  const chip = field.querySelector("[data-chip-blank]").content.firstElementChild.cloneNode(true);
  chip.dataset.json = json;
  chip.querySelector("span").textContent = typeof value === "string" ? value : json;
  chip.querySelector("button").setAttribute("aria-label", `Remove ${value}`);
  field.querySelector("ul").append(chip);
}

/* Adds what stands in the input; whether it could. */
export function settle(field) {
  const input = field.querySelector("[data-chip-input]");
  const text = input.type === "text" ? input.value.trim() : input.value;
  if (!text) return true;
  try {
    add(field, text);
  } catch (error) {
    input.setCustomValidity(error.message);
    input.reportValidity();
    return false;
  }
  input.value = "";
  changed(field);
  return true;
}

function changed(field) {
  field.dispatchEvent(new CustomEvent("editor:changed", { bubbles: true }));
}

document.addEventListener("keydown", (event) => {
  const input = event.target.closest("[data-chip-input]");
  if (!input) return;
  const field = input.closest("[data-chips]");
  if (event.key === "Enter") {
    event.preventDefault();
    settle(field);
  } else if (event.key === "Backspace" && input.value === "") {
    const last = field.querySelector(".value-chip:last-child");
    if (last) {
      announce(`${last.textContent.trim()} removed`);
      last.remove();
      changed(field);
    }
  }
});
document.addEventListener("input", (event) => {
  event.target.closest("[data-chip-input]")?.setCustomValidity("");
});
document.addEventListener("focusout", (event) => {
  const field = event.target.matches("[data-chip-input]") && event.target.closest("[data-chips]");
  if (field) settle(field);
});
document.addEventListener("paste", (event) => {
  const input = event.target.closest("[data-chip-input]");
  const text = event.clipboardData?.getData("text") ?? "";
  if (!input || input.type !== "text" || !/[\n,\t]/.test(text.trim())) return;
  event.preventDefault();
  const field = input.closest("[data-chips]");
  const parts = text.includes("\n") ? text.split(/[\n\r]+/) : text.split(/[,\t]/);
  try {
    for (const part of parts) if (part.trim()) add(field, part.trim());
  } catch (error) {
    input.setCustomValidity(error.message);
    input.reportValidity();
  }
  changed(field);
});
document.addEventListener("click", (event) => {
  const remove = event.target.closest("[data-chip-remove]");
  if (!remove) return;
  const field = remove.closest("[data-chips]");
  announce(`${remove.parentElement.textContent.trim()} removed`);
  remove.parentElement.remove();
  field.querySelector("[data-chip-input]").focus();
  changed(field);
});
