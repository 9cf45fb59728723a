// `--dashboard` or `--dashboard=PORT` for the examples: a live page of the training.
import { type Dashboard, dashboard } from '../src/index.ts';

/** The words of the command line as parseArgs wants them: `--dashboard` may stand alone. */
export const words = process.argv.slice(2).map((word) => (word === '--dashboard' ? '--dashboard=' : word));

/** The callbacks that show it; none where it was not asked for. */
export function live(port: string | undefined): Dashboard[] {
  if (port === undefined) return [];
  return [dashboard(port === '' ? {} : { port: Number(port) })];
}
