// Differentiation: what grad and its relatives take, give and refuse.
import assert from 'node:assert/strict';
import { customGradient, grad, grads, valueAndGrad } from '../src/autodiff.ts';
import * as ops from '../src/ops/index.ts';
import { memory, scope, type Tensor } from '../src/tensor.ts';
import { Variable } from '../src/variable.ts';
import { describeFastest, onFresh } from './support/backends.ts';

const numbers = (t: Tensor) => [...t.dataSync()];
const vector = (...values: number[]) => ops.tensor(values);

describeFastest('grad', () => {
  it('of a sum of squares is twice the argument, in its shape', () => {
    const gradient = grad((x) => ops.sum(ops.square(x)))(
      ops.tensor([
        [1, 2],
        [3, -4],
      ]),
    );
    assert.deepEqual(gradient.arraySync(), [
      [2, 4],
      [6, -8],
    ]);
  });

  it('of the argument itself is 1', () => {
    assert.equal(grad((x) => x)(ops.tensor(3)).item(), 1);
  });

  it('adds what comes back along several paths', () => {
    const f = (x: Tensor) => ops.sum(ops.add(ops.mul(x, x), ops.add(ops.mul(3, x), x)));
    assert.deepEqual(numbers(grad(f)(vector(1, 5))), [6, 14]);
  });

  it('sums over what was stretched', () => {
    const weights = ops.tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    assert.deepEqual(numbers(grad((x) => ops.sum(ops.mul(x, weights)))(ops.tensor([[1], [1]]))), [6, 15]);
    assert.deepEqual(numbers(grad((x) => ops.sum(ops.mul(x, weights)))(vector(1, 1, 1))), [5, 7, 9]);
    assert.equal(grad((x) => ops.sum(ops.mul(x, weights)))(ops.tensor(1)).item(), 21);
  });

  it('nests for higher orders', () => {
    const cube = (x: Tensor) => ops.mul(x, ops.mul(x, x));
    const third = grad(grad(grad(cube)));
    assert.equal(third(ops.tensor(5)).item(), 6);
    assert.equal(grad(grad(cube))(ops.tensor(5)).item(), 30);
  });

  it('inside of another function of the same argument keeps the two apart', () => {
    // d/dx [ x * d/dy (x * y) at y = 1 ] = d/dx [ x * x ] = 2 x
    const f = (x: Tensor) => ops.mul(x, grad((y) => ops.mul(x, y))(ops.tensor(1)));
    assert.equal(grad(f)(ops.tensor(7)).item(), 14);
  });

  it('leaves tensors that are not arguments alone', () => {
    const a = vector(1, 2);
    const b = vector(3, 4);
    const [gradient] = grads((x) => ops.sum(ops.mul(x, b)))(a);
    assert.deepEqual(numbers(gradient!), [3, 4]);
    assert.deepEqual(numbers(b), [3, 4]);
  });

  it('refuses arguments that are not float32', () => {
    assert.throws(
      () => grad((x) => ops.sum(x))(ops.tensor([1], [1], 'int32')),
      /\[grad\] arguments must be float32.*int32.*cast/s,
    );
    assert.throws(() => grad((x) => x)(3 as unknown as Tensor), /\[grad\].*number/s);
  });

  it('refuses results that are not a float32 scalar', () => {
    assert.throws(
      () => grad((x) => x)(vector(1, 2)),
      /must give a float32 scalar, got float32\[2\].*sum\(\)/s,
    );
    assert.throws(() => grad((x) => ops.argMax(x))(vector(1, 2)), /must give a float32 scalar, got int32/);
    assert.throws(() => grad(() => 1 as unknown as Tensor)(vector(1)), /must give a tensor/);
  });

  it('records nothing more after a function has thrown', () => {
    const x = vector(1, 2);
    assert.throws(() =>
      grad(() => {
        throw new Error('from inside');
      })(x),
    );
    assert.deepEqual(numbers(grad((y) => ops.sum(ops.mul(y, x)))(vector(5, 6))), [1, 2]);
  });
});

describeFastest('grads and valueAndGrad', () => {
  it('give a gradient for each argument', () => {
    const { value, gradients } = valueAndGrad((a, b) => ops.sum(ops.mul(a, b)))(vector(1, 2), vector(3, 5));
    assert.equal(value.item(), 13);
    assert.deepEqual(gradients.map(numbers), [
      [3, 5],
      [1, 2],
    ]);
  });

  it('give zeros for an argument that is not used', () => {
    const [a, b] = grads((x, _y) => ops.sum(x))(vector(1, 2), ops.tensor([[7, 8, 9]]));
    assert.deepEqual(numbers(a!), [1, 1]);
    assert.deepEqual(b!.arraySync(), [[0, 0, 0]]);
  });

  it('keep the places of a tensor apart that is given twice', () => {
    const x = vector(2, 3);
    const [a, b] = grads((u, v) => ops.sum(ops.mul(ops.square(u), v)))(x, x);
    assert.deepEqual(numbers(a!), [8, 18]);
    assert.deepEqual(numbers(b!), [4, 9]);
    // And the outer derivative of the sum of both is that of x ** 3.
    const total = grad((y) => {
      const [p, q] = grads((u, v) => ops.sum(ops.mul(u, v)))(y, y);
      return ops.sum(ops.mul(p!, q!));
    })(x);
    assert.deepEqual(numbers(total), [4, 6]);
  });

  it('take variables', () => {
    const w = new Variable(vector(2, 3), 'w');
    const { gradients } = valueAndGrad((x) => ops.sum(ops.mul(x, x)))(w);
    assert.deepEqual(numbers(gradients[0]!), [4, 6]);
    w.assign(vector(5, 5));
    assert.deepEqual(numbers(grad((x) => ops.sum(ops.mul(x, x)))(w)), [10, 10]);
  });

  it('give the gradient of soft labels too', () => {
    const logits = ops.tensor([[1, 2, 3]]);
    const labels = ops.tensor([[0.2, 0.3, 0.5]]);
    const [, gradient] = grads((z, p) => ops.sum(ops.softmaxCrossEntropy(z, p)))(logits, labels);
    const expected = numbers(ops.neg(ops.logSoftmax(logits)));
    numbers(gradient!).forEach((value, i) => {
      assert.ok(Math.abs(value - expected[i]!) < 1e-6);
    });
  });
});

describeFastest('stopGradient', () => {
  it('makes a constant of a value', () => {
    const f = (x: Tensor) => ops.sum(ops.mul(x, ops.stopGradient(ops.square(x))));
    assert.deepEqual(numbers(grad(f)(vector(2, 3))), [4, 9]);
    assert.deepEqual(numbers(grad((x) => ops.sum(ops.stopGradient(x)))(vector(2))), [0]);
  });

  it('is the same numbers without a copy', () => {
    onFresh(() => {
      const x = vector(2, 3);
      assert.deepEqual(numbers(ops.stopGradient(x)), [2, 3]);
      assert.equal(memory().buffers, 1);
    });
  });
});

describeFastest('customGradient', () => {
  it("takes the place of the function's own", () => {
    const f = customGradient((x) => ({ value: ops.square(x), gradient: (dy) => [ops.mul(dy, 100)] }));
    const { value, gradients } = valueAndGrad((x) => ops.sum(f(x)))(vector(2, 3));
    assert.equal(value.item(), 13);
    assert.deepEqual(numbers(gradients[0]!), [100, 100]);
  });

  it('may give its argument back', () => {
    const reversed = customGradient((x) => ({ value: x, gradient: (dy) => [ops.neg(dy)] }));
    assert.deepEqual(
      numbers(grad((x) => ops.sum(ops.mul(reversed(x), vector(3, 4))))(vector(1, 1))),
      [-3, -4],
    );
    // Beside the argument itself: 5 from there, -1 through the function.
    const both = (x: Tensor) => ops.sum(ops.add(reversed(x), ops.mul(5, x)));
    assert.deepEqual(numbers(grad(both)(vector(1, 1))), [4, 4]);
  });

  it('may leave arguments out', () => {
    const f = customGradient((a, b) => ({
      value: ops.mul(a, b),
      gradient: (dy) => [undefined, ops.mul(dy, a)],
    }));
    const [a, b] = grads((x, y) => ops.sum(f(x, y)))(vector(2), vector(3));
    assert.deepEqual([numbers(a!), numbers(b!)], [[0], [2]]);
  });
});

describeFastest('ops without a gradient', () => {
  it('refuse to pass one, where one is asked for', () => {
    const bad = customGradient((x) => ({
      value: ops.square(x),
      gradient: () => {
        throw new Error('asked for');
      },
    }));
    assert.deepEqual(numbers(grad((x) => ops.sum(ops.add(x, ops.stopGradient(bad(x)))))(vector(1))), [1]);
    assert.throws(() => grad((x) => ops.sum(bad(x)))(vector(1)), /asked for/);
  });

  it('say so with the name of the op', () => {
    const x = ops.tensor([
      [1, 2],
      [3, 5],
    ]);
    assert.throws(
      () => grad((y) => ops.sum(ops.qr(y).q))(x),
      /\[qr\] this op is not differentiable; wrap it in stopGradient/,
    );
  });

  it('give 0 through comparisons, integers and indices', () => {
    const x = vector(1, 2, 3);
    assert.deepEqual(numbers(grad((y) => ops.sum(ops.cast(ops.less(y, 2), 'float32')))(x)), [0, 0, 0]);
    assert.deepEqual(numbers(grad((y) => ops.sum(ops.cast(ops.cast(y, 'int32'), 'float32')))(x)), [0, 0, 0]);
    const picked = (y: Tensor) => ops.sum(ops.gather(y, ops.argMax(y)));
    assert.deepEqual(numbers(grad(picked)(x)), [0, 0, 1]);
  });
});

describeFastest('memory of gradients', () => {
  it('is given back by a scope', () => {
    onFresh(() => {
      const x = vector(1, 2, 3);
      const step = () => scope(() => grad((y) => ops.sum(ops.exp(ops.square(ops.sin(y)))))(x));
      step().dispose();
      const before = memory();
      for (let i = 0; i < 50; i++) step().dispose();
      assert.deepEqual(memory(), before);
      assert.equal(before.buffers, 1);
    });
  });
});
