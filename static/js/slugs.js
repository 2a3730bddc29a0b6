/* <input data-slug-of="name">: follows the field of that name until someone types a key themselves. */
for (const key of document.querySelectorAll("[data-slug-of]")) {
  const source = key.form.elements[key.dataset.slugOf];
  let follows = key.value === "";
  key.addEventListener("input", () => {
    follows = key.value === "";
  });
  source.addEventListener("input", () => {
    if (!follows) return;
    key.value = source.value
      .normalize("NFKD")
      .replace(/[\u0300-\u036f]/g, "")
      .toLowerCase()
      .replace(/[^a-z0-9._]+/g, "-")
      .replace(/^[^a-z0-9]+|-+$/g, "")
      .slice(0, 200);
  });
}
