// einsum and tensordot: sums of products over named dimensions, done as transposes and matrix products.
import { NablaError } from '../errors.ts';
import { normalizeAxis, showShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { mul } from './arithmetic.ts';
import { matMul } from './linalg.ts';
import { diagonal } from './rearrange.ts';
import { sum } from './reduce.ts';
import { reshape, transpose } from './shape.ts';

/** A tensor whose dimensions have names. */
interface Labeled {
  readonly x: Tensor;
  readonly labels: readonly string[];
}

const without = (labels: readonly string[], others: readonly string[]) =>
  labels.filter((label) => !others.includes(label));
const common = (labels: readonly string[], others: readonly string[]) =>
  labels.filter((label) => others.includes(label));
const same = (a: readonly string[], b: readonly string[]) => a.join() === b.join();

function inOrder({ x, labels }: Labeled, wanted: readonly string[]): Tensor {
  return transpose(
    x,
    wanted.map((label) => labels.indexOf(label)),
  );
}

/** Sums over the dimensions that nothing else needs. */
function sumOut({ x, labels }: Labeled, needed: readonly string[]): Labeled {
  const axes = labels.flatMap((label, i) => (needed.includes(label) ? [] : [i]));
  return axes.length === 0 ? { x, labels } : { x: sum(x, axes), labels: common(labels, needed) };
}

/** Sums of products of two tensors, with the dimensions that are `needed` afterwards. */
function contract(a: Labeled, b: Labeled, needed: readonly string[]): Labeled {
  const left = sumOut(a, [...needed, ...b.labels]);
  const right = sumOut(b, [...needed, ...left.labels]);
  const both = common(left.labels, right.labels);
  const batch = common(both, needed);
  const inner = without(both, needed);
  const rows = without(left.labels, both);
  const columns = without(right.labels, both);
  const dims = (labels: readonly string[], from: Labeled) =>
    labels.map((label) => from.x.shape[from.labels.indexOf(label)]!);
  const shape = [...dims(batch, left), ...dims(rows, left), ...dims(columns, right)];
  const [m, n, k] = [sizeOf(dims(rows, left)), sizeOf(dims(columns, right)), sizeOf(dims(inner, left))];
  const count = dims(batch, left);
  const labels = [...batch, ...rows, ...columns];
  if (inner.length === 0) {
    const x = reshape(inOrder(left, [...batch, ...rows]), [...count, m, 1]);
    const y = reshape(inOrder(right, [...batch, ...columns]), [...count, 1, n]);
    return { x: reshape(mul(x, y), shape), labels };
  }
  // Where the dimensions lie in the other order already, the product reads them so.
  const transposeA = same(left.labels, [...batch, ...inner, ...rows]) && rows.length > 0;
  const transposeB = same(right.labels, [...batch, ...columns, ...inner]) && columns.length > 0;
  const x = inOrder(left, transposeA ? left.labels : [...batch, ...rows, ...inner]);
  const y = inOrder(right, transposeB ? right.labels : [...batch, ...inner, ...columns]);
  const product = matMul(
    reshape(x, [...count, ...(transposeA ? [k, m] : [m, k])]),
    reshape(y, [...count, ...(transposeB ? [n, k] : [k, n])]),
    { transposeA, transposeB },
  );
  return { x: reshape(product, shape), labels };
}

/** A dimension that is named twice in one operand: only its diagonal counts. */
function diagonals({ x, labels }: Labeled): Labeled {
  const twice = labels.find((label, i) => labels.indexOf(label) < i);
  if (twice === undefined) return { x, labels };
  const [first, second] = labels.flatMap((label, i) => (label === twice ? [i] : [])) as [number, number];
  const others = labels.map((_, i) => i).filter((i) => i !== first && i !== second);
  return diagonals({
    x: diagonal(transpose(x, [...others, first, second])),
    labels: [...others.map((i) => labels[i]!), twice],
  });
}

interface Parsed {
  readonly operands: readonly (readonly string[])[];
  readonly output: readonly string[];
}

/** The names of an operand's dimensions; those of an ellipsis are counted from the right. */
function labelsOf(equation: string, term: string, rank: number | undefined, spare: number): string[] {
  const letters = term.replace('...', '.');
  if (!/^[A-Za-z]*\.?[A-Za-z]*$/.test(letters)) {
    throw new NablaError(
      'einsum',
      `bad equation, got '${equation}', expected letters, commas, '...' and '->'`,
    );
  }
  const open = letters.includes('.');
  const hidden = rank === undefined ? spare : rank - letters.length + 1;
  if (rank !== undefined && (open ? hidden < 0 : rank !== letters.length)) {
    throw new NablaError(
      'einsum',
      `'${term}' in '${equation}' names ${letters.length - Number(open)} dimensions, got a tensor of ${rank}`,
    );
  }
  return [...letters].flatMap((letter) =>
    letter === '.' ? Array.from({ length: hidden }, (_, i) => `.${hidden - i}`) : [letter],
  );
}

function parse(equation: string, ranks: readonly number[]): Parsed {
  const [inputs = '', output, ...more] = equation.replaceAll(' ', '').split('->');
  const terms = inputs.split(',');
  if (more.length > 0 || terms.length !== ranks.length) {
    throw new NablaError(
      'einsum',
      `bad equation, got '${equation}' for ${ranks.length} tensors, expected as many terms, one '->' at most`,
    );
  }
  const operands = terms.map((term, i) => labelsOf(equation, term, ranks[i], 0));
  const all = operands.flat();
  const hidden = [...new Set(all.filter((label) => label.startsWith('.')))];
  if (output === undefined) {
    // NumPy's rule: the dimensions named once, in alphabetical order, behind those of the ellipsis.
    const once = all.filter(
      (label) => !label.startsWith('.') && all.indexOf(label) === all.lastIndexOf(label),
    );
    const spare = hidden.map((_, i) => `.${hidden.length - i}`);
    return { operands, output: [...spare, ...once.sort()] };
  }
  const labels = labelsOf(equation, output, undefined, hidden.length);
  const wrong = labels.find((label, i) => !all.includes(label) || labels.indexOf(label) < i);
  if (wrong !== undefined) {
    throw new NablaError('einsum', `'${wrong}' in the output of '${equation}' is not in an input, or twice`);
  }
  return { operands, output: labels };
}

/**
 * The sum of products over named dimensions, as NumPy's einsum: letters name dimensions, those missing behind `->` are summed over, `...` stands
 * for dimensions that are not named. Equal names have equal sizes.
 *
 * @example einsum('bij,bjk->bik', a, b) // batched matrix product
 * @example einsum('ii->', a) // trace
 */
export function einsum(equation: string, ...tensors: Tensor[]): Tensor {
  const { operands, output } = parse(
    equation,
    tensors.map((x) => x.rank),
  );
  const sizes = new Map<string, number>();
  operands.forEach((labels, i) => {
    labels.forEach((label, axis) => {
      const dim = tensors[i]!.shape[axis]!;
      const known = sizes.get(label) ?? dim;
      if (known !== dim) {
        throw new NablaError(
          'einsum',
          `sizes of '${label}' in '${equation}' differ, got ${known} and ${dim} in ${showShape(tensors[i]!.shape)}`,
        );
      }
      sizes.set(label, dim);
    });
  });
  const labeled = operands.map((labels, i) => diagonals({ x: tensors[i]!, labels }));
  let result = labeled[0]!;
  for (let i = 1; i < labeled.length; i++) {
    const later = labeled.slice(i + 1).flatMap(({ labels }) => labels);
    result = contract(result, labeled[i]!, [...output, ...later]);
  }
  return inOrder(sumOut(result, output), output);
}

/**
 * The product summed over the last `axes` dimensions of `a` and the first of `b` (default 2), or over pairs of axes `[ofA, ofB]`, as NumPy's
 * tensordot.
 */
export function tensordot(
  a: Tensor,
  b: Tensor,
  axes: number | readonly [readonly number[], readonly number[]] = 2,
): Tensor {
  const count = typeof axes === 'number' ? axes : axes[0].length;
  const counting = (from: number) => Array.from({ length: count }, (_, i) => from + i);
  const [ofA, ofB] = typeof axes === 'number' ? [counting(a.rank - axes), counting(0)] : axes;
  if (ofA.length !== ofB.length || count > Math.min(a.rank, b.rank)) {
    throw new NablaError(
      'tensordot',
      `bad axes, got ${JSON.stringify(axes)} for ${a} and ${b}, expected as many of each tensor`,
    );
  }
  const labelsA = a.shape.map((_, i) => `a${i}`);
  const labelsB = b.shape.map((_, i) => `b${i}`);
  ofB.forEach((axis, i) => {
    const [x, y] = [normalizeAxis('tensordot', ofA[i]!, a.rank), normalizeAxis('tensordot', axis, b.rank)];
    if (a.shape[x] !== b.shape[y]) {
      throw new NablaError(
        'tensordot',
        `sizes differ, got ${a.shape[x]} in axis ${x} of ${a} and ${b.shape[y]} in axis ${y} of ${b}`,
      );
    }
    labelsB[y] = labelsA[x]!;
  });
  const output = [...without(labelsA, labelsB), ...without(labelsB, labelsA)];
  return inOrder(contract({ x: a, labels: labelsA }, { x: b, labels: labelsB }, output), output);
}
