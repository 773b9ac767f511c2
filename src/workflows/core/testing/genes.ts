/**
 * Small numbers that decide something, one after the other. After the last they are zero, and zero stands for what is
 * simplest: a list that is shortened or made smaller gives a simpler case.
 */
export class Genes {
  readonly #list: readonly number[];
  #at = 0;

  constructor(list: readonly number[]) {
    this.#list = list;
  }

  get isUsedUp(): boolean {
    return this.#at >= this.#list.length;
  }

  /** A whole number from 0 to `count - 1`. */
  below(count: number): number {
    return (this.#list[this.#at++] ?? 0) % count;
  }

  /** True once in so many times, never for zero. */
  oneIn(times: number): boolean {
    return this.below(times) === times - 1;
  }

  pick<T>(options: readonly [T, ...T[]]): T {
    return options[this.below(options.length)] ?? options[0];
  }
}
