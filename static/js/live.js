/* Owns the only websocket. A hint names what changed; the parts of the page that show it are
   fetched again. Parts say what they show:
     data-subject="flag:new-checkout"   refreshed when that subject changes
     data-subject="flag:*"              refreshed when any subject of the kind changes
     data-live-list="flag:"             refreshed when a subject changes that no part inside shows
     data-unsaved                       holds unsaved input: told, never overwritten
   A part is refreshed by the htmx trigger "refresh". */
import { announce } from "./announcing.js";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
const GATHER_MS = 40;
// More changed rows than this are one request for the list instead of one each.
const MOST_SINGLE_REFRESHES = 8;
const NOT_SIGNED_IN = 4401; // docs/protocol.md

const project = document.body.dataset.liveProject;
const indicator = document.querySelector("[data-connection]");
let attempts = 0;
let wasConnected = false;
let wasTurnedAway = false;
let gathered = new Map();
let timer = null;

function show(state, text) {
  if (!indicator) return;
  indicator.dataset.state = state;
  const words = indicator.querySelector("[data-connection-text]");
  if (words.textContent !== text) words.textContent = text;
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(
    `${scheme}://${location.host}/ws/live?project=${encodeURIComponent(project)}`,
  );
  socket.addEventListener("message", (message) => {
    const frame = JSON.parse(message.data);
    if (frame.type === "hello") {
      attempts = 0;
      wasTurnedAway = false;
      show("live", "Live");
      if (wasConnected) refreshAll(); // whatever happened in the gap
      wasConnected = true;
    } else if (frame.type === "changed") {
      gather(frame);
    }
  });
  socket.addEventListener("close", ({ code }) => {
    if (code === NOT_SIGNED_IN && wasTurnedAway) {
      // Signed out elsewhere: nothing of the page stays to be read. Once is not enough, as a new
      // password gives this browser a new session.
      location.replace(location.pathname + location.search);
      return;
    }
    wasTurnedAway = code === NOT_SIGNED_IN;
    show("lost", wasConnected ? "Reconnecting" : "Not live");
    // Full jitter: after a restart of the server not everybody comes back at once.
    const ceiling = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempts);
    attempts += 1;
    setTimeout(connect, 100 + Math.random() * ceiling);
  });
}

function gather(frame) {
  for (const subject of frame.subjects ?? []) {
    const environments = gathered.get(subject) ?? new Set();
    environments.add(frame.environment ?? "");
    gathered.set(subject, environments);
  }
  document.dispatchEvent(new CustomEvent("flagsite:changed", { detail: frame }));
  timer ??= setTimeout(() => {
    const subjects = gathered;
    gathered = new Map();
    timer = null;
    refresh(subjects);
  }, GATHER_MS);
}

function refresh(subjects) {
  const parts = new Set();
  const lists = new Set();
  for (const [subject, environments] of subjects) {
    const kind = subject.slice(0, subject.indexOf(":") + 1);
    const exact = document.querySelectorAll(`[data-subject="${CSS.escape(subject)}"]`);
    const wide = document.querySelectorAll(`[data-subject="${CSS.escape(kind)}*"]`);
    for (const part of [...exact, ...wide]) {
      const only = part.dataset.environment;
      if (!only || environments.has(only) || environments.has("")) parts.add(part);
    }
    for (const list of document.querySelectorAll(`[data-live-list="${CSS.escape(kind)}"]`)) {
      if (![...exact].some((part) => list.contains(part))) lists.add(list);
    }
  }
  const rows = [...parts].filter((part) => part.closest("[data-live-list]"));
  if (rows.length > MOST_SINGLE_REFRESHES) {
    rows.forEach((row) => {
      lists.add(row.closest("[data-live-list]"));
      parts.delete(row);
    });
  }
  lists.forEach((list) => ask(list));
  parts.forEach((part) => {
    if (![...lists].some((list) => list.contains(part))) ask(part);
  });
}

function refreshAll() {
  document.querySelectorAll("[data-live-list]").forEach(ask);
  document.querySelectorAll("[data-subject]").forEach((part) => {
    if (!part.closest("[data-live-list]")) ask(part);
  });
}

function ask(part) {
  if (part.matches("[data-unsaved]")) {
    part.dispatchEvent(new CustomEvent("flagsite:changed-meanwhile", { bubbles: true }));
    return;
  }
  window.htmx.trigger(part, "refresh");
}

document.addEventListener("refresh-all", refreshAll);
document.body.addEventListener("htmx:sendError", () =>
  announce("The server cannot be reached; nothing was changed."),
);
if (project) {
  show("connecting", "Connecting");
  connect();
}

// A refresh that had to wait is of the list as it is by then, not as it was when the hint came.
document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.verb === "get" && detail.elt.matches("[data-live-list]")) {
    detail.path = detail.elt.getAttribute("hx-get");
  }
});
