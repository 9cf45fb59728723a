// The library's one error class and the helpers that word it: where, what, got, expected, what to do.

/** An error of the library. The message reads `[where] what was wrong, got X, expected Y; what to do`. */
export class NablaError extends Error {
  /** `'NablaError'`. */
  override readonly name = 'NablaError';
  /** The layer, op or function that refused. */
  readonly where: string;
  constructor(where: string, message: string, options?: ErrorOptions) {
    super(`[${where}] ${message}`, options);
    this.where = where;
  }
}

/** Edit distance (Levenshtein), small strings only. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The known name nearest to `name`, or undefined when none is near. Case and underscores do not count. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  const plain = (text: string) => text.toLowerCase().replaceAll('_', '');
  let best: string | undefined;
  let least = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const d = distance(plain(name), plain(candidate));
    if (d < least) [best, least] = [candidate, d];
  }
  return best;
}

/** The error for a name that is not known, with the nearest one that is. */
export function unknownName(where: string, kind: string, got: unknown, known: readonly string[]): NablaError {
  const near = typeof got === 'string' ? nearest(got, known) : undefined;
  const remedy = near === undefined ? '' : `; did you mean '${near}'?`;
  return new NablaError(
    where,
    `unknown ${kind}, got ${describe(got)}, expected one of ${known.join(', ')}${remedy}`,
  );
}

/** A value in a few words, for messages. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (Array.isArray(value))
    return `[${value.length > 8 ? `${value.slice(0, 8).join(', ')}, ...` : value.join(', ')}]`;
  if (typeof value === 'function') return value.name ? `function ${value.name}` : 'a function';
  if (value !== null && typeof value === 'object') return value.constructor?.name ?? 'an object';
  return String(value);
}
