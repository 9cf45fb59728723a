// Initial values of weights: zeros, ones, constant, and the random families scaled by fan-in and fan-out.
import { NablaError } from '../errors.ts';
import { resolveName, type Spelled } from '../names.ts';
import { mul } from '../ops/arithmetic.ts';
import { eye, fill, tensor } from '../ops/creation.ts';
import { drawSeeded, randomNormal, randomUniform, truncatedNormal } from '../ops/random.ts';
import { checkSeed, SeedGenerator } from '../ops/seed-generator.ts';
import { checkOptions } from '../options.ts';
import { recorded } from '../saving/recorded.ts';
import { type Shape, showShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** Makes the first values of a weight of the given shape. */
export type Initializer = (shape: Shape) => Tensor<'float32'>;

/**
 * Names of initializers: in camelCase, and in Keras' two spellings.
 *
 * @useDeclaredType
 */
export type InitializerName = Spelled<keyof typeof factories>;

/** An initializer, or the name of one with its defaults. */
export type InitializerLike = InitializerName | Initializer;

/** Options of initializers that draw random numbers. */
export interface SeedOptions {
  /** What the values follow from, an integer in [0, 2 ** 53): the same at every call. Default: they follow from {@link setSeed}, and differ. */
  seed?: number;
}

/** Options of {@link varianceScaling}. */
export interface VarianceScalingOptions extends SeedOptions {
  /** Scaling factor of the variance. Default 1. */
  scale?: number;
  /** What the variance is divided by. Default `'fanIn'`. */
  mode?: 'fanIn' | 'fanOut' | 'fanAvg';
  /** Default `'truncatedNormal'`. */
  distribution?: 'truncatedNormal' | 'untruncatedNormal' | 'uniform';
}

/** What {@link fans} gives. */
export interface Fans {
  /** Inputs of one output. */
  readonly fanIn: number;
  /** Outputs of one input. */
  readonly fanOut: number;
}

/** A random initializer, which draws from `seed` where there is one; `args` are what its factory was called with. */
function random(
  name: string,
  args: readonly unknown[],
  seed: number | undefined,
  draw: (shape: Shape) => Tensor<'float32'>,
): Initializer {
  if (seed === undefined) return recorded('initializers', name, args, draw);
  checkSeed(name, seed);
  return recorded('initializers', name, args, (shape) =>
    drawSeeded(new SeedGenerator(name, seed), () => draw(shape)),
  );
}

/** Inputs and outputs of a weight: matrices are `[in, out]`, convolutions `[...kernel, in, out]`. */
export function fans(shape: Shape): Fans {
  if (shape.length < 2) return { fanIn: shape[0] ?? 1, fanOut: shape[0] ?? 1 };
  const field = sizeOf(shape.slice(0, -2));
  return { fanIn: field * shape.at(-2)!, fanOut: field * shape.at(-1)! };
}

// A normal distribution cut at two standard deviations has this standard deviation itself.
const truncatedStd = 0.87962566103423978;

/** Random values whose variance is `scale / fan`; the family that Glorot, He and LeCun initializers belong to. */
export function varianceScaling(options: VarianceScalingOptions = {}): Initializer {
  const { scale = 1, mode = 'fanIn', distribution = 'truncatedNormal', seed } = options;
  if (!(scale > 0)) {
    throw new NablaError('varianceScaling', `bad scale, got ${scale}, expected a number above 0`);
  }
  return random('varianceScaling', [options], seed, (shape) => {
    const { fanIn, fanOut } = fans(shape);
    const fan = mode === 'fanIn' ? fanIn : mode === 'fanOut' ? fanOut : (fanIn + fanOut) / 2;
    const variance = scale / Math.max(1, fan);
    if (distribution === 'uniform') {
      const limit = Math.sqrt(3 * variance);
      return randomUniform(shape, -limit, limit);
    }
    if (distribution === 'untruncatedNormal') return randomNormal(shape, 0, Math.sqrt(variance));
    return truncatedNormal(shape, 0, Math.sqrt(variance) / truncatedStd);
  });
}

/** All 0. */
export const zeros = (): Initializer => recorded('initializers', 'zeros', [], (shape) => fill(shape, 0));
/** All 1. */
export const ones = (): Initializer => recorded('initializers', 'ones', [], (shape) => fill(shape, 1));
/** All `value` (default 0). */
export const constant = (value = 0): Initializer =>
  recorded('initializers', 'constant', [value], (shape) => fill(shape, value));
/** The identity matrix times `gain` (default 1). */
export const identity = (gain = 1): Initializer =>
  recorded('initializers', 'identity', [gain], (shape) => {
    if (shape.length !== 2)
      throw new NablaError('identity', `expected a matrix, got shape ${showShape(shape)}`);
    return mul(eye(shape[0]!, shape[1]!), gain) as Tensor<'float32'>;
  });
/**
 * A matrix with orthogonal rows or columns, whichever are fewer, times `gain` (default 1); more than two dimensions are taken as a matrix of all but
 * the last by the last (Saxe et al. 2014).
 */
export const orthogonal = (gain = 1, { seed }: SeedOptions = {}): Initializer =>
  random('orthogonal', withSeed([gain], seed), seed, (shape) => {
    if (shape.length < 2) {
      throw new NablaError('orthogonal', `expected at least two dimensions, got shape ${showShape(shape)}`);
    }
    const columns = shape.at(-1)!;
    const rows = sizeOf(shape.slice(0, -1));
    const [long, short] = [Math.max(rows, columns), Math.min(rows, columns)];
    const vectors = orthonormalRows(randomNormal([short, long]).dataSync(), short, long);
    const values = new Float32Array(rows * columns);
    for (let i = 0; i < short; i++) {
      for (let j = 0; j < long; j++) {
        values[rows < columns ? i * columns + j : j * columns + i] = gain * vectors[i * long + j]!;
      }
    }
    return tensor(values, shape, 'float32');
  });

/**
 * The rows made orthonormal by the modified Gram-Schmidt process, in double precision. It is the Q of a QR decomposition whose R has a positive
 * diagonal, so that normal numbers give every orthogonal matrix the same chance.
 */
function orthonormalRows(numbers: Float32Array, rows: number, columns: number): Float64Array {
  const q = Float64Array.from(numbers);
  for (let i = 0; i < rows; i++) {
    const row = q.subarray(i * columns, (i + 1) * columns);
    let square = 0;
    for (const value of row) square += value * value;
    const norm = Math.sqrt(square);
    for (let j = 0; j < columns; j++) row[j]! /= norm;
    for (let k = i + 1; k < rows; k++) {
      const other = q.subarray(k * columns, (k + 1) * columns);
      let along = 0;
      for (let j = 0; j < columns; j++) along += row[j]! * other[j]!;
      for (let j = 0; j < columns; j++) other[j]! -= along * row[j]!;
    }
  }
  return q;
}

/** The arguments that a factory is told by: the seed where there is one. */
const withSeed = (args: readonly unknown[], seed: number | undefined): readonly unknown[] =>
  seed === undefined ? args : [...args, { seed }];

/** Uniform between `low` and `high` (default -0.05 and 0.05). */
export const uniform = (low = -0.05, high = 0.05, { seed }: SeedOptions = {}): Initializer =>
  random('randomUniform', withSeed([low, high], seed), seed, (shape) => randomUniform(shape, low, high));
/** Normal (default mean 0, standard deviation 0.05). */
export const normal = (mean = 0, std = 0.05, { seed }: SeedOptions = {}): Initializer =>
  random('randomNormal', withSeed([mean, std], seed), seed, (shape) => randomNormal(shape, mean, std));
/** Normal cut at two standard deviations (default mean 0, standard deviation 0.05). */
export const truncated = (mean = 0, std = 0.05, { seed }: SeedOptions = {}): Initializer =>
  random('truncatedNormal', withSeed([mean, std], seed), seed, (shape) => truncatedNormal(shape, mean, std));
/** One of the family under a name of its own. */
const named =
  (
    name: 'glorotUniform' | 'glorotNormal' | 'heUniform' | 'heNormal' | 'lecunUniform' | 'lecunNormal',
    family: VarianceScalingOptions,
  ) =>
  (options: SeedOptions = {}): Initializer => {
    checkOptions('initializers', name, options);
    return varianceScaling({ ...family, ...options });
  };

/** Uniform with variance `2 / (fanIn + fanOut)` (Glorot and Bengio 2010). */
export const glorotUniform = named('glorotUniform', { mode: 'fanAvg', distribution: 'uniform' });
/** Truncated normal with variance `2 / (fanIn + fanOut)` (Glorot and Bengio 2010). */
export const glorotNormal = named('glorotNormal', { mode: 'fanAvg' });
/** Uniform with variance `2 / fanIn` (He et al. 2015). */
export const heUniform = named('heUniform', { scale: 2, distribution: 'uniform' });
/** Truncated normal with variance `2 / fanIn` (He et al. 2015). */
export const heNormal = named('heNormal', { scale: 2 });
/** Uniform with variance `1 / fanIn` (LeCun et al. 1998). */
export const lecunUniform = named('lecunUniform', { distribution: 'uniform' });
/** Truncated normal with variance `1 / fanIn` (LeCun et al. 1998). */
export const lecunNormal = named('lecunNormal', {});

const factories = {
  zeros,
  ones,
  constant,
  identity,
  randomUniform: uniform,
  randomNormal: normal,
  truncatedNormal: truncated,
  varianceScaling,
  glorotUniform,
  glorotNormal,
  heUniform,
  heNormal,
  lecunUniform,
  lecunNormal,
  orthogonal,
} satisfies Record<string, () => Initializer>;

/** The initializer that a name or function means. */
export function getInitializer(where: string, like: InitializerLike): Initializer {
  if (typeof like === 'function') return like;
  return resolveName<() => Initializer>(where, 'initializer', like, factories)();
}
