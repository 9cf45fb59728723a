// What the choice of a backend measured, kept for the next process in the user's cache folder, where there is one.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../data/cache.ts';
import { choosing } from '../model/choice.ts';

type Times = Readonly<Record<string, number>>;

// So many programs are remembered; the oldest go first.
const mostKept = 500;

const file = () => join(cacheFolder(), 'choice.json');

/** All that is kept; nothing where the file is missing or damaged. */
function read(): Record<string, Times> {
  try {
    const kept: unknown = JSON.parse(readFileSync(file(), 'utf8'));
    return typeof kept === 'object' && kept !== null ? (kept as Record<string, Times>) : {};
  } catch {
    return {};
  }
}

choosing.remembered = (key) => {
  const times = read()[key];
  const good = typeof times === 'object' && Object.values(times).every((ms) => Number.isFinite(ms) && ms > 0);
  return good ? times : undefined;
};

choosing.remember = (key, times) => {
  if (!existsSync(cacheFolder())) return;
  const kept = Object.entries({ ...read(), [key]: times }).slice(-mostKept);
  try {
    const fresh = `${file()}.${process.pid}`;
    writeFileSync(fresh, JSON.stringify(Object.fromEntries(kept)));
    renameSync(fresh, file());
  } catch {
    // It is measured again next time.
  }
};
