// JSON-RPC over one WebSocket to the process that served this page; it comes back by itself.
import type { Events, Failure, Methods } from "./api";

type Params<M extends keyof Methods> = Methods[M][0];
type Result<M extends keyof Methods> = Methods[M][1];
type Hear = { [E in keyof Events]: (event: Events[E]) => void };

const KEY = "grue bearer";
const NOT_LET_IN = 4401;
const RETRY_MS = [200, 500, 1_000, 2_000, 5_000];

/** A refusal of the process, in words for people. */
export class Refusal extends Error {
  constructor(readonly failure: Failure) {
    super(failure.message);
  }
}

/** The process does not know this window, and no retry changes that. */
export class NotLetIn extends Error {}

/** The process could not be reached. */
export class Gone extends Error {}

/** Trade the one-use key of the address for a bearer, which lives as long as this window. */
export async function enter(): Promise<void> {
  const once = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  if (!once) return;
  const answer = await fetch("/enter", { method: "POST", body: JSON.stringify({ once }) });
  if (answer.ok) {
    const { bearer } = (await answer.json()) as { bearer: string };
    sessionStorage.setItem(KEY, bearer);
  }
}

interface Waiting {
  resolve: (result: unknown) => void;
  reject: (error: Error) => void;
}

interface Frame {
  id?: number;
  method?: keyof Events;
  params?: unknown;
  result?: unknown;
  error?: { message: string; data?: Failure };
}

export class Connection {
  #socket: WebSocket | null = null;
  #waiting = new Map<number, Waiting>();
  #next = 1;
  #failed = 0;

  /** `hear` takes events; `open` is called after each connecting, `lost` when it ends, with why. */
  constructor(
    readonly hear: Hear,
    readonly open: () => void,
    readonly lost: (why: Gone | NotLetIn) => void,
  ) {}

  connect(): void {
    const bearer = sessionStorage.getItem(KEY);
    if (bearer === null) {
      this.lost(new NotLetIn());
      return;
    }
    const socket = new WebSocket(`ws://${location.host}/api`);
    socket.onopen = () => {
      socket.send(bearer);
      this.#socket = socket;
      this.open();
    };
    socket.onmessage = (event: MessageEvent<string>) => this.#take(JSON.parse(event.data) as Frame);
    socket.onclose = (event) => this.#closed(event.code);
  }

  /** Ask for something. Rejects with Refusal, or with Gone when the process went away meanwhile. */
  call<M extends keyof Methods>(method: M, params: Params<M>): Promise<Result<M>> {
    const socket = this.#socket;
    if (socket === null) return Promise.reject(new Gone());
    const id = this.#next++;
    socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: (result) => resolve(result as Result<M>), reject });
    });
  }

  #take(frame: Frame): void {
    this.#failed = 0;
    if (frame.method !== undefined) {
      (this.hear[frame.method] as (event: unknown) => void)(frame.params);
      return;
    }
    const waiting = this.#waiting.get(frame.id ?? 0);
    if (waiting === undefined) return;
    this.#waiting.delete(frame.id ?? 0);
    const { error } = frame;
    if (error === undefined) waiting.resolve(frame.result);
    else waiting.reject(error.data === undefined ? new Error(error.message) : new Refusal(error.data));
  }

  #closed(code: number): void {
    this.#socket = null;
    for (const waiting of this.#waiting.values()) waiting.reject(new Gone());
    this.#waiting.clear();
    if (code === NOT_LET_IN) {
      sessionStorage.removeItem(KEY);
      this.lost(new NotLetIn());
      return;
    }
    this.lost(new Gone());
    const wait = RETRY_MS[Math.min(this.#failed++, RETRY_MS.length - 1)];
    setTimeout(() => this.connect(), wait);
  }
}
