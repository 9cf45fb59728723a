// Programs: what is fused, and how memory is planned.
import assert from 'node:assert/strict';
import { grad } from '../src/autodiff.ts';
import { dtypeBytes } from '../src/dtype.ts';
import { jit } from '../src/jit.ts';
import * as ops from '../src/ops/index.ts';
import type { CompiledProgram } from '../src/program/compile.ts';
import type { Value } from '../src/program/graph.ts';
import { kernels, micro } from '../src/program/kernels.ts';
import { Philox } from '../src/random.ts';
import { scope, type Tensor } from '../src/tensor.ts';
import { backends, describeBackends, describeFastest } from './support/backends.ts';
import { type Body, compiled } from './support/compiled.ts';
import { close } from './support/data.ts';
import { randomFunction, shapesOfRandom } from './support/random-graphs.ts';

const kernelsOf = (program: CompiledProgram) => program.nodes.map(({ kernel }) => kernel);
const microOf = (program: CompiledProgram, at = 0) => program.nodes[at]!.micro!.map(({ op }) => op);

describeFastest('fusion', () => {
  it('puts bias and activation into the matrix product', () => {
    const program = compiled((x, w, b) => ops.relu(ops.add(ops.matMul(x, w), b)), [4, 3], [3, 5], [5]);
    assert.deepEqual(kernelsOf(program), ['gemm']);
    const activation = kernels.gemm.attributes.indexOf('activation');
    assert.equal(program.nodes[0]!.attributes[activation], 1);
    assert.equal(program.nodes[0]!.inputs[2]!.size, 5);
  });

  it('takes a bias for one only if it is added to each row', () => {
    assert.deepEqual(kernelsOf(compiled((x, w, b) => ops.add(ops.matMul(x, w), b), [5, 3], [3, 5], [5, 1])), [
      'gemm',
      'map',
    ]);
    assert.deepEqual(kernelsOf(compiled((x, w, b) => ops.sub(ops.matMul(x, w), b), [5, 3], [3, 5], [5])), [
      'gemm',
      'map',
    ]);
    assert.deepEqual(kernelsOf(compiled((x, w, b) => ops.add(ops.matMul(x, w), b), [1, 3], [3, 5], [4, 5])), [
      'gemm',
      'map',
    ]);
    assert.deepEqual(kernelsOf(compiled((x, w, b) => ops.add(b, ops.matMul(x, w)), [4, 3], [3, 1], [1])), [
      'gemm',
    ]);
  });

  it('leaves a product alone that is read twice', () => {
    const program = compiled(
      (x, w) => {
        const y = ops.matMul(x, w);
        return [ops.relu(y), ops.sum(y)];
      },
      [4, 3],
      [3, 5],
    );
    assert.deepEqual(kernelsOf(program).sort(), ['gemm', 'map', 'reduce']);
  });

  it('masks the gradient of relu after max pooling instead of before', () => {
    const f: Body = (z) => grad((v: Tensor) => ops.sum(ops.square(ops.maxPool2d(ops.relu(v)))))(z!);
    const program = compiled(f, [2, 6, 6, 3]);
    const large = 2 * 6 * 6 * 3;
    const maps = program.nodes.filter(({ kernel }) => kernel === 'map');
    assert.equal(program.nodes.at(-1)!.kernel, 'poolGrad');
    assert.deepEqual(
      maps.filter(({ outputs }) => outputs[0]!.size === large).map((node) => node.micro!.map(({ op }) => op)),
      [['relu']],
    );
  });

  it('adds a bias that is made after the product', () => {
    const f: Body = (x, w, b) => {
      const y = ops.matMul(x, w);
      return ops.add(y, ops.sum(ops.exp(b), 0));
    };
    const program = compiled(f, [4, 3], [3, 5], [2, 5]);
    assert.deepEqual(kernelsOf(program), ['map', 'reduce', 'gemm']);
  });

  it('makes one map of a chain', () => {
    const program = compiled((x) => ops.add(ops.exp(ops.neg(ops.square(x))), 1), [7]);
    assert.deepEqual(kernelsOf(program), ['map']);
    assert.deepEqual(microOf(program), ['square', 'neg', 'exp', 'constant', 'add']);
  });

  it('makes one map of a tree, with broadcast leaves', () => {
    const program = compiled((x, row) => ops.mul(ops.add(ops.sin(x), row), ops.sub(x, row)), [4, 6], [6]);
    assert.deepEqual(kernelsOf(program), ['map']);
  });

  it('cuts a chain that is too long for one map', () => {
    const long: Body = (x) => {
      let y = x;
      for (let i = 0; i < 50; i++) y = ops.sin(y);
      return y;
    };
    const program = compiled(long, [7]);
    assert.equal(program.nodes.length, 2);
    for (const node of program.nodes) assert.ok(node.micro!.length <= 32);
  });

  it('does not merge what changes shape, or is read by others, or is an output', () => {
    assert.deepEqual(kernelsOf(compiled((x, row) => ops.add(x, ops.exp(row)), [4, 6], [6])), ['map', 'map']);
    const shared = compiled(
      (x) => {
        const y = ops.exp(x);
        return [ops.sin(y), ops.cos(y)];
      },
      [7],
    );
    assert.equal(shared.nodes.length, 3);
    const kept = compiled(
      (x) => {
        const y = ops.exp(x);
        return [ops.sin(y), y];
      },
      [7],
    );
    assert.equal(kept.nodes.length, 2);
  });

  it('cuts bytes to 8 bits in between', () => {
    const f = (x: Tensor) => ops.cast(ops.cast(ops.cast(x, 'uint8'), 'float32'), 'int32');
    const x = ops.tensor([255, 256, 300, -1]);
    assert.deepEqual(jit(f)(x).arraySync(), [255, 0, 44, 255]);
    assert.deepEqual(f(x).arraySync(), [255, 0, 44, 255]);
  });

  it('drops what nobody reads', () => {
    const program = compiled(
      (x) => {
        ops.matMul(x, x);
        return ops.neg(x);
      },
      [3, 3],
    );
    assert.deepEqual(kernelsOf(program), ['map']);
  });

  it('folds numbers that are known', () => {
    const program = compiled((x) => grad((y) => ops.mean(ops.square(y)))(x), [8]);
    assert.deepEqual(kernelsOf(program), ['map']);
  });
});

/** Every two values of the workspace that are in use at one time lie apart. Gives how many pairs share memory one after the other. */
function checkPlan(program: CompiledProgram): number {
  interface Live {
    first: number;
    last: number;
    from: number;
    to: number;
  }
  const lives = new Map<Value, Live>();
  program.nodes.forEach((node, at) => {
    const use = (value: Value | undefined) => {
      const root = value?.root().value;
      if (root === undefined || program.locate(root).slot !== 0) return;
      const from = program.locate(root).byteOffset;
      const to = from + root.size * dtypeBytes[root.dtype];
      assert.ok(from % 64 === 0 && to <= program.workspaceBytes, 'inside of the workspace, on a boundary');
      const live = lives.get(root) ?? { first: at, last: at, from, to };
      live.last = at;
      lives.set(root, live);
    };
    for (const value of [...node.outputs, ...node.inputs]) use(value);
  });
  const values = [...lives.values()].sort((a, b) => a.first - b.first || a.last - b.last);
  let reused = 0;
  values.forEach((a, i) => {
    for (const b of values.slice(i + 1)) {
      if (a.from >= b.to || b.from >= a.to) continue;
      reused++;
      if (a.last < b.first) continue;
      // A map writes over an input that is not read again.
      const inPlace =
        a.last === b.first && program.nodes[b.first]!.kernel === 'map' && a.from === b.from && a.to === b.to;
      assert.ok(
        inPlace,
        `bytes ${a.from} to ${a.to} in use from ${a.first} to ${a.last}, and ${b.from} to ${b.to} from ${b.first} to ${b.last}`,
      );
    }
  });
  return reused;
}

describeFastest('memory planning', () => {
  it('reuses memory, and never that of a value in use', () => {
    let reused = 0;
    for (let seed = 0; seed < 150; seed++) {
      const f = randomFunction(seed, 3 + (seed % 30));
      reused += checkPlan(compiled(f as Body, ...shapesOfRandom));
      const gradient = (...xs: Tensor[]) => grad((x) => ops.sum(ops.tanh(f(x, xs[1]!, xs[2]!)[0]!)))(xs[0]!);
      reused += checkPlan(compiled(gradient, ...shapesOfRandom));
    }
    assert.ok(reused > 1000, `${reused} pairs of values that share memory`);
  });

  it('needs no more than two buffers for a chain of products', () => {
    const chain: Body = (x, w) => {
      let y = x;
      for (let i = 0; i < 10; i++) y = ops.matMul(y, w);
      return y;
    };
    assert.equal(compiled(chain, [16, 16], [16, 16]).workspaceBytes, 2 * 16 * 16 * 4);
  });

  it('needs none for one map', () => {
    assert.equal(compiled((x) => ops.exp(ops.neg(x)), [100]).workspaceBytes, 0);
  });
});

const few = backends.filter(({ name }) => ['native 2 threads', 'wasm simd'].includes(name));
describeBackends(
  'random functions',
  () => {
    const inputs = (seed: number) => {
      const random = new Philox(seed, 5);
      return shapesOfRandom.map((shape) => {
        const size = shape.reduce((a, b) => a * b, 1);
        return ops.tensor(
          Float32Array.from({ length: size }, () => random.uniform() * 2 - 1),
          shape,
        );
      }) as [Tensor, Tensor, Tensor];
    };

    it('give the same fused and planned as one op at a time', () => {
      for (let seed = 0; seed < 60; seed++) {
        scope(() => {
          const f = randomFunction(seed, 3 + (seed % 25));
          const args = inputs(seed);
          const program = jit(f);
          const expected = f(...args).map((t) => t.dataSync());
          // Twice: the second run finds the workspace full of other numbers.
          program(...inputs(seed + 1000));
          program(...args).forEach((result, i) => {
            close(result.dataSync(), expected[i]!, { rtol: 2e-4, atol: 2e-4 }, `seed ${seed}, output ${i}`);
          });
          program.dispose();
        });
      }
    });

    it('have the same gradients through relu and max pooling', () => {
      const values = Array.from({ length: 2 * 7 * 7 * 3 }, (_, i) => ((i * 37) % 23) / 11 - 1);
      for (const strides of [1, 2]) {
        scope(() => {
          const x = ops.tensor(values, [2, 7, 7, 3]);
          const pooled = (v: Tensor) => ops.maxPool2d(ops.relu(v), { poolSize: 3, strides, padding: 'same' });
          const gradient = (v: Tensor) => grad((w) => ops.sum(ops.square(pooled(w))))(v);
          const program = jit(gradient);
          close(program(x).dataSync(), gradient(x).dataSync(), { rtol: 1e-6, atol: 0 }, `strides ${strides}`);
          program.dispose();
        });
      }
    });

    it('have the same gradients fused and planned', () => {
      for (let seed = 0; seed < 40; seed++) {
        scope(() => {
          const f = randomFunction(seed, 3 + (seed % 15));
          const [x, row, square] = inputs(seed);
          const gradient = (a: Tensor) => grad((b) => ops.mean(ops.tanh(f(b, row, square)[0]!)))(a);
          const program = jit(gradient);
          close(program(x).dataSync(), gradient(x).dataSync(), { rtol: 1e-3, atol: 1e-4 }, `seed ${seed}`);
          program.dispose();
        });
      }
    });
  },
  few,
);

describe('the kernel list', () => {
  it('has an op for every elementwise micro-operation that users can name', () => {
    const internal =
      /^(constant|identity|index|random|to(Float|Int|Bool)|select|mulAdd|notBool)|(Int|Bits|Slope)$/;
    const names = Object.keys(micro).filter((name) => !internal.test(name));
    assert.deepEqual(
      names.filter((name) => !(name in ops)),
      [],
    );
  });
});
