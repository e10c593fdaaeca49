// Makes the moments of a page local: the server writes them in UTC.
const SHOWN = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** Makes the moments within `root` local; call it for what comes into the page later. */
export function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const text = SHOWN.format(at);
    if ("relative" in time.dataset) time.title = text;
    else time.textContent = text;
    time.dataset.local = "";
  }
}

localise(document);
