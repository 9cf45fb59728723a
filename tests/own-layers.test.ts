// Layers of one's own that do not say what shape they give: it is learnt from what they compute.
import assert from 'node:assert/strict';
import {
  concat,
  input,
  Layer,
  layers,
  loadModel,
  matMul,
  model,
  ones,
  registerLayer,
  sequential,
  type Tensor,
  zeros,
} from '../src/api.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { bad, says } from './support/errors.ts';

type Shape = readonly number[];

class WeightedSum extends Layer {
  readonly kind = 'weightedSum';
  factor!: Tensor;
  built = 0;

  protected override build(inputShape: Shape) {
    this.built++;
    this.factor = this.addWeight({ name: 'factor', shape: inputShape.slice(-1), initializer: 'ones' });
  }
  protected override call(x: Tensor) {
    return x.mul(this.factor).sum(-1, true);
  }
}

describeBackends('layers that do not say their shape', () => {
  it('take part in a sequential model, with their weights made once', async () => {
    const own = new WeightedSum();
    const made = sequential([layers.dense({ units: 3, inputShape: [2] }), own, layers.dense({ units: 1 })]);
    made.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
    const { history } = await made.fit(ones([4, 2]), zeros([4, 1]), { epochs: 2, verbose: 0 });
    assert.ok(history.loss![1]! < history.loss![0]!);
    assert.equal(own.built, 1);
    assert.equal(made.countParams(), 9 + 3 + 2);
    assert.deepEqual(
      own.weights.map(({ name }) => name),
      ['weightedSum/factor'],
    );
    made.dispose();
  });

  it('take part in a functional model, and in one that is loaded', async () => {
    registerLayer('WeightedSum', WeightedSum);
    const x = input({ shape: [5, 4] });
    const y = new WeightedSum().apply(x);
    assert.deepEqual(y.shape, [5, 1]);
    const made = model({ inputs: x, outputs: y });
    close(
      made.predictOnBatch(ones([2, 5, 4])).dataSync(),
      new Float32Array(10).fill(4),
      { rtol: 1e-6, atol: 0 },
      'sums',
    );
    const store = new Map<string, Uint8Array>();
    store.set('m', made.toBytes());
    const again = await loadModel(store.get('m')!);
    assert.deepEqual((await again.predict(ones([1, 5, 4]))).shape, [1, 5, 1]);
  });

  it('without weights give what they compute at once', () => {
    class Twice extends Layer {
      readonly kind = 'twice';
      protected override call(x: Tensor) {
        return concat([x, x], -1);
      }
    }
    assert.deepEqual(new Twice().apply(ones([2, 3])).shape, [2, 6]);
    assert.deepEqual(new Twice().apply(input({ shape: [7, 3] })).shape, [7, 6]);
  });

  it('go by the name of their class where they have no kind', () => {
    class Nameless extends (Layer as unknown as typeof WeightedSum) {
      protected override call(x: Tensor) {
        return x;
      }
    }
    assert.equal(bad<Layer>(new Nameless()).name, 'nameless');
  });

  it('say what is wrong with their call', () => {
    class Misfit extends Layer {
      readonly kind = 'misfit';
      protected override call(x: Tensor) {
        return matMul(x, ones([7, 7]));
      }
    }
    const misfit = new Misfit();
    assert.throws(
      () => misfit.apply(input({ shape: [3] })),
      says(
        'misfit',
        'cannot be learnt from call()',
        '[matMul] inner dimensions differ',
        'computeOutputShape',
      ),
    );
    class Number extends Layer {
      readonly kind = 'number';
      protected override call() {
        return bad<Tensor>(3);
      }
    }
    assert.throws(() => new Number().apply(ones([1, 2])), says('number', 'call() gave 3, expected a tensor'));
  });
});
