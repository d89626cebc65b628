/**
 * Nodes of different protocol versions do not talk. `messages.test.ts` hashes the shapes of all messages and fails when
 * they change under the same version.
 *
 * History: 1, the first; 2, registers (REGISTER, CHANGE, CONSULT, CHOSEN), and rounds in the result of a write; 3, nodes that share a
 * store (UNFOLLOW, COMMITTED); 4, questions about many registers in one call, as bytes; 5, turns named (COMMITTED), and the writers of a
 * register's requests in its value; 6, nodes that share a store ask each other for the latest turn (LATEST).
 */
export const PROTOCOL_VERSION = 6;
