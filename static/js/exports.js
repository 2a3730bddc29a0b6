/* <a data-export>: a download begins, and what shows its progress begins to ask for it. */
document.addEventListener("click", (event) => {
  // htmx would keep the link from being followed, were it to listen itself.
  if (event.target.closest("[data-export]")) document.dispatchEvent(new Event("flagsite:export"));
});
