// Regularizers: what weights and outputs add to the loss; formulas and defaults as in Keras 3.
import { collectLoss, isCollecting } from './collect.ts';
import { describe, NablaError } from './errors.ts';
import { resolveName, type Spelled } from './names.ts';
import { add, div, maximum, mul, sub } from './ops/arithmetic.ts';
import { eye } from './ops/creation.ts';
import { matMul } from './ops/linalg.ts';
import { exactly } from './ops/nn.ts';
import { sum, sumSquares } from './ops/reduce.ts';
import { abs, rsqrt } from './ops/unary.ts';
import { recorded } from './saving/recorded.ts';
import { showShape } from './shape.ts';
import { Tensor } from './tensor.ts';
import { named } from './trace.ts';

/** A penalty: a tensor gives a float32 scalar that is added to the loss. */
export type Regularizer = (x: Tensor) => Tensor;

function checkFactor(where: string, name: string, value: unknown): void {
  if (typeof value === 'number' && value >= 0 && Number.isFinite(value)) return;
  throw new NablaError(where, `bad ${name}, got ${describe(value)}, expected a finite number >= 0`);
}

/** Options of {@link l1}, {@link l2} and {@link l1l2}. */
export interface NormOptions {
  /** Factor of the sum of absolute values. */
  l1?: number;
  /** Factor of the sum of squares. */
  l2?: number;
}

/** `l1 * sum(|x|)`. Default factor 0.01. */
export function l1(options: Pick<NormOptions, 'l1'> = {}): Regularizer {
  const { l1: factor = 0.01 } = options;
  checkFactor('l1', 'l1', factor);
  return recorded('regularizers', 'l1', [options], (x) => mul(sum(abs(x)), factor));
}

/** `l2 * sum(x ** 2)`. Default factor 0.01. */
export function l2(options: Pick<NormOptions, 'l2'> = {}): Regularizer {
  const { l2: factor = 0.01 } = options;
  checkFactor('l2', 'l2', factor);
  return recorded('regularizers', 'l2', [options], (x) => mul(sumSquares(x), factor));
}

/** `l1 * sum(|x|) + l2 * sum(x ** 2)`. Default factors 0; by the name `'l1l2'` both are 0.01. */
export function l1l2(options: NormOptions = {}): Regularizer {
  const first = l1({ l1: options.l1 ?? 0 });
  const second = l2({ l2: options.l2 ?? 0 });
  return recorded('regularizers', 'l1l2', [options], (x) => add(first(x), second(x)));
}

/** Options of {@link orthogonal}. */
export interface OrthogonalOptions {
  /** Factor of the mean. Default 0.01. */
  factor?: number;
  /** Whether rows or columns are to be orthogonal. Default `'rows'`. */
  mode?: 'rows' | 'columns';
}

/** The mean of the absolute cosines between the rows of a matrix, or its columns, times `factor`. */
export function orthogonal(options: OrthogonalOptions = {}): Regularizer {
  const { factor = 0.01, mode = 'rows' } = options;
  checkFactor('orthogonal', 'factor', factor);
  if (mode !== 'rows' && mode !== 'columns') {
    throw new NablaError('orthogonal', `bad mode, got ${describe(mode)}, expected 'rows' or 'columns'`);
  }
  const rows = mode === 'rows';
  return recorded('regularizers', 'orthogonal', [options], (x) => {
    if (x.rank !== 2)
      throw new NablaError('orthogonal', `expected a matrix, got ${showShape(x.shape)}; use it for kernels`);
    const unit = mul(x, rsqrt(maximum(sumSquares(x, rows ? 1 : 0, true), 1e-14)));
    const cosines = matMul(unit, unit, rows ? { transposeB: true } : { transposeA: true });
    const size = cosines.shape[0]!;
    const others = mul(cosines, sub(1, eye(size)));
    // A matrix of one row has no pairs.
    const pairs = Math.max(1, (size * (size - 1)) / 2);
    return div(mul(sum(abs(others)), factor * 0.5), pairs);
  });
}

const factories = {
  l1,
  l2,
  l1l2: () => l1l2({ l1: 0.01, l2: 0.01 }),
  orthogonal,
} satisfies Record<string, () => Regularizer>;
const aliases = { orthogonalregularizer: 'orthogonal' };

/**
 * Names of regularizers: in camelCase, and in Keras' two spellings.
 *
 * @useDeclaredType
 */
export type RegularizerName = Spelled<keyof typeof factories | 'orthogonalRegularizer'> | 'l1_l2' | 'L1L2';

/** A regularizer, its name, or a function from a tensor to a scalar. */
export type RegularizerLike = RegularizerName | Regularizer;

/** @internal The regularizer that a name or function means. */
export function getRegularizer(where: string, like: RegularizerLike): Regularizer {
  if (typeof like === 'function') return like;
  return resolveName<() => Regularizer>(where, 'regularizer', like, factories, aliases)();
}

/** @internal The penalty of a tensor, checked. */
export function penaltyOf(where: string, regularizer: Regularizer, x: Tensor): Tensor {
  const penalty = named(where, () => regularizer(x));
  if (penalty instanceof Tensor && penalty.rank === 0 && penalty.dtype === 'float32') return penalty;
  throw new NablaError(
    where,
    `the regularizer gave ${String(penalty)}, expected a float32 scalar; reduce it with sum() or mean()`,
  );
}

/** @internal Adds a layer's penalty on its outputs, a sample's share of it, if a loss is being computed. */
export function addPenalty(where: string, regularizer: Regularizer, output: Tensor): void {
  if (isCollecting())
    collectLoss(where, div(penaltyOf(where, regularizer, exactly(output)), Math.max(1, output.shape[0]!)));
}
