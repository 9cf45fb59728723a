/** Where two reports differ by more than `tolerance`, in words. */
export function differences(expected: unknown, actual: unknown, tolerance: number): string[];
