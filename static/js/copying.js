/* <button data-copy="text"> or data-copy-from="#id": puts it on the clipboard and says so. */
import { announce } from "./announcing.js";

const SHOWN_MS = 1_800;

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  const text = button.dataset.copy ?? textOf(document.querySelector(button.dataset.copyFrom));
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    announce("The browser did not allow copying; select the text and copy it yourself.");
    return;
  }
  button.dataset.copied = "";
  announce("Copied");
  setTimeout(() => delete button.dataset.copied, SHOWN_MS);
});

function textOf(element) {
  return element?.value ?? element?.textContent ?? "";
}
