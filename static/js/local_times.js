/* Times are typed in the visitor's own time zone: forms marked data-local-time, also those that
   are brought in later. */
const two = (number) => String(number).padStart(2, "0");
const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

function localise(root) {
  for (const form of root.querySelectorAll("[data-local-time]:not([data-localised])")) {
    form.dataset.localised = "";
    const field = form.querySelector('[type="datetime-local"]');
    form.querySelector("[data-time-zone]").textContent = zone();
    if (field.dataset.instant) {
      const at = new Date(field.dataset.instant);
      const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
      field.value = `${day}T${two(at.getHours())}:${two(at.getMinutes())}`;
    }
  }
}

// While it is captured, so before htmx collects what the form holds.
document.addEventListener(
  "submit",
  (event) => {
    const form = event.target.closest("[data-local-time]");
    if (!form) return;
    const field = form.querySelector('[type="datetime-local"]');
    if (event.submitter?.matches("[data-clears]")) field.disabled = true;
    // The offset at that time, which summer time makes another one than now.
    if (field.value) form.elements.offset.value = new Date(field.value).getTimezoneOffset();
  },
  true,
);
new MutationObserver(() => localise(document)).observe(document.body, {
  childList: true,
  subtree: true,
});
localise(document);
