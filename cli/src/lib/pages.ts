/** One answer of a list call. */
export interface Page<Item> {
  items: Item[];
  nextCursor: string;
}

export interface PageRequest {
  pageSize: number;
  cursor: string;
}

export interface PageOptions {
  /** Items wanted. 0 means all there are. */
  limit: number;
  cursor?: string | undefined;
}

const maxPageSize = 500;

/** Pages of a list, at most 500 items each, until enough items or the end are reached. */
export async function* readPages<Item>(
  read: (request: PageRequest) => Promise<Page<Item>>,
  { limit, cursor = "" }: PageOptions,
): AsyncGenerator<Page<Item>> {
  let left = limit === 0 ? Number.POSITIVE_INFINITY : limit;
  let next = cursor;
  do {
    const page = await read({ pageSize: Math.min(left, maxPageSize), cursor: next });
    yield page;
    left -= page.items.length;
    next = page.nextCursor;
  } while (left > 0 && next !== "");
}
