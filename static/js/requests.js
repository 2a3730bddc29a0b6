/* The page of a request: it stands differently when what it would change, or a policy, changes too. */
document.addEventListener("flagsite:changed", (event) => {
  const part = document.getElementById("request");
  const also = new Set(part?.dataset.also.split(" "));
  also.delete(part?.dataset.subject); // live.js sees to that one
  if ((event.detail.subjects ?? []).some((subject) => also.has(subject))) {
    window.htmx.trigger(part, "refresh");
  }
});

// A verdict is given on what was on the screen when its dialog was opened. Should the page behind
// it move on meanwhile, the server is told of the old behaviour, and refuses.
const behaviour = () => document.querySelector('[name="behaviour"]');
let judged = null;

document.addEventListener("click", (event) => {
  if (event.target.closest('[data-opens="verdict"]')) judged = behaviour()?.value ?? null;
});
document.getElementById("verdict-form")?.addEventListener("submit", () => {
  if (judged !== null && behaviour()) behaviour().value = judged;
});
