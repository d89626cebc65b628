import { dotText } from '@meridian/core/causality/dot';
import { TIME_MS_MAX } from '@meridian/core/causality/hybrid-clock';
import { isLive, type LedgerEntry, type Sibling } from '@meridian/core/causality/record';
import { EMPTY_VECTOR, type VersionVector } from '@meridian/core/causality/version-vector';
import { recordKey } from '@meridian/core/ids';
import { checkPlacement, type Layout, type Placement } from '@meridian/core/placement/layout';
import { DEFAULT_NAMESPACE, type Namespace } from '@meridian/core/placement/namespace';
import { MeridianError } from '@meridian/core/wire/errors';
import { encodeRecord } from '@meridian/core/wire/record-codec';
import { DEFAULT_DEFINITION, type Definition, definitionBody, definitionIn, definitionKey } from './catalog.ts';
import { UNKNOWN_NAMESPACE_MS } from './limits.ts';
import type { NodeState } from './node-state.ts';
import type { Reads } from './reads.ts';
import type { NamespaceChange, RequestOptions } from './service.ts';
import type { Writes } from './writes.ts';

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const TTL_SECONDS_MAX = 100 * 365 * 24 * 3600;

/** How soon a majority is asked again what stands. */
const ASK_AGAIN_MS = 50;

interface Refreshed {
  readonly definition: Definition | undefined;
  /** What of the record was seen: the context of a change that rests on it. */
  readonly seen: VersionVector;
}

const NOTHING_FOUND: Refreshed = { definition: undefined, seen: EMPTY_VECTOR };

/**
 * Namespaces: records of the catalog, which every store holds, written and read at level quorum. Of two definitions made at
 * once the winner of the record stands, everywhere; both have the same id, so that no write goes to a namespace that is not.
 */
export class Namespaces {
  readonly #state: NodeState;
  readonly #reads: Reads;
  readonly #writes: Writes;
  readonly #layout: Layout;
  readonly #unknown = new Map<string, number>();

  constructor(state: NodeState, reads: Reads, writes: Writes, layout: Layout) {
    this.#state = state;
    this.#reads = reads;
    this.#writes = writes;
    this.#layout = layout;
  }

  /** The namespace as this node knows it; a name it does not know is asked for at the others first. @throws NAMESPACE_NOT_FOUND */
  async find(name: string, options: RequestOptions): Promise<Namespace> {
    const known = this.#state.catalog.get(name);
    if (known) return known;
    const { clock } = this.#state;
    const askedAtMs = this.#unknown.get(name);
    const isRecent = askedAtMs !== undefined && clock.monotonicMs() - askedAtMs < UNKNOWN_NAMESPACE_MS;
    if (NAME.test(name) && !isRecent) {
      // Where no majority answers, nobody can say that there is none of this name: the error says so.
      await this.#refresh(name, options);
      const found = this.#state.catalog.get(name);
      if (found) return found;
      if (this.#unknown.size > 1000) this.#unknown.clear();
      this.#unknown.set(name, clock.monotonicMs());
    }
    throw new MeridianError('NAMESPACE_NOT_FOUND', 'no namespace of this name is known here', {
      namespace: name.slice(0, 64),
    });
  }

  /** Brings this node's knowledge of one definition up to what a majority of nodes has. @throws QUORUM_UNAVAILABLE */
  async #refresh(name: string, options: RequestOptions): Promise<Refreshed> {
    const key = definitionKey(name);
    const { record } = await this.#reads.readQuorum(key, { ...options, level: 'quorum' });
    if (record) await this.#state.replica.merge([{ key, bytes: encodeRecord(record) }]);
    return { definition: definitionIn(record), seen: record?.vector ?? EMPTY_VECTOR };
  }

  async put(
    name: string,
    change: NamespaceChange,
    options: RequestOptions,
  ): Promise<{ namespace: Namespace; isNew: boolean }> {
    if (!NAME.test(name)) {
      throw new MeridianError(
        'INVALID_NAMESPACE',
        'a name is 1 to 63 of a-z, 0-9, - and _, and begins with a letter or digit',
        { namespace: name.slice(0, 64) },
      );
    }
    if (change.mode === 'strong') throw new MeridianError('NOT_BUILT', 'namespaces of mode strong are not built yet');
    if (change.placement !== undefined) ensurePlacement(change.placement, this.#layout);
    checkSeconds('defaultTtl', change.defaultTtlSeconds);
    checkSeconds('ledger.keepSeconds', change.ledgerKeepSeconds);
    const { definition: found, seen } = await this.#refresh(name, options);
    const former = found ?? (name === DEFAULT_NAMESPACE ? DEFAULT_DEFINITION : undefined);
    const isNew = !former || former.isDropped;
    if (!isNew) refuseMove(name, former, change);
    const definition: Definition = {
      ...(isNew ? { ...DEFAULT_DEFINITION, generation: (former?.generation ?? 0) + 1 } : former),
      ...(change.conflict === undefined ? {} : { conflict: change.conflict }),
      ...(change.placement === undefined || !isNew ? {} : { placement: change.placement }),
      ...(change.defaultTtlSeconds === undefined ? {} : { defaultTtlSeconds: change.defaultTtlSeconds }),
      ...(change.ledgerKeepSeconds === undefined ? {} : { ledgerKeepSeconds: change.ledgerKeepSeconds }),
    };
    await this.#store(name, definition, seen, options);
    this.#unknown.delete(name);
    const namespace = this.#state.catalog.get(name);
    if (!namespace)
      throw new MeridianError('NAMESPACE_CONFLICT', 'the namespace was dropped at the same time', { namespace: name });
    return { namespace, isNew };
  }

  async drop(name: string, options: RequestOptions): Promise<void> {
    if (name === DEFAULT_NAMESPACE)
      throw new MeridianError('NAMESPACE_CONFLICT', 'the namespace default always exists', { namespace: name });
    const { definition: former, seen } = NAME.test(name) ? await this.#refresh(name, options) : NOTHING_FOUND;
    if (!former || former.isDropped)
      throw new MeridianError('NAMESPACE_NOT_FOUND', 'no namespace of this name is known', {
        namespace: name.slice(0, 64),
      });
    await this.#store(name, { ...former, isDropped: true }, seen, options);
  }

  async #store(name: string, definition: Definition, seen: VersionVector, options: RequestOptions): Promise<void> {
    const input = {
      body: definitionBody(definition),
      contentType: 'application/json',
      ttlMs: null,
      // What came in since was not looked at, and must stand beside this: a drop above all.
      context: seen,
      session: EMPTY_VECTOR,
      onlyIfAbsent: false,
    };
    await this.#writes.write(definitionKey(name), input, { ...options, level: 'quorum' });
    await this.#learnWhatStands(name, options);
  }

  /**
   * Another may have written at the same time: what stands now is what both answer. Stores that had believed otherwise fill
   * anew, and answer no quorum for a moment. @throws OUTCOME_UNKNOWN
   */
  async #learnWhatStands(name: string, options: RequestOptions): Promise<void> {
    const { clock } = this.#state;
    const deadlineMs = clock.monotonicMs() + options.timeoutMs;
    for (;;) {
      try {
        await this.#refresh(name, options);
        return;
      } catch (error) {
        if (clock.monotonicMs() + ASK_AGAIN_MS > deadlineMs) {
          const reason = (error as Error).message.replace('; nothing was written', '');
          throw new MeridianError(
            'OUTCOME_UNKNOWN',
            `the definition is written, and whether it stands is unknown: ${reason}`,
            {
              namespace: name,
            },
          );
        }
      }
      await new Promise<void>((resolve) => void clock.timer(ASK_AGAIN_MS, resolve));
    }
  }

  async ledger(namespace: Namespace, plainKey: string, options: RequestOptions): Promise<readonly LedgerEntry[]> {
    const key = recordKey(namespace.id, plainKey);
    const { record } = await this.#reads.read(key, EMPTY_VECTOR, options);
    if (!record || namespace.conflict !== 'lww') return [];
    const wallMs = this.#state.clock.wallMs();
    const winner = record.siblings[0] as Sibling | undefined;
    const hiddenNow = record.siblings.slice(1).filter((sibling) => isLive(sibling, wallMs));
    const kept = record.ledger.filter(({ keepUntilMs }) => keepUntilMs > wallMs);
    return [
      ...hiddenNow.map((sibling) => ({
        sibling,
        hiddenAtMs: winner?.timeMs ?? sibling.timeMs,
        keepUntilMs: TIME_MS_MAX,
      })),
      ...kept,
    ];
  }

  /** The hidden value that `id` names. @throws LEDGER_ENTRY_NOT_FOUND */
  async ledgerEntry(namespace: Namespace, key: string, id: string, options: RequestOptions): Promise<LedgerEntry> {
    const entry = (await this.ledger(namespace, key, options)).find(({ sibling }) => dotText(sibling.dot) === id);
    if (!entry)
      throw new MeridianError('LEDGER_ENTRY_NOT_FOUND', 'the ledger of this key holds no value of this id', { key });
    return entry;
  }
}

function ensurePlacement(placement: Placement, layout: Layout): void {
  const check = checkPlacement(placement, layout);
  if ('problem' in check) throw new MeridianError('INVALID_NAMESPACE', check.problem);
  if (placement === 'all') return;
  for (const region of layout.regions) {
    const wanted = placement[region.name] ?? 0;
    if (wanted <= region.stores.length) continue;
    throw new MeridianError(
      'INVALID_NAMESPACE',
      `placement wants ${wanted} replicas in ${region.name}, which has ${region.stores.length} stores`,
      {
        region: region.name,
        stores: region.stores.length,
      },
    );
  }
}

function refuseMove(name: string, former: Definition, change: NamespaceChange): void {
  if (change.mode !== undefined && change.mode !== former.mode) {
    throw new MeridianError('NAMESPACE_CONFLICT', 'the mode of a namespace cannot change', {
      namespace: name,
      mode: former.mode,
    });
  }
  if (
    change.placement !== undefined &&
    JSON.stringify(canonical(change.placement)) !== JSON.stringify(canonical(former.placement))
  ) {
    throw new MeridianError(
      'NOT_BUILT',
      'changing the placement of a namespace that exists comes with live layout changes',
      { namespace: name },
    );
  }
}

function canonical(placement: Definition['placement']): unknown {
  return placement === 'all'
    ? placement
    : Object.entries(placement)
        .filter(([, count]) => count > 0)
        .sort(([a], [b]) => (a < b ? -1 : 1));
}

function checkSeconds(field: string, seconds: number | null | undefined): void {
  if (seconds === undefined || seconds === null) return;
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > TTL_SECONDS_MAX) {
    throw new MeridianError(
      'INVALID_NAMESPACE',
      `${field} must be a whole number of seconds from 1 to ${TTL_SECONDS_MAX}`,
      { field },
    );
  }
}
