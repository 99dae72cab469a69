// Calls the shop with its generated client, and prints what came of it.
import { CornerShopClient, ServiceError, type Item, type Receipt } from "./client.js";

declare const process: { argv: string[] };

const shop = new CornerShopClient(process.argv[2] ?? "");
const apple: Item = { name: "apple", price: 2, tags: ["b", "a"], also: { name: "leaf" } };

async function collected<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const each of stream) found.push(each);
  return found;
}

async function failure(call: Promise<unknown>): Promise<unknown[]> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ServiceError) return [error.status, error.message, error.requestId];
    return [(error as Error).name];
  }
  return [];
}

const busy: typeof fetch = async () =>
  new Response("Too many", { status: 429, headers: { "X-Request-Id": "r-1" } });

function misuse(): void {
  // @ts-expect-error The price is a number.
  void shop.buy({ items: [{ name: "pear", price: "2" }] });
  // @ts-expect-error The items are missing.
  void shop.buy({});
  // @ts-expect-error There is no such kind.
  void shop.buy({ items: [{ name: "pear", kind: "meat" }] });
  // @ts-expect-error It takes text.
  void shop.shout(3);
}
void misuse;

const receipt: Receipt = await shop.buy({ items: [apple, { name: "pear" }], discount: 0.5 });
const note: string | null = receipt.note;
const numbers: number[][] = [[1, 2], [3, 4]];

const firsts: string[] = [];
for await (const piece of shop.count({ to: 1000000 })) {
  firsts.push(piece.slice(0, 2));
  break;
}

const stop = new AbortController();
const aborted = failure((async () => {
  for await (const piece of shop.count({ to: 100000000 }, { signal: stop.signal })) {
    if (piece !== "") stop.abort();
  }
})());

const task = await shop.bake.submit({ loaves: 2 });
let status = await task.status();
while (status === "in_progress") status = await task.status();

const steps = await collected(shop.work({ steps: 3 }));
console.log(JSON.stringify({
  total: receipt.total,
  price: receipt.items.map((each) => each.price),
  also: receipt.items[0]?.also?.name,
  note,
  shout: await shop.shout("é"),
  tags: await shop.sorted_tags([apple]),
  quoted: await shop.quoted({ class: "a" }),
  scaled: await shop.scale({ values: numbers, by: 2 }),
  uploaded: await shop.upload({ files: [new Blob(["one"]), new Blob(["two"])], label: "it's" }),
  downloaded: await (await shop.download()).text(),
  count: (await collected(shop.count())).join(""),
  firsts,
  aborted: await aborted,
  steps: steps.map((each) => [each.step, each.text]),
  data: (await collected(shop.data())).flatMap((each) => [...each]),
  status,
  baked: await shop.bake.task(task.id).get(),
  direct: await shop.bake({ loaves: 1 }),
  refused: await failure(shop.refuse()),
  busy: await failure(new CornerShopClient("http://busy", { fetch: busy }).refuse()),
  invalid: (await failure(shop.buy({ items: [{ name: 3 as unknown as string }] })))[0],
  unreachable: await failure(new CornerShopClient("http://127.0.0.1:9").refuse()),
  shelf: await shop.shelf({ name: "a b" }),
}));
