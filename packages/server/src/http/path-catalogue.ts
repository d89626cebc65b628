/** Which methods each path takes: what a router that looks by method first cannot say. */
export class PathCatalogue {
  readonly #patterns = new Map<string, { readonly fits: RegExp; readonly methods: Set<string> }>();

  add(url: string, methods: string | readonly string[]): void {
    const path = url.replace(/\/$/, '');
    let pattern = this.#patterns.get(path);
    if (!pattern) {
      const source = path.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/:[a-z]+/g, '[^/]+');
      pattern = { fits: new RegExp(`^${source}/?$`), methods: new Set() };
      this.#patterns.set(path, pattern);
    }
    for (const method of [methods].flat()) pattern.methods.add(method);
  }

  /** In alphabetical order; none where nothing is at the path. */
  methodsAt(path: string): readonly string[] {
    const methods = new Set<string>();
    for (const pattern of this.#patterns.values()) {
      if (pattern.fits.test(path)) for (const method of pattern.methods) methods.add(method);
    }
    return [...methods].sort();
  }
}
