// Every option of every layer with values that make no sense: each is refused with an error of the library, or known to be of use.
import assert from 'node:assert/strict';
import { type Layer, layers, NablaError, type Tensor, tensor } from '../src/api.ts';
import { describeBackends } from './support/backends.ts';
import { oneBackend } from './support/fixtures.ts';
import { declaredOptions } from './support/layer-options.ts';
import { type Options, samples } from './support/layer-samples.ts';

const values: readonly unknown[] = [{}, 'nonsense', Number.NaN, -1];

/** What does make sense: a layer's option, or one of all layers, with the values that are taken. */
const taken: readonly (readonly [RegExp, readonly unknown[]])[] = [
  [/\.name$/, ['nonsense']],
  [
    /\.(alpha|axis|axes|negativeSlope|offset|maskToken|maskValue|oovToken|fillValue|threshold|maxValue)$/,
    [-1],
  ],
  [/\.(brightnessFactor|heightFactor|widthFactor)$/, [-1]],
  [/^(randomBrightness|randomRotation)\.factor$/, [-1]],
  [/^groupNormalization\.groups$/, [-1]],
  [/^rescaling\.scale$/, [-1]],
  // It has no beta in its sample.
  [/^batchNormalization\.beta/, values],
  // It is made of l1 and l2.
  [/^activityRegularization\.activityRegularizer$/, values],
  // NaN is a number that images may be filled with.
  [/\.fillValue$/, [Number.NaN]],
  [/^integerLookup\.(maskToken|oovToken)$/, [Number.NaN]],
];

const cells = /^(lstmCell|gruCell|simpleRNNCell|stackedRNNCells)$/;

describeBackends(
  'layers with options that make no sense',
  () => {
    let declared = new Map<string, string[]>();
    before(function () {
      // Types are read by the compiler.
      this.timeout(300_000);
      declared = declaredOptions();
    });

    for (const [name, given] of Object.entries(samples)) {
      if (cells.test(name)) continue;
      it(name, () => {
        const factory = (layers as unknown as Record<string, (options: Options) => Layer>)[name]!;
        for (const option of declared.get(name) ?? []) {
          for (const value of values) {
            const { options = {}, shapes } = typeof given === 'function' ? given() : given;
            const what = `${name}.${option}`;
            const use = taken.some(
              ([pattern, list]) => pattern.test(what) && list.some((v) => Object.is(v, value)),
            );
            let outcome: unknown = 'it was accepted';
            try {
              const layer = factory({ ...options, [option]: value });
              const xs: Tensor[] = shapes.map((shape) => {
                const size = shape.reduce((a, b) => a * b, 2);
                return tensor(new Float32Array(size).fill(1), [2, ...shape]);
              });
              layer.apply(xs.length === 1 ? xs[0]! : xs, { training: true });
            } catch (error) {
              outcome = error;
            }
            const refused = outcome instanceof NablaError;
            assert.ok(
              refused || (use && outcome === 'it was accepted'),
              `${what} ${String(value)}: ${outcome}`,
            );
          }
        }
      });
    }
  },
  oneBackend,
);
