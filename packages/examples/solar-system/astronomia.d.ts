/** The parts of `astronomia` used here; the package itself carries no types. */

declare module 'astronomia/data/vsop87Bearth' {
  /** Terms of A cos(B + C t), by power of t (Julian millennia from J2000). Radians and astronomical units. */
  export type Series = Readonly<Record<string, ReadonlyArray<readonly [amplitude: number, phase: number, frequency: number]>>>;
  /** Heliocentric longitude, latitude and distance. */
  export interface Vsop87 {
    readonly L: Series;
    readonly B: Series;
    readonly R: Series;
  }
  const data: Vsop87;
  export default data;
}
declare module 'astronomia/data/vsop87Bmercury' {
  export { default } from 'astronomia/data/vsop87Bearth';
}
declare module 'astronomia/data/vsop87Bvenus' {
  export { default } from 'astronomia/data/vsop87Bearth';
}
declare module 'astronomia/data/vsop87Bmars' {
  export { default } from 'astronomia/data/vsop87Bearth';
}
declare module 'astronomia/data/vsop87Bjupiter' {
  export { default } from 'astronomia/data/vsop87Bearth';
}
declare module 'astronomia/data/vsop87Bsaturn' {
  export { default } from 'astronomia/data/vsop87Bearth';
}
declare module 'astronomia/data/vsop87Buranus' {
  export { default } from 'astronomia/data/vsop87Bearth';
}
declare module 'astronomia/data/vsop87Bneptune' {
  export { default } from 'astronomia/data/vsop87Bearth';
}
declare module 'astronomia/data/elpMppDe' {
  const data: { readonly name: string };
  export default data;
}
declare module 'astronomia/elp' {
  export class Moon {
    constructor(data: { readonly name: string });
    /** Geocentric, mean ecliptic and equinox J2000, kilometres. */
    positionXYZ(julianDate: number): { x: number; y: number; z: number };
  }
}
