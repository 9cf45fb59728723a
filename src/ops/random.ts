// Random tensors, from one counter-based generator (Philox 4x32-10) that gives the same stream on every backend.
import { type Engine, engine, Storage } from '../engine.ts';
import { NablaError } from '../errors.ts';
import { Philox, type PhiloxState } from '../random.ts';
import type { Shape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { emit, tracing, untraced } from '../trace.ts';
import { MapBuilder, type Register } from './map.ts';
import type { SeedGenerator } from './seed-generator.ts';

/** The generator that ops draw from: in backend memory `[keyLo, keyHi, step]`, so that programs advance it as they run. */
interface Generator {
  readonly state: Tensor<'int32'>;
}

const generators = new WeakMap<object, Generator>();
const seeding = {
  seed: undefined as number | undefined,
  host: undefined as Philox | undefined,
  /** How often the seed was set, and how many generators were derived from it since. */
  times: 0,
  derived: 0,
};

function words(seed: number): [number, number] {
  return [seed | 0, Math.floor(seed / 2 ** 32) | 0];
}

/**
 * Seeds every random number that follows: initial weights, shuffling, dropout and random ops. `seed` is an integer in [0, 2 ** 53). The same seed
 * gives the same run on one backend. Each model that is trained has generators of its own for the order of samples and for dropout, numbered in the
 * order in which models are first trained after the seed was set: models that train at the same time give the same weights as one after the other.
 */
export function setSeed(seed: number): void {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new NablaError('setSeed', `bad seed, got ${seed}, expected an integer in [0, 2 ** 53)`);
  }
  seeding.seed = seed;
  seeding.host = new Philox(seed, 1);
  seeding.times++;
  seeding.derived = 0;
  const known = generators.get(engine());
  if (known) write(known.state, seed);
}

function write(state: Tensor<'int32'>, seed: number): void {
  const { storage, byteOffset } = state.memory('setSeed');
  storage.engine.backend.write(storage.handle, byteOffset, Int32Array.of(...words(seed), 0, 0));
}

/** The generator of JavaScript-side choices such as the order of samples; seeded with the rest. */
export function hostRandom(): Philox {
  seeding.host ??= new Philox(freshSeed(), 1);
  return seeding.host;
}

function freshSeed(): number {
  seeding.seed ??= Math.floor(Math.random() * 2 ** 48);
  return seeding.seed;
}

// Apart from the streams of programs and from that of ops.
const firstHostStream = 0x80000000;

/** What a generator of one's own begins with. */
export interface DerivedSeed {
  /** Of JavaScript-side choices. */
  readonly host: PhiloxState;
  /** Of programs, `[keyLo, keyHi, step, 0]`: goes on from the common generator's step of when it is called. */
  readonly words: () => Int32Array;
}

/** How often the seed was set: what was derived before then is not of this seed. */
export function timesSeeded(): number {
  return seeding.times;
}

/** The next pair of generators derived from the seed. The first one goes on with the numbers that the common generators would have drawn. */
export function deriveSeed(home: Engine): DerivedSeed {
  const number = seeding.derived++;
  const { seed, stream, position } = hostRandom().state;
  const words = () => {
    const state = commonState(home).dataSync();
    // Any other key gives numbers of their own.
    state[1] = state[1]! ^ Math.imul(number, 0x9e3779b1);
    return state;
  };
  return { host: { seed, stream: number === 0 ? stream : firstHostStream + number, position }, words };
}

// Where a program draws from while it is traced, if not from the common generator.
const drawingFrom: Tensor<'int32'>[] = [];

/** Has the program that `body` traces draw from a generator of its own, by its state `[keyLo, keyHi, step, 0]`. */
export function drawFrom<T>(state: Tensor<'int32'>, body: () => T): T {
  drawingFrom.push(state);
  try {
    return body();
  } finally {
    drawingFrom.pop();
  }
}

// Generators with seeds of their own that are drawn from, the innermost last; undefined: from the common one, or a program's.
const seeded: (SeedGenerator | undefined)[] = [];

/** Runs `body`; what it draws comes from a generator with a seed of its own, in programs as outside of them. */
export function drawSeeded<T>(generator: SeedGenerator, body: () => T): T {
  seeded.push(generator);
  try {
    return body();
  } finally {
    seeded.pop();
  }
}

/** The state `[keyLo, keyHi, step, 0]` of the generator that is drawn from. */
export function generatorState(): Tensor<'int32'> {
  return (tracing() && drawingFrom.at(-1)) ?? commonState(engine());
}

/** That of the engine's common generator. */
function commonState(home: Engine): Tensor<'int32'> {
  let generator = generators.get(home);
  if (generator === undefined) {
    const storage = new Storage(home, 16, 'random');
    const state = new Tensor<'int32'>([4], 'int32', { kind: 'memory', storage, byteOffset: 0 }).keep();
    write(state, freshSeed());
    generator = { state };
    generators.set(home, generator);
  }
  return generator.state;
}

/** Has an engine go on with the random numbers of the one whose place it takes. Gives their state. */
export function handOverGenerator(from: Engine, to: Engine): Storage {
  const state = commonState(from);
  generators.set(to, { state });
  return state.memory('random').storage;
}

/** Where a random op draws from: the state, and a stream number of its own. */
export interface RandomSource {
  readonly state: Tensor;
  readonly stream: number;
}

// Streams of programs that draw from the common generator lie apart from those of a trainer's, whose state may be the same; so does that of ops
// outside of programs.
const commonStreams = 0x40000000;
const eagerStream = 0x7fffffff;
const advancing = new WeakSet<object>();

/** The sources that a function drew from, in order. */
export type RandomDraws = readonly RandomSource[];

// While a function runs whose draws are kept, or given again.
const keeping: RandomSource[][] = [];
const repeating: RandomSource[][] = [];

/** Runs `body` and notes what it draws from, so that it can be run again with the same numbers. */
export function keepDraws<T>(body: () => T): { result: T; draws: RandomDraws } {
  const draws: RandomSource[] = [];
  keeping.push(draws);
  try {
    return { result: body(), draws };
  } finally {
    keeping.pop();
  }
}

/** Runs `body` with the draws of its first run. */
export function repeatDraws<T>(draws: RandomDraws, body: () => T): T {
  repeating.push([...draws]);
  try {
    return body();
  } finally {
    repeating.pop();
  }
}

/** A source for one random op. In a trace the program advances the generator once, at its end. */
export function randomSource(_like?: Tensor): RandomSource {
  const source = repeating.at(-1)?.shift() ?? newSource();
  for (const draws of keeping) draws.push(source);
  if (keeping.length > 0) source.state.keep();
  return source;
}

function newSource(): RandomSource {
  const own = seeded.at(-1);
  const state = own?.state ?? generatorState();
  const graph = tracing();
  if (graph !== undefined) {
    if (own !== undefined) return { state, stream: nextOwnStream(graph, state) };
    advancing.add(graph);
    return { state, stream: graph.nextStream() + (drawingFrom.length > 0 ? 0 : commonStreams) };
  }
  // What is drawn now may be drawn again for a gradient: it keeps a copy of the state.
  const snapshot = emit({
    kernel: 'copy',
    outputs: [{ shape: [4], dtype: 'int32' }],
    inputs: [state],
    attributes: [1, 0, 0, 4, 1, 1],
    where: 'random',
  })[0]!;
  untraced(() => {
    const next = state.dataSync();
    next[2] = (next[2]! + 1) | 0;
    const { storage, byteOffset } = state.memory('random');
    storage.engine.backend.write(storage.handle, byteOffset, next);
  });
  return { state: snapshot, stream: eagerStream };
}

// Of each graph the states of generators with seeds of their own, and how many streams were taken of each.
const ownStreams = new WeakMap<object, Map<Tensor<'int32'>, number>>();

function nextOwnStream(graph: object, state: Tensor<'int32'>): number {
  const streams = ownStreams.get(graph) ?? new Map<Tensor<'int32'>, number>();
  ownStreams.set(graph, streams);
  const stream = streams.get(state) ?? 0;
  streams.set(state, stream + 1);
  return stream;
}

/** The states of the generators that the graph draws from, which it has to count on. */
export function statesDrawn(graph: object): Tensor<'int32'>[] {
  const own = [...(ownStreams.get(graph)?.keys() ?? [])];
  return advancing.has(graph) ? [generatorState(), ...own] : own;
}

type Draw = (builder: MapBuilder, uniform: () => Register) => void;

function draw(name: string, shape: Shape, dtype: 'float32' | 'int32' | 'bool', body: Draw): Tensor {
  const builder = new MapBuilder(name);
  const states: Tensor[] = [];
  body(builder, () => {
    const { state, stream } = randomSource();
    states.push(state);
    return builder.random(state, stream);
  });
  const drawn = builder.build(dtype, shape);
  // Copies of the state that were made for this draw; in a trace it is the generator's own.
  const needed = keeping.length > 0 || repeating.length > 0;
  if (tracing() === undefined && !needed) for (const state of states) state.dispose();
  return drawn;
}

/** Uniform in `[low, high)`, float32. Default [0, 1). */
export function randomUniform(shape: Shape, low = 0, high = 1): Tensor<'float32'> {
  const drawn = draw('randomUniform', shape, 'float32', (b, uniform) => {
    b.op('mulAdd', uniform(), b.constant(high - low, 'float'), b.constant(low, 'float'));
  });
  return drawn as Tensor<'float32'>;
}

/** Normal with the given mean and standard deviation, float32 (Box and Muller 1958). Default 0 and 1. */
export function randomNormal(shape: Shape, mean = 0, std = 1): Tensor<'float32'> {
  const drawn = draw('randomNormal', shape, 'float32', (b, uniform) => {
    // 1 - u lies in (0, 1], where the logarithm is finite.
    const u = b.op('sub', b.constant(1, 'float'), uniform());
    const radius = b.op('sqrt', b.op('mul', b.op('log', u), b.constant(-2, 'float')));
    const angle = b.op('cos', b.op('mul', uniform(), b.constant(2 * Math.PI, 'float')));
    b.op('mulAdd', b.op('mul', radius, angle), b.constant(std, 'float'), b.constant(mean, 'float'));
  });
  return drawn as Tensor<'float32'>;
}

// The distribution function of the standard normal at -2.
const tail = 0.022750131948179195;

/** Normal, with values beyond two standard deviations left out, float32; by inversion. Default 0 and 1. */
export function truncatedNormal(shape: Shape, mean = 0, std = 1): Tensor<'float32'> {
  const drawn = draw('truncatedNormal', shape, 'float32', (b, uniform) => {
    const span = b.constant(2 * (1 - 2 * tail), 'float');
    const p = b.op('mulAdd', uniform(), span, b.constant(2 * tail - 1, 'float'));
    const z = b.op('erfinv', p);
    b.op('mulAdd', z, b.constant(std * Math.SQRT2, 'float'), b.constant(mean, 'float'));
  });
  return drawn as Tensor<'float32'>;
}

/** True with the given probability. */
export function randomBernoulli(shape: Shape, probability = 0.5): Tensor<'bool'> {
  const drawn = draw('randomBernoulli', shape, 'bool', (b, uniform) => {
    b.op('less', uniform(), b.constant(probability, 'float'));
  });
  return drawn as Tensor<'bool'>;
}

/** Whole numbers in `[low, high)`, int32; at most 2 ** 24 different ones. */
export function randomInt(shape: Shape, low: number, high: number): Tensor<'int32'> {
  const drawn = draw('randomInt', shape, 'int32', (b, uniform) => {
    const scaled = b.op('mul', uniform(), b.constant(high - low, 'float'));
    b.op('addInt', b.op('toInt', scaled), b.constant(low, 'int'));
  });
  return drawn as Tensor<'int32'>;
}
