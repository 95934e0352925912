// What the window says, in the language of the browser: one catalogue a language, in messages/.
import ar from "../../messages/ar.json";
import de from "../../messages/de.json";
import en from "../../messages/en.json";

type Key = keyof typeof en;
type Parts = Record<string, string | number>;
type Catalogue = Record<Key, string>;

const CATALOGUES: Record<string, Catalogue> = { en, de, ar };
const RIGHT_TO_LEFT = new Set(["ar"]);

/** The first language of the browser that there is a catalogue for. */
export const language = navigator.languages.map((tag) => tag.split("-")[0] ?? "").find((tag) => tag in CATALOGUES) ?? "en";
export const direction = RIGHT_TO_LEFT.has(language) ? "rtl" : "ltr";

const catalogue = CATALOGUES[language] ?? en;

function filled(text: string, parts: Parts): string {
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(parts[name] ?? ""));
}

/** `m.key({name: ...})`: a sentence of the catalogue, with its gaps filled. */
export const m = Object.fromEntries(
  (Object.keys(en) as Key[]).map((key) => [key, (parts: Parts = {}) => filled(catalogue[key], parts)]),
) as Record<Key, (parts?: Parts) => string>;
