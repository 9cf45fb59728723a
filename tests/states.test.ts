// States of recurrent layers: stateful batches, encoders and decoders in both kinds of models, cells of one's own, and what is refused.
import assert from 'node:assert/strict';
import { input, Layer, layers, Model, model, type Shape, sequential, type Tensor } from '../src/api.ts';
import { add, concat, matMul, ones, slice, tanh, tensor } from '../src/ops/index.ts';
import { Philox } from '../src/random.ts';
import type { Variable } from '../src/variable.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { oneBackend, twoBackends } from './support/fixtures.ts';

const near = { rtol: 1e-5, atol: 1e-6 };
const random = new Philox(4);
const draw = (shape: Shape) =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 2 * random.uniform() - 1),
    shape,
  );

/** Hands what an encoder found to a decoder, as a layer that is made of layers. */
class Seq2Seq extends Layer {
  readonly kind = 'seq2seq';
  readonly encoder = layers.lstm({ units: 4, returnState: true });
  readonly decoder = layers.lstm({ units: 4, returnSequences: true });
  readonly out = layers.dense({ units: 2 });

  override computeOutputShape([time]: Shape): number[] {
    return [time!, 2];
  }

  protected override build(shape: Shape): void {
    this.addPart('encoder', this.encoder).ensureBuilt(shape);
    this.addPart('decoder', this.decoder).ensureBuilt(shape);
    this.addPart('out', this.out).ensureBuilt([shape[0]!, 4]);
  }

  protected override call(x: Tensor, context: layers.CallContext): Tensor {
    const [, h, c] = this.encoder.apply(x, context) as [Tensor, Tensor, Tensor];
    return this.out.apply(this.decoder.apply(x, { ...context, initialState: [h, c] }), context);
  }
}

/** The same as a model of one's own. */
class Translator extends Model {
  readonly encoder = layers.lstm({ units: 4, returnState: true });
  readonly decoder = layers.lstm({ units: 4, returnSequences: true });
  readonly out = layers.dense({ units: 2 });

  override call(x: Tensor, context: layers.CallContext): Tensor {
    const [, h, c] = this.encoder.apply(x, context) as [Tensor, Tensor, Tensor];
    return this.out.apply(this.decoder.apply(x, { ...context, initialState: [h, c] }), context);
  }
}

describeBackends(
  'states',
  () => {
    it('of a stateful layer go on from batch to batch until they are reset', () => {
      for (const [kind, layer] of [
        ['lstm', layers.lstm({ units: 3, stateful: true })],
        ['gru softplus', layers.gru({ units: 3, stateful: true, activation: 'softplus' })],
        ['cells', layers.rnn({ cell: layers.simpleRNNCell({ units: 3 }), stateful: true })],
        ['both ways', layers.bidirectional({ layer: layers.gru({ units: 3, stateful: true }) })],
      ] as const) {
        const network = sequential({ layers: [layer] });
        const x = draw([2, 4, 2]);
        const first = network.predictOnBatch(x).dataSync();
        const second = network.predictOnBatch(x).dataSync();
        assert.notDeepEqual(second, first, kind);
        // A batch of another size has states of its own, and leaves these alone.
        network.predictOnBatch(draw([1, 4, 2]));
        layer.resetStates();
        assert.deepEqual(network.predictOnBatch(x).dataSync(), first, kind);
        assert.deepEqual(network.predictOnBatch(x).dataSync(), second, kind);
        network.dispose();
      }
    });

    it('of a stateful layer continue a sequence that was cut', () => {
      const whole = layers.lstm({ units: 3, returnSequences: true });
      const parts = layers.lstm({ units: 3, returnSequences: true, stateful: true });
      const x = draw([2, 6, 2]);
      const wanted = whole.apply(x).dataSync();
      parts.ensureBuilt([6, 2]);
      parts.weights.forEach((weight, i) => {
        weight.assign(whole.weights[i]!);
      });
      const cut = [0, 3].map((at) => parts.apply(slice(x, [0, at, 0], [2, 3, 2])));
      close(concat(cut, 1).dataSync(), wanted, near, 'in two parts');
    });

    it('of a stateful layer go on while fitting', async () => {
      const layer = layers.lstm({ units: 3, stateful: true, inputShape: [4, 2] });
      const network = sequential({ layers: [layer, layers.dense({ units: 1 })] });
      network.compile({ optimizer: 'sgd', loss: 'mse' });
      const x = draw([4, 4, 2]);
      const before = network.predictOnBatch(slice(x, [0, 0, 0], [2, 4, 2])).dataSync();
      layer.resetStates();
      await network.fit(x, draw([4, 1]), { epochs: 2, batchSize: 2, shuffle: false, verbose: 0 });
      const after = network.predictOnBatch(slice(x, [0, 0, 0], [2, 4, 2])).dataSync();
      assert.ok(after.every(Number.isFinite));
      assert.notDeepEqual(after, before);
      network.dispose();
    });

    it('go from an encoder to a decoder, in graphs of layers, layers of layers and own models', async () => {
      const x = input({ shape: [5, 3] });
      const [, h, c] = layers.lstm({ units: 4, returnState: true }).apply(x);
      const decoded = layers.lstm({ units: 4, returnSequences: true }).apply(x, { initialState: [h!, c!] });
      const graph = model({ inputs: x, outputs: layers.dense({ units: 2 }).apply(decoded) });
      const made = sequential({ layers: [new Seq2Seq({ inputShape: [5, 3] })] });
      const data = draw([4, 5, 3]);
      const outputs = graph.predictOnBatch(data).dataSync();
      made.build([5, 3]);
      made.setWeights(graph.getWeights());
      close(made.predictOnBatch(data).dataSync(), outputs, near, 'the same numbers');
      const own = new Translator();
      own.predictOnBatch(data);
      own.setWeights(graph.getWeights());
      close(own.predictOnBatch(data).dataSync(), outputs, near, 'the same numbers again');
      const target = draw([4, 5, 2]);
      for (const network of [graph, made, own]) {
        network.compile({ optimizer: 'adam', loss: 'mse' });
        const before = (await network.evaluate(data, target)).loss!;
        await network.fit(data, target, { epochs: 30, verbose: 0 });
        assert.ok((await network.evaluate(data, target)).loss! < before);
        network.dispose();
      }
    });
  },
  twoBackends,
);

/** A cell whose output has another shape than its state. */
class Counting extends layers.RecurrentCell {
  readonly kind = 'counting';
  private kernel!: Variable<'float32'>;

  stateShapes(): Shape[] {
    return [[2]];
  }

  override computeOutputShape(): number[] {
    return [4];
  }

  protected override build(inputShape: Shape): void {
    this.kernel = this.addWeight({ name: 'kernel', shape: [inputShape[0]!, 2], initializer: 'ones' });
  }

  step(x: Tensor, [sum]: readonly Tensor[]) {
    const next = add(sum!, matMul(x, this.kernel));
    return { output: concat([next, tanh(next)], 1), states: [next] };
  }
}

class Wrong extends Counting {
  override step(x: Tensor, states: readonly Tensor[]) {
    const made = super.step(x, states);
    return { ...made, states: [made.output] };
  }
}

describeBackends(
  'cells and states',
  () => {
    it('may be of your own', () => {
      const layer = layers.rnn({ cell: new Counting(), returnSequences: true, returnState: true });
      const [y, state] = layer.apply(ones([1, 3, 1]), { mask: tensor([[true, false, true]]) });
      assert.deepEqual(y!.shape, [1, 3, 4]);
      assert.deepEqual(state!.arraySync(), [[2, 2]]);
      assert.deepEqual(slice(y!, [0, 0, 0], [1, 3, 1]).arraySync(), [[[1], [1], [2]]]);
      assert.deepEqual(
        layer.weights.map(({ name }) => name),
        ['rnn/counting/kernel'],
      );
    });

    it('drop the same numbers at every step', () => {
      const cell = layers.stackedRNNCells({
        cells: [
          new Counting(),
          layers.simpleRNNCell({ units: 64, dropout: 0.5, activation: 'linear', useBias: false }),
        ],
      });
      cell.ensureBuilt([1]);
      const kept = new Map<string, Tensor>();
      const states = cell.initialStates(1, [1]);
      const step = () => cell.step(ones([1, 1]), states, { training: true, kept }).output.dataSync();
      assert.deepEqual(step(), step());
      assert.deepEqual([...kept.keys()], ['1/dropout']);
    });

    it('say what does not fit', () => {
      const x = ones([2, 3, 4]);
      const [h, odd] = [ones([2, 5]), ones([2, 6])];
      assert.throws(
        () => layers.lstm({ units: 5 }).apply([x, h]),
        /\[lstm\] the initial states do not fit, got samples of \[5\], expected \[5\] and \[5\]/,
      );
      assert.throws(
        () => layers.gru({ units: 5 }).apply(x, { initialState: odd }),
        /got samples of \[6\], expected \[5\]/,
      );
      const both = layers.bidirectional({ layer: layers.gru({ units: 5 }) });
      assert.throws(
        () => both.apply(x, { initialState: [h] }),
        /\[bidirectional\] the initial states do not fit/,
      );
      const yes = 'yes' as unknown as boolean;
      assert.throws(() => layers.lstm({ units: 5, stateful: yes }), /\[lstm\] bad stateful, got 'yes'/);
      assert.throws(
        () => layers.rnn({ cell: layers.dense({ units: 1 }) as unknown as layers.RecurrentCell }),
        /\[rnn\] expected a cell, got .*use layers.lstmCell\(\)/,
      );
      assert.throws(() => layers.stackedRNNCells({ cells: [] }), /\[stackedRNNCells\] bad cells/);
      assert.throws(
        () => layers.rnn({ cell: new Wrong() }).apply(ones([1, 2, 1])),
        /\[.*counting\] the states changed their shapes, got \[1, 4\], expected \[1, 2\]/,
      );
      assert.throws(
        () => layers.lstmCell({ units: 2 }).apply([ones([1, 3]), ones([1, 2])]),
        /the states do not fit/,
      );
      assert.throws(() => layers.lstmCell({ units: 0 }), /\[lstmCell\] bad units, got 0/);
      assert.throws(
        () => layers.lstmCell({ units: 2 }).apply(ones([1, 3, 3])),
        /expected inputs \[features\] at a step/,
      );
    });

    it('say which layers cannot go together', () => {
      const [forward, same] = [layers.gru({ units: 2 }), layers.gru({ units: 2 })];
      assert.throws(
        () => layers.bidirectional({ layer: forward, backwardLayer: same }),
        /\[bidirectional\] both layers go the same way, got goBackwards false twice/,
      );
      const backward = layers.gru({ units: 2, goBackwards: true, returnSequences: true });
      assert.throws(
        () => layers.bidirectional({ layer: forward, backwardLayer: backward }),
        /the layers differ in returnSequences, got false and true/,
      );
      const wide = layers.gru({ units: 3, goBackwards: true });
      const summed = layers.bidirectional({ layer: forward, backwardLayer: wide, mergeMode: 'sum' });
      assert.throws(() => summed.computeOutputShape([4, 2]), /the outputs do not fit, got \[2\] and \[3\]/);
      const cell = layers.rnn({ cell: layers.gruCell({ units: 2 }) });
      assert.throws(() => layers.bidirectional({ layer: cell }), /\[rnn\] .*give backwardLayer/);
    });

    it('of convolutional LSTMs are checked', () => {
      const options = { filters: 2, kernelSize: 2 };
      assert.throws(() => layers.convLSTM2d({ ...options, filters: 0 }), /\[convLSTM2d\] bad filters, got 0/);
      assert.throws(
        () => layers.convLSTM2d({ ...options, strides: 2, dilationRate: 2 }),
        /strides and dilationRate are both above 1/,
      );
      assert.throws(() => layers.convLSTM1d({ ...options, dropout: 2 }), /\[convLSTM1d\] bad dropout, got 2/);
      assert.throws(
        () => layers.convLSTM2d(options).computeOutputShape([3, 4, 4]),
        /\[convLSTM2d\] expected samples/,
      );
      const dropping = layers.convLSTM1d({ ...options, dropout: 0.5, recurrentDropout: 0.5 });
      assert.ok(
        dropping
          .apply(ones([1, 3, 4, 2]), { training: true })
          .dataSync()
          .every(Number.isFinite),
      );
    });
  },
  oneBackend,
);
