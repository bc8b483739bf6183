// What things are called in front of people: labels, times, amounts, states. Pure; `now` is an argument.

const LABELS = {
  person: 'Person', bicycle: 'Bicycle', car: 'Car', motorcycle: 'Motorbike', bus: 'Bus', truck: 'Truck',
  bird: 'Bird', cat: 'Cat', dog: 'Dog', motion: 'Something moved',
};
const PLURALS = {
  person: 'people', bicycle: 'bicycles', car: 'cars', motorcycle: 'motorbikes', bus: 'buses', truck: 'trucks',
  bird: 'birds', cat: 'cats', dog: 'dogs',
};
const HEALTH = {
  camera_lost: 'Camera lost', camera_back: 'Camera is back', started: 'The box started', stopped: 'The box stopped',
  card_damaged: 'Part of the card is damaged',
  camera_covered: 'Camera covered, or the light went out', camera_blind: 'Too dark or too bright to see',
  camera_moved: 'Camera was moved', camera_frozen: 'Camera repeats one picture', camera_clear: 'Camera sees again',
};
/** 2024: a box whose clock shows less has not set it yet, and says so with `clock_set`. */
const FIRST_PLAUSIBLE = Date.UTC(2024);

/** Which family a label belongs to: people, vehicles, animals, motion, health or things. Decides icon and colour. */
export function family({ kind, label }) {
  if (kind === 'health' || kind === 'motion') return kind;
  if (label === 'person') return 'people';
  if (['bicycle', 'car', 'motorcycle', 'bus', 'truck', 'train', 'boat', 'airplane'].includes(label)) return 'vehicles';
  const animals = ['bird', 'cat', 'dog', 'horse', 'sheep', 'cow', 'elephant', 'bear', 'zebra', 'giraffe'];
  return animals.includes(label) ? 'animals' : 'things';
}

/** The word people use for a label. */
export function labelWord(label) {
  const word = LABELS[label] ?? HEALTH[label] ?? String(label).replaceAll('_', ' ');
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** `1 person`, `3 people`. */
export function count(amount, one, many) {
  return `${amount.toLocaleString()} ${amount === 1 ? one : many}`;
}

/** `4 people`, `1 cat`. */
export function countLabel(amount, label) {
  return count(amount, labelWord(label).toLowerCase(), PLURALS[label] ?? `${labelWord(label).toLowerCase()}s`);
}

/** A length of time in at most two units: `14 s`, `1 min 20 s`, `2 h 5 min`, `3 days`. */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${Math.max(1, seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return two(minutes, 'min', minutes < 10 ? seconds % 60 : 0, 's');
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return two(hours, 'h', hours < 24 ? minutes % 60 : 0, 'min');
  return `${Math.floor(hours / 24)} days`;
}

function two(large, unit, small, smallUnit) {
  return small ? `${large} ${unit} ${small} ${smallUnit}` : `${large} ${unit}`;
}

/** The sentence of a health event: `Camera lost: porch`; `No data from 02:10:00 to 02:14:30`. */
export function healthSentence(event) {
  if (event.label === 'no_data') {
    const when = dayKey(event.started_ms) === dayKey(event.ended_ms) ? clock : moment;
    return `No data from ${when(event.started_ms)} to ${when(event.ended_ms)}`;
  }
  return `${labelWord(event.label)}${event.camera ? `: ${event.camera}` : ''}`;
}

/** The sentence of an event: `Person, 14 s`; `Person, now`; `Person` when it was over at once; `Camera lost`. */
export function title(event) {
  const word = labelWord(event.label);
  if (event.kind === 'health') return word;
  if (event.ended_ms === null || event.ended_ms === undefined) return `${word}, now`;
  const ms = event.ended_ms - event.started_ms;
  return ms > 0 ? `${word}, ${duration(ms)}` : word;
}

/** How long ago, in words: `just now`, `2 min ago`, `3 h ago`, `yesterday`, `5 days ago`. */
export function ago(then, now) {
  if (then < FIRST_PLAUSIBLE) return 'time not known';
  const seconds = Math.round((now - then) / 1000);
  if (seconds < -60) return 'in the future';
  if (seconds < 10) return 'just now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  const days = daysBetween(then, now);
  if (days === 0 || seconds < 6 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
  return days === 1 ? 'yesterday' : `${days} days ago`;
}

/** The time of day as this person writes it, with seconds. */
export function clock(ms) {
  if (ms < FIRST_PLAUSIBLE) return '–';
  return new Date(ms).toLocaleTimeString(undefined, { hour: 'numeric', minute: '2-digit', second: '2-digit' });
}

/** The whole moment, for those who want it exact. */
export function moment(ms) {
  if (ms < FIRST_PLAUSIBLE) return 'Before the clock was set';
  return new Date(ms).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}

/** A day's heading: `Today`, `Yesterday`, `Tuesday`, `Tuesday 3 March`, with the year when it is another. */
export function day(ms, now) {
  if (ms < FIRST_PLAUSIBLE) return 'Before the clock was set';
  const days = daysBetween(ms, now);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  const date = new Date(ms);
  if (days > 1 && days < 7) return date.toLocaleDateString(undefined, { weekday: 'long' });
  const year = date.getFullYear() === new Date(now).getFullYear() ? undefined : 'numeric';
  return date.toLocaleDateString(undefined, { weekday: 'long', day: 'numeric', month: 'long', year });
}

/** Which local day a moment falls on; equal for moments of one day. */
export function dayKey(ms) {
  const date = new Date(ms);
  return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
}

function daysBetween(then, now) {
  const midnight = (ms) => new Date(ms).setHours(0, 0, 0, 0);
  return Math.round((midnight(now) - midnight(then)) / 86_400_000);
}

/** An amount of storage: `812 kB`, `1.4 GB`. */
export function size(bytes) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let amount = bytes;
  let unit = 0;
  while (amount >= 1000 && unit < units.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  return `${amount < 10 && unit > 0 ? amount.toFixed(1) : Math.round(amount)} ${units[unit]}`;
}

/** A countdown: `4:59`. */
export function countdown(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** The connection in one or two words. */
export function stateWord(state) {
  const words = {
    connecting: 'Connecting…', connected: 'Connected', away: 'Not answering', offline: 'Offline',
    blocked: 'Blocked', unpaired: 'Not paired', none: 'No device',
  };
  return words[state] ?? state;
}

/** Why the page shows a saved copy, and what happens next; empty while there is nothing to explain. */
export function stateSentence(state, name) {
  const sentences = {
    away: `${name} does not answer. It may be off, or without network. Trying again by itself.`,
    offline: 'The meeting point cannot be reached: this phone may be without network. Trying again by itself.',
    blocked: `${name} is there, but this network blocks direct connections; a relay is needed. On the same Wi-Fi it works without.`,
    unpaired: `${name} no longer knows this phone.`,
  };
  return sentences[state] ?? '';
}

/** What an update is at; `sending` ({sent, total}, bytes) while it leaves this phone. Empty where there is none. */
export function updateSentence({ state, version, why }, sending = null) {
  if (sending) return sending.sent < sending.total ? 'Sending the new version. Keep this page open.' : 'Checking the new version…';
  const sentences = {
    writing: 'Another phone sends a new version.',
    staged: `Restarting into version ${version}…`,
    trial: `Version ${version} is on trial: it stays once it has watched well for a while.`,
    committed: `Version ${version} runs now.`,
    failed: `The last update failed${why ? `: ${why}` : ''}.`,
  };
  return sentences[state] ?? '';
}

/** The box's Wi-Fi in words. */
export function wifiSentence(wifi) {
  return wifi ? `${wifi.ssid}, ${wifi.state}` : 'Not set';
}

/** What this phone would be called in the box's list of phones. */
export function phoneName(userAgent) {
  const systems = [
    [/iPad/, 'iPad'], [/iPhone/, 'iPhone'], [/Android.*Mobile/, 'Android phone'], [/Android/, 'Android tablet'],
    [/CrOS/, 'Chromebook'], [/Mac OS X/, 'Mac'], [/Windows/, 'Windows PC'], [/Linux/, 'Linux PC'],
  ];
  return systems.find(([pattern]) => pattern.test(userAgent))?.[1] ?? 'Browser';
}
