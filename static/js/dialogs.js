/* <button data-opens="dialog-id"> opens a <dialog>; inside, data-closes closes it, as Escape does. */
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens)?.showModal();
  const closer = event.target.closest("[data-closes]");
  if (closer) closer.closest("dialog")?.close();
  if (event.target.matches("dialog.dialog")) event.target.close(); // the backdrop
});
// The server says when what a dialog asked for is done.
let hasClosed = false;
document.addEventListener("close-dialogs", () => {
  document.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close());
  hasClosed = true;
});
// What opened it may be gone by that; who works by keyboard goes on from the content.
document.addEventListener("htmx:afterSettle", () => {
  if (hasClosed && document.activeElement === document.body) {
    document.getElementById("main").focus({ preventScroll: true });
  }
  hasClosed = false;
});
// … or that it has brought in what a save would do.
document.addEventListener("open-review", () => {
  const dialog = document.getElementById("review");
  if (!dialog.open) dialog.showModal();
});
