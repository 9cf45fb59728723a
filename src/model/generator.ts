// A trainer's own random numbers, so that models which train at the same time take none from each other.
import { type Engine, Storage } from '../engine.ts';
import { deriveSeed, timesSeeded } from '../ops/random.ts';
import { Philox, type PhiloxState } from '../random.ts';
import { Tensor } from '../tensor.ts';

/** Everything that determines what a trainer draws next; plain JSON. */
export interface RandomState {
  /** State of the generator that shuffles samples. */
  readonly shuffle: PhiloxState;
  /** State of the generator that dropout draws from. */
  readonly random: readonly number[];
}

/** The generators of a trainer: one in JavaScript for the order of samples, one in backend memory for its programs. */
export class TrainerRandom {
  /** `[keyLo, keyHi, step, 0]`, for {@link drawFrom}. */
  readonly state: Tensor<'int32'>;
  private readonly engine: Engine;
  private readonly storage: Storage;
  private shuffler!: Philox;
  private seeded = -1;

  /** `former`: those of the trainer whose place it takes, to go on with. */
  constructor(engine: Engine, former?: TrainerRandom) {
    this.engine = engine;
    this.storage = new Storage(engine, 16, 'random');
    this.state = new Tensor([4], 'int32', { kind: 'memory', storage: this.storage, byteOffset: 0 }).keep();
    if (former === undefined || former.engine.closed) {
      this.follow();
    } else {
      this.seeded = former.seeded;
      this.restore(former.capture());
    }
  }

  /** Begins anew where the seed was set since. */
  follow(): void {
    if (this.seeded === timesSeeded()) return;
    this.seeded = timesSeeded();
    const { host, words } = deriveSeed(this.engine);
    this.restore({ shuffle: host, random: [...words] });
  }

  /** The generator of the order of samples. */
  get shuffle(): Philox {
    return this.shuffler;
  }

  /** What {@link restore} takes. */
  capture(): RandomState {
    return { shuffle: this.shuffler.state, random: [...this.state.dataSync()] };
  }

  /** Goes on exactly where a state was captured. */
  restore({ shuffle, random }: RandomState): void {
    this.shuffler = Philox.restore(shuffle);
    this.engine.backend.write(this.storage.handle, 0, Int32Array.from(random));
  }

  dispose(): void {
    this.state.dispose();
  }
}
