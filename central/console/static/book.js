// The alerts this page knows, grouped into sightings. No document, no clock: tests can run it alone.

export class Book {
  #alerts = new Map();
  #retentionMs;
  #most;

  constructor({ retentionMs, most }) {
    this.#retentionMs = retentionMs;
    this.#most = most;
  }

  // Take an alert or its newer form; true if it was not known. An older form changes nothing.
  put(alert) {
    const known = this.#alerts.get(alert.alert_id);
    if (known && known.change >= alert.change) return false;
    this.#alerts.set(alert.alert_id, alert);
    if (this.#alerts.size > this.#most) {
      const oldest = [...this.#alerts.values()].reduce((a, b) => (a.change < b.change ? a : b));
      this.#alerts.delete(oldest.alert_id);
    }
    return !known;
  }

  // Drop what the centre has deleted by now; true if anything went.
  forget(nowMs) {
    let gone = false;
    for (const [id, alert] of this.#alerts) {
      if (alert.revised_at_ms < nowMs - this.#retentionMs) gone = this.#alerts.delete(id);
    }
    return gone;
  }

  // All sightings, the one with the newest alert first.
  sightings() {
    const groups = Map.groupBy ? Map.groupBy(this.#alerts.values(), (a) => a.sighting_id) : groupBy(this.#alerts.values());
    return [...groups].map(([id, alerts]) => sightingOf(id, alerts)).sort((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1));
  }
}

function sightingOf(id, alerts) {
  const ordered = [...alerts].sort((a, b) => b.captured_at_ms - a.captured_at_ms);
  return {
    id,
    alerts: ordered,
    newest: ordered[0],
    at: Math.max(...ordered.map((a) => a.alerted_at_ms)),
    cameras: [...new Set(ordered.map((a) => a.camera))],
  };
}

function groupBy(alerts) {
  const groups = new Map();
  for (const alert of alerts) groups.set(alert.sighting_id, [...(groups.get(alert.sighting_id) ?? []), alert]);
  return groups;
}
