/* Keeps "5 min ago" and "in 5 min" true while the page is open; the same words as
   flags/templatetags/times.py. */
const EVERY_MS = 20_000;

function words(moment) {
  const seconds = (Date.now() - moment) / 1000;
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  if (seconds < 7 * 86_400) return `${Math.floor(seconds / 86_400)} d ago`;
  return null; // a date: it stays
}

function wordsUntil(moment) {
  const seconds = (moment - Date.now()) / 1000;
  if (seconds <= 0) return "is due";
  if (seconds < 60) return "in less than a minute";
  if (seconds < 3600) return `in ${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) {
    return `in ${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  }
  return `in ${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

setInterval(() => {
  document.querySelectorAll("time[data-until]").forEach((time) => {
    const text = wordsUntil(Date.parse(time.dateTime));
    if (time.textContent !== text) time.textContent = text;
  });
  document.querySelectorAll("time[data-ago]").forEach((time) => {
    const text = words(Date.parse(time.dateTime));
    if (text && time.textContent !== text) time.textContent = text;
  });
}, EVERY_MS);
