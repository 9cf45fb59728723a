// A model's own random numbers, so that models which train at the same time take none from each other.
import { type Engine, Storage } from '../engine.ts';
import { deriveSeed, timesSeeded } from '../ops/random.ts';
import type { SeedGenerator } from '../ops/seed-generator.ts';
import { Philox, type PhiloxState } from '../random.ts';
import { Tensor } from '../tensor.ts';

/** Everything that determines what a model draws next; plain JSON. */
export interface RandomState {
  /** State of the generator that shuffles samples. */
  readonly shuffle: PhiloxState;
  /** State of the generator that dropout draws from. */
  readonly random: readonly number[];
  /** How far the generators of layers with seeds of their own are, in the order of the layers; missing where there are none. */
  readonly seeded?: readonly number[];
}

/** The generators of a model: one in JavaScript for the order of samples, one in backend memory for the programs that train it. */
export class ModelRandom {
  /** `[keyLo, keyHi, step, 0]`, for {@link drawFrom}. */
  readonly state: Tensor<'int32'>;
  readonly engine: Engine;
  private readonly storage: Storage;
  private shuffler!: Philox;
  private seeded = -1;
  // What the generator in backend memory begins with, once programs run.
  private first: (() => Int32Array) | undefined;
  private readonly seeds: () => readonly SeedGenerator[];

  /** `seeds`: those of the model's layers; `former`: the generators that it takes the place of, to go on with. */
  constructor(engine: Engine, seeds: () => readonly SeedGenerator[], former?: ModelRandom) {
    this.engine = engine;
    this.seeds = seeds;
    this.storage = new Storage(engine, 16, 'random');
    this.state = new Tensor([4], 'int32', { kind: 'memory', storage: this.storage, byteOffset: 0 }).keep();
    if (former === undefined || former.engine.closed) {
      this.follow();
    } else {
      this.seeded = former.seeded;
      former.begin();
      this.restore({ shuffle: former.shuffle.state, random: [...former.state.dataSync()] });
    }
  }

  /** Takes its turn at the seed where that was set since. */
  follow(): void {
    if (this.seeded === timesSeeded()) return;
    this.seeded = timesSeeded();
    const { host, words } = deriveSeed(this.engine);
    this.shuffler = Philox.restore(host);
    this.first = words;
  }

  /** Makes ready for programs that draw: once the model has its weights, which draw from the common generator. */
  begin(): void {
    if (this.first === undefined) return;
    this.storage.engine.backend.write(this.storage.handle, 0, this.first().slice());
    this.first = undefined;
  }

  /** The generator of the order of samples. */
  get shuffle(): Philox {
    return this.shuffler;
  }

  /** What {@link restore} takes. */
  capture(): RandomState {
    this.begin();
    const seeded = this.seeds().map(({ step }) => step);
    const common = { shuffle: this.shuffler.state, random: [...this.state.dataSync()] };
    return seeded.length === 0 ? common : { ...common, seeded };
  }

  /** Goes on exactly where a state was captured. */
  restore({ shuffle, random, seeded = [] }: RandomState): void {
    this.first = undefined;
    for (const [i, generator] of this.seeds().entries()) generator.step = seeded[i] ?? generator.step;
    this.shuffler = Philox.restore(shuffle);
    this.engine.backend.write(this.storage.handle, 0, Int32Array.from(random));
  }

  dispose(): void {
    this.state.dispose();
  }
}
