// What is looked for, and what was found: in all chats, or in one.
import type { Chat, FoundContact, Hit } from "./api";
import { Gone, Refusal } from "./rpc";
import { world } from "./state.svelte";

/** A search takes some 70 ms: one for each pause between two keys. */
const PAUSE_MS = 120;

class Search {
  words = $state("");
  /** The one chat to look in. */
  within = $state<Chat | null>(null);
  /** Somebody is at it: a narrow window shows it in place of the thread. */
  wanted = $state(false);
  chats = $state<Chat[]>([]);
  contacts = $state<FoundContact[]>([]);
  hits = $state<Hit[]>([]);
  more = $state(false);
  said = $state("");
  /** For which words the results are; null before any. */
  answered = $state<string | null>(null);

  #timer: ReturnType<typeof setTimeout> | undefined;
  #asked = 0;

  /** Begin to look, in all chats or in one: what came since the last search is made ready meanwhile. */
  begin(within: Chat | null): void {
    this.within = within;
    this.wanted = true;
    void this.#ask("").catch(() => undefined);
    if (this.words.trim()) void this.look();
    const field = document.getElementById("search");
    if (field instanceof HTMLInputElement) {
      // A narrow window has to show it first.
      requestAnimationFrame(() => {
        field.focus();
        field.select();
      });
    }
  }

  end(): void {
    this.words = "";
    this.within = null;
    this.wanted = false;
    this.#forget();
  }

  typed(words: string): void {
    this.words = words;
    clearTimeout(this.#timer);
    if (words.trim()) this.#timer = setTimeout(() => void this.look(), PAUSE_MS);
    else this.#forget();
  }

  async look(): Promise<void> {
    clearTimeout(this.#timer);
    const asked = ++this.#asked;
    const words = this.words;
    try {
      const found = await this.#ask(words);
      if (asked !== this.#asked) return;
      this.contacts = found.contacts;
      [this.chats, this.hits, this.more, this.said, this.answered] = [found.chats, found.hits, found.more, "", words];
    } catch (error) {
      this.#failed(error);
    }
  }

  async older(): Promise<void> {
    const last = this.hits.at(-1);
    const asked = this.#asked;
    if (last === undefined) return;
    try {
      const found = await this.#ask(this.words, last.row);
      if (asked !== this.#asked) return;
      this.hits = [...this.hits, ...found.hits];
      this.more = found.more;
    } catch (error) {
      this.#failed(error);
    }
  }

  async show(hit: Hit): Promise<void> {
    await world.jump(hit.chat, hit.row);
  }

  #ask(words: string, before: number | null = null) {
    return world.call("search", { words, chat: this.within?.chat ?? null, before });
  }

  #failed(error: unknown): void {
    if (!(error instanceof Refusal || error instanceof Gone)) throw error;
    this.said = error instanceof Refusal ? `${error.failure.message} ${error.failure.fix}` : "";
  }

  #forget(): void {
    this.#asked += 1;
    this.chats = [];
    this.contacts = [];
    this.hits = [];
    this.more = false;
    this.answered = null;
    this.said = "";
  }
}

export const search = new Search();
