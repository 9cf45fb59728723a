// Cases of the elementwise functions of one tensor.
import * as ops from '../../src/ops/index.ts';
import type { Tensor } from '../../src/tensor.ts';
import { type Case, exact, makeCase, shapes, specials, tight } from './case.ts';
import { type Arg, arg, type Tolerance } from './data.ts';

interface Unary {
  readonly op: string;
  readonly f: (x: Tensor) => Tensor;
  readonly options: Partial<Arg>;
  readonly tolerance: Tolerance;
  readonly gradient: boolean;
}

const unary = (
  op: string,
  f: (x: Tensor) => Tensor,
  options: Partial<Arg> = {},
  tolerance: Tolerance = tight,
  gradient = true,
): Unary => ({ op, f, options, tolerance, gradient });

const positive = { low: 0.3, high: 3 };
const inside = { low: -0.8, high: 0.8 };
const wide = { low: -12, high: 12 };
// Where terms near 1 cancel.
const rounded: Tolerance = { rtol: 4e-6, atol: 2e-6 };

const table: readonly Unary[] = [
  unary('neg', ops.neg, {}, exact),
  unary('abs', ops.abs, { gap: 0.1 }, exact),
  unary('sign', ops.sign, { gap: 0.1 }, exact),
  unary('floor', ops.floor, wide, exact, false),
  unary('ceil', ops.ceil, wide, exact, false),
  unary('round', ops.round, wide, exact, false),
  unary('trunc', ops.trunc, wide, exact, false),
  unary('square', ops.square, {}, exact),
  unary('sqrt', ops.sqrt, positive),
  unary('rsqrt', ops.rsqrt, positive),
  unary('reciprocal', ops.reciprocal, positive),
  unary('exp', ops.exp, wide),
  unary('expm1', ops.expm1),
  unary('log', ops.log, positive),
  unary('log1p', ops.log1p, { low: -0.6, high: 3 }),
  unary('sin', ops.sin, wide),
  unary('cos', ops.cos, wide),
  unary('tan', ops.tan, { low: -1.1, high: 1.1 }),
  unary('asin', ops.asin, inside),
  unary('acos', ops.acos, inside),
  unary('atan', ops.atan),
  unary('sinh', ops.sinh),
  unary('cosh', ops.cosh),
  unary('tanh', ops.tanh),
  unary('asinh', ops.asinh),
  unary('acosh', ops.acosh, { low: 1.3, high: 4 }),
  unary('atanh', ops.atanh, inside),
  unary('erf', ops.erf),
  unary('erfinv', ops.erfinv, inside),
  unary('sigmoid', ops.sigmoid, wide),
  unary('softplus', ops.softplus, wide),
  unary('relu', ops.relu, { gap: 0.1 }),
  unary('gelu', (x) => ops.gelu(x), { low: -6, high: 6 }, rounded),
  unary('gelu', (x) => ops.gelu(x, true), { low: -6, high: 6 }, rounded),
  unary('silu', ops.silu, wide, rounded),
  unary('mish', ops.mish, wide, rounded),
  unary('elu', (x) => ops.elu(x, 0.7), { gap: 0.1 }, rounded),
  unary('celu', (x) => ops.celu(x, 1.3), { gap: 0.1 }, rounded),
  unary('selu', ops.selu, { gap: 0.1 }, rounded),
  unary('leakyRelu', (x) => ops.leakyRelu(x), { gap: 0.1 }),
  unary('relu6', ops.relu6, { low: 0.1, high: 5.9 }, rounded),
  unary('hardSigmoid', ops.hardSigmoid, { low: -2.9, high: 2.9 }, rounded),
  unary('hardSilu', ops.hardSilu, { low: -2.9, high: 2.9 }, rounded),
  unary('hardTanh', ops.hardTanh, inside, rounded),
  unary('softsign', ops.softsign, { gap: 0.1 }, rounded),
  unary('logSigmoid', ops.logSigmoid, wide, rounded),
  unary('tanhShrink', ops.tanhShrink, {}, rounded),
  unary('softShrink', (x) => ops.softShrink(x), { low: 0.6, high: 3 }, rounded),
  unary('hardShrink', (x) => ops.hardShrink(x), { low: 0.6, high: 3 }, rounded),
  unary('squareplus', (x) => ops.squareplus(x), wide, rounded),
  unary('isNaN', ops.isNaN, {}, exact, false),
  unary('isFinite', ops.isFinite, {}, exact, false),
  unary('logicalNot', ops.logicalNot, {}, exact, false),
  unary('clip', (x) => ops.clip(x, -1, 1.5), { distinct: true, low: -3, high: 3.3 }, exact),
  unary('stopGradient', ops.stopGradient, {}, exact, false),
];

// The gradient of these, of many numbers at once, is a sum too large for finite differences in float32.
const gradientSizes = new Set(['', '1', '3', '17', '3,5']);

export const unaryCases: readonly Case[] = table.flatMap(({ op, f, options, tolerance, gradient }) => [
  ...shapes.map((shape) =>
    makeCase(op, `[${shape}]`, [arg(shape, options)], f, {
      ...tolerance,
      gradient: gradient && gradientSizes.has(shape.join()),
    }),
  ),
  ...[1, 2, 3].map((offset) =>
    makeCase(op, `misaligned by ${offset}`, [arg([16 * offset + 37], { ...options, offset })], f, tolerance),
  ),
  makeCase(op, 'special numbers', [arg([specials.length], { values: specials })], f, tolerance),
  makeCase(op, 'int32', [arg([19], { dtype: 'int32' })], f, tolerance),
  makeCase(op, 'uint8', [arg([19], { dtype: 'uint8', high: 256 })], f, tolerance),
  makeCase(op, 'bool', [arg([19], { dtype: 'bool' })], f, tolerance),
]);
