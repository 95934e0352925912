// Only http and https become links, and only where the host is what it looks like.

export interface Part {
  text: string;
  url: string | null;
}

const CANDIDATE = /https?:\/\/[^\s<>"']+/giu;
const TRAILING = /[.,;:!?)\]}»”’]+$/u;
/** Characters that make a text read otherwise than it is. */
const DISGUISE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/u;

export function linked(text: string): Part[] {
  const parts: Part[] = [];
  let end = 0;
  for (const found of text.matchAll(CANDIDATE)) {
    const shown = found[0].replace(TRAILING, "");
    const url = safe(shown);
    if (url === null) continue;
    if (found.index > end) parts.push({ text: text.slice(end, found.index), url: null });
    parts.push({ text: shown, url });
    end = found.index + shown.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end), url: null });
  return parts;
}

function safe(shown: string): string | null {
  if (DISGUISE.test(shown) || !URL.canParse(shown)) return null;
  const url = new URL(shown);
  if (url.protocol !== "http:" && url.protocol !== "https:") return null;
  // A name before the host can look like the host; a host in another script can look like one that is known.
  if (url.username !== "" || url.password !== "") return null;
  return shown.toLowerCase().startsWith(`${url.protocol}//${url.hostname}`) ? url.href : null;
}
