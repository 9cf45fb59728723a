// A callback that watches gradients and activations, and warns of units that are dead and gradients that explode.
import type { Samples } from '../data/samples.ts';
import { describe, NablaError } from '../errors.ts';
import { type Layer, observeOutputs } from '../layers/layer.ts';
import type { Callback } from '../model/callbacks.ts';
import type { Model } from '../model/model.ts';
import { type ModelData, Taken } from '../model/slots.ts';
import type { Nested } from '../nested.ts';
import { add, mul } from '../ops/arithmetic.ts';
import { cast, equal } from '../ops/compare.ts';
import { oneHot } from '../ops/gather.ts';
import { all, mean, std, sum } from '../ops/reduce.ts';
import { reshape } from '../ops/shape.ts';
import { checkOptions } from '../options.ts';
import { scope, type Tensor } from '../tensor.ts';

/** A weight and its gradient in the last step of an epoch. */
export interface WeightStatistics {
  /** Layer and weight, `dense_1/kernel`. */
  readonly name: string;
  /** Euclidean norm of the weight. */
  readonly norm: number;
  /** Euclidean norm of its gradient. */
  readonly gradientNorm: number;
}

/** What a layer gave for the samples that are looked at. */
export interface OutputStatistics {
  /** The layer's name. */
  readonly name: string;
  /** Mean of all numbers. */
  readonly mean: number;
  /** Their standard deviation. */
  readonly std: number;
  /** Share of the numbers that are 0. */
  readonly zeros: number;
  /** Units: the last dimension. */
  readonly units: number;
  /** Units that gave 0 for all samples. */
  readonly dead: number;
}

/** What was seen at the end of an epoch. */
export interface TrainingStatistics {
  /** From 0. */
  readonly epoch: number;
  /** Norm of all gradients together, as the optimizer got them. */
  readonly gradientNorm: number;
  /** Weight by weight, those that are trained. */
  readonly weights: WeightStatistics[];
  /** Empty where no samples are given. */
  readonly outputs: OutputStatistics[];
}

/** Options of {@link watchTraining}. */
export interface WatchOptions {
  /** Some samples of the training data, 100 or so, to look at activations. Default: only gradients are looked at. */
  x?: ModelData;
  /** Epochs from one look to the next. Default 1. */
  every?: number;
  /** It warns where the norm of all gradients is above this. Default 1000. */
  exploding?: number;
  /** It warns where the norm of all gradients is below this. Default 1e-8. */
  vanishing?: number;
  /** It warns where more than this share of a layer's units is dead, in [0, 1]. Default 0.5. */
  deadShare?: number;
  /** Where warnings go. Default `console.warn`. */
  warn?: (message: string) => void;
}

/** See {@link watchTraining}. */
export class TrainingWatch implements Callback {
  /** What was seen, look by look. */
  readonly history: TrainingStatistics[] = [];
  private readonly model: Model<Nested<Tensor>>;
  private readonly options: Required<Omit<WatchOptions, 'x'>> & { readonly x: ModelData | undefined };
  private readonly warned = new Set<string>();

  constructor(model: Model<Nested<Tensor>>, options: WatchOptions = {}) {
    checkOptions('functions', 'watchTraining', options);
    const {
      x,
      every = 1,
      exploding = 1000,
      vanishing = 1e-8,
      deadShare = 0.5,
      warn = console.warn,
    } = options;
    this.model = model;
    if (!Number.isInteger(every) || every < 1)
      throw new NablaError('watchTraining', `bad every, got ${describe(every)}, expected an integer >= 1`);
    for (const [name, value] of Object.entries({ exploding, vanishing, deadShare })) {
      if (typeof value === 'number' && value >= 0) continue;
      throw new NablaError('watchTraining', `bad ${name}, got ${describe(value)}, expected a number >= 0`);
    }
    this.options = { x, every, exploding, vanishing, deadShare, warn };
  }

  /** Looks, if it is time to. */
  onEpochEnd(epoch: number): void {
    if ((epoch + 1) % this.options.every !== 0) return;
    const { exploding, vanishing, deadShare } = this.options;
    const weights = this.weights();
    const gradientNorm = Math.hypot(...weights.map((weight) => weight.gradientNorm));
    const outputs = this.outputs();
    this.history.push({ epoch, gradientNorm, weights, outputs });
    const at = `in epoch ${epoch + 1}`;
    if (!(gradientNorm <= exploding)) {
      const [worst] = weights.toSorted((a, b) => b.gradientNorm - a.gradientNorm);
      this.warn(
        'exploding',
        `gradients explode ${at}: their norm is ${gradientNorm.toPrecision(3)}, most of it in ${worst!.name}; ` +
          'lower the learning rate, or clip with globalClipnorm',
      );
    }
    if (weights.length > 0 && gradientNorm < vanishing) {
      this.warn(
        'vanishing',
        `gradients vanish ${at}: their norm is ${gradientNorm.toPrecision(3)}; ` +
          'look for a saturated activation or a loss that does not depend on the weights',
      );
    }
    for (const { name, dead, units } of outputs) {
      if (dead <= deadShare * units) continue;
      this.warn(
        `dead ${name}`,
        `${dead} of ${units} units of ${name} are dead ${at}: they give 0 for all samples and do not learn; ` +
          'lower the learning rate, or use leakyRelu or another initializer',
      );
    }
  }

  /** Each warning once a fit. */
  onTrainBegin(): void {
    this.warned.clear();
  }

  private warn(kind: string, message: string): void {
    if (this.warned.has(kind)) return;
    this.warned.add(kind);
    this.options.warn(`[${this.model.name}] ${message}`);
  }

  private weights(): WeightStatistics[] {
    const normOf = (values: Float32Array) =>
      Math.sqrt(values.reduce((total, value) => total + value * value, 0));
    const gradients = this.model.trainer('watchTraining').readGradients();
    return [...gradients].map(([weight, gradient]) => ({
      name: weight.name,
      norm: normOf(weight.dataSync() as Float32Array),
      gradientNorm: normOf(gradient),
    }));
  }

  private outputs(): OutputStatistics[] {
    const { x } = this.options;
    if (x === undefined) return [];
    const seen: OutputStatistics[] = [];
    const taken = new Taken('watchTraining');
    try {
      const inputs = this.model.takeInputs('watchTraining', taken, x);
      scope(() => {
        observeOutputs(
          (layer, output) => {
            if (canDie(layer) && output.rank > 1) seen.push(statisticsOf(layer.name, output));
          },
          () => this.model.outputsOf(inputs.map(presented), false),
        );
      });
    } finally {
      taken.dispose();
    }
    return seen;
  }
}

/** Layers behind one whose units are dead would be told of again, and so would models that end with it. */
function canDie(layer: Layer): boolean {
  if ('layers' in layer) return false;
  return layer.weights.length > 0 || /activation|relu/i.test(layer.kind);
}

function statisticsOf(name: string, output: Tensor): OutputStatistics {
  const units = output.shape.at(-1)!;
  const zero = equal(reshape(output, [output.size / units, units]), 0);
  return {
    name,
    mean: mean(output).item(),
    std: std(output).item(),
    zeros: mean(cast(zero, 'float32')).item(),
    units,
    dead: sum(cast(all(zero, 0), 'int32')).item(),
  };
}

/** The samples as a model sees them. */
function presented({ tensor, options }: Samples): Tensor {
  const { scale = 1, shift = 0, oneHot: classes } = options;
  return classes === undefined ? add(mul(cast(tensor, 'float32'), scale), shift) : oneHot(tensor, classes);
}

/**
 * Watches gradients, weights and activations at the end of epochs: statistics are kept in `history`, and it warns, once a fit, of gradients that
 * explode or vanish and of layers most of whose units are dead.
 *
 * @param model the model that is trained
 * @throws NablaError when options make no sense
 * @example
 * const watch = watchTraining(model, { x: someSamples });
 * await model.fit(x, y, { epochs: 10, callbacks: [watch] });
 * console.table(watch.history.at(-1)!.outputs);
 */
export function watchTraining(model: Model<Nested<Tensor>>, options: WatchOptions = {}): TrainingWatch {
  return new TrainingWatch(model, options);
}
