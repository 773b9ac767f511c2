import { setTimeout as sleep } from "node:timers/promises";
import { createWorker, defineHandler } from "@cordum/sdk";
import { z } from "zod";

const input = z.object({ name: z.string() });
const output = z.object({ greeting: z.string() });
const greet = defineHandler({ input, output, run: ({ input }) => ({ greeting: `Hello, ${input.name}!` }) });

const greetSlowly = defineHandler({
  input,
  output,
  async run({ input, signal, progress }) {
    for (let percent = 0; percent < 100; percent += 10) {
      progress(percent, `thinking of ${input.name}`);
      await sleep(500, undefined, { signal }); // ends early when the job is cancelled
    }
    return { greeting: `Hello at last, ${input.name}!` };
  },
});

const handlers = { "job.hello": greet, "job.hello.*": greet, "job.hello.slow": greetSlowly };
await createWorker({ pool: "hello", handlers }).start();
