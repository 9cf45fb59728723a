// What tells ops apart whose calls are kept.

/**
 * What is kept of an op's calls (replay.ts): an op that is one kernel call, made by its name, the dtypes and shapes of its one or two tensors, and
 * one number. Each has its own.
 */
export class Replayable {
  private static made = 0;
  /** Tells ops apart. */
  readonly id = ++Replayable.made;
}
