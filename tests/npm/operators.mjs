// What operators of rxjs do, for the rows of docs/coming-from-rxjs.md: prints one JSON object, a result for each row.
import { WebSocketServer, WebSocket } from "ws";
import {
  BehaviorSubject, EMPTY, Observable, Subject, catchError, debounceTime, defer, expand, filter, firstValueFrom,
  lastValueFrom, of, partition, repeat, retry, share, shareReplay, skipUntil, take, takeUntil, throttleTime, timer,
} from "rxjs";
import { webSocket } from "rxjs/webSocket";

const results = {};
const uncaught = [];
process.on("uncaughtException", error => uncaught.push(error.name));

const wait = milliseconds => new Promise(done => setTimeout(done, milliseconds));
const watch = (observable, seen, name = "") => observable.subscribe({
  next: value => seen.push(`${name}${value}`),
  error: () => seen.push(`${name}#`),
  complete: () => seen.push(`${name}|`),
});

// a source that is opened for each subscription, shared; what two subscribers, one after the other, see of it
const shared = (operator, leave) => {
  const opened = [], seen = [];
  const source = defer(() => { opened.push(new Subject()); return opened.at(-1); }).pipe(operator);
  const subscription = watch(source, seen, "a");
  opened[0].next(1);
  leave(opened[0], subscription);
  watch(source, seen, "b");
  opened.at(-1).next(2);
  return [opened.length, seen];
};
const fail = source => source.error(new Error());
const complete = source => source.complete();
const unsubscribe = (_, subscription) => subscription.unsubscribe();

results.share_after_an_error = shared(share(), fail);
results.share_after_completion = shared(share(), complete);
results.share_kept_open = shared(share({ resetOnRefCountZero: false }), unsubscribe);
results.share_replay = [shared(shareReplay(1), complete), shared(shareReplay(1), fail)];

const replayed = shareReplay(1), first = [], second = [];
watch(of(1).pipe(replayed), first);
watch(of(2).pipe(replayed), second);
results.operators_used_twice = [first, second];

const failing = failures => {
  const attempts = [];
  const source = new Observable(observer => {
    attempts.push(attempts.length + 1);
    observer.next(attempts.length);
    attempts.length > failures ? observer.complete() : observer.error(new Error());
  });
  return [source, attempts];
};
const tried = (operator, failures = 9) => {
  const [source, attempts] = failing(failures), seen = [];
  watch(source.pipe(operator), seen);
  return [attempts.length, seen];
};
results.caught = tried(catchError((_, caught) => caught), 3);
results.retry_counts = [0, 1, 2].map(count => tried(retry(count)));
results.repeat_counts = [0, 1, 2].map(count => tried(repeat(count), 0));

const timed = async operator => {
  const [source] = failing(2), seen = [], start = performance.now();
  watch(source.pipe(operator), seen);
  await wait(600);
  return seen;
};
results.retry_with_a_delay = await timed(retry({ count: 3, delay: 20 }));
const again = [];
watch(of(1).pipe(repeat({ count: 3, delay: 20 })), again);
await wait(400);
results.repeat_with_a_delay = again;

const grown = [];
watch(of(1, 10).pipe(expand(x => x % 10 < 3 ? of(x + 1) : EMPTY)), grown);
results.expand_order = grown;

const deep = [];
watch(of(1).pipe(expand(x => x < 20000 ? of(x + 1) : EMPTY), take(20000)), deep);
await wait(20);
results.recursion = [deep.includes("20000"), deep.at(-1), uncaught.splice(0)];

const subject = new Subject(), inner = [], outer = [];
subject.subscribe(value => { inner.push(value); if (value < 3) subject.next(value + 1); });
subject.subscribe(value => outer.push(value));
subject.next(1);
results.subjects_that_call_themselves = [inner, outer];

const raising = new Subject(), others = [];
raising.subscribe(() => { throw new RangeError("mine"); });
raising.subscribe(value => others.push(value));
raising.next(1);
raising.next(2);
await wait(20);
results.raising_subscriber = [others, uncaught.splice(0)];

const cut = (operator, ...items) => {
  const source = new Subject(), seen = [];
  watch(source.pipe(operator(source.pipe(filter(item => item === "mark")))), seen);
  items.forEach(item => source.next(item));
  return seen;
};
results.items_that_are_the_end = [takeUntil, skipUntil].map(operator => cut(operator, "a", "mark", "b"));

const state = new BehaviorSubject(1);
results.halves = partition(state, item => item % 2 === 0).map(half => { const seen = []; watch(half, seen); return seen; });
state.next(2);
state.next(3);

const begun = performance.now();
await firstValueFrom(timer(30));
results.times = [performance.now() - begun > 25, performance.now() - begun < 1000];

const paced = async operator => {
  const source = new Subject(), seen = [];
  watch(source.pipe(operator), seen);
  source.next(1);
  source.next(2);
  await wait(60);
  source.next(3);
  await wait(60);
  return seen;
};
results.throttle_and_debounce = [await paced(throttleTime(30)), await paced(debounceTime(30))];

results.first_and_last_value = [await firstValueFrom(of(1, 2, 3)), await lastValueFrom(of(1, 2, 3))];

// webSocket(), with a server that notes what comes on each connection
const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
const heard = [];
server.on("connection", socket => {
  const own = [];
  heard.push(own);
  socket.on("message", data => own.push(data.toString()));
});
await new Promise(done => server.on("listening", done));
const url = `ws://127.0.0.1:${server.address().port}/`;
const open = () => webSocket({ url, WebSocketCtor: WebSocket });

const odd = open();
odd.subscribe();
[NaN, new Date(0), undefined].forEach(value => odd.next(value));
for (let turn = 0; turn < 1000 && heard[0]?.length !== 3; turn++) await wait(10);
results.values_without_json = heard[0];
odd.complete();

console.log(JSON.stringify(results));
server.close();
