/** @file A binary min-heap of numbers on a typed buffer that is kept between uses. */

/** Numbers come out smallest first. `pop` of an empty heap is undefined behaviour: look at `size`. */
export interface MinHeap {
  size: number;
  push(key: number): void;
  pop(): number;
  clear(): void;
}

/** An empty heap. */
export function makeMinHeap(): MinHeap {
  let keys = new Float64Array(256);
  const heap: MinHeap = {
    size: 0,
    clear(): void {
      heap.size = 0;
    },
    push(key: number): void {
      if (heap.size === keys.length) {
        const grown = new Float64Array(2 * keys.length);
        grown.set(keys);
        keys = grown;
      }
      let i = heap.size++;
      while (i > 0) {
        const parent = (i - 1) >> 1;
        if (keys[parent]! <= key) break;
        keys[i] = keys[parent]!;
        i = parent;
      }
      keys[i] = key;
    },
    pop(): number {
      const top = keys[0]!;
      const last = keys[--heap.size]!;
      let i = 0;
      for (;;) {
        let child = 2 * i + 1;
        if (child >= heap.size) break;
        if (child + 1 < heap.size && keys[child + 1]! < keys[child]!) child++;
        if (keys[child]! >= last) break;
        keys[i] = keys[child]!;
        i = child;
      }
      keys[i] = last;
      return top;
    },
  };
  return heap;
}
