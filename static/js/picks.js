/* Versions picked in a history: two of them can be compared, and no other number. */
function offer() {
  const button = document.querySelector("[data-picks]");
  if (!button) return;
  const picked = button.form.querySelectorAll('[name="pick"]:checked').length;
  button.disabled = picked !== 2;
  button.nextElementSibling.hidden = picked === 2;
}

document.addEventListener("change", offer);
document.addEventListener("htmx:afterSettle", offer);
window.addEventListener("pageshow", offer);
offer();
