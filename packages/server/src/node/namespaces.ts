import { dotText } from '@meridian/core/causality/dot';
import { TIME_MS_MAX } from '@meridian/core/causality/hybrid-clock';
import { isLive, type LedgerEntry, type Sibling } from '@meridian/core/causality/record';
import { EMPTY_VECTOR } from '@meridian/core/causality/version-vector';
import { ZERO_BALLOT } from '@meridian/core/coordination/paxos/ballot';
import { type RegisterValue, registerRecord } from '@meridian/core/coordination/paxos/register';
import type { SessionToken } from '@meridian/core/coordination/session';
import { namespaceIdOf, type RecordKey, recordKey } from '@meridian/core/ids';
import { checkPlacement, type Layout, type Placement } from '@meridian/core/placement/layout';
import { DEFAULT_NAMESPACE, type Namespace } from '@meridian/core/placement/namespace';
import { MeridianError } from '@meridian/core/wire/errors';
import {
  DEFAULT_DEFINITION,
  type Definition,
  definitionBody,
  definitionIn,
  definitionKey,
  namespaceNameOf,
} from './catalog.ts';
import { UNKNOWN_NAMESPACE_MS } from './limits.ts';
import type { NodeState } from './node-state.ts';
import type { Reads } from './reads.ts';
import type { Registers } from './registers/registers.ts';
import type { NamespaceChange, RequestOptions } from './service.ts';

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
/** As for a single value. */
const TTL_SECONDS_MAX = 100 * 366 * 24 * 3600;

interface Refreshed {
  readonly definition: Definition | undefined;
  /** Of the register that holds it; 0 where there is none. */
  readonly version: number;
}

/**
 * Namespaces: registers of the catalog, which every store holds, made, changed and dropped by consensus. So of two changes
 * made at once one rests on the other, and no two nodes ever see one namespace defined in two ways.
 */
export class Namespaces {
  readonly #state: NodeState;
  readonly #reads: Reads;
  readonly #registers: Registers;
  readonly #layout: Layout;
  readonly #unknown = new Map<string, number>();
  /** Names that are being asked for because another node has sent a key of theirs. */
  readonly #learning = new Map<string, Promise<void>>();

  constructor(state: NodeState, reads: Reads, registers: Registers, layout: Layout) {
    this.#state = state;
    this.#reads = reads;
    this.#registers = registers;
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

  /** Brings this node's knowledge of one definition up to what is chosen. @throws QUORUM_UNAVAILABLE */
  async #refresh(name: string, { requestId, timeoutMs }: RequestOptions): Promise<Refreshed> {
    const { value } = await this.#registers.read(definitionKey(name), requestId, timeoutMs);
    return this.#learn(name, value);
  }

  /**
   * Another node asks about a key of a namespace that was made a moment ago, or anew, and has not been heard of here: asks
   * what is chosen. Where that cannot be had the namespace stays unknown. Never rejects.
   */
  learnOf(key: RecordKey, requestId: string, timeoutMs: number): Promise<void> {
    const name = namespaceNameOf(namespaceIdOf(key));
    const learning = this.#learning.get(name);
    if (learning) return learning;
    const learned = this.#refresh(name, { requestId, timeoutMs, level: 'strong' })
      .then(
        () => undefined,
        () => undefined,
      )
      .finally(() => this.#learning.delete(name));
    this.#learning.set(name, learned);
    return learned;
  }

  #learn(name: string, value: RegisterValue | null): Refreshed {
    const record = registerRecord(value ? { ballot: ZERO_BALLOT, value } : undefined);
    if (record) this.#state.catalog.learn(name, record);
    return { definition: definitionIn(record), version: value?.version ?? 0 };
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
    if (change.placement !== undefined) ensurePlacement(change.placement, this.#layout);
    checkSeconds('defaultTtl', change.defaultTtlSeconds);
    checkSeconds('ledger.keepSeconds', change.ledgerKeepSeconds);
    const isNew = await this.#change(name, options, (found) => changed(name, found, change));
    this.#unknown.delete(name);
    const namespace = this.#state.catalog.get(name);
    if (!namespace)
      throw new MeridianError('NAMESPACE_CONFLICT', 'the namespace was dropped at the same time', { namespace: name });
    return { namespace, isNew };
  }

  async drop(name: string, options: RequestOptions): Promise<void> {
    if (name === DEFAULT_NAMESPACE)
      throw new MeridianError('NAMESPACE_CONFLICT', 'the namespace default always exists', { namespace: name });
    // What is no name is asked for nowhere: the key of its definition may be one that no peer takes.
    if (!NAME.test(name)) throw notFound(name);
    await this.#change(name, options, (former) => {
      if (!former || former.isDropped) throw notFound(name);
      return { definition: { ...former, isDropped: true }, isNew: false };
    });
  }

  /** Changes a definition that nobody has changed since it was read; where somebody has, once more from the start. */
  async #change(name: string, options: RequestOptions, change: DefinitionChange): Promise<boolean> {
    const { clock } = this.#state;
    const deadlineMs = clock.monotonicMs() + options.timeoutMs;
    for (;;) {
      const left = (): RequestOptions => ({ ...options, timeoutMs: deadlineMs - clock.monotonicMs() });
      const { definition: found, version } = await this.#refresh(name, left());
      const { definition, isNew } = change(found);
      const request = {
        clientsId: null,
        body: definitionBody(definition),
        contentType: 'application/json',
        ttlMs: null,
        session: EMPTY_VECTOR,
        condition: { kind: 'seen', version },
      } as const;
      const { requestId, timeoutMs } = left();
      const { verdict, value } = await this.#registers.change(definitionKey(name), request, requestId, timeoutMs);
      this.#learn(name, value);
      if (verdict.kind === 'changed' || verdict.kind === 'repeated') return isNew;
    }
  }

  /** The values that are hidden and have not expired. At level session all that the session `token` has seen of them. */
  async ledger(
    namespace: Namespace,
    plainKey: string,
    token: SessionToken,
    options: RequestOptions,
  ): Promise<readonly LedgerEntry[]> {
    if (namespace.conflict !== 'lww') return [];
    const key = recordKey(namespace.id, plainKey);
    const { record } = await this.#reads.read(key, token, options);
    if (!record) return [];
    const wallMs = this.#state.clock.wallMs();
    const winner = record.siblings[0] as Sibling | undefined;
    const hiddenNow = record.siblings.slice(1).filter((sibling) => isLive(sibling, wallMs));
    const kept = record.ledger.filter(({ sibling, keepUntilMs }) => keepUntilMs > wallMs && isLive(sibling, wallMs));
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
  async ledgerEntry(
    namespace: Namespace,
    key: string,
    id: string,
    token: SessionToken,
    options: RequestOptions,
  ): Promise<LedgerEntry> {
    const entry = (await this.ledger(namespace, key, token, options)).find(
      ({ sibling }) => dotText(sibling.dot) === id,
    );
    if (!entry)
      throw new MeridianError('LEDGER_ENTRY_NOT_FOUND', 'the ledger of this key holds no value of this id', { key });
    return entry;
  }
}

/** What a definition becomes; throws where it must not become that. */
type DefinitionChange = (found: Definition | undefined) => { readonly definition: Definition; readonly isNew: boolean };

function notFound(name: string): MeridianError {
  return new MeridianError('NAMESPACE_NOT_FOUND', 'no namespace of this name is known', {
    namespace: name.slice(0, 64),
  });
}

function changed(name: string, found: Definition | undefined, change: NamespaceChange): ReturnType<DefinitionChange> {
  const former = found ?? (name === DEFAULT_NAMESPACE ? DEFAULT_DEFINITION : undefined);
  const isNew = !former || former.isDropped;
  if (!isNew) refuseMove(name, former, change);
  if ((isNew ? change.mode : former.mode) === 'strong' && change.conflict === 'lww')
    throw new MeridianError(
      'INVALID_NAMESPACE',
      'in a namespace of mode strong no writes are concurrent: "conflict" says nothing there',
    );
  const definition: Definition = {
    ...(isNew ? { ...DEFAULT_DEFINITION, generation: (former?.generation ?? 0) + 1 } : former),
    ...(change.mode === undefined || !isNew ? {} : { mode: change.mode }),
    ...(change.conflict === undefined ? {} : { conflict: change.conflict }),
    ...(change.placement === undefined || !isNew ? {} : { placement: change.placement }),
    ...(change.defaultTtlSeconds === undefined ? {} : { defaultTtlSeconds: change.defaultTtlSeconds }),
    ...(change.ledgerKeepSeconds === undefined ? {} : { ledgerKeepSeconds: change.ledgerKeepSeconds }),
  };
  return { definition, isNew };
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
