// What was written and not sent: kept in the encrypted home on every pause, and not in the browser.
import type { Chat } from "./api";
import { Gone, Refusal } from "./rpc";

/** Nobody pauses for so long within a word. */
const PAUSE_MS = 600;

export class Drafts {
  #texts = $state<Record<string, string>>({});
  /** By chat, what is to be saved when its time comes. */
  readonly #waiting = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #known = new Set<string>();

  constructor(readonly save: (chat: string, text: string) => Promise<unknown>) {
    addEventListener("pagehide", () => this.saveAll());
    document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && this.saveAll());
  }

  of(chat: string): string {
    return this.#texts[chat] ?? "";
  }

  /** What stands in the composer; kept when its writer pauses. */
  write(chat: string, text: string): void {
    this.#texts[chat] = text;
    clearTimeout(this.#waiting.get(chat));
    this.#waiting.set(chat, setTimeout(() => void this.#save(chat), PAUSE_MS));
  }

  /** It is being sent: out of the composer, and kept until `sent`. */
  sending(chat: string): void {
    clearTimeout(this.#waiting.get(chat));
    this.#waiting.set(chat, setTimeout(() => undefined, 0));
    this.#texts[chat] = "";
  }

  sent(chat: string): void {
    void this.#save(chat);
  }

  /** The process is about to be left, or is there again. */
  saveAll(): void {
    for (const chat of [...this.#waiting.keys()]) if (this.of(chat)) void this.#save(chat);
  }

  /** What another device or window has written, unless something is being written here. */
  hear(chats: Chat[]): void {
    for (const { chat, draft } of chats) {
      this.#known.add(chat);
      if (!this.#waiting.has(chat) && this.of(chat) !== draft) this.#texts[chat] = draft;
    }
  }

  async #save(chat: string): Promise<void> {
    const timer = this.#waiting.get(chat);
    clearTimeout(timer);
    const text = this.of(chat);
    try {
      // A number that nothing was said to yet has no chat to keep it in.
      if (this.#known.has(chat)) await this.save(chat, text);
    } catch (error) {
      if (error instanceof Gone) return;
      if (!(error instanceof Refusal)) throw error;
    }
    if (this.#waiting.get(chat) === timer && this.of(chat) === text) this.#waiting.delete(chat);
  }
}
