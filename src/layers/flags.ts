// Options that are true or false in every layer that has them.
import { describe, NablaError } from '../errors.ts';

const flags = [
  'allOps',
  'antialias',
  'cropToAspectRatio',
  'goBackwards',
  'keepDims',
  'keepOrder',
  'maskZero',
  'normalizeFirst',
  'padToAspectRatio',
  'padToMaxTokens',
  'resetAfter',
  'returnSequences',
  'returnState',
  'stateful',
  'trainable',
  'unitForgetBias',
  'useBias',
  'useCausalMask',
  'useScale',
  'zeroOutputForMask',
];

/** Throws where one of the options of these names is neither true, false nor missing: 'false' would count as true. */
export function checkFlags(where: string, options: object, names: readonly string[] = flags): void {
  const given = options as Readonly<Record<string, unknown>>;
  for (const name of names) {
    const value = given[name];
    if (value === undefined || typeof value === 'boolean') continue;
    throw new NablaError(where, `bad ${name}, got ${describe(value)}, expected true or false`);
  }
}
