import { createHash } from 'node:crypto';

/** Runs whole or not at all, with nothing between; `sha` is what Redis calls it once it has it. */
export interface Script {
  readonly source: string;
  readonly sha: string;
}

/**
 * KEYS: places. ARGV: how long a lease lives, in ms; the lease to leave where nothing is. Answers what is at each place
 * then. A server that is full and may not evict takes no lease: the place is answered as nothing, as is one that holds a list
 * or the like of another program's, which must not fail the keys beside it.
 */
export const LOOK = script(`
local found = {}
for at = 1, #KEYS do
  local value = redis.pcall('GET', KEYS[at])
  if type(value) == 'table' then
    if not string.find(value.err, 'WRONGTYPE', 1, true) then return value end
    value = false
  elseif not value then
    local set = redis.pcall('SET', KEYS[at], ARGV[2], 'PX', ARGV[1])
    value = not set.err and ARGV[2]
  end
  found[at] = value
end
return found
`);

/** In place of a lease, for what a commit has left: it follows whatever is there. */
export const WRITTEN = '*';

/**
 * KEYS: places. ARGV: how long an entry lives, in ms; all entries, one after another; then for each place how it may be put
 * there (the lease it was read under, empty for none, or `WRITTEN`), and its entry's length. Answers a letter for each: K kept, Y younger there, A nothing there
 * that it may follow, D dropped. The offsets are those of entry-codec.ts; numbers up to 2^53 are exact in Lua.
 *
 * - A lease is filled by its holders, and by a write unless its rows were known when the lease was given: the holder then
 *   finds them in the store, and a removal after them too, which a write that comes late would undo.
 * - "No record" under a lower sequence than that of the record there: either the record was removed, or it came after the
 *   reading. A miss is right in both cases.
 * - A server that is full and may not evict refuses the entry: then the old one must not stay either.
 */
export const PUT = script(`
local function part(text, from) return tonumber(string.sub(text, from, from + 15)) end
local answers, from = {}, 1
for at = 1, #KEYS do
  local key, how, length = KEYS[at], ARGV[2 * at + 1], tonumber(ARGV[2 * at + 2])
  local value = string.sub(ARGV[2], from, from + length - 1)
  from = from + length
  local there = redis.pcall('GETRANGE', key, 0, 127)
  if type(there) == 'table' then
    if not string.find(there.err, 'WRONGTYPE', 1, true) then return there end
    there = ''
  end
  local kind, isNone = string.sub(there, 1, 1), string.sub(value, 1, 1) == 'N'
  local old, new = part(there, 2), part(value, 2)
  local answer = 'K'
  if not old then
    answer = 'A'
  elseif kind == 'L' then
    if how == '${WRITTEN}' then
      if new < old or (new == old and not isNone) then answer = 'Y' end
    elseif string.sub(there, 50) ~= how then
      answer = 'A'
    end
  elseif new < old then
    answer = 'Y'
    if isNone and kind == 'R' and how ~= '${WRITTEN}' then answer = 'D' end
  elseif new == old and isNone ~= (kind == 'N') then
    if not isNone then answer = 'Y' end
  elseif new == old then
    local oldClaim, newClaim = part(there, 18), part(value, 18)
    if newClaim < oldClaim or (newClaim == oldClaim and part(value, 34) <= part(there, 34)) then answer = 'Y' end
  end
  if answer == 'K' then
    local set = redis.pcall('SET', key, value, 'PX', ARGV[1])
    if set.err then answer = 'D' end
  end
  if answer == 'D' then redis.call('DEL', key) end
  answers[at] = answer
end
return answers
`);

function script(source: string): Script {
  return { source, sha: createHash('sha1').update(source).digest('hex') };
}
