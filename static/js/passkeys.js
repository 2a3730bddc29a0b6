// Tells why a passkey did not work; the ceremony itself is allauth's own script.

const REASONS = {
  NotAllowedError: "No passkey was used: it was cancelled, or it took too long.",
  InvalidStateError: "This passkey is enrolled already.",
  SecurityError: "Passkeys need HTTPS and a host name: open this site by its name, not by a number.",
  NotSupportedError: "This browser or this device has no passkeys.",
};

document.addEventListener("allauth.error", (event) => {
  const { exception } = event.detail;
  const place = document.querySelector("[data-passkey-problem]");
  if (!place) return;
  event.preventDefault();
  place.textContent = REASONS[exception.name] ?? "The passkey could not be used. Try again.";
  place.hidden = false;
});
