// Calls of the server. The key stays in this tab (sessionStorage) and is sent as a header, never in an address.
import { signal } from "@preact/signals";

export type Id = string | number;
export type Payload = Record<string, unknown>;

export interface CollectionLine {
  name: string;
  status: "green" | "yellow" | "red";
  error: string | null;
  points: number;
  vectors: number;
  indexed_vectors: number;
  disk_bytes: number;
  signatures: boolean;
  thumbnails: boolean;
  originals: boolean;
}

export interface Overview {
  version: string;
  uptime_secs: number;
  model: { name: string; dimension: number; modalities: string[]; device: string; precision: string; fingerprint: string; signatures: boolean };
  disk: { log_bytes: number; view_bytes: number; free_bytes: number; reserve_bytes: number };
  collections: CollectionLine[];
}

export interface Hit {
  id: Id;
  score: number;
  relevance?: number | null;
  payload?: Payload | null;
}

export interface Description {
  status: string;
  points_count: number;
  indexed_vectors_count: number;
  vectors_count: number;
  disk_bytes: number;
  optimizer_status: string | { error: string };
  config: {
    params: { vectors: Record<string, unknown> };
    hnsw_config: { m: number; ef_construct: number; full_scan_threshold: number };
    metadata?: Record<string, unknown>;
    signatures?: { recipe: string; audit: boolean };
    pictures?: { thumbnails: boolean; originals: boolean };
  };
  payload_schema: Record<string, { data_type: string; points: number }>;
}

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

const KEY = "lookalike-api-key";

/** The key that is sent; empty for none. */
export const apiKey = signal(sessionStorage.getItem(KEY) ?? "");
/** Why a key is asked for; null while none is. */
export const keyAsked = signal<string | null>(null);

export function useKey(key: string) {
  sessionStorage.setItem(KEY, key);
  apiKey.value = key;
  keyAsked.value = null;
}

export function forgetKey() {
  sessionStorage.removeItem(KEY);
  apiKey.value = "";
}

async function failure(response: Response): Promise<ApiError> {
  let text = `${response.status} ${response.statusText}`;
  try {
    const body = await response.json();
    text = body?.status?.error ?? text;
  } catch {
    // no JSON: the status says it
  }
  if (response.status === 401) {
    keyAsked.value = apiKey.value === "" ? "This server asks for an API key." : "The server does not know this key.";
  }
  return new ApiError(text, response.status);
}

/** Any request; an answer that is no success is thrown. */
export async function send(method: string, path: string, body?: BodyInit, signal?: AbortSignal, more: Record<string, string> = {}): Promise<Response> {
  const headers: Record<string, string> = { ...more };
  if (apiKey.value !== "") headers["api-key"] = apiKey.value;
  if (typeof body === "string") headers["content-type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(path, { method, headers, body, signal, cache: "no-cache", credentials: "omit" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError("The server cannot be reached. Is it still running?", 0);
  }
  if (!response.ok) throw await failure(response);
  return response;
}

/** A call with a JSON body and the result out of its envelope. */
export async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const response = await send(method, path, body === undefined ? undefined : JSON.stringify(body), signal);
  return (await response.json()).result as T;
}

export const get = <T>(path: string, signal?: AbortSignal) => call<T>("GET", path, undefined, signal);
export const post = <T>(path: string, body: unknown, signal?: AbortSignal) => call<T>("POST", path, body, signal);

/** The path of a collection's resource. */
export const at = (collection: string, rest = "") => `/collections/${encodeURIComponent(collection)}${rest}`;

/** What an error says. */
export function words(error: unknown): string {
  if (error instanceof Error) return error.message.replace(/^(Wrong input|Not found|Validation error in JSON body): /, "");
  return String(error);
}
