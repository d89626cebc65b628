import table from './wan-rtt.json' with { type: 'json' };

export interface Coordinates {
  readonly latitude: number;
  readonly longitude: number;
}

export interface WanPlace extends Coordinates {
  /** Name of the region. */
  readonly name: string;
  readonly city: string;
}

/** Ten places with measured round trips between them; `wan-rtt.json` names the source. */
export function wanPlaces(): readonly WanPlace[] {
  return table.regions;
}

export function wanPlace(region: string): WanPlace | undefined {
  return table.regions.find((place) => place.name === region);
}

/** What a link between two regions is called, whichever is named first. */
export function linkName(one: string, other: string): string {
  return one < other ? `${one}|${other}` : `${other}|${one}`;
}

const measured = new Map(
  Object.entries(table.rttMs).map(([link, rttMs]) => {
    const [one = '', other = ''] = link.split('|');
    return [linkName(one, other), rttMs];
  }),
);

export function measuredRttMs(one: string, other: string): number | undefined {
  return measured.get(linkName(one, other));
}

const EARTH_RADIUS_KM = 6_371;
/** Light in glass goes about two thirds as fast as in vacuum. */
const FIBRE_KM_PER_MS = 200;
/** Cables do not follow great circles and pass routers: the median of measured / straight over the 45 pairs of `wan-rtt.json` (1.27 to 3.38). */
const DETOUR_FACTOR = 1.56;

/** Round trip over fibre between two places: `2 x great-circle distance / 200 km per ms x 1.56`, and at least 1 ms. */
export function estimatedRttMs(one: Coordinates, other: Coordinates): number {
  const straightMs = (2 * distanceKm(one, other)) / FIBRE_KM_PER_MS;
  return Math.max(1, Math.round(straightMs * DETOUR_FACTOR * 10) / 10);
}

/** Along the great circle, by the haversine formula. */
export function distanceKm(one: Coordinates, other: Coordinates): number {
  const radians = Math.PI / 180;
  const latitudes = Math.sin(((other.latitude - one.latitude) * radians) / 2) ** 2;
  const longitudes = Math.sin(((other.longitude - one.longitude) * radians) / 2) ** 2;
  const share = latitudes + Math.cos(one.latitude * radians) * Math.cos(other.latitude * radians) * longitudes;
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.sqrt(Math.min(1, share)));
}
