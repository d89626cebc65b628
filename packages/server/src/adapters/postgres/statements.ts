/** The statements of a store in one schema. Each is prepared once a session, under its name. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

export interface Statements {
  readonly lock: Statement;
  readonly readState: Statement;
  readonly rows: Statement;
  /** Rows, each with the state that they are of; that alone where there are none. */
  readonly view: Statement;
  readonly put: Statement;
  readonly remove: Statement;
  readonly saveTurn: Statement;
  readonly forgetTurns: Statement;
  readonly findTurn: Statement;
  readonly saveNotes: Statement;
  readonly forgetNotes: Statement;
  readonly readName: Statement;
  readonly makeStore: Statement;
  readonly makeTurn: Statement;
  readonly scan: Statement;
  readonly changes: Statement;
}

/** `schema` has been checked to be a plain identifier. */
export function statementsFor(schema: string): Statements {
  const named = (name: string, text: string): Statement => ({ name, text });
  return {
    lock: named('lock', `SELECT one FROM "${schema}".store WHERE one = 1 FOR UPDATE`),
    // From the upper end of the index: what was deleted below it, and cannot be vacuumed yet, is not even looked at.
    readState: named(
      'read_state',
      `SELECT id, sequence, version, writer, (SELECT writer FROM "${schema}".turns WHERE version = $2), positions, notes_tag,
        CASE WHEN notes_tag = $1 THEN NULL ELSE (SELECT notes FROM "${schema}".notes WHERE tag = notes_tag) END
        FROM "${schema}".turns ORDER BY version DESC LIMIT 1`,
    ),
    rows: named('rows', `SELECT key, sequence, record FROM "${schema}".records WHERE key = ANY($1::bytea[])`),
    view: named(
      'view',
      `SELECT last.id, last.version, last.writer, (SELECT writer FROM "${schema}".turns WHERE version = $2),
        records.key, records.sequence, records.record
        FROM (SELECT id, version, writer FROM "${schema}".turns ORDER BY version DESC LIMIT 1) AS last
        LEFT JOIN "${schema}".records ON records.key = ANY($1::bytea[])`,
    ),
    put: named(
      'put',
      `INSERT INTO "${schema}".records (key, sequence, record)
        SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[])
        ON CONFLICT (key) DO UPDATE SET sequence = excluded.sequence, record = excluded.record`,
    ),
    remove: named('remove', `DELETE FROM "${schema}".records WHERE key = ANY($1::bytea[])`),
    saveTurn: named(
      'save_turn',
      `INSERT INTO "${schema}".turns (version, writer, id, sequence, positions, notes_tag) VALUES ($1, $2, $3, $4, $5, $6)`,
    ),
    forgetTurns: named('forget_turns', `DELETE FROM "${schema}".turns WHERE version > $1 AND version <= $2`),
    findTurn: named('find_turn', `SELECT writer FROM "${schema}".turns WHERE version = $1`),
    saveNotes: named('save_notes', `INSERT INTO "${schema}".notes (tag, notes) VALUES ($1, $2)`),
    forgetNotes: named('forget_notes', `DELETE FROM "${schema}".notes WHERE tag = $1`),
    readName: named('read_name', `SELECT name FROM "${schema}".store WHERE one = 1`),
    makeStore: named(
      'make_store',
      `INSERT INTO "${schema}".store (one, name) VALUES (1, $1) ON CONFLICT (one) DO NOTHING`,
    ),
    makeTurn: named(
      'make_turn',
      `INSERT INTO "${schema}".turns (version, writer, id, sequence, positions, notes_tag)
        VALUES (0, '', $1, 0, '[]', '') ON CONFLICT (version) DO NOTHING`,
    ),
    scan: named('scan', scanText(schema)),
    changes: named('changes', changesText(schema)),
  };
}

/**
 * Each row with how many there were in all, up to the limit and one. Where a page ends for its bytes is found by the
 * lengths, which PostgreSQL knows without reading the long values themselves.
 */
function pageText(rows: string, order: string): string {
  return `SELECT key, sequence, record, found FROM (
      SELECT key, sequence, record, count(*) OVER () AS found, row_number() OVER (ORDER BY ${order}) AS place,
        coalesce(sum(octet_length(key) + octet_length(record))
          OVER (ORDER BY ${order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS bytes_before
      FROM (${rows}) AS candidates
    ) AS measured WHERE place = 1 OR (place <= $2 AND bytes_before < $3)`;
}

/** $1: from; $2: rows at most; $3: bytes at most; $4: the same rows and one; $5: to */
function scanText(schema: string): string {
  const rows = `SELECT key, sequence, record FROM "${schema}".records WHERE key >= $1 AND key < $5 ORDER BY key LIMIT $4`;
  return `${pageText(rows, 'key')} ORDER BY key`;
}

/** $1: after; $2, $3, $4: as above. One statement is one view: the store's sequence comes with the rows. */
function changesText(schema: string): string {
  const rows = `SELECT key, sequence, record FROM "${schema}".records WHERE sequence > $1 ORDER BY sequence LIMIT $4`;
  return `SELECT head.sequence, page.key, page.sequence, page.record, page.found
    FROM (SELECT sequence FROM "${schema}".turns ORDER BY version DESC LIMIT 1) AS head
    LEFT JOIN (${pageText(rows, 'sequence')}) AS page ON true ORDER BY page.sequence`;
}
