/* Messages that come after an action. They stay while they are looked at, and longer with a way back. */
const PLAIN_MS = 5_000;
const WITH_UNDO_MS = 12_000;
const MOST = 4;

function attend(toast) {
  toast.dataset.attended = "";
  let timer = null;
  const start = () => {
    timer = setTimeout(() => toast.remove(), toast.querySelector("form, a") ? WITH_UNDO_MS : PLAIN_MS);
  };
  const stop = () => clearTimeout(timer);
  toast.addEventListener("pointerenter", stop);
  toast.addEventListener("pointerleave", start);
  toast.addEventListener("focusin", stop);
  toast.addEventListener("focusout", start);
  toast.querySelector("[data-toast-close]").addEventListener("click", () => toast.remove());
  toast.querySelector("form")?.addEventListener("htmx:afterRequest", () => toast.remove());
  start();
}

const region = document.getElementById("toasts");
const look = () => {
  region.querySelectorAll("[data-toast]:not([data-attended])").forEach(attend);
  const toasts = region.querySelectorAll("[data-toast]");
  [...toasts].slice(0, Math.max(0, toasts.length - MOST)).forEach((toast) => toast.remove());
};
new MutationObserver(look).observe(region, { childList: true });
look();
