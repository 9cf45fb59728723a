// Options of recurrent layers and of normalisation that no stored numbers show, against plain arithmetic and against each other.
import assert from 'node:assert/strict';
import { type Layer, layers, setSeed, tensor } from '../src/index.ts';
import * as ops from '../src/ops/index.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { twoBackends } from './support/fixtures.ts';

const near = { rtol: 1e-5, atol: 1e-5 };
const hard = (x: number) => Math.min(1, Math.max(0, x / 6 + 0.5));

/** One unit over numbers, with the layer's weights: `kernel`, `recurrent` and `bias` have a number for each gate. */
type Unit = (xs: readonly number[], weights: readonly (readonly number[])[]) => number;

const units: Record<'lstm' | 'gru', Unit> = {
  lstm: (xs, [kernel, recurrent, bias]) => {
    let [h, c] = [0, 0];
    for (const x of xs) {
      const [i, f, g, o] = [0, 1, 2, 3].map((k) => x * kernel![k]! + h * recurrent![k]! + bias![k]!);
      c = hard(f!) * c + hard(i!) * Math.tanh(g!);
      h = hard(o!) * Math.tanh(c);
    }
    return h;
  },
  gru: (xs, [kernel, recurrent, bias]) => {
    let h = 0;
    for (const x of xs) {
      const [z, r, n] = [0, 1, 2].map((k) => x * kernel![k]! + bias![k]!);
      const [p, q, m] = [0, 1, 2].map((k) => h * recurrent![k]! + bias![3 + k]!);
      const update = hard(z! + p!);
      h = update * h + (1 - update) * Math.tanh(n! + hard(r! + q!) * m!);
    }
    return h;
  },
};

describeBackends(
  'options of layers, by hand',
  () => {
    const options = {
      units: 1,
      recurrentActivation: 'hardSigmoid',
      biasInitializer: 'randomNormal',
      unitForgetBias: false,
    } as const;
    const { unitForgetBias: _, ...gruOptions } = options;
    const xs = [0.7, -1.4, 2.5, 0.3];
    const x = () => tensor(xs, [1, xs.length, 1]);
    const made: Record<string, ['lstm' | 'gru', () => Layer]> = {
      lstm: ['lstm', () => layers.lstm(options) as Layer],
      gru: ['gru', () => layers.gru(gruOptions) as Layer],
      lstmCell: ['lstm', () => layers.rnn({ cell: layers.lstmCell(options) }) as unknown as Layer],
      gruCell: ['gru', () => layers.rnn({ cell: layers.gruCell(gruOptions) }) as unknown as Layer],
    };
    for (const [name, [unit, make]] of Object.entries(made)) {
      it(`${name} with recurrentActivation`, () => {
        setSeed(7);
        const layer = make();
        const got = layer.apply(x());
        const weights = layer.weights.map((weight) => [...weight.dataSync()]);
        close(got.dataSync(), [units[unit](xs, weights)], near, name);
      });
    }

    it('convolutional LSTMs of windows of one are LSTMs of each place', () => {
      setSeed(9);
      const shared = {
        biasInitializer: 'randomNormal',
        recurrentActivation: 'hardSigmoid',
        unitForgetBias: false,
        goBackwards: true,
        returnSequences: true,
      } as const;
      const line = ops.randomNormal([2, 3, 4, 2]);
      const places: [number, Layer][] = [
        [1, layers.convLSTM1d({ filters: 3, kernelSize: 1, ...shared }) as Layer],
        [2, layers.convLSTM2d({ filters: 3, kernelSize: 1, ...shared }) as Layer],
        [3, layers.convLSTM3d({ filters: 3, kernelSize: 1, ...shared }) as Layer],
      ];
      for (const [dims, layer] of places) {
        const space = [4, ...Array.from({ length: dims - 1 }, () => 1)];
        const got = layer.apply(ops.reshape(line, [2, 3, ...space, 2]));
        // Places become samples.
        const samples = ops.reshape(ops.transpose(line, [0, 2, 1, 3]), [8, 3, 2]);
        const plain = layers.lstm({ units: 3, ...shared }) as Layer;
        plain.ensureBuilt([3, 2]);
        plain.weights.forEach((weight, i) => {
          weight.assign(ops.reshape(layer.weights[i]!, weight.shape));
        });
        const each = ops.transpose(ops.reshape(plain.apply(samples), [2, 4, 3, 3]), [0, 2, 1, 3]);
        close(got.dataSync(), [...each.dataSync()], near, layer.kind);
      }
    });

    it('unitForgetBias begins with ones for the gate that forgets', () => {
      const biasOf = (layer: Layer) => {
        layer.ensureBuilt([3, 2]);
        return [...layer.weights[2]!.dataSync()];
      };
      assert.deepEqual(biasOf(layers.lstm({ units: 2 }) as Layer), [0, 0, 1, 1, 0, 0, 0, 0]);
      const without = layers.lstm({ units: 2, unitForgetBias: false }) as Layer;
      assert.deepEqual(biasOf(without), [0, 0, 0, 0, 0, 0, 0, 0]);
    });

    it('keepOrder puts the outputs of a way backwards at their own times', () => {
      setSeed(2);
      const x = ops.randomNormal([2, 4, 3]);
      const given = { units: 2, goBackwards: true, returnSequences: true } as const;
      const kinds = [layers.simpleRNN, layers.lstm, layers.gru];
      for (const make of kinds as unknown as ((options: object) => Layer)[]) {
        const layer = make(given);
        const kept = make({ ...given, keepOrder: true });
        kept.ensureBuilt([4, 3]);
        const expected = ops.flip(layer.apply(x), 1);
        kept.weights.forEach((weight, i) => {
          weight.assign(layer.weights[i]!);
        });
        assert.deepEqual(kept.apply(x).arraySync(), expected.arraySync(), layer.kind);
      }
    });

    it('instanceNormalization is groupNormalization with a group a channel', () => {
      setSeed(3);
      const images = ops.randomNormal([2, 3, 3, 4], 1, 2);
      for (const given of [{}, { epsilon: 0.1 }, { center: false }, { scale: false }]) {
        const one = layers.instanceNormalization({ epsilon: 0.001, ...given });
        const other = layers.groupNormalization({ groups: -1, epsilon: 0.001, ...given });
        const expected = other.apply(images);
        close(one.apply(images).dataSync(), [...expected.dataSync()], near, JSON.stringify(given));
      }
    });

    it('outputDim projects attention to another width', () => {
      setSeed(5);
      const x = ops.randomNormal([2, 3, 4]);
      const wide = layers.multiHeadAttention({ numHeads: 2, keyDim: 2, outputDim: 7 });
      const usual = layers.multiHeadAttention({ numHeads: 2, keyDim: 2 });
      const [first, second] = [wide.apply(x), usual.apply(x)];
      assert.deepEqual(
        [first.shape, second.shape],
        [
          [2, 3, 7],
          [2, 3, 4],
        ],
      );
      // With the same weights, but for the columns that the output has more, the first columns are the same.
      wide.weights.forEach((weight, i) => {
        const target = usual.weights[i]!;
        const size = target.shape;
        target.assign(
          ops.slice(
            weight,
            size.map(() => 0),
            size,
          ),
        );
      });
      const part = ops.slice(first, [0, 0, 0], [2, 3, 4]);
      close(usual.apply(x).dataSync(), [...part.dataSync()], near, 'first columns');
    });
  },
  twoBackends,
);
