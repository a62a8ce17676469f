// Optional: every page works without it.

// Times in the reader's own zone and language.
for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.valueOf())) {
    time.title = time.textContent;
    time.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
}

// A provider's answer that was refused: keep its code out of the browser's history.
if (location.search && location.pathname.includes("/oauth/callback/")) {
  history.replaceState(null, "", location.pathname);
}

// Browsers keep a page alive for their back button, with what was typed into it. Not a key.
addEventListener("pagehide", () => {
  for (const field of document.querySelectorAll('input[type="password"]')) {
    field.value = "";
  }
});
