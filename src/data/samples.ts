// Samples: arrays in backend memory with how a batch of them is presented to a model: normalised, or as one-hot rows.
import type { DType } from '../dtype.ts';
import { describe, NablaError } from '../errors.ts';
import { cast } from '../ops/compare.ts';
import { type TensorData, tensor } from '../ops/creation.ts';
import { checkOptions } from '../options.ts';
import type { gatherModes } from '../program/kernels.ts';
import { type Shape, showShape, sizeOf } from '../shape.ts';
import { Tensor } from '../tensor.ts';

/** What fit, evaluate and predict take: tensors, samples, or numbers that tensors can be made from. */
export type SampleData = Tensor | Samples | TensorData;

/** How rows are presented as they are gathered into a batch. */
export interface SamplesOptions {
  /** Each number is multiplied by this, as float32. Default 1. */
  scale?: number;
  /** And this is added. Default 0. */
  shift?: number;
  /** Class indices become one-hot rows of so many classes. */
  oneHot?: number;
}

/** Samples in backend memory, one a row of the first dimension. Numbers stay in their own dtype; batches are converted as they are gathered. */
export class Samples implements Disposable {
  /** The numbers as they are stored. */
  readonly tensor: Tensor;
  /** How rows are presented. */
  readonly options: Readonly<SamplesOptions>;
  /** Shape of all samples as a model sees them. */
  readonly shape: Shape;
  /** Dtype as a model sees it. */
  readonly dtype: DType;

  constructor(source: Tensor | TensorData, options: SamplesOptions = {}) {
    checkOptions('functions', 'samples', options);
    const { scale, shift, oneHot } = options;
    for (const [name, value] of Object.entries({ scale, shift })) {
      if (value === undefined || Number.isFinite(value)) continue;
      throw new NablaError('samples', `bad ${name}, got ${describe(value)}, expected a finite number`);
    }
    const given = source instanceof Tensor ? source : tensor(source);
    // Rows are gathered as float32, from which models take what they compute in.
    this.tensor = given.dtype === 'bfloat16' ? cast(given, 'float32') : given;
    this.options = options;
    if (this.tensor.rank === 0) {
      throw new NablaError('samples', 'a scalar holds no samples, got shape [], expected a batch dimension');
    }
    if (oneHot !== undefined) {
      const indices = this.tensor.dtype === 'uint8' || this.tensor.dtype === 'int32';
      if (!indices || this.tensor.rank !== 1 || !Number.isInteger(oneHot) || oneHot < 1) {
        throw new NablaError(
          'samples',
          `oneHot needs class indices, got ${this.tensor} and oneHot ${oneHot}, expected uint8 or int32 of shape [samples]`,
        );
      }
      this.shape = [this.tensor.shape[0]!, oneHot];
      this.dtype = 'float32';
    } else {
      this.shape = this.tensor.shape;
      this.dtype = scale === undefined && shift === undefined ? this.tensor.dtype : 'float32';
    }
  }

  /** Number of samples. */
  get length(): number {
    return this.tensor.shape[0]!;
  }

  /** Shape of one sample as a model sees it. */
  get sampleShape(): Shape {
    return this.shape.slice(1);
  }

  /** @internal Attributes of the gather kernel that fetches `count` rows as `dtype`. */
  gatherAttributes(dtype: DType): {
    mode: keyof typeof gatherModes;
    rowSize: number;
    scale: number;
    shift: number;
  } {
    const { oneHot, scale = 1, shift = 0 } = this.options;
    if (oneHot !== undefined) return { mode: 'oneHot', rowSize: oneHot, scale: 1, shift: 0 };
    const rowSize = sizeOf(this.tensor.shape.slice(1));
    const plain = dtype === this.tensor.dtype && scale === 1 && shift === 0;
    return { mode: plain ? 'copy' : 'affine', rowSize, scale, shift };
  }

  /** Frees the memory. */
  dispose(): void {
    this.tensor.dispose();
  }

  /** Frees the memory, at the end of a block with `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `Samples(${this.dtype}${showShape(this.shape)})`;
  }
}

/**
 * Samples with the way they are presented to a model.
 *
 * @example samples(images, { scale: 1 / 255 }) // uint8 in memory, float32 in [0, 1] in every batch
 */
export function samples(source: Tensor | TensorData, options: SamplesOptions = {}): Samples {
  return new Samples(source, options);
}

/** Any data as samples; `made` says whether the memory is new and to be freed by the caller. */
export function asSamples(
  where: string,
  name: string,
  data: SampleData,
): { samples: Samples; made: boolean } {
  if (data instanceof Samples) return { samples: data, made: false };
  if (data instanceof Tensor) return { samples: new Samples(data), made: false };
  const isData = typeof data === 'object' && data !== null;
  if (!isData) {
    throw new NablaError(
      where,
      `${name} is missing, got ${String(data)}, expected a tensor, samples or an array`,
    );
  }
  return { samples: new Samples(data), made: true };
}
