// Workload 4 in our own library: nanoGPT's character model for CPUs (4 layers, 4 heads, width 128, 64 characters, 65 letters), batch 12, AdamW.
import { gptTraining } from './gpt.ts';
import { serveOwn, trainingEntries } from './own.ts';

const training = gptTraining([4, 4, 128, 64, 65], 12, 4);
await serveOwn(training.compiled(), trainingEntries(training));
