// vjp and checkpoint: vector-Jacobian products, gradients that compute the forward pass again, their memory and random numbers.
import assert from 'node:assert/strict';
import { checkpoint, grad, grads, valueAndGrad, vjp } from '../src/autodiff.ts';
import { jit } from '../src/jit.ts';
import * as ops from '../src/ops/index.ts';
import { scope, type Tensor } from '../src/tensor.ts';
import { Variable } from '../src/variable.ts';
import { describeFastest } from './support/backends.ts';
import { compiled } from './support/compiled.ts';

const list = (t: Tensor) => [...t.dataSync()];
const vector = (...values: number[]) => ops.tensor(values);

describeFastest('vjp', () => {
  it('gives the value and gradients from a gradient of it, again and again', () => {
    const { value, pull } = vjp((x, y) => ops.mul(ops.square(x), y))(vector(1, 2), vector(3, 4));
    assert.deepEqual(list(value), [3, 16]);
    assert.deepEqual(pull(vector(1, 1)).map(list), [
      [6, 16],
      [1, 4],
    ]);
    assert.deepEqual(pull(vector(0, 10)).map(list), [
      [0, 160],
      [0, 40],
    ]);
  });

  it('is differentiable itself', () => {
    // d/dx of (2 x v) along v = 3.
    const f = (x: Tensor) => ops.sum(vjp((y) => ops.square(y))(x).pull(vector(3))[0]!);
    assert.deepEqual(list(grad(f)(vector(5))), [6]);
  });

  it('works inside jit', () => {
    const f = jit((x: Tensor, dy: Tensor) => vjp((y) => ops.exp(y))(x).pull(dy)[0]!);
    assert.deepEqual(list(f(vector(0, 0), vector(2, 3))), [2, 3]);
  });

  it('refuses what does not fit', () => {
    const { pull } = vjp((x) => ops.square(x))(vector(1, 2));
    assert.throws(() => pull(vector(1)), /\[vjp\] the gradient does not fit.*expected \[2\]/);
    assert.throws(() => vjp((x) => x)(ops.tensor([1], [1], 'int32')), /\[vjp\] arguments must be float32/);
    assert.throws(
      () => vjp(() => 3 as unknown as Tensor)(vector(1)),
      /\[vjp\] the function must give a tensor/,
    );
  });
});

const layered = (wrap: (f: (x: Tensor) => Tensor) => (x: Tensor) => Tensor, depth = 6) => {
  const block = wrap((x) => ops.tanh(ops.add(ops.sin(ops.mul(x, 1.3)), ops.square(ops.sigmoid(x)))));
  return (x: Tensor) => {
    let y = x;
    for (let i = 0; i < depth; i++) y = block(y);
    return ops.sum(ops.square(y));
  };
};

describeFastest('checkpoint', () => {
  const x = () => vector(0.3, -1.2, 2);

  it('has the gradient of the function, eagerly and in jit', () => {
    const plain = list(grad(layered((f) => f))(x()));
    assert.deepEqual(list(grad(layered(checkpoint))(x())), plain);
    const program = jit(grad(layered(checkpoint)));
    list(program(x())).forEach((value, i) => {
      assert.ok(Math.abs(value - plain[i]!) < 1e-6);
    });
  });

  it('has the gradients of variables and other tensors that it reads', () => {
    const w = new Variable(vector(2, 3), 'w');
    const f = (b: Tensor) => checkpoint((y) => ops.mul(ops.mul(y, w), b));
    const [ofX, ofW, ofB] = grads((a, v, b) => ops.sum(ops.mul(f(b)(a), v === w ? 1 : 0)))(
      vector(5, 7),
      w,
      vector(1, 10),
    );
    assert.deepEqual(
      [list(ofX!), list(ofW!), list(ofB!)],
      [
        [2, 30],
        [5, 70],
        [10, 21],
      ],
    );
  });

  it('is differentiable twice', () => {
    const third = (wrap: (f: (x: Tensor) => Tensor) => (x: Tensor) => Tensor) =>
      list(grad((y) => ops.sum(ops.square(grad(layered(wrap, 2))(y))))(x()));
    const plain = third((f) => f);
    third(checkpoint).forEach((value, i) => {
      assert.ok(Math.abs(value - plain[i]!) < 1e-5 * Math.max(1, Math.abs(plain[i]!)));
    });
  });

  it('nests', () => {
    const nested = layered((f) => checkpoint((y) => checkpoint(f)(f(y))), 3);
    const plain = list(grad(layered((f) => f))(x()));
    assert.deepEqual(list(grad(nested)(x())), plain);
  });

  it('draws the same random numbers again, eagerly and in jit', () => {
    const f = checkpoint((y) => ops.dropout(ops.mul(y, ops.randomUniform([200], 1, 2)), 0.5));
    const both = (y: Tensor) => {
      const { value, gradients } = valueAndGrad((z) => ops.sum(ops.square(f(z))))(y);
      return [value, gradients[0]!];
    };
    for (const run of [both, jit(both)]) {
      for (let i = 0; i < 3; i++) {
        scope(() => {
          // f is linear in y, y is 1: the value is half the sum of the gradient times y.
          const [value, gradient] = run(ops.ones([200]));
          const half = ops.sum(gradient!).item() / 2;
          assert.ok(Math.abs(value!.item() - half) < 1e-3 * half, `${value!.item()} ${half}`);
        });
      }
    }
  });

  it('may give its argument back', () => {
    const f = checkpoint((y) => y);
    assert.deepEqual(list(grad((y) => ops.sum(ops.mul(f(y), vector(3, 4))))(vector(1, 1))), [3, 4]);
  });

  it('keeps less in memory', () => {
    const deep = (wrap: (f: (x: Tensor) => Tensor) => (x: Tensor) => Tensor) => {
      const weights = Array.from({ length: 6 }, () => ops.ones([64, 64]));
      const blocks = [0, 2, 4].map((i) =>
        wrap((y) => ops.tanh(ops.matMul(ops.tanh(ops.matMul(ops.tanh(y), weights[i]!)), weights[i + 1]!))),
      );
      return (y: Tensor) => ops.sum(blocks.reduce((z, block) => block(z), y));
    };
    const bytes = (f: (x: Tensor) => Tensor) => compiled((y) => grad(f)(y!), [256, 64]).workspaceBytes;
    const [plain, saving] = [bytes(deep((f) => f)), bytes(deep(checkpoint))];
    assert.ok(saving < 0.8 * plain, `${saving} of ${plain} bytes`);
  });

  it('leaves nothing recorded where it throws', () => {
    const f = checkpoint(() => {
      throw new Error('from inside');
    });
    assert.throws(() => grad((y) => f(y))(vector(1)), /from inside/);
    assert.deepEqual(list(grad((y) => ops.sum(ops.mul(y, 2)))(vector(1))), [2]);
  });
});
