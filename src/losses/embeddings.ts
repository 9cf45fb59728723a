// What losses over the embeddings of a batch are called with.
import { NablaError } from '../errors.ts';
import { showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** How many there are. Throws where labels are not one class index for each row of features. */
export function embeddingsIn(loss: string, yTrue: Tensor, yPred: Tensor): number {
  const batch = yPred.shape[0]!;
  if (yPred.rank === 2 && yTrue.size === batch) return batch;
  throw new NablaError(
    loss,
    `labels and predictions do not fit, got ${showShape(yTrue.shape)} and ${showShape(yPred.shape)}, expected ` +
      'class indices [batch] and embeddings [batch, features]',
  );
}
