import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { median } from './statistics.ts';

const SYNCS = 200;
/** A page, at places that move on within a file that has its length: what a store's commit does at the least. */
const PAGE_BYTES = 4_096;

/** @returns the median milliseconds of one fdatasync after a write of one page, on the disk of `folder` */
export function measureFdatasyncMs(folder: string): number {
  const path = join(folder, 'fdatasync.probe');
  const file = openSync(path, 'w');
  const page = Buffer.alloc(PAGE_BYTES, 1);
  try {
    for (let at = 0; at < SYNCS; at++) writeSync(file, page, 0, PAGE_BYTES, at * PAGE_BYTES);
    fdatasyncSync(file);
    const tookMs = Array.from({ length: SYNCS }, (_, at) => {
      page.fill(at);
      writeSync(file, page, 0, PAGE_BYTES, at * PAGE_BYTES);
      const startedMs = performance.now();
      fdatasyncSync(file);
      return performance.now() - startedMs;
    });
    return median(tookMs);
  } finally {
    closeSync(file);
    rmSync(path);
  }
}
