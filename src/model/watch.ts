// What fit looks out for: bytes that were not normalised, and losses that turn NaN.
import type { Samples } from '../data/samples.ts';
import { NablaError } from '../errors.ts';
import type { Layer } from '../layers/layer.ts';
import type { Slice } from './log.ts';
import type { StepData } from './step-data.ts';

const normalising = ['rescaling', 'normalization', 'batchNormalization'];

/** Bytes as they come train badly: the first layer meets numbers up to 255, unless a layer of the model's own normalises them. */
export function warnUnnormalised(inputs: readonly Samples[], layers: readonly Layer[]): void {
  if (layers.some(({ kind }) => normalising.includes(kind))) return;
  if (inputs.some(({ dtype }) => dtype === 'uint8')) {
    console.warn(
      '[fit] x is uint8 and not normalised, values run up to 255; wrap it: samples(x, { scale: 1 / 255 }), ' +
        'or begin the model with layers.rescaling({ scale: 1 / 255 })',
    );
  }
}

/** Ends the fit at the first step whose loss is NaN, with what can be said about why. `firstSample`: the number of the data's first sample. */
export function watchForNaN(
  where: string,
  data: StepData,
  slice: Slice,
  epoch: number,
  firstSample = 0,
): void {
  for (const [name, column] of slice.columns) {
    if (!/loss/i.test(name)) continue;
    const at = column.findIndex((loss) => Number.isNaN(loss));
    if (at < 0) continue;
    const bad = firstNotFinite(data);
    const cause =
      bad === undefined
        ? 'all data are finite: lower the learning rate, or clip gradients with clipnorm'
        : `sample ${firstSample + bad.index} of ${bad.name} holds ${bad.value}; clean the data`;
    throw new NablaError(
      where,
      `the ${name} turned NaN at step ${slice.first + at} of epoch ${epoch + 1}, expected a number; ${cause}`,
    );
  }
}

function firstNotFinite({ x, y }: StepData): { name: string; index: number; value: number } | undefined {
  for (const [name, list] of [['x', x] as const, ['y', y] as const]) {
    for (const [place, { tensor }] of list.entries()) {
      if (tensor.dtype !== 'float32') continue;
      const values = tensor.dataSync() as Float32Array;
      const at = values.findIndex((value) => !Number.isFinite(value));
      if (at < 0) continue;
      const index = Math.floor(at / (values.length / tensor.shape[0]!));
      return { name: list.length === 1 ? name : `${name}[${place}]`, index, value: values[at]! };
    }
  }
  return undefined;
}
