// What layers add to a step while it is computed: terms of the loss, and numbers to report.
import { NablaError } from './errors.ts';
import { mean } from './ops/reduce.ts';
import { Tensor } from './tensor.ts';

interface Collector {
  readonly losses: Tensor[];
  readonly metrics: Map<string, Tensor>;
}

const collectors: Collector[] = [];

/** Runs `body` and gives what its layers add, beside its result. */
export function collect<T>(body: () => T): { result: T } & Collector {
  const collector = { losses: [], metrics: new Map() };
  collectors.push(collector);
  try {
    return { result: body(), ...collector };
  } finally {
    collectors.pop();
  }
}

/** Does anybody want to know? Not in a prediction. */
export function isCollecting(): boolean {
  return collectors.length > 0;
}

/** The terms of the loss so far. */
export function collectedLosses(): readonly Tensor[] {
  return collectors.at(-1)?.losses ?? [];
}

/** Adds a scalar to the loss, if one is being computed. */
export function collectLoss(where: string, loss: Tensor): void {
  if (!(loss instanceof Tensor) || loss.rank !== 0 || loss.dtype !== 'float32') {
    throw new NablaError(
      where,
      `bad loss, got ${String(loss)}, expected a float32 scalar; reduce it with sum() or mean()`,
    );
  }
  collectors.at(-1)?.losses.push(loss);
}

/** Reports a number under a name, if a step is being computed: a scalar, or the mean of one a sample. */
export function collectMetric(where: string, value: Tensor, name: string): void {
  if (typeof name !== 'string' || name === '')
    throw new NablaError(where, `bad name of a metric, got ${String(name)}, expected a string`);
  if (!(value instanceof Tensor) || value.rank > 1 || value.dtype !== 'float32') {
    throw new NablaError(
      where,
      `bad metric '${name}', got ${String(value)}, expected a float32 scalar, or one number a sample`,
    );
  }
  const metrics = collectors.at(-1)?.metrics;
  if (metrics === undefined) return;
  if (metrics.has(name)) {
    throw new NablaError(where, `two metrics have one name, got '${name}' twice, expected names to differ`);
  }
  metrics.set(name, value.rank === 0 ? value : mean(value));
}
