/* Problems the server found, said at their fields too: <li data-problem="path"> ↔ data-field="path". */
export function pointOut(root = document) {
  root.querySelectorAll("[data-problem]").forEach((problem, index) => {
    const field = root.querySelector(`[data-field="${CSS.escape(problem.dataset.problem)}"]`);
    if (!field) return;
    const said = document.createElement("p");
    said.className = "field-problem";
    said.id = `problem-${index}`;
    said.textContent = problem.lastChild.textContent.replace(/^: /, "");
    field.setAttribute("aria-invalid", "true");
    field.setAttribute(
      "aria-describedby",
      `${field.getAttribute("aria-describedby") ?? ""} ${said.id}`.trim(),
    );
    (field.closest("label") ?? field).after(said);
    if (index === 0) field.focus();
  });
}
