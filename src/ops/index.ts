// The public names of the tensor ops.

export {
  celu,
  elu,
  gelu,
  hardShrink,
  hardSigmoid,
  hardSilu,
  hardTanh,
  leakyRelu,
  logSigmoid,
  mish,
  relu6,
  selu,
  silu,
  softShrink,
  softsign,
  squareplus,
  tanhShrink,
} from './activation.ts';
export { type AffineOptions, affineTransform, type FillMode } from './affine.ts';
export {
  add,
  atan2,
  div,
  floorDiv,
  maximum,
  minimum,
  mod,
  mul,
  pow,
  squaredDifference,
  sub,
} from './arithmetic.ts';
export {
  type AttentionOptions,
  causalMask,
  type FusedHeads,
  fusedCrossAttention,
  fusedSelfAttention,
  type RotaryOptions,
  rotaryEmbedding,
  scaledDotProductAttention,
  sinusoidalPositions,
} from './attention.ts';
export {
  cast,
  equal,
  greater,
  greaterEqual,
  isFinite,
  isNaN,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  logicalXor,
  notEqual,
  stopGradient,
  where,
} from './compare.ts';
export {
  type ConvOptions,
  type ConvTransposeOptions,
  conv1d,
  conv1dTranspose,
  conv2d,
  conv2dTranspose,
  conv3d,
  conv3dTranspose,
  depthwiseConv1d,
  depthwiseConv2d,
} from './conv.ts';
export {
  eye,
  fill,
  linspace,
  ones,
  onesLike,
  range,
  type TensorData,
  tensor,
  zeros,
  zerosLike,
} from './creation.ts';
export { cummax, cumprod, cumsum, logCumsumExp } from './cumulate.ts';
export { einsum, tensordot } from './einsum.ts';
export { gather, oneHot } from './gather.ts';
export { dot, type MatMulOptions, matMul, outer } from './linalg.ts';
export type { TensorLike } from './map.ts';
export { dropout, logSoftmax, softmax, softmaxCrossEntropy } from './nn.ts';
export {
  type BatchNormalized,
  batchNormalize,
  layerNormalize,
  type NormalizeOptions,
  normalizeWith,
  rmsNormalize,
  unitNormalize,
} from './normalize.ts';
export {
  addN,
  type ClippedTensors,
  clipByGlobalNorm,
  clipByNorm,
  countNonZero,
  erfc,
  exp2,
  hypot,
  isInf,
  log2,
  log10,
  logAddExp,
  type Moments,
  moments,
  nanToNum,
  sinc,
} from './numeric.ts';
export { randomCategorical, randomPermutation, shuffle } from './permute.ts';
export {
  avgPool1d,
  avgPool2d,
  avgPool3d,
  maxPool1d,
  maxPool2d,
  maxPool3d,
  type PoolOptions,
} from './pool.ts';
export { type QrFactors, qr } from './qr.ts';
export {
  randomBernoulli,
  randomInt,
  randomNormal,
  randomUniform,
  setSeed,
  truncatedNormal,
} from './random.ts';
export { randomBeta, randomGamma } from './random-gamma.ts';
export {
  type Bound,
  diag,
  diagonal,
  meshgrid,
  moveAxis,
  type PadMode,
  repeat,
  roll,
  stridedSlice,
  swapAxes,
  trace,
  tril,
  triu,
  unstack,
} from './rearrange.ts';
export {
  type Axis,
  all,
  any,
  argMax,
  argMin,
  logSumExp,
  max,
  mean,
  min,
  norm,
  prod,
  std,
  sum,
  sumSquares,
  variance,
} from './reduce.ts';
export { type LanczosOptions, type ResampleOptions, resizeBicubic, resizeLanczos } from './resample.ts';
export { resizeBilinear, resizeNearestNeighbor } from './resize.ts';
export { type RnnKind, type RnnOptions, type RnnResult, rnn } from './rnn.ts';
export { bincount, gatherND, scatterND, takeAlongAxis, tensorScatterAdd } from './scatter.ts';
export {
  broadcastTo,
  concat,
  expandDims,
  flatten,
  flip,
  pad,
  reshape,
  slice,
  split,
  squeeze,
  stack,
  tile,
  transpose,
} from './shape.ts';
export { argsort, inTopK, type Sorted, searchSorted, sort, topK, type Unique, unique } from './sort.ts';
export {
  abs,
  acos,
  acosh,
  asin,
  asinh,
  atan,
  atanh,
  ceil,
  clip,
  cos,
  cosh,
  erf,
  erfinv,
  exp,
  expm1,
  floor,
  log,
  log1p,
  neg,
  reciprocal,
  relu,
  round,
  rsqrt,
  sigmoid,
  sign,
  sin,
  sinh,
  softplus,
  sqrt,
  square,
  tan,
  tanh,
  trunc,
} from './unary.ts';
export type { Padding, PerDimension } from './window.ts';
