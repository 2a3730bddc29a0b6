/* The editor of a condition: groups, comparisons, segments. `conditionIn` reads it as the JSON of
   docs/evaluation.md and notes at each element the path it has there, for problems to be shown at. */
import { announce } from "./announcing.js";
import { valuesIn } from "./chips.js";

export function conditionIn(node, path) {
  node.dataset.path = path;
  if (node.dataset.node === "comparison") return comparisonIn(node, path);
  if (node.dataset.node === "segment") {
    const leaf = { segment: node.querySelector("[data-segment]").value };
    return node.querySelector("[data-segment-negated]").value ? { not: leaf } : leaf;
  }
  const mode = node.querySelector("[data-mode]").value;
  const parts = [...node.querySelector("[data-parts]").children].filter((p) => p.dataset.node);
  if ("bare" in node.dataset && parts.length === 1) {
    if (mode === "all") return conditionIn(parts[0], path);
    if (mode === "none") return { not: conditionIn(parts[0], `${path}.not`) };
  }
  const member = mode === "all" || mode === "not-all" ? "all" : "any";
  const negated = mode === "none" || mode === "not-all";
  const inside = negated ? `${path}.not` : path;
  const group = {
    [member]: parts.map((part, index) => conditionIn(part, `${inside}.${member}[${index}]`)),
  };
  return negated ? { not: group } : group;
}

function comparisonIn(node, path) {
  const chosen = node.querySelector("[data-op]").value;
  const negated = chosen.startsWith("!");
  const op = negated ? chosen.slice(1) : chosen;
  const leaf = { attribute: node.querySelector("[data-attribute]").value.trim(), op };
  if (op !== "exists") leaf.values = valuesIn(node.querySelector("[data-chips]"));
  const anyCase = node.querySelector("[data-ignore-case]");
  if (anyCase.checked && !anyCase.closest("label").hidden) leaf.ignore_case = true;
  node.dataset.path = negated ? `${path}.not` : path;
  return negated ? { not: leaf } : leaf;
}

/* Show the inputs that fit the operator. */
export function fit(node) {
  const option = node.querySelector("[data-op]").selectedOptions[0];
  const takes = option.dataset.takes;
  const chips = node.querySelector("[data-chips]");
  const input = chips.querySelector("[data-chip-input]");
  const kind = node.querySelector("[data-value-type]");
  chips.dataset.takes = takes;
  chips.hidden = takes === "nothing";
  kind.hidden = takes !== "any";
  node.querySelector(".case-check").hidden = takes !== "text" && takes !== "any";
  const numeric = takes === "number" || (takes === "any" && kind.value === "number");
  input.type = takes === "instant" ? "datetime-local" : "text";
  if (takes === "instant") input.step = "1";
  input.inputMode = numeric ? "decimal" : "text";
  input.placeholder = takes === "any" && kind.value === "boolean" ? "true" : option.dataset.hint || "value";
  input.title = takes === "instant" ? "Date and time in UTC; Enter adds it" : "Enter adds it";
}

export function firstKind(node) {
  const json = node.querySelector(".value-chip")?.dataset.json;
  if (json === undefined) return;
  const kind = { string: "text", number: "number", boolean: "boolean" }[typeof JSON.parse(json)];
  node.querySelector("[data-value-type]").value = kind ?? "text";
}

export function attachConditions(editor) {
  const prepare = (root) =>
    root.querySelectorAll('[data-node="comparison"]').forEach((node) => {
      firstKind(node);
      fit(node);
    });
  editor.addEventListener("click", (event) => {
    const add = event.target.closest("[data-add-node]");
    if (add) {
      const blank = editor.querySelector(`[data-blank="${add.dataset.addNode}"]`);
      const parts = add.closest('[data-node="group"]').querySelector("[data-parts]");
      const node = blank.content.querySelector("[data-node]").cloneNode(true);
      parts.append(node);
      prepare(node.parentElement);
      node.querySelector("input, select").focus();
    }
    const remove = event.target.closest("[data-remove-node]");
    if (remove) {
      const node = remove.closest("[data-node]");
      const group = node.parentElement.closest("[data-node]");
      node.remove();
      group.querySelector("[data-add-node]").focus();
      announce("Condition removed");
    }
    if (add || remove) editor.dispatchEvent(new CustomEvent("editor:changed"));
  });
  editor.addEventListener("change", (event) => {
    const node = event.target.closest('[data-node="comparison"]');
    if (node && event.target.matches("[data-op], [data-value-type]")) fit(node);
  });
  prepare(editor);
  return prepare;
}
