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

// Copy what is to be pasted elsewhere. Where the clipboard is out of reach, the text is marked instead.
for (const button of document.querySelectorAll("button[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  const told = document.getElementById("copied");
  const label = button.firstChild;
  button.hidden = false;
  button.addEventListener("click", async () => {
    getSelection().selectAllChildren(source);
    try {
      await navigator.clipboard.writeText(source.textContent);
      label.data = "Copied";
      told.textContent = "Copied";
      setTimeout(() => { label.data = "Copy"; told.textContent = ""; }, 2000);
    } catch {
      told.textContent = "Marked: press Ctrl+C";
    }
  });
}
