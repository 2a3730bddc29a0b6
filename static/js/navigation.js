/* The menu at phone width, menus that close when one looks elsewhere, and single keys:
   data-focus-on="/" focuses a field, data-focus-on="e" follows a link. */
const sidebar = document.querySelector("[data-navigation]");
const toggle = document.querySelector("[data-navigation-toggle]");
toggle?.addEventListener("click", () => {
  const open = sidebar.toggleAttribute("data-open");
  toggle.setAttribute("aria-expanded", String(open));
});

const menus = () => document.querySelectorAll("details[data-closes-outside][open]");
document.addEventListener("click", (event) => {
  for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const menu of menus()) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  }
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = document.querySelector(`[data-focus-on="${CSS.escape(event.key)}"]`);
  if (target) {
    event.preventDefault();
    if (target.matches("a, button")) target.click();
    else target.focus();
  }
});
