/* The page of a request: it stands differently when what it would change, or a policy, changes too;
   and times are typed in the visitor's own time zone. */
document.addEventListener("flagsite:changed", (event) => {
  const part = document.getElementById("request");
  const also = new Set(part?.dataset.also.split(" "));
  also.delete(part?.dataset.subject); // live.js sees to that one
  if ((event.detail.subjects ?? []).some((subject) => also.has(subject))) {
    window.htmx.trigger(part, "refresh");
  }
});

const two = (number) => String(number).padStart(2, "0");

for (const form of document.querySelectorAll("[data-local-time]")) {
  const field = form.querySelector('[type="datetime-local"]');
  form.querySelector("[data-time-zone]").textContent =
    Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (field.dataset.instant) {
    const at = new Date(field.dataset.instant);
    const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    field.value = `${day}T${two(at.getHours())}:${two(at.getMinutes())}`;
  }
  form.addEventListener("submit", (event) => {
    if (event.submitter?.matches("[data-clears]")) field.disabled = true;
    // The offset at that time, which summer time makes another one than now.
    if (field.value) form.elements.offset.value = new Date(field.value).getTimezoneOffset();
  });
}

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
