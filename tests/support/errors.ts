// What tests expect of an error's message.
import assert from 'node:assert/strict';
import { NablaError } from '../../src/errors.ts';

/** Checks an error's class, its place, and that its message holds all of these. */
export function says(where: string, ...parts: (string | RegExp)[]) {
  return (error: unknown) => {
    assert.ok(error instanceof NablaError, `a NablaError, got ${error}`);
    assert.ok(error.message.startsWith(`[${where}] `), `expected [${where}], got: ${error.message}`);
    for (const part of parts) {
      const found = typeof part === 'string' ? error.message.includes(part) : part.test(error.message);
      assert.ok(found, `expected ${part} in: ${error.message}`);
    }
    return true;
  };
}

/** A value of another type than the one that is asked for, as JavaScript lets it through. */
export const bad = <T>(value: unknown) => value as T;
