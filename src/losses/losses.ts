// Losses by name.
import { NablaError } from '../errors.ts';
import { resolveName, type Spelled } from '../names.ts';
import { categoricalGeneralizedCrossEntropy, circle } from './circle.ts';
import {
  binaryCrossentropy,
  categoricalCrossentropy,
  sparseCategoricalCrossentropy,
} from './crossentropy.ts';
import { ctc } from './ctc.ts';
import { binaryFocalCrossentropy, categoricalFocalCrossentropy } from './focal.ts';
import { categoricalHinge, hinge, squaredHinge } from './hinge.ts';
import type { Loss, LossFunction } from './loss.ts';
import { dice, tversky } from './overlap.ts';
import {
  cosineSimilarity,
  huber,
  klDivergence,
  logCosh,
  meanAbsoluteError,
  meanAbsolutePercentageError,
  meanSquaredError,
  meanSquaredLogarithmicError,
  poisson,
} from './regression.ts';

import { tripletMargin, tripletSemiHard } from './triplet.ts';

export type { CrossentropyOptions, Loss, LossFunction, SmoothableOptions } from './loss.ts';

const factories = {
  categoricalCrossentropy,
  sparseCategoricalCrossentropy,
  binaryCrossentropy,
  meanSquaredError,
  meanAbsoluteError,
  meanAbsolutePercentageError,
  meanSquaredLogarithmicError,
  huber,
  logCosh,
  cosineSimilarity,
  poisson,
  klDivergence,
  hinge,
  squaredHinge,
  categoricalHinge,
  binaryFocalCrossentropy,
  categoricalFocalCrossentropy,
  dice,
  tversky,
  ctc,
  tripletMargin,
  tripletSemiHard,
  circle,
  categoricalGeneralizedCrossEntropy,
} satisfies Record<string, () => Loss>;

/**
 * Names of losses: in camelCase, in Keras' two spellings, and short forms.
 *
 * @useDeclaredType
 */
export type LossName =
  | Spelled<keyof typeof factories | 'kullbackLeiblerDivergence'>
  | 'mse'
  | 'MSE'
  | 'mae'
  | 'MAE'
  | 'mape'
  | 'MAPE'
  | 'msle'
  | 'MSLE'
  | 'kld'
  | 'KLD'
  | 'KLDivergence'
  | 'CTC';

/** A loss, its name, or a function of labels and predictions. */
export type LossLike = LossName | Loss | LossFunction;

/** Short and former names of losses, which metrics have too. */
export const lossAliases = {
  mse: 'meanSquaredError',
  mae: 'meanAbsoluteError',
  mape: 'meanAbsolutePercentageError',
  msle: 'meanSquaredLogarithmicError',
  kld: 'klDivergence',
  kullbackleiblerdivergence: 'klDivergence',
};

/** The loss that a name, object or function means. */
export function getLoss(where: string, like: LossLike): Loss {
  if (typeof like === 'string') return resolveName<() => Loss>(where, 'loss', like, factories, lossAliases)();
  if (typeof like === 'function') return { name: like.name || 'loss', call: like };
  if (like !== null && typeof like === 'object' && typeof like.call === 'function') return like;
  throw new NablaError(
    where,
    `bad loss, got ${String(like)}, expected a name such as 'meanSquaredError' or a function`,
  );
}
