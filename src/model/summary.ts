// The summary of a model: layers, shapes, parameters, and the memory that training plans.
import type { Nested } from '../nested.ts';
import type { Tensor } from '../tensor.ts';
import type { Compiled, Model } from './model.ts';

/** Options of summary. */
export interface SummaryOptions {
  /** Where the text goes. Default `console.log`. */
  printFn?: (text: string) => void;
}

function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  return count < 1024 ** 2 ? `${(count / 1024).toFixed(2)} KB` : `${(count / 1024 ** 2).toFixed(2)} MB`;
}

/** The summary as text. `stepBytes`: what a step plans for activations and gradients on the way, where one was traced. */
export function summaryText(
  model: Model<Nested<Tensor>>,
  compiled: Compiled | undefined,
  _options: SummaryOptions,
  stepBytes = 0,
): string {
  const { inputShapes } = model;
  if (inputShapes !== undefined) model.ensureBuilt(...inputShapes);
  const rows: string[][] = [];
  for (const [layer, shape] of model.shapes()) {
    const output = shape ? `[batch, ${shape.join(', ')}]`.replace(', ]', ']') : '?';
    const kind = layer.kind.charAt(0).toUpperCase() + layer.kind.slice(1);
    rows.push([`${layer.name} (${kind})`, output, layer.countParams().toLocaleString('en-US')]);
  }
  const head = ['Layer (type)', 'Output shape', 'Parameters'];
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: string[]) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd();
  const rule = '-'.repeat(widths.reduce((a, b) => a + b + 2, -2));
  const total = model.countParams();
  const trained = model.trainableWeights.reduce((sum, weight) => sum + weight.size, 0);
  const count = (n: number) => `${n.toLocaleString('en-US')} (${bytes(n * 4)})`;
  const text = [
    `Model: "${model.name}"`,
    rule,
    line(head),
    rule,
    ...rows.map(line),
    rule,
    `Total parameters: ${count(total)}`,
    `Trainable parameters: ${count(trained)}`,
    `Non-trainable parameters: ${count(total - trained)}`,
  ];
  if (compiled !== undefined) {
    const { optimizer } = compiled;
    const { trainableWeights } = model;
    const states = trainableWeights.reduce((sum, weight) => sum + optimizer.statesPerWeight(weight), 0);
    text.push(
      `Planned memory: ${bytes(total * 4)} weights, ${bytes(trained * 4)} gradients, ` +
        `${bytes(states * 4)} ${optimizer.name} state` +
        // Known once a step was traced: it depends on the size of batches.
        (stepBytes > 0 ? `, ${bytes(stepBytes)} for a step` : ''),
    );
  }
  return text.join('\n');
}
