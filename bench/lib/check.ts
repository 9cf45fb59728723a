// `npm run bench -- --check`: shows that all train the same model, by its parameters and by losses that fall alike; times nothing.
import type { Peer } from './peer.ts';
import { digits } from './report.ts';

const shown = [8, 24, 48];

/** Rows of a table, the header first: the loss of each entry of the task after so many steps, about; some do several steps a call. */
export async function lossRows(
  task: string,
  peers: readonly Peer[],
  skip: readonly string[],
): Promise<string[][]> {
  const rows = [['', 'parameters', ...shown.map((steps) => `loss after ${steps}`)]];
  for (const peer of peers) {
    const { name, entries, parameters } = peer.info;
    for (const entry of entries) {
      if (!entry.startsWith(`${task}/`) || skip.includes(entry)) continue;
      const losses: string[] = [];
      try {
        let done = 0;
        for (const wanted of shown) {
          // Four at a time: some give the mean over the steps that they were asked for.
          let loss: number | null | undefined;
          while (done < wanted) {
            const ran = await peer.run(Math.min(4, wanted - done), entry);
            done += ran.steps;
            loss = ran.loss ?? loss;
          }
          losses.push(loss === undefined || loss === null ? '' : digits(loss));
        }
      } catch (error) {
        losses.push((error as Error).message);
      }
      rows.push([`${name}, ${entry}`, String(parameters ?? ''), ...losses]);
    }
  }
  // Rows of equal length, where an entry failed.
  return rows.map((row) => Array.from(rows[0]!, (_, i) => row[i] ?? ''));
}
