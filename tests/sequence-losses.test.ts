// CTC and triplet losses against PyTorch: numbers a sample and gradients; what they refuse.
import assert from 'node:assert/strict';
import { losses, mean, tensor, valueAndGrad } from '../src/api.ts';
import type { Loss } from '../src/losses/losses.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { fixture, flat, type Numbers, numbers, oneBackend, twoBackends } from './support/fixtures.ts';

interface LossCase {
  name: string;
  loss: string;
  options: object;
  labels: Numbers;
  predictions: Numbers;
  perSample: number[];
  gradient: Numbers;
  mask?: boolean[][];
}

const { cases } = fixture<{ cases: LossCase[] }>('sequence_losses');
const make = (name: string, options: object) =>
  (losses as unknown as Record<string, (options: object) => Loss>)[name]!(options);
const near = { rtol: 3e-5, atol: 3e-6 };

describeBackends(
  'losses of sequences and triplets as in PyTorch',
  () => {
    for (const { name, loss, options, labels, predictions, perSample, gradient, mask } of cases) {
      it(`${loss}, ${name}`, () => {
        const yTrue = numbers(labels, 'int32');
        const yPred = numbers(predictions);
        if (mask !== undefined) yPred.mask = tensor(mask);
        const made = make(loss, options);
        close(made.call(yTrue, yPred).dataSync(), perSample, near, 'a sample');
        const { gradients } = valueAndGrad((p) => mean(made.call(yTrue, p!)))(yPred);
        close(gradients[0]!.dataSync(), flat(gradient), near, 'gradient');
      });
    }
  },
  twoBackends,
);

describeBackends(
  'losses of sequences and triplets',
  () => {
    const row = () => tensor([[1, 2]]);

    it('say what does not fit', () => {
      assert.throws(
        () => losses.ctc().call(row(), row()),
        /\[ctc\].*got \[1, 2\] and \[1, 2\], expected class indices/,
      );
      assert.throws(() => losses.tripletMargin({ margin: 0 }), /\[tripletMargin\] bad margin, got 0/);
      assert.throws(() => losses.tripletMargin({ p: 0.5 }), /\[tripletMargin\] bad p, got 0.5/);
      assert.throws(
        () => losses.tripletMargin().call(row(), row()),
        /\[tripletMargin\].*expected \[batch, 3, features\]/,
      );
      assert.throws(() => losses.tripletSemiHard({ margin: -1 }), /\[tripletSemiHard\] bad margin, got -1/);
      assert.throws(
        () => losses.tripletSemiHard().call(row(), row()),
        /\[tripletSemiHard\].*expected class indices \[batch\]/,
      );
    });

    it('are huge but finite where labels cannot fit', () => {
      const long = losses.ctc().call(tensor([[1, 2, 3]]), tensor([[[0, 0, 0, 0]]]));
      assert.ok(long.item() > 1e8 && Number.isFinite(long.item()));
    });
  },
  oneBackend,
);
