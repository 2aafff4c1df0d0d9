// Numbers and times as an operator reads them.

const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

// Cut, never rounded up: 0.4396 must not read as if it had reached 0.44.
export const score = (value, digits = 2) => (Math.floor(value * 10 ** digits + 1e-9) / 10 ** digits).toFixed(digits);

export const clock = (ms) => time.format(new Date(ms));

export function timeOf(ms, nowMs) {
  const sameDay = new Date(ms).toDateString() === new Date(nowMs).toDateString();
  return sameDay ? clock(ms) : `${day.format(new Date(ms))}, ${clock(ms)}`;
}

export function age(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  const [number, unit] = seconds < 86400 ? [Math.floor(seconds / 3600), "hour"] : [Math.floor(seconds / 86400), "day"];
  return `${number} ${unit}${number === 1 ? "" : "s"}`;
}
