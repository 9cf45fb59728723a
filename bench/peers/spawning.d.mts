// Types of spawning.mjs.
import type { Entry } from './protocol.mjs';

export function processes(file: string, args: readonly string[], env?: Record<string, string>): Entry;
