// What the tuning helpers share: some rows of samples, and checks of their options.
import { Samples } from '../data/samples.ts';
import { describe, NablaError } from '../errors.ts';
import { tensor } from '../ops/creation.ts';
import { gather } from '../ops/gather.ts';

/** Copies of these rows, presented as the samples are. The caller disposes of them. */
export function takeRows(samples: Samples, rows: Int32Array): Samples {
  const indices = tensor(rows, [rows.length], 'int32');
  try {
    return new Samples(gather(samples.tensor, indices).keep(), samples.options);
  } finally {
    indices.dispose();
  }
}

/** The class of each sample: labels are class indices, or rows whose largest entry is the class. */
export function classesOf(where: string, labels: Samples): Int32Array {
  const values = labels.tensor.dataSync();
  const width = labels.length === 0 ? 1 : values.length / labels.length;
  const classes = Int32Array.from({ length: labels.length }, (_, i) => {
    const row = values.subarray(i * width, (i + 1) * width);
    return width === 1 ? row[0]! : row.indexOf(Math.max(...row));
  });
  const at = width === 1 ? classes.findIndex((label, i) => label !== values[i] || label < 0) : -1;
  if (at < 0) return classes;
  throw new NablaError(
    where,
    `bad label, got ${values[at]} at ${at}, expected class indices or one-hot rows`,
  );
}

/** Throws unless the value is an integer of at least `least`. */
export function checkLeast(where: string, name: string, value: unknown, least: number): void {
  if (Number.isInteger(value) && (value as number) >= least) return;
  throw new NablaError(where, `bad ${name}, got ${describe(value)}, expected an integer >= ${least}`);
}
