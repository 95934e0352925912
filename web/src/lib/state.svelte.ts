// What the window knows, and what it does: one object that every part reads.
import type { Account, Chat, Failure, Message, Methods, Sent, Shown } from "./api";
import { Drafts } from "./drafts.svelte";
import { Connection, enter, Gone, NotLetIn, Refusal } from "./rpc";

export type Entry = "asking" | "number" | "code" | "in" | "gone";

/** A chat that is only a number so far, or one of the list. */
export interface Target {
  to: string;
  chat: Chat | null;
}

class World {
  entry = $state<Entry>("asking");
  account = $state<Account | null>(null);
  registering = $state("");
  chats = $state<Chat[]>([]);
  opened = $state<Target | null>(null);
  messages = $state<Message[]>([]);
  more = $state(false);
  loading = $state(false);
  /** While the field for a new number is open: what to show for it. */
  shown = $state<Shown | null>(null);
  composing = $state(false);
  /** A number to put into that field. */
  prefilled = $state("");
  trouble = $state<Failure | null>(null);
  connected = $state(false);
  sheet = $state(false);
  gateway = $state("");
  /** The chats in the archive are shown instead of the others. */
  inArchive = $state(false);
  /** Newer messages of the opened chat are not loaded: it was opened somewhere in its middle. */
  later = $state(false);
  /** A message to bring before the eyes, by its row. */
  sought = $state<number | null>(null);
  /** Counts jumps, each of which lays a thread out anew. */
  jumps = $state(0);

  readonly drafts = new Drafts((chat, text) => this.call("draft", { chat, text }));
  listed = $derived(this.chats.filter((chat) => chat.archived === this.inArchive));
  unread = $derived(this.chats.reduce((sum, chat) => sum + (chat.muted_until || chat.archived ? 0 : chat.unread), 0));

  #echoed = 0;
  /** By chat, the sending that is under way: texts go in the order in which they were written. */
  readonly #turns = new Map<string, Promise<unknown>>();

  readonly #connection = new Connection(
    {
      chats_changed: ({ changed, gone }) => this.#chatsChanged(changed, gone),
      messages_changed: ({ chat, changed }) => {
        if (this.opened?.to === chat) this.#merge(changed);
      },
      number_shown: (shown) => {
        if (this.composing) this.shown = shown;
      },
      trouble: ({ failure }) => (this.trouble = failure),
    },
    () => void this.#arrive(),
    (why) => {
      this.connected = false;
      if (why instanceof NotLetIn) this.entry = "gone";
    },
  );

  /** Ask the process for something, as `Connection.call`. */
  call<M extends keyof Methods>(method: M, params: Methods[M][0]): Promise<Methods[M][1]> {
    return this.#connection.call(method, params);
  }

  async begin(): Promise<void> {
    await enter();
    this.#connection.connect();
  }

  async #arrive(): Promise<void> {
    const state = await this.#connection.call("state", {});
    this.connected = true;
    this.account = state.account;
    if (state.account === null) {
      if (this.entry !== "code") this.entry = "number";
      return;
    }
    await this.#letIn();
  }

  async #letIn(): Promise<void> {
    this.#setChats(await this.#connection.call("chats", {}));
    this.entry = "in";
    // When the list is there, for who measures it.
    requestAnimationFrame(() => performance.mark("chats"));
    this.drafts.saveAll();
    if (this.opened !== null) await this.#load(this.opened.to);
    try {
      this.gateway = (await this.#connection.call("gateway", {})).name;
    } catch (error) {
      if (!(error instanceof Refusal || error instanceof Gone)) throw error;
    }
  }

  // --- entering

  async register(number: string, server: string): Promise<void> {
    this.registering = (await this.#connection.call("register", { number, server })).number;
    this.entry = "code";
  }

  async verify(code: string): Promise<void> {
    this.account = (await this.#connection.call("verify", { code })).account;
    await this.#letIn();
  }

  // --- chats

  #setChats(chats: Chat[]): void {
    this.chats = chats.toSorted((a, b) => Number(b.pinned) - Number(a.pinned) || b.last_sent - a.last_sent);
    this.drafts.hear(chats);
  }

  #chatsChanged(changed: Chat[], gone: string[]): void {
    const named = new Map(changed.map((chat) => [chat.chat, chat]));
    const kept = this.chats.filter((chat) => !named.has(chat.chat) && !gone.includes(chat.chat));
    this.#setChats([...kept, ...changed]);
    const opened = this.opened;
    if (opened !== null && named.has(opened.to)) {
      this.opened = { to: opened.to, chat: named.get(opened.to) ?? null };
    }
  }

  async open(to: string): Promise<void> {
    this.composing = false;
    this.shown = null;
    if (this.opened?.to === to) this.jumps += 1;
    this.opened = { to, chat: this.chats.find((chat) => chat.chat === to) ?? null };
    this.messages = [];
    this.more = false;
    this.later = false;
    this.sought = null;
    this.drafts.saveAll();
    if (this.opened.chat !== null) await this.#load(to);
  }

  leave(): void {
    this.drafts.saveAll();
    this.opened = null;
    this.composing = false;
  }

  async #load(to: string): Promise<void> {
    const page = await this.#connection.call("open", { chat: to });
    if (this.opened?.to !== to) return;
    this.messages = page.messages;
    this.more = page.more;
    this.later = false;
  }

  /** Open a chat with one of its messages before the eyes, loaded or not. */
  async jump(to: string, row: number): Promise<void> {
    const page = await this.call("thread", { chat: to, row });
    this.composing = false;
    this.opened = { to, chat: this.chats.find((chat) => chat.chat === to) ?? null };
    this.messages = page.messages;
    this.more = page.more;
    this.later = page.later;
    this.sought = row;
    this.jumps += 1;
  }

  /** Back to the newest messages of the opened chat. */
  async newest(): Promise<void> {
    this.sought = null;
    if (this.opened !== null) await this.#load(this.opened.to);
    this.jumps += 1;
  }

  /** Newer messages of the opened chat, where those are not loaded. */
  async newer(): Promise<void> {
    const to = this.opened?.to;
    const last = this.messages.at(-1);
    if (to === undefined || last === undefined || last.row < 0 || !this.later || this.loading) return;
    this.loading = true;
    try {
      const page = await this.call("open", { chat: to, after: last.row });
      if (this.opened?.to === to && this.messages.at(-1)?.row === last.row) {
        this.messages = [...this.messages, ...page.messages];
        this.later = page.later;
      }
    } finally {
      this.loading = false;
    }
  }

  /** Older messages of the opened chat; one request is under way at a time. */
  async older(): Promise<void> {
    const to = this.opened?.to;
    const first = this.messages[0];
    if (to === undefined || first === undefined || !this.more || this.loading) return;
    this.loading = true;
    try {
      const page = await this.#connection.call("open", { chat: to, before: first.row });
      if (this.opened?.to === to) {
        this.messages = [...page.messages, ...this.messages];
        this.more = page.more;
      }
    } finally {
      this.loading = false;
    }
  }

  #merge(changed: Message[]): void {
    const rows = new Map(changed.map((message) => [message.row, message]));
    const merged = this.messages.map((message) => rows.get(message.row) ?? message);
    const known = new Set(this.messages.map((message) => message.row));
    for (const message of changed.filter(({ row }) => !known.has(row))) {
      const echo = merged.findIndex(({ row, text }) => row < 0 && !message.incoming && text === message.text);
      if (echo < 0) merged.push(message);
      else merged[echo] = message;
    }
    this.messages = merged;
  }

  /** Show a text at once, before the process has kept it: under a row of its own below zero, until the message comes. */
  #echo(text: string, route: Message["route"]): number {
    const row = (this.#echoed -= 1);
    const nobody = { id: "", incoming: false, sender: "", sender_name: "", claimed: "", file: null };
    this.messages = [...this.messages, { ...nobody, row, text, route, sent: Date.now() / 1_000, state: "queued" }];
    return row;
  }

  /** Somebody has the opened chat before their eyes, down to its end. */
  async see(): Promise<void> {
    const opened = this.opened;
    const last = this.messages.findLast(({ row }) => row > 0);
    if (!opened?.chat || opened.chat.unread === 0 || last === undefined || this.later) return;
    await this.#connection.call("seen", { chat: opened.to, row: last.row });
  }

  async send(to: string, text: string, sms = false): Promise<Sent> {
    if (this.opened?.to === to && this.later) await this.newest();
    const echo = this.opened?.to === to ? this.#echo(text, sms ? "sms" : "encrypted") : 0;
    let sent: Sent;
    try {
      const before = this.#turns.get(to) ?? Promise.resolve();
      const turn = before.then(() => this.#connection.call("send", { to, text, sms }));
      this.#turns.set(to, turn.catch(() => undefined));
      sent = await turn;
    } catch (error) {
      this.messages = this.messages.filter(({ row }) => row !== echo);
      throw error;
    }
    if (this.opened?.to !== to || this.opened.chat === null) {
      this.#setChats(await this.#connection.call("chats", {}));
      await this.open(to);
    }
    return sent;
  }

  async decide(what: "accept" | "decline" | "block", chat: string): Promise<void> {
    await this.#connection.call(what, { chat });
    if (what !== "accept") this.leave();
  }

  /** Put a chat away, or take it back; what is open stays open only when it is taken back. */
  async archive(chat: Chat): Promise<void> {
    await this.call("archive", { chat: chat.chat, on: !chat.archived });
    if (this.opened?.to === chat.chat && !chat.archived) this.leave();
  }

  // --- a new number

  compose(number = ""): void {
    this.prefilled = number;
    this.opened = null;
    this.composing = true;
    this.shown = null;
  }

  async typed(text: string, done: boolean): Promise<void> {
    this.shown = await this.#connection.call("typed", { text, done });
  }

  // --- moving about

  step(by: 1 | -1, unreadOnly = false): void {
    const at = this.listed.findIndex((chat) => chat.chat === this.opened?.to);
    const round = this.listed.map((_, n) => this.listed[(at + by * (n + 1) + this.listed.length * 2) % this.listed.length]);
    const next = round.find((chat) => chat !== undefined && (!unreadOnly || chat.unread > 0));
    if (next !== undefined) void this.open(next.chat);
  }
}

export const world = new World();
