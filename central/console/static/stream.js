// The event stream, kept alive. The browser reconnects by itself with the last id it saw; this adds what it
// does not do: notice a connection that has died silently, come back after a refusal, and say so plainly.

const DEAD_MS = 8000; // the centre sends a health event every two seconds
const AGAIN_MS = 2000;

export function listen(hear) {
  let source = null;
  let lastId = "";
  let wordAt = Date.now(); // the last event
  let openedAt = Date.now();
  let signedOut = false;
  let again = 0;

  function open() {
    clearTimeout(again);
    source?.close();
    openedAt = Date.now();
    source = new EventSource(`/api/events?after=${encodeURIComponent(lastId)}`);
    for (const kind of ["alert", "health", "ready"]) {
      source.addEventListener(kind, (event) => {
        wordAt = Date.now();
        if (event.lastEventId) lastId = event.lastEventId;
        hear.state("live", "");
        hear[kind](JSON.parse(event.data));
      });
    }
    source.onerror = () => {
      tellLost();
      if (source.readyState === EventSource.CLOSED) {
        clearTimeout(again);
        again = setTimeout(askThenOpen, AGAIN_MS);
      }
    };
  }

  async function askThenOpen() {
    try {
      signedOut = (await fetch("/api/health", { cache: "no-store" })).status === 401;
    } catch {
      signedOut = false; // the centre is away: opening will say so again
    }
    open();
  }

  function tellLost() {
    if (signedOut) return hear.state("lost", "Signed out. Open the link that `sightline serve` printed.");
    const seconds = Math.round((Date.now() - wordAt) / 1000);
    hear.state("lost", `Connection lost: no alert can appear here. Last word from the centre ${seconds} s ago. Trying again.`);
  }

  setInterval(() => {
    const silent = Date.now() - Math.max(wordAt, openedAt) > DEAD_MS;
    if (source.readyState !== EventSource.OPEN || silent) tellLost();
    if (silent && source.readyState !== EventSource.CLOSED) open();
  }, 1000);

  open();
}
