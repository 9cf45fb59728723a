// The table of cases: every op of the library with shapes, dtypes, ranges and tolerances; tests and benchmarks read it.
import type { Tensor } from '../../src/tensor.ts';
import type { Case } from './case.ts';
import { arithmeticCases } from './cases-arithmetic.ts';
import { attentionCases } from './cases-attention.ts';
import { composeCases } from './cases-compose.ts';
import { convolutionCases } from './cases-conv.ts';
import { creationCases } from './cases-creation.ts';
import { networkCases } from './cases-network.ts';
import { orderCases } from './cases-order.ts';
import { recurrentCases } from './cases-recurrent.ts';
import { reduceCases } from './cases-reduce.ts';
import { shapeCases } from './cases-shape.ts';
import { unaryCases } from './cases-unary.ts';

export const cases: readonly Case[] = [
  ...unaryCases,
  ...arithmeticCases,
  ...shapeCases,
  ...reduceCases,
  ...networkCases,
  ...recurrentCases,
  ...creationCases,
  ...convolutionCases,
  ...attentionCases,
  ...orderCases,
  ...composeCases,
];

/** The cases by op, in the table's order. */
export const casesByOp: ReadonlyMap<string, readonly Case[]> = Map.groupBy
  ? Map.groupBy(cases, ({ op }) => op)
  : new Map([...new Set(cases.map(({ op }) => op))].map((op) => [op, cases.filter((c) => c.op === op)]));

/** What a case gives, always as a list. */
export function outputsOf(test: Case, args: readonly Tensor[]): readonly Tensor[] {
  const result = test.run(...args);
  return Array.isArray(result) ? result : [result as Tensor];
}
