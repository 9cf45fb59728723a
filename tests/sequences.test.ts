// Masks and states of sequences against Keras: layers alone and in stacks, outputs and gradients.
import assert from 'node:assert/strict';
import { grads, type Layer, layers, mul, sum, type Tensor } from '../src/api.ts';
import type { Nested } from '../src/nested.ts';
import { tensor } from '../src/ops/index.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { fixture, flat, type Numbers, numbers, twoBackends } from './support/fixtures.ts';

interface Spec {
  layer: string;
  options: Record<string, unknown>;
  wrap?: 'bidirectional' | 'timeDistributed' | 'rnn';
  mergeMode?: 'concat' | null;
  around?: object;
  cells?: { layer: string; units: number }[];
}

interface Case {
  name: string;
  layers: Spec[];
  training: boolean;
  inputs: Numbers[];
  integers: boolean;
  weights: number[][];
  outputs: Numbers[];
  probes: Numbers[];
  byWeights: number[][];
  byInputs: Numbers[] | null;
  mask?: boolean[][];
  joined?: boolean;
}

type AnyLayer = Layer<Nested<Tensor>>;
const factories = layers as unknown as Record<string, (options: object) => AnyLayer>;

function make({ layer, options, wrap, mergeMode, around, cells }: Spec): AnyLayer {
  const parts = cells?.map(({ layer: cell, units }) => factories[cell]!({ units }));
  const made = factories[layer]!(parts === undefined ? options : { ...options, cells: parts });
  if (wrap === undefined) return made;
  if (wrap === 'rnn') return factories.rnn!({ cell: made, ...around });
  return factories[wrap]!({ layer: made, mergeMode });
}

/** What the layers give of the inputs: one layer with initial states, a chain, or several inputs that the second layer joins. */
function run({ mask, joined, training }: Case, parts: readonly AnyLayer[], inputs: readonly Tensor[]) {
  const [first, second, ...rest] = parts as [AnyLayer, ...AnyLayer[]];
  const context = { training, ...(mask && { mask: tensor(mask) as Tensor }) };
  if (joined) {
    const each = inputs.map((input) => first.apply(input, { training }) as Tensor);
    return rest.reduce((value, part) => part.apply(value, { training }), second!.apply(each, { training }));
  }
  const begun = first.apply(inputs, context);
  const others = second === undefined ? [] : [second, ...rest];
  return others.reduce((value, part) => part.apply(value, { training }), begun);
}

const { cases } = fixture<{ cases: Case[] }>('sequences');
const near = { rtol: 3e-5, atol: 3e-6 };

describeBackends(
  'sequences as in Keras',
  () => {
    for (const wanted of cases) {
      it(wanted.name, () => {
        const inputs = wanted.inputs.map((input) => numbers(input, wanted.integers ? 'int32' : 'float32'));
        const parts = wanted.layers.map(make);
        const outputs = () => [run(wanted, parts, inputs)].flat() as Tensor[];
        outputs();
        const weights = parts.flatMap((part) => part.trainableWeights);
        assert.deepEqual(
          weights.map(({ size }) => size),
          wanted.weights.map(({ length }) => length),
        );
        weights.forEach((weight, i) => {
          weight.assign(tensor(wanted.weights[i]!, weight.shape));
        });
        const made = outputs();
        assert.equal(made.length, wanted.outputs.length);
        made.forEach((output, i) => {
          close(output.dataSync(), flat(wanted.outputs[i]!), near, `output ${i}`);
        });
        const probes = wanted.probes.map((probe) => numbers(probe));
        const total = () =>
          outputs()
            .map((output, i) => sum(mul(output, probes[i]!)))
            .reduce((a, b) => a.add(b));
        const sources = wanted.byInputs === null ? weights : [...inputs, ...weights];
        const gradients = grads(total)(...sources);
        [...(wanted.byInputs ?? []), ...wanted.byWeights].forEach((values, i) => {
          close(gradients[i]!.dataSync(), flat(values), near, `gradient ${i}`);
        });
      });
    }
  },
  twoBackends,
);
