// Times, numbers and names as people of this language write them.
import type { Chat } from "./api";
import { language, m } from "./messages";

export function clock(seconds: number): string {
  return new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" }).format(seconds * 1000);
}

function midnight(at: Date): number {
  return new Date(at.getFullYear(), at.getMonth(), at.getDate()).getTime();
}

export function dayOf(seconds: number): string {
  const days = Math.round((midnight(new Date()) - midnight(new Date(seconds * 1000))) / 86_400_000);
  if (days === 0) return m.today();
  if (days === 1) return m.yesterday();
  return new Intl.DateTimeFormat(language, { dateStyle: "full" }).format(seconds * 1000);
}

export function isSameDay(a: number, b: number): boolean {
  return midnight(new Date(a * 1000)) === midnight(new Date(b * 1000));
}

export function lately(seconds: number): string {
  if (seconds === 0) return "";
  const today = midnight(new Date()) === midnight(new Date(seconds * 1000));
  if (today) return clock(seconds);
  return new Intl.DateTimeFormat(language, { day: "numeric", month: "short" }).format(seconds * 1000);
}

export function bytes(size: number): string {
  const [unit, scale] = size < 1e6 ? ["kilobyte", 1e3] : ["megabyte", 1e6];
  return new Intl.NumberFormat(language, { style: "unit", unit, maximumFractionDigits: 1 }).format(size / Number(scale));
}

/** What to call a chat: a name that is known here, else its number; else what it only claims to be. */
export function nameOf(chat: Chat): string {
  if (chat.notes) return m.note_to_self();
  return chat.name || chat.number || (chat.claimed ? m.claims({ number: chat.claimed }) : chat.chat);
}
