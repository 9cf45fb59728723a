// Layers of several inputs: Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate, Dot.
import { describe, NablaError } from '../errors.ts';
import { add as addOp, maximum as maximumOp, minimum as minimumOp, mul, sub } from '../ops/arithmetic.ts';
import { logicalOr, toFloats, where } from '../ops/compare.ts';
import { ones } from '../ops/creation.ts';
import { matMul } from '../ops/linalg.ts';
import { unitNormalize } from '../ops/normalize.ts';
import { moveAxis } from '../ops/rearrange.ts';
import { concat, expandDims, reshape } from '../ops/shape.ts';
import { broadcastShapes, normalizeAxis, type Shape, showShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkFlags } from './flags.ts';
import { Layer, type LayerOptions } from './layer.ts';

/** A layer that joins several inputs into one output. Apply it to an array: `layers.add().apply([a, b])`. */
export abstract class MergeLayer extends Layer {
  override readonly supportsMasking: boolean = true;

  /** The shape of one output sample; throws where the inputs do not fit together. */
  protected abstract mergedShape(shapes: readonly Shape[]): number[];

  override computeOutputShape(inputShape: Shape): number[] {
    return this.shapeOf([inputShape]);
  }

  protected override shapeOf(shapes: readonly Shape[]): number[] {
    if (shapes.length < 2) {
      throw new NablaError(
        this.name,
        `expected at least two inputs, got ${shapes.length}; apply it to an array of tensors`,
      );
    }
    return this.mergedShape(shapes);
  }

  /** A step counts where it counts in one of the inputs; all do where an input has no mask. */
  protected override computeMask(xs: readonly Tensor[]): Tensor | undefined {
    const masks = xs.flatMap(({ mask }) => (mask === undefined ? [] : [mask]));
    return masks.length < xs.length ? undefined : masks.reduce((a, b) => logicalOr(a, b));
  }

  protected override call(): Tensor {
    throw new NablaError(this.name, 'expected an array of tensors, got one');
  }
}

type Combine = (a: Tensor, b: Tensor) => Tensor;
type MaskedMerge = (xs: readonly Tensor[]) => Tensor;

/** The product where masked steps are no factors; 0 where no input counts. */
const maskedProduct: MaskedMerge = (xs) => {
  const factors = xs.map((x) => (x.mask === undefined ? x : where(expandDims(x.mask, -1), x, 1)));
  const product = factors.reduce((a, b) => mul(a, b));
  const masks = xs.flatMap(({ mask }) => (mask === undefined ? [] : [expandDims(mask, -1)]));
  if (masks.length < xs.length) return product;
  return where(
    masks.reduce((a, b) => logicalOr(a, b)),
    product,
    0,
  );
};

/** Joins where a step that is masked in one input is taken from the other. */
const maskedExtreme =
  (combine: Combine): MaskedMerge =>
  (xs) => {
    let joined = xs[0]!;
    let counts = joined.mask && expandDims(joined.mask, -1);
    for (const x of xs.slice(1)) {
      const mask = x.mask && expandDims(x.mask, -1);
      const next = mask === undefined ? x : where(mask, x, joined);
      const former = counts === undefined ? joined : where(counts, joined, next);
      counts = mask && counts && logicalOr(counts, mask);
      joined = combine(former, next);
    }
    return joined;
  };

/** Joins inputs element by element, from the left. */
export class ElementwiseMerge extends MergeLayer {
  readonly kind: string;
  private readonly combine: Combine;
  private readonly averaged: boolean;
  private readonly inputs: number;
  private readonly passes: MaskedMerge | undefined;

  /** @internal `inputs`: the most it takes; `passes`: how inputs are joined where steps are masked, if otherwise. */
  constructor(
    kind: string,
    combine: Combine,
    options: LayerOptions,
    averaged = false,
    inputs = Number.POSITIVE_INFINITY,
    passes?: MaskedMerge,
  ) {
    super(options);
    this.passes = passes;
    this.kind = kind;
    this.combine = combine;
    this.averaged = averaged;
    this.inputs = inputs;
  }

  protected override mergedShape(shapes: readonly Shape[]): number[] {
    if (shapes.length > this.inputs) {
      throw new NablaError(this.name, `expected ${this.inputs} inputs, got ${shapes.length}`);
    }
    return shapes.reduce<number[]>((a, b) => broadcastShapes(this.name, a, b), [...shapes[0]!]);
  }

  protected override callAll(xs: readonly Tensor[]): Tensor {
    if (this.passes !== undefined && xs.some(({ mask }) => mask !== undefined)) return this.passes(xs);
    const joined = xs.reduce((a, b) => this.combine(a, b));
    return this.averaged ? mul(joined, 1 / xs.length) : joined;
  }
}

/** Adds its inputs. @example layers.add().apply([x, y]) */
export const add = (options: LayerOptions = {}) => new ElementwiseMerge('add', addOp, options);
/** Subtracts the second input from the first. @example layers.subtract().apply([x, y]) */
export const subtract = (options: LayerOptions = {}) =>
  new ElementwiseMerge('subtract', sub, options, false, 2);
/** Multiplies its inputs element by element. @example layers.multiply().apply([x, y]) */
export const multiply = (options: LayerOptions = {}) =>
  new ElementwiseMerge('multiply', mul, options, false, undefined, maskedProduct);
/** The mean of its inputs. @example layers.average().apply([x, y]) */
export const average = (options: LayerOptions = {}) => new ElementwiseMerge('average', addOp, options, true);
/** The largest of its inputs, element by element. @example layers.maximum().apply([x, y]) */
export const maximum = (options: LayerOptions = {}) =>
  new ElementwiseMerge('maximum', maximumOp, options, false, undefined, maskedExtreme(maximumOp));
/** The smallest of its inputs, element by element. @example layers.minimum().apply([x, y]) */
export const minimum = (options: LayerOptions = {}) =>
  new ElementwiseMerge('minimum', minimumOp, options, false, undefined, maskedExtreme(minimumOp));

/** Options of {@link concatenate}. */
export interface ConcatenateOptions extends LayerOptions {
  /** Dimension of a batch along which inputs are joined; 0 is the batch itself and not allowed. Default -1. */
  axis?: number;
}

/** Joins inputs along a dimension. */
export class Concatenate extends MergeLayer {
  readonly kind = 'concatenate';
  private readonly axis: number;

  constructor(options: ConcatenateOptions = {}) {
    super(options);
    this.axis = options.axis ?? -1;
    if (!Number.isInteger(this.axis) || this.axis === 0) {
      throw new NablaError(
        this.name,
        `bad axis, got ${describe(options.axis)}, expected an integer other than 0`,
      );
    }
  }

  protected override mergedShape(shapes: readonly Shape[]): number[] {
    const first = shapes[0]!;
    const axis = normalizeAxis(this.name, this.axis, first.length + 1) - 1;
    const odd = shapes.find(
      (shape) => shape.length !== first.length || shape.some((dim, i) => i !== axis && dim !== first[i]),
    );
    if (odd !== undefined) {
      throw new NablaError(
        this.name,
        `inputs do not fit, got ${showShape(first)} and ${showShape(odd)}, expected equal dimensions but for axis ${this.axis}`,
      );
    }
    return first.map((dim, i) => (i === axis ? shapes.reduce((sum, shape) => sum + shape[i]!, 0) : dim));
  }

  /** Along time, steps keep their masks; across features a step counts where it counts in one of the inputs. */
  protected override computeMask(xs: readonly Tensor[]): Tensor | undefined {
    const rank = xs.find(({ mask }) => mask !== undefined)?.mask?.rank;
    if (rank === undefined) return undefined;
    const axis = normalizeAxis(this.name, this.axis, xs[0]!.rank);
    if (axis >= rank) return super.computeMask(xs);
    return concat(
      xs.map(({ mask, shape }) => mask ?? ones(shape.slice(0, rank), 'bool')),
      axis,
    );
  }

  protected override callAll(xs: readonly Tensor[]): Tensor {
    return concat(xs, this.axis);
  }
}

/**
 * Joins inputs along a dimension, the last one by default.
 *
 * @example layers.concatenate().apply([x, y])
 */
export function concatenate(options: ConcatenateOptions = {}): Concatenate {
  return new Concatenate(options);
}

/** Options of {@link dot}. */
export interface DotOptions extends LayerOptions {
  /** The dimension of each input that is summed over, counted with the batch; one number for both. Default -1. */
  axes?: number | readonly [number, number];
  /** Whether vectors along those dimensions are brought to length 1, which makes cosines. Default false. */
  normalize?: boolean;
}

/** Scalar products of two inputs along a dimension of each. */
export class Dot extends MergeLayer {
  readonly kind = 'dot';
  override readonly supportsMasking = false;
  private readonly axes: readonly [number, number];
  private readonly normalize: boolean;

  constructor(options: DotOptions = {}) {
    super(options);
    const { axes = -1, normalize = false } = options;
    checkFlags(this.name, options, ['normalize']);
    this.axes = typeof axes === 'number' ? [axes, axes] : axes;
    this.normalize = normalize;
    const good = Array.isArray(this.axes) && this.axes.length === 2;
    if (!good || !this.axes.every((axis) => Number.isInteger(axis) && axis !== 0)) {
      throw new NablaError(
        this.name,
        `bad axes, got ${describe(axes)}, expected one or two integers other than 0, the batch`,
      );
    }
  }

  protected override computeMask(): undefined {
    return undefined;
  }

  /** The axes, counted from the front. */
  private axesOf(ranks: readonly [number, number]): [number, number] {
    const [a, b] = this.axes.map((axis, i) => normalizeAxis(this.name, axis, ranks[i]!));
    return [a!, b!];
  }

  protected override mergedShape(shapes: readonly Shape[]): number[] {
    const [a, b] = shapes;
    const got = shapes.map(showShape).join(' and ');
    if (shapes.length !== 2 || a!.length === 0 || b!.length === 0) {
      throw new NablaError(this.name, `expected two inputs of a dimension or more a sample, got ${got}`);
    }
    const [ofA, ofB] = this.axesOf([a!.length + 1, b!.length + 1]);
    if (ofA === 0 || ofB === 0 || a![ofA - 1] !== b![ofB - 1]) {
      throw new NablaError(
        this.name,
        `expected equal dimensions along axes ${this.axes.join(' and ')}, got samples ${got}; reshape() one of them`,
      );
    }
    const rest = [...a!.toSpliced(ofA - 1, 1), ...b!.toSpliced(ofB - 1, 1)];
    return rest.length === 0 ? [1] : rest;
  }

  protected override callAll(xs: readonly Tensor[]): Tensor {
    const shape = this.mergedShape(xs.map((x) => x.shape.slice(1)));
    const [ofA, ofB] = this.axesOf([xs[0]!.rank, xs[1]!.rank]);
    const [a, b] = [rowsOf(xs[0]!, ofA), rowsOf(xs[1]!, ofB)].map((x) =>
      this.normalize ? unitNormalize(x) : x,
    );
    return reshape(matMul(a!, b!, { transposeB: true }), [xs[0]!.shape[0]!, ...shape]);
  }
}

/** The vectors along an axis as rows of one matrix a sample, `[batch, rows, size]`. */
function rowsOf(x: Tensor, axis: number): Tensor {
  const floats = toFloats(x);
  const size = x.shape[axis]!;
  const rows = sizeOf(x.shape.slice(1)) / Math.max(1, size);
  return reshape(moveAxis(floats, axis, -1), [x.shape[0]!, rows, size]);
}

/**
 * Scalar products: two vectors `[n]` a sample give `[1]`, and `[t, n]` with `[s, n]` give `[t, s]`.
 *
 * @example layers.dot({ axes: [2, 2], normalize: true }).apply([x, y])
 */
export function dot(options: DotOptions = {}): Dot {
  return new Dot(options);
}
