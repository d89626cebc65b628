import { resolve } from 'node:path';
import { makeSecret } from '../../config/secret-file.ts';
import type { Dependencies } from '../dependencies.ts';
import { printLine } from '../session.ts';

export async function secret(file: string, dependencies: Dependencies): Promise<void> {
  const path = resolve(dependencies.folder, file);
  makeSecret(path);
  await printLine(dependencies.stdout, `wrote ${path}; copy it to every node of the cluster, and nowhere else`);
}
