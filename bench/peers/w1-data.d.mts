// Types of w1-data.mjs.
export const batch: number;
export const batches: number;
export function inputs(count: number, rows: number): Float32Array[];
export function targets(count: number, rows: number): Float32Array[];
export function weights(): Float32Array[];
