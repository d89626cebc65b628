import { createWriteStream, type WriteStream } from 'node:fs';
import { SettingError } from '../../config/setting-error.ts';

/** @throws SettingError, which calls the file `shown`, where it cannot be written. */
export async function openForWriting(path: string, shown: string): Promise<WriteStream> {
  const stream = createWriteStream(path);
  await new Promise<void>((resolveOpen, reject) => {
    stream.once('open', () => resolveOpen());
    stream.once('error', (error: NodeJS.ErrnoException) =>
      reject(new SettingError(shown, `cannot be written (${error.code})`)),
    );
  });
  return stream;
}
