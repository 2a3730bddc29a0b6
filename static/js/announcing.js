/* Says something to who cannot see the page; the region is in base.html. */
export function announce(text) {
  const region = document.getElementById("announcements");
  if (region) region.textContent = text;
}
