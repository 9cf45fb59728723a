// Heads: what a compiled model reports and minimises of each of its outputs: its loss, the weight of that in the sum, its metrics.
import { describe, NablaError, unknownName } from '../errors.ts';
import { getLoss, type Loss, type LossLike } from '../losses/losses.ts';
import type { AnyMetric } from '../metrics/metric.ts';
import { getMetric, type MetricLike } from '../metrics/metrics.ts';
import { isRecord } from '../nested.ts';
import type { Slots } from './slots.ts';

/** Losses: one for all outputs, or one for each, in their order or by their names; null for an output that is not trained. */
export type Losses = LossLike | readonly (LossLike | null)[] | Readonly<Record<string, LossLike | null>>;

/** Metrics of one output. */
export type OutputMetrics = MetricLike | readonly MetricLike[] | null;

/** Metrics: of the only output, or of each, in their order or by their names. */
export type Metrics = readonly OutputMetrics[] | Readonly<Record<string, OutputMetrics>>;

/** A metric, and whether samples count by their weights in it. */
export interface Measured {
  readonly metric: AnyMetric;
  readonly weighted: boolean;
}

/** One output of a compiled model. */
export interface Head {
  /** The output's name. */
  readonly name: string;
  /** Its place among the outputs. */
  readonly index: number;
  readonly loss: Loss | undefined;
  /** Weight of the loss in the sum. */
  readonly lossWeight: number;
  /** Under which name its loss is reported; undefined where there is only one. */
  readonly lossName: string | undefined;
  /** Their names are those in logs. */
  readonly metrics: readonly Measured[];
  /** Its place among the labels; undefined where it has neither loss nor metrics. */
  readonly label: number | undefined;
}

/** What compile is told of losses and metrics. */
export interface HeadOptions {
  readonly loss?: Losses | null | undefined;
  readonly lossWeights?: readonly number[] | Readonly<Record<string, number>> | undefined;
  readonly metrics?: Metrics | undefined;
  readonly weightedMetrics?: Metrics | undefined;
}

const has = (value: unknown, method: string) =>
  value !== null && typeof value === 'object' && typeof Reflect.get(value, method) === 'function';
const isLoss = (value: unknown) =>
  typeof value === 'string' || typeof value === 'function' || has(value, 'call');
const isMetric = (value: unknown) => isLoss(value) || has(value, 'update');

/** The heads of a model with these outputs. */
export function headsOf(where: string, { names }: Slots, options: HeadOptions): Head[] {
  const { loss, lossWeights, metrics, weightedMetrics } = options;
  const losses = spread(where, 'loss', loss, names, isLoss).map((like) =>
    like === undefined || like === null ? undefined : getLoss(where, like as LossLike),
  );
  const weights =
    lossWeights === undefined
      ? names.map(() => 1)
      : spread(where, 'lossWeights', lossWeights, names, () => false);
  const bad = weights.find((weight) => typeof weight !== 'number' || !Number.isFinite(weight));
  if (bad !== undefined)
    throw new NablaError(where, `bad lossWeights, got ${describe(bad)}, expected finite numbers`);
  const measured = metricsOf(where, metrics, names);
  const weighing = metricsOf(where, weightedMetrics, names);
  const several = names.length > 1;
  const reported = losses.filter((each) => each !== undefined).length > 1;
  const taken = new Set(['loss', ...(reported ? names.map((name) => `${name}_loss`) : [])]);
  let labels = 0;
  return names.map((name, index) => {
    const prefix = several ? `${name}_` : '';
    const own = [measured, weighing].flatMap((lists, i) =>
      lists[index]!.map((like) => ({
        metric: renamed(getMetric(where, like), prefix, taken),
        weighted: i === 1,
      })),
    );
    const used = losses[index] !== undefined || own.length > 0;
    return {
      name,
      index,
      loss: losses[index],
      lossWeight: weights[index] as number,
      lossName: reported && losses[index] !== undefined ? `${name}_loss` : undefined,
      metrics: own,
      label: used ? labels++ : undefined,
    };
  });
}

/** What is given for each output: to all the same, in their order, or by their names. */
function spread(
  where: string,
  what: string,
  given: unknown,
  names: readonly string[],
  isOne: (value: unknown) => boolean,
): unknown[] {
  if (given === undefined || given === null) return names.map(() => undefined);
  if (isOne(given) || (!Array.isArray(given) && !isRecord(given))) return names.map(() => given);
  if (Array.isArray(given)) {
    if (given.length === names.length) return given;
    throw new NablaError(
      where,
      `bad ${what}, got an array of ${given.length}, expected ${names.length}, one an output: ${names.join(', ')}`,
    );
  }
  const record = given as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(record).find((name) => !names.includes(name));
  if (unknown !== undefined) throw unknownName(where, `output in ${what}`, unknown, names);
  const missing = names.find((name) => !Object.hasOwn(record, name));
  if (missing !== undefined) {
    throw new NablaError(
      where,
      `${what} of output '${missing}' is missing, got ${Object.keys(record).join(', ')}, expected ${names.join(', ')}`,
    );
  }
  return names.map((name) => record[name]);
}

function metricsOf(where: string, given: Metrics | undefined, names: readonly string[]): MetricLike[][] {
  if (given === undefined || given === null) return names.map(() => []);
  const listed = (value: unknown): MetricLike[] => {
    if (value === undefined || value === null) return [];
    return Array.isArray(value) && !isMetric(value) ? value : [value as MetricLike];
  };
  if (!Array.isArray(given) && (!isRecord(given) || isMetric(given))) {
    throw new NablaError(
      where,
      `bad metrics, got ${describe(given)}, expected an array such as ['accuracy']`,
    );
  }
  if (Array.isArray(given)) {
    if (names.length === 1) return [given.flatMap(listed)];
    if (given.length === 0) return names.map(() => []);
    return spread(where, 'metrics', given, names, () => false).map(listed);
  }
  // Outputs without metrics need not be named.
  const all = { ...Object.fromEntries(names.map((name) => [name, null])), ...given };
  return spread(where, 'metrics', all, names, () => false).map(listed);
}

/** The metric under a name that no other has, so that none hides another in logs: `metric`, `metric_1`. */
function renamed(metric: AnyMetric, prefix: string, taken: Set<string>): AnyMetric {
  const wanted = prefix + metric.name;
  let name = wanted;
  for (let i = 1; taken.has(name); i++) name = `${wanted}_${i}`;
  taken.add(name);
  return name === metric.name ? metric : { ...metric, name };
}
