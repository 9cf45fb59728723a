// Where Node.js' worker threads find the code of trials: in the compiled package, beside a bundle, or built from the sources.
import { existsSync } from 'node:fs';
import { NablaError } from '../errors.ts';
import { onTrials } from '../tuning/parallel.ts';

onTrials(() => {
  const here = import.meta.url;
  const places = ['../tuning/trial.js', '../../dist/tuning/trial.js'].map((place) => new URL(place, here));
  const found = places.find((place) => existsSync(place));
  if (found === undefined) {
    throw new NablaError(
      'tuning',
      `the code for worker threads is not there, looked for ${places.map(({ pathname }) => pathname).join(' and ')}; ` +
        'run npm run build:ts, or leave workers out',
    );
  }
  // A bundle is a library of its own.
  const library = /\/(esm|cjs)\/index\.c?js$/.test(here) ? here : new URL('../index.js', found).href;
  return { trials: found.href, library };
});
