// Types of protocol.mjs.

/** What running an entry gives. */
export interface Done {
  /** Steps done; at least as many as asked for. */
  steps: number;
  /** The last loss, as a sign that training happens. */
  loss?: number | undefined;
}
export type Entry = () => Promise<(steps: number) => Promise<Done>>;

export const threads: number;
export function missing(reason: unknown): never;
export function need(name: string): Promise<unknown>;
export function serve(
  info: { name: string; version: string; family?: 'native' | 'wasm'; parameters?: number },
  entries: Record<string, Entry>,
): Promise<never>;
