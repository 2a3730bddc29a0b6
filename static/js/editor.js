/* The targeting editor and the segment editor: HTML the server drew, read into JSON for the save.
   Nothing is saved from here: the review shows what a save would do and holds its form. */
import { announce } from "./announcing.js";
import { settle, valuesIn } from "./chips.js";
import { attachConditions, conditionIn } from "./conditions.js";

const WHOLE = 100_000; // thousandths of a percent: docs/evaluation.md, "Splits"

const READ = { flag: readFlag, segment: readSegment };

function readFlag(editor) {
  const items = (kind) => [...editor.querySelectorAll(`[data-list] > [data-item="${kind}"]`)];
  return {
    prerequisites: items("prerequisite").map((item, index) => {
      item.dataset.path = `prerequisites[${index}]`;
      return {
        flag: item.querySelector("[data-prerequisite-flag]").value.trim(),
        variations: valuesIn(item.querySelector("[data-chips]")),
      };
    }),
    targets: items("target").map((item, index) => {
      item.dataset.path = `targets[${index}]`;
      return {
        variation: item.querySelector("[data-target-variation]").value,
        ...byIn(item.querySelector("[data-target-by]")),
        keys: valuesIn(item.querySelector("[data-chips]")),
      };
    }),
    rules: items("rule").map((item, index) => {
      item.dataset.path = `rules[${index}]`;
      const rule = {
        when: conditionIn(item.querySelector("[data-node]"), `rules[${index}].when`),
        serve: serveIn(item.querySelector("[data-serve]"), `rules[${index}].serve`),
      };
      const name = item.querySelector("[data-rule-name]").value.trim();
      if (name) rule.name = name;
      if (item.dataset.ruleId) rule.id = item.dataset.ruleId;
      return rule;
    }),
    fallthrough: serveIn(
      editor.querySelector('[data-path-part="fallthrough"] [data-serve]'),
      "fallthrough",
    ),
    off_variation: editor.querySelector("[data-off-variation]").value || null,
  };
}

function readSegment(editor) {
  const node = editor.querySelector("[data-parts] > [data-node]") && editor.querySelector("[data-node]");
  return { when: node ? conditionIn(node, "when") : null };
}

/* The attribute, unless it was left unwritten and still is the one that this means. */
function byIn(field) {
  const by = field.value.trim();
  return "unwritten" in field.dataset && by === "targetingKey" ? {} : { by };
}

function weightsIn(serve) {
  return [...serve.querySelectorAll("[data-share]")].map((share) => [
    share.dataset.share,
    Math.round(Number(share.querySelector("[data-weight]").value || 0) * 1000),
  ]);
}

function serveIn(serve, path) {
  serve.dataset.path = path;
  const choice = serve.querySelector("[data-serve-choice]").selectedOptions[0];
  if (!("splitChoice" in choice.dataset)) return { variation: choice.value };
  const split = {
    ...byIn(serve.querySelector("[data-split-by]")),
    shares: weightsIn(serve).filter(([, weight]) => weight > 0),
  };
  if (serve.dataset.salt) split.salt = serve.dataset.salt;
  return { split };
}

/* Problems that are seen before the server is asked. */
function sumProblem(serve) {
  const choice = serve.querySelector("[data-serve-choice]").selectedOptions[0];
  const output = serve.querySelector("[data-split-sum]");
  const rest = serve.querySelector("[data-split-rest]");
  const isSplit = "splitChoice" in choice.dataset;
  serve.toggleAttribute("data-split", isSplit);
  if (!isSplit) return "";
  const sum = weightsIn(serve).reduce((total, [, weight]) => total + weight, 0);
  output.textContent = `${sum / 1000} % of 100 %`;
  rest.hidden = sum === 0 || sum >= WHOLE;
  const isRight = sum === WHOLE || (sum > 0 && sum < WHOLE && rest.querySelector("input").checked);
  output.toggleAttribute("data-wrong", !isRight);
  if (isRight) return "";
  return sum > WHOLE || sum === 0
    ? `the percentages add up to ${sum / 1000}, expected 100`
    : `the percentages add up to ${sum / 1000}, expected 100; or tick that the rest is left over`;
}

function attach(editor) {
  const kind = editor.dataset.editor || "flag";
  const read = () => READ[kind](editor);
  const prepare = attachConditions(editor);
  const dirtyWords = editor.querySelector("[data-dirty-words]");
  let saved = JSON.stringify(read());

  const look = () => {
    editor.querySelectorAll("[data-serve]").forEach(sumProblem);
    editor.querySelectorAll('[data-item="rule"]').forEach((rule, index, all) => {
      rule.querySelector("[data-number]").textContent = index + 1;
      rule.querySelector('[data-move="-1"]').disabled = index === 0;
      rule.querySelector('[data-move="1"]').disabled = index === all.length - 1;
    });
    const words = JSON.stringify(read()) === saved ? "" : "Not saved yet";
    if (dirtyWords.textContent !== words) dirtyWords.textContent = words;
  };
  editor.isDirty = () => JSON.stringify(read()) !== saved;

  editor.addEventListener("click", (event) => {
    const at = (selector) => event.target.closest(selector);
    const add = at("[data-add]");
    if (add) {
      const list = editor.querySelector(`[data-list="${add.dataset.add}s"]`);
      const item = editor
        .querySelector(`[data-blank="${add.dataset.add}"]`)
        .content.firstElementChild.cloneNode(true);
      list.append(item);
      prepare(item);
      item.querySelector("input").focus();
    } else if (at("[data-move]")) {
      move(at("[data-item]"), at("[data-move]"));
    } else if (at("[data-duplicate]")) {
      duplicate(at("[data-item]"), prepare);
    } else if (at("[data-remove]")) {
      const item = at("[data-item]");
      const near = item.nextElementSibling ?? item.previousElementSibling;
      const fallback = editor.querySelector(`[data-add="${item.dataset.item}"]`);
      item.remove();
      (near?.querySelector("[data-remove]") ?? fallback).focus();
      announce("Removed");
    } else if (at("[data-review]")) {
      review(editor, read);
    }
    look();
  });
  for (const kindOfChange of ["input", "change", "editor:changed"]) editor.addEventListener(kindOfChange, look);
  document.addEventListener("flagsite:changed-meanwhile", () => {
    const notice = editor.querySelector("[data-changed-meanwhile]");
    if (notice) notice.hidden = false;
  });
  look();
  saved = JSON.stringify(read());
}

function move(item, button) {
  const up = button.dataset.move === "-1";
  const other = up ? item.previousElementSibling : item.nextElementSibling;
  if (!other) return;
  if (up) other.before(item);
  else other.after(item);
  const place = [...item.parentElement.children].indexOf(item) + 1;
  announce(`Moved to place ${place} of ${item.parentElement.children.length}`);
  const opposite = item.querySelector(`[data-move="${up ? "1" : "-1"}"]`);
  const atEnd = up ? place === 1 : place === item.parentElement.children.length;
  (atEnd ? opposite : button).focus();
}

function duplicate(item, prepare) {
  const copy = item.cloneNode(true);
  copy.dataset.ruleId = ""; // an id and a salt belong to one rule
  copy.querySelectorAll("[data-serve]").forEach((serve) => {
    serve.dataset.salt = "";
  });
  const originals = item.querySelectorAll("select, input");
  copy.querySelectorAll("select, input").forEach((field, index) => {
    field.value = originals[index].value;
  });
  item.after(copy);
  prepare(copy);
  copy.querySelector("input").focus();
  announce("Duplicated");
}

async function review(editor, read) {
  for (const field of editor.querySelectorAll("[data-chips]")) {
    if (!field.hidden && !settle(field)) return;
  }
  clearProblems(editor);
  const configuration = read();
  const early = [...editor.querySelectorAll("[data-serve]")]
    .map((serve) => ({ path: serve.dataset.path, message: sumProblem(serve) }))
    .filter((problem) => problem.message);
  if (early.length) return showProblems(editor, early);
  // What was typed into the dialog before stays typed.
  const before = document.querySelector("#review-body form[data-edited]");
  const body = new URLSearchParams(before ? new FormData(before) : undefined);
  body.set("configuration", JSON.stringify(configuration));
  body.set("expected_version", editor.dataset.expectedVersion);
  let answer;
  try {
    answer = await fetch(editor.dataset.preview, {
      method: "POST",
      body,
      headers: { ...JSON.parse(document.body.getAttribute("hx-headers")), "HX-Request": "true" },
    });
  } catch {
    return showProblems(editor, [{ path: "", message: "The server cannot be reached. Nothing was saved; try again." }]);
  }
  const target = document.getElementById("review-body");
  target.innerHTML = await answer.text();
  window.htmx.process(target);
  if (!answer.ok && answer.status !== 409) {
    const said = [...target.querySelectorAll("[data-problem]")].map((problem) => ({
      path: problem.dataset.problem,
      message: problem.lastChild.textContent.replace(/^: /, ""),
    }));
    target.replaceChildren();
    document.getElementById("review").close();
    const unknown = { path: "", message: `The server answered ${answer.status}. Nothing was saved.` };
    return showProblems(editor, said.length ? said : [unknown]);
  }
  const dialog = document.getElementById("review");
  if (!dialog.open) dialog.showModal();
}

/* The element whose path is the longest beginning of the problem's. */
function placeOf(editor, path) {
  let best = null;
  for (const element of editor.querySelectorAll("[data-path]")) {
    const own = element.dataset.path;
    if (path.startsWith(own) && own.length >= (best?.dataset.path.length ?? 0)) best = element;
  }
  return best;
}

function showProblems(editor, problems) {
  const box = editor.querySelector("[data-editor-problems]");
  const list = box.querySelector("ul");
  list.replaceChildren();
  problems.forEach((problem, index) => {
    const line = document.createElement("li");
    const place = problem.path && placeOf(editor, problem.path);
    if (place) {
      const said = document.createElement("p");
      said.className = "field-problem";
      said.id = `editor-problem-${index}`;
      said.textContent = problem.message;
      place.append(said);
      const field = place.querySelector("input, select");
      field?.setAttribute("aria-invalid", "true");
      field?.setAttribute("aria-describedby", said.id);
      const link = document.createElement("a");
      link.href = `#${said.id}`;
      link.textContent = `${problem.path}: ${problem.message}`;
      link.addEventListener("click", () => setTimeout(() => field?.focus()));
      line.append(link);
    } else {
      line.textContent = problem.path ? `${problem.path}: ${problem.message}` : problem.message;
    }
    list.append(line);
  });
  box.hidden = false;
  box.focus();
}

function clearProblems(editor) {
  editor.querySelectorAll(".field-problem").forEach((said) => said.remove());
  editor.querySelectorAll("[aria-invalid]").forEach((field) => {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  });
  editor.querySelector("[data-editor-problems]").hidden = true;
}

/* Inside the dialog: compare once more, against what is there now. */
document.addEventListener("click", (event) => {
  const again = event.target.closest("#review [data-review]");
  const editor = document.querySelector("[data-editor]");
  if (!again || !editor) return;
  editor.dataset.expectedVersion = again.dataset.against;
  editor.querySelector("[data-changed-meanwhile]").hidden = true;
  review(editor, () => READ[editor.dataset.editor || "flag"](editor));
});
let leaving = false;
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-reload]")) leaving = true; // the person said so
});
document.addEventListener("htmx:beforeOnLoad", ({ detail }) => {
  if (detail.xhr.getResponseHeader("HX-Redirect")) leaving = true; // it is saved
});
window.addEventListener("beforeunload", (event) => {
  const editor = document.querySelector("[data-editor]");
  if (!leaving && editor?.isDirty?.()) event.preventDefault();
});

document.querySelectorAll("[data-editor]").forEach(attach);
