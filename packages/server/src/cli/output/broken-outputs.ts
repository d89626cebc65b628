import type { Output } from '../dependencies.ts';

/** Why an output takes nothing any more. Node opens `process.stdout` again after each error, so the stream cannot be asked. */
const broken = new WeakMap<Output, NodeJS.ErrnoException>();

/** Keeps the first error of the output, so that none ends the process with a stack. */
export function watchOutput(output: Output): void {
  output.on('error', (error: NodeJS.ErrnoException) => {
    if (!broken.has(output)) broken.set(output, error);
  });
}

/** Whether it is worth writing: `meridian list | head` has read enough, and a full disk takes no more. */
export function isOpen(output: Output): boolean {
  return !output.destroyed && !broken.has(output);
}

/** Waits for what was written; what kept it from its place. That a reader closed the pipe is no failure. */
export async function failureOf(output: Output): Promise<NodeJS.ErrnoException | undefined> {
  if (isOpen(output)) {
    await new Promise<void>((resolve) => output.write('', () => resolve()));
    // An error is told after the callback.
    await new Promise((resolve) => setImmediate(resolve));
  }
  const error = broken.get(output);
  return error?.code === 'EPIPE' ? undefined : error;
}
