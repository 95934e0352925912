// Written by tools/typescript.py from src/grue/rpc/types.py and session.py. Do not edit.

/** What became of a message. */
export type MessageState = "queued" | "sent" | "delivered" | "refused" | "expired" | "submitting" | "submitted" | "failed" | "unknown";

/** How a message to a number goes out, as people and `--json` read it. */
export type Route = "encrypted" | "sms" | "unknown";

/** No parameters, or nothing to say. */
export interface Nothing {
}

/** An error as every part of Grue tells it; `data` of a JSON-RPC error. */
export interface Failure {
  code: string;
  exit: number;
  message: string;
  fix: string;
  retry_after: number;
}

/** The account of this home. */
export interface Account {
  number: string;
  written: string;
  server: string;
}

/** What stands at the beginning. */
export interface State {
  version: string;
  account: Account | null;
}

export interface Register {
  number: string;
  server: string;
}

export interface Registering {
  number: string;
}

export interface Verify {
  code: string;
}

/** A line of the list of chats. */
export interface Chat {
  chat: string;
  name: string;
  number: string;
  claimed: string;
  group: boolean;
  notes: boolean;
  request: boolean;
  encrypted: boolean;
  verified: boolean;
  unread: number;
  last: string;
  last_sent: number;
  pinned: boolean;
  muted_until: number;
  archived: boolean;
  draft: string;
}

export interface File {
  name: string;
  bytes: number;
}

/** One message of a chat. */
export interface Message {
  row: number;
  id: string;
  incoming: boolean;
  sender: string;
  sender_name: string;
  claimed: string;
  text: string;
  route: Route;
  sent: number;
  state: MessageState;
  file: File | null;
}

export interface Page {
  messages: Message[];
  more: boolean;
  later: boolean;
}

/** Asks for the messages of a chat that came before a row, or after one; the newest without either. */
export interface PageOf {
  chat: string;
  before?: number | null;
  after?: number | null;
  limit?: number;
}

/** Asks for the messages of a chat around a row, which is a search's or a reply's. */
export interface Around {
  chat: string;
  row: number;
  limit?: number;
}

/** Asks for messages and chats with all these words; without words nothing is found, and search made ready. */
export interface Search {
  words: string;
  chat?: string | null;
  before?: number | null;
  limit?: number;
}

export interface Piece {
  text: string;
  match: boolean;
}

/** A message that was found. */
export interface Hit {
  chat: string;
  name: string;
  row: number;
  incoming: boolean;
  sender: string;
  sender_name: string;
  sent: number;
  snippet: Piece[];
  file: boolean;
}

/** Somebody of the address book whom nothing was written to yet. */
export interface FoundContact {
  number: string;
  written: string;
  name: string;
}

export interface Found {
  chats: Chat[];
  contacts: FoundContact[];
  hits: Hit[];
  more: boolean;
}

export interface OfChat {
  chat: string;
}

export interface Pin {
  chat: string;
  on: boolean;
}

export interface Mute {
  chat: string;
  on: boolean;
  until?: number | null;
}

export interface Archive {
  chat: string;
  on: boolean;
}

/** What stands in the composer now; empty when it was sent. */
export interface Draft {
  chat: string;
  text: string;
}

export interface Seen {
  chat: string;
  row: number;
}

export interface Send {
  to: string;
  text: string;
  sms?: boolean;
  accept_key?: boolean;
}

export interface Sent {
  id: string;
  route: Route;
  state: MessageState;
}

/** Who carries SMS for this server, in its own words; empty when nobody does. */
export interface Gateway {
  name: string;
}

/** What stands in the field for a number now. */
export interface Typed {
  text: string;
  done?: boolean;
}

/** What to show for the field. */
export interface Shown {
  text: string;
  number: string | null;
  route: Route | null;
  failure: Failure | null;
}

/** Lines of the list that are new or otherwise; and those that are gone. */
export interface ChatsChanged {
  changed: Chat[];
  gone: string[];
}

/** In the chat that was opened last: messages that are new or otherwise. */
export interface MessagesChanged {
  chat: string;
  changed: Message[];
}

/** Whether the server is reached; with what is wrong when it is not. */
export interface Trouble {
  failure: Failure | null;
}

/** What can be asked for: its parameters and its result. */
export interface Methods {
  state: [Nothing, State];
  register: [Register, Registering];
  verify: [Verify, State];
  gateway: [Nothing, Gateway];
  chats: [Nothing, Chat[]];
  open: [PageOf, Page];
  thread: [Around, Page];
  search: [Search, Found];
  seen: [Seen, Nothing];
  send: [Send, Sent];
  accept: [OfChat, Nothing];
  decline: [OfChat, Nothing];
  block: [OfChat, Nothing];
  pin: [Pin, Nothing];
  mute: [Mute, Nothing];
  archive: [Archive, Nothing];
  draft: [Draft, Nothing];
  typed: [Typed, Shown];
}

/** What is told without being asked for. */
export interface Events {
  chats_changed: ChatsChanged;
  messages_changed: MessagesChanged;
  number_shown: Shown;
  trouble: Trouble;
}

export const PAGE = 100;
