// An entry whose steps are whole processes, from their start to their end.
import { execFileSync } from 'node:child_process';

/** Runs the command once a step. */
export const processes =
  (file, args, env = {}) =>
  async () => {
    const run = async (n) => {
      for (let i = 0; i < n; i++) {
        execFileSync(file, args, {
          env: { ...process.env, ...env },
          stdio: ['ignore', 'ignore', 'inherit'],
          timeout: 120_000,
        });
      }
      return { steps: n };
    };
    // The first one reads from the disk.
    await run(1);
    return run;
  };
