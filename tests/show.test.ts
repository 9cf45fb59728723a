// What tensors look like in a console: dtype, shape, and numbers as NumPy writes them.
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { jit, linspace, ones, range, type Tensor, tensor, zeros } from '../src/api.ts';
import { describeBackends } from './support/backends.ts';

describeBackends('tensors in a console', () => {
  const cases: [string, () => Tensor, string][] = [
    ['a scalar', () => tensor(3.5), 'Tensor(float32[])\n3.5'],
    [
      'columns of one width',
      () =>
        tensor([
          [1, 2.5],
          [-3, 0.1],
        ]),
      'Tensor(float32[2, 2])\n[[  1, 2.5],\n [ -3, 0.1]]',
    ],
    ['booleans', () => tensor([true, false], [2], 'bool'), 'Tensor(bool[2])\n[ true, false]'],
    [
      'what is no number',
      () => tensor([NaN, -Infinity, -0]),
      'Tensor(float32[3])\n[      NaN, -Infinity,        -0]',
    ],
    ['nothing', () => zeros([0, 3]), 'Tensor(float32[0, 3])\n[]'],
    [
      'blocks apart',
      () => range(0, 8).reshape([2, 2, 2]),
      'Tensor(int32[2, 2, 2])\n[[[0, 1],\n  [2, 3]],\n\n [[4, 5],\n  [6, 7]]]',
    ],
    [
      'edges of what is large',
      () => range(0, 1001),
      'Tensor(int32[1001])\n[   0,    1,    2, ...,  998,  999, 1000]',
    ],
  ];
  for (const [name, make, text] of cases) {
    it(`shows ${name}`, () => assert.equal(inspect(make()), text));
  }

  it('shows seven digits', () => {
    assert.equal(
      inspect(linspace(0, 1, 4)),
      'Tensor(float32[4])\n[        0, 0.3333333, 0.6666667,         1]',
    );
  });

  it('shows what has no numbers', () => {
    const gone = ones([2]);
    gone.dispose();
    assert.equal(inspect(gone), 'Tensor(float32[2]) (disposed)');
    let seen = '';
    jit((x) => {
      seen = inspect(x);
      return x.add(1);
    })(ones([2]));
    assert.equal(seen, 'Tensor(float32[2]) (being traced)');
  });

  it('prints', () => {
    const { log } = console;
    const lines: unknown[] = [];
    console.log = (line: unknown) => lines.push(line);
    try {
      tensor([1, 2]).print();
    } finally {
      console.log = log;
    }
    assert.deepEqual(lines, ['Tensor(float32[2])\n[1, 2]']);
  });
});
