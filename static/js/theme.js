/* Runs before the first paint, so no page flashes in the wrong colours: not a module on purpose. */
(() => {
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const choice = () => {
    try {
      return localStorage.getItem("theme") || "auto";
    } catch {
      return "auto"; // storage may be forbidden; the system's choice remains
    }
  };
  const show = () => {
    const chosen = choice();
    root.dataset.themeChoice = chosen;
    root.dataset.bsTheme = chosen === "auto" ? (dark.matches ? "dark" : "light") : chosen;
  };
  root.classList.add("js");
  show();
  dark.addEventListener("change", show);
  window.addEventListener("storage", show);

  const next = { auto: "light", light: "dark", dark: "auto" };
  const words = { auto: "as the system", light: "light", dark: "dark" };
  const name = (button) => button.setAttribute("aria-label", `Colours: ${words[choice()]}`);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-toggle]");
    if (!button) return;
    localStorage.setItem("theme", next[choice()]);
    show();
    name(button);
  });
  document.addEventListener("DOMContentLoaded", () =>
    document.querySelectorAll("[data-theme-toggle]").forEach(name),
  );
})();
