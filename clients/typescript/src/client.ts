/** The client: `fetch` and types made from the server's OpenAPI document, for browsers and node. */

import { ApiError, errorOf, Unreachable } from "./errors.js";
import { BATCH, BATCH_BYTES, blobOf, encoded, nameOf, type Picture } from "./pictures.js";
import type { components } from "./schema.js";

type Schemas = components["schemas"];
export type Calibration = Schemas["CalibrationOut"];
export type Collection = Schemas["CollectionOut"];
export type CreateCollection = Schemas["CreateBody"];
export type DuplicateGroup = Schemas["DuplicateGroupOut"];
export type DuplicatesOptions = Schemas["DuplicatesBody"];
export type Enrolment = Schemas["EnrolOut"];
export type FacetHit = Schemas["FacetHit"];
export type Hit = Schemas["ScoredPointOut"];
export type Identification = Schemas["IdentifyOut"];
export type ImageLine = Schemas["ImageLine"];
export type Model = Schemas["ModelOut"];
export type PointId = Schemas["PointIdOut"];
export type PointRecord = Schemas["RecordOut"];
export type Subject = Schemas["SubjectOut"];
export type Task = Schemas["TaskOut"];
export type SubjectCount = Schemas["SubjectCountOut"];
export type Updated = Schemas["UpdatedOut"];
export type Verification = Schemas["VerifyOut"];
export type Whitening = Schemas["WhiteningOut"];

/** A filter as Qdrant has it. */
export type Filter = Record<string, unknown>;
export type Payload = Record<string, unknown>;

export interface ClientOptions {
  /** The server's key, where it wants one. */
  apiKey?: string;
  /** How long a call may take, milliseconds; 120,000 if absent. */
  timeoutMs?: number;
  /** How long a busy server (429) is waited for in one call, milliseconds; 300,000 if absent. */
  patienceMs?: number;
  /** In place of the global `fetch`. */
  fetch?: typeof fetch;
}

export interface SearchOptions {
  /** Words. */
  text?: string;
  /** A picture; with words, both count. */
  image?: Picture;
  /** How much the picture counts beside the words; 1 if absent. */
  imageWeight?: number;
  /** Words that lead away. */
  without?: string[];
  /** A stored point, in place of words and picture. */
  like?: PointId;
  /** Numbers, in place of words and picture. */
  vector?: number[];
  filter?: Filter;
  limit?: number;
  offset?: number;
  /** Only hits that are right with this probability, 0 to 1. */
  minRelevance?: number;
  /** Name of the vector. */
  using?: string;
  withPayload?: boolean | string[];
}

export interface UploadOptions {
  /** One for each picture. */
  payloads?: (Payload | null)[];
  /** One for each picture; one without an id gets one made from its bytes. */
  ids?: (PointId | null)[];
  using?: string;
  onProgress?: (done: number, total: number) => void;
}

/** How a threshold is chosen: a FAR of the calibration, or a score; the calibration's lowest FAR if neither. */
export interface Policy {
  targetFar?: number;
  reviewFar?: number;
  threshold?: number;
}

/** What an import of points came to. */
export interface ImportReport {
  imported: number;
  errors: { id: PointId; error: string }[];
}

interface Request {
  body?: unknown;
  form?: FormData;
  /** A body as it is, in place of the others; its type goes along. */
  raw?: Blob;
  headers?: Record<string, string>;
  query?: Record<string, string | number | undefined>;
}

const LONGEST_WAIT_MS = 30_000;

/** A client of one server. */
export class Client {
  readonly url: string;
  readonly #options: ClientOptions;

  constructor(url = "http://localhost:6333", options: ClientOptions = {}) {
    this.url = url.replace(/\/+$/, "");
    this.#options = options;
  }

  /** Any call of the API, as it is answered. `/openapi.json` lists them. */
  async send(method: string, path: string, request: Request = {}): Promise<Response> {
    const { apiKey, timeoutMs = 120_000, patienceMs = 300_000, fetch: own } = this.#options;
    const query = Object.entries(request.query ?? {}).filter(([, value]) => value !== undefined);
    const search = query.length ? `?${new URLSearchParams(query.map(([k, v]) => [k, String(v)]))}` : "";
    const headers = new Headers(request.headers);
    if (apiKey) headers.set("api-key", apiKey);
    if (request.body !== undefined) headers.set("content-type", "application/json");
    const body =
      request.raw ?? request.form ?? (request.body === undefined ? null : JSON.stringify(request.body));
    for (let waited = 0, wait = 250; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
      let response: Response;
      try {
        const signal = AbortSignal.timeout(timeoutMs);
        response = await (own ?? fetch)(this.url + path + search, { method, headers, body, signal });
      } catch (cause) {
        throw new Unreachable(`cannot reach ${this.url}; is \`lookalike serve\` running there?`, { cause });
      }
      if (response.ok) return response;
      if (response.status !== 429 || waited >= patienceMs) throw await errorOf(response);
      await response.body?.cancel();
      const asked = Number(response.headers.get("retry-after") ?? Number.NaN) * 1000;
      const pause = Math.min(Number.isFinite(asked) ? asked : wait, LONGEST_WAIT_MS);
      await new Promise((done) => setTimeout(done, pause));
      waited += pause;
    }
  }

  /** Any call of the API; the answer's `result`. */
  async call<T>(method: string, path: string, request: Request = {}): Promise<T> {
    const answer = (await (await this.send(method, path, request)).json()) as { result: T };
    return answer.result;
  }

  // --- the server and its model ---

  /** The loaded models. */
  async models(): Promise<Model[]> {
    return (await this.call<Schemas["ModelsOut"]>("GET", "/models")).models;
  }

  /** Vectors of texts, then of pictures, of unit length. */
  async embed(inputs: { texts?: string[]; pictures?: Picture[] }): Promise<number[][]> {
    const texts = (inputs.texts ?? []).map((text) => ({ text }));
    const pictures = await Promise.all(
      (inputs.pictures ?? []).map(async (p) => ({ image: await encoded(p) })),
    );
    const body = { inputs: [...texts, ...pictures] };
    return (await this.call<Schemas["EmbedOut"]>("POST", "/embed", { body })).embeddings;
  }

  // --- collections ---

  /** The names of all collections. */
  async collections(): Promise<string[]> {
    const found = await this.call<Schemas["CollectionsOut"]>("GET", "/collections");
    return found.collections.map((each) => each.name);
  }

  /** A collection: counts, index state, configuration. */
  collection(name: string): Promise<Collection> {
    return this.call("GET", at(name));
  }

  async exists(name: string): Promise<boolean> {
    return (await this.call<Schemas["ExistsOut"]>("GET", `${at(name)}/exists`)).exists;
  }

  /** Creates a collection; without options one vector of the model's dimension under cosine. */
  async createCollection(name: string, options: Partial<CreateCollection> = {}): Promise<void> {
    await this.call("PUT", at(name), { body: options });
  }

  /** Creates a collection of signatures; with `audit` every decision is logged. */
  async createSignatureCollection(name: string, options: { audit?: boolean } = {}): Promise<void> {
    await this.call("PUT", at(name), { body: { signatures: options } });
  }

  /** Deletes a collection; false where there was none. */
  deleteCollection(name: string): Promise<boolean> {
    return this.call("DELETE", at(name));
  }

  async count(collection: string, filter?: Filter): Promise<number> {
    const path = `${at(collection)}/points/count`;
    return (await this.call<Schemas["CountOut"]>("POST", path, { body: { filter } })).count;
  }

  // --- search ---

  /** Finds by words, by a picture, by both and without others; like a stored point; by a vector. */
  async search(collection: string, options: SearchOptions | string): Promise<Hit[]> {
    const asked = typeof options === "string" ? { text: options } : options;
    const body = {
      query: await query(asked),
      filter: asked.filter,
      limit: asked.limit ?? 10,
      offset: asked.offset ?? 0,
      min_relevance: asked.minRelevance,
      using: asked.using,
      with_payload: asked.withPayload ?? true,
      with_relevance: true,
    };
    return (await this.call<Schemas["HitsOut"]>("POST", `${at(collection)}/points/query`, { body })).points;
  }

  /** All points, in the order of their ids. */
  async *scroll(
    collection: string,
    options: { filter?: Filter; page?: number } = {},
  ): AsyncGenerator<PointRecord> {
    let offset: PointId | null | undefined;
    do {
      const body = { limit: options.page ?? 256, filter: options.filter, offset, with_payload: true };
      const found = await this.call<Schemas["ScrollOut"]>("POST", `${at(collection)}/points/scroll`, {
        body,
      });
      yield* found.points;
      offset = found.next_page_offset;
    } while (offset !== null && offset !== undefined);
  }

  /** The values of an indexed payload field, the most frequent first. */
  async facet(
    collection: string,
    key: string,
    options: { limit?: number; filter?: Filter } = {},
  ): Promise<FacetHit[]> {
    const body = { key, limit: options.limit ?? 10, filter: options.filter };
    return (await this.call<Schemas["Facets"]>("POST", `${at(collection)}/facet`, { body })).hits;
  }

  /** Groups of points that are nearly the same. */
  async *duplicates(
    collection: string,
    options: Partial<DuplicatesOptions> = {},
  ): AsyncGenerator<DuplicateGroup> {
    let body: Partial<DuplicatesOptions> = { with_payload: true, ...options };
    for (;;) {
      const found = await this.call<Schemas["DuplicatesOut"]>("POST", `${at(collection)}/duplicates`, {
        body,
      });
      yield* found.groups;
      if (found.next_offset === null || found.next_offset === undefined) return;
      body = { ...body, offset: found.next_offset };
    }
  }

  // --- pictures and points in ---

  /**
   * Sends pictures; one answer for each, in their order. One that cannot be read never fails the rest.
   * Pictures without an id get one made from their bytes, so that the same picture is one point.
   */
  async uploadImages(
    collection: string,
    pictures: Picture[],
    options: UploadOptions = {},
  ): Promise<ImageLine[]> {
    for (const [name, column] of Object.entries({ payloads: options.payloads, ids: options.ids })) {
      if (column && column.length !== pictures.length) {
        throw new TypeError(`${name} holds ${column.length}, pictures holds ${pictures.length}`);
      }
    }
    const lines: ImageLine[] = [];
    for (let start = 0; start < pictures.length; ) {
      const blobs: Blob[] = [];
      for (let bytes = 0; blobs.length < BATCH && bytes < BATCH_BYTES; ) {
        const next = pictures[start + blobs.length];
        if (next === undefined) break;
        const blob = await blobOf(next);
        bytes += blob.size;
        blobs.push(blob);
      }
      const end = start + blobs.length;
      const form = new FormData();
      if (options.payloads) form.append("payloads", JSON.stringify(options.payloads.slice(start, end)));
      if (options.ids) form.append("ids", JSON.stringify(options.ids.slice(start, end)));
      for (const [place, blob] of blobs.entries()) {
        form.append("image", blob, nameOf(pictures[start + place] as Picture) ?? `${start + place}`);
      }
      const answer = await this.send("POST", `${at(collection)}/images`, {
        form,
        query: { using: options.using },
      });
      const found = (await answer.text()).split("\n").filter(Boolean);
      lines.push(
        ...found
          .map((line) => JSON.parse(line) as ImageLine)
          .map((line) => ({ ...line, index: line.index + start }))
          .sort((a, b) => a.index - b.index),
      );
      start = end;
      options.onProgress?.(end, pictures.length);
    }
    return lines;
  }

  /** Which of the ids the collection has. */
  async existing(collection: string, ids: PointId[]): Promise<Set<PointId>> {
    const body = { ids, with_payload: false, with_vector: false };
    const found = await this.call<PointRecord[]>("POST", `${at(collection)}/points`, { body });
    return new Set(found.map((point) => point.id));
  }

  /**
   * Writes points as Qdrant has them; a vector may be `{text}` or `{image}` for the model. Those that cannot be
   * embedded are reported and never fail the rest.
   */
  async importPoints(
    collection: string,
    points: Iterable<{ id: PointId; vector: unknown; payload?: Payload }>,
    batch = 64,
  ): Promise<ImportReport> {
    const report: ImportReport = { imported: 0, errors: [] };
    const all = [...points];
    for (let start = 0; start < all.length; start += batch) {
      const group = all.slice(start, start + batch);
      const headers = { "x-lookalike-partial": "true" };
      const path = `${at(collection)}/points`;
      const done = await this.call<Updated>("PUT", path, { body: { points: group }, headers });
      const failed = done.failed ?? [];
      report.imported += group.length - failed.length;
      report.errors.push(...failed.map(({ id, error }) => ({ id, error })));
    }
    return report;
  }

  // --- long work in the background ---

  /**
   * Starts an import of points, `{id, vector, payload}` as Qdrant has them; a vector may be `{text}` or `{image}` for the
   * model. All of them are sent first; `wait` waits for the task, which ends with its server.
   */
  async startImport(collection: string, points: Iterable<Record<string, unknown>>): Promise<Task> {
    const lines = Array.from(points, (point) => `${JSON.stringify(point)}\n`);
    const blob = new Blob(lines, { type: "application/x-ndjson" });
    return this.call<Task>("POST", `${at(collection)}/import`, { raw: blob, query: { async: "true" } });
  }

  /** Starts any long call (adapt, calibrate, whitening, snapshots, recover) as a task. */
  async start(method: string, path: string, options: { body?: unknown } = {}): Promise<Task> {
    return this.call<Task>(method, path, { ...options, query: { async: "true" } });
  }

  /** The tasks of the server, newest first; those that are over for a day. */
  async tasks(): Promise<Task[]> {
    return (await this.call<Schemas["TasksOut"]>("GET", "/tasks")).tasks;
  }

  /** A task as it is now. */
  async task(id: string): Promise<Task> {
    return this.call<Task>("GET", `/tasks/${encodeURIComponent(id)}`);
  }

  /** Cancels a task: one that runs ends at its next step, `cancelling` until then. */
  async cancelTask(id: string): Promise<Task> {
    return this.call<Task>("DELETE", `/tasks/${encodeURIComponent(id)}`);
  }

  /** Waits until a task is over, however it ended: `state` says that. */
  async wait(
    id: string,
    options: { everyMs?: number; timeoutMs?: number; progress?: (task: Task) => void } = {},
  ): Promise<Task> {
    const { everyMs = 500, timeoutMs = Number.POSITIVE_INFINITY, progress } = options;
    const began = Date.now();
    for (;;) {
      const task = await this.task(id);
      progress?.(task);
      const isOver = ["done", "failed", "cancelled"].includes(task.state);
      if (isOver || Date.now() - began >= timeoutMs) return task;
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  }

  // --- signatures ---

  /** Enrols reference signatures of a subject; with `partial` the others where one is unfit. */
  async enrol(
    collection: string,
    subject: string,
    samples: Picture[],
    options: { forgery?: boolean; payload?: Payload; partial?: boolean } = {},
  ): Promise<Enrolment> {
    const { forgery = false, payload = {}, partial = false } = options;
    const body = { subject, samples: await Promise.all(samples.map(encoded)), forgery, payload };
    const headers = { "x-lookalike-partial": String(partial) };
    return this.call("POST", `${at(collection)}/enrol`, { body, headers });
  }

  /** All subjects, in the order of their names. */
  async *subjects(collection: string, page = 1000): AsyncGenerator<SubjectCount> {
    let from: string | undefined;
    do {
      const query = { limit: page, from };
      const found = await this.call<Schemas["SubjectsOut"]>("GET", `${at(collection)}/subjects`, { query });
      yield* found.subjects;
      from = found.next ?? undefined;
    } while (from !== undefined);
  }

  /** One subject with its references. */
  subject(collection: string, subject: string): Promise<Subject> {
    return this.call("GET", `${at(collection)}/subjects/${encodeURIComponent(subject)}`);
  }

  /** Deletes a subject with everything derived from it; how many points that were. */
  async deleteSubject(collection: string, subject: string): Promise<number> {
    const path = `${at(collection)}/subjects/${encodeURIComponent(subject)}`;
    return (await this.call<Schemas["DeletedOut"]>("DELETE", path)).deleted;
  }

  /** Is this the subject's signature? `decision` is accept, reject or review. */
  async verify(
    collection: string,
    subject: string,
    sample: Picture,
    options: Policy & { prior?: number } = {},
  ): Promise<Verification> {
    const body = { subject, sample: await encoded(sample), prior: options.prior, policy: policy(options) };
    return this.call("POST", `${at(collection)}/verify`, { body });
  }

  /** Whose signature is this, if anybody's? */
  async identify(
    collection: string,
    sample: Picture,
    options: Policy & { limit?: number } = {},
  ): Promise<Identification> {
    const body = { sample: await encoded(sample), limit: options.limit, policy: policy(options) };
    return this.call("POST", `${at(collection)}/identify`, { body });
  }

  /** Finds thresholds for chosen FARs on the collection's own signatures. */
  calibrate(
    collection: string,
    options: { targetFars?: number[]; against?: "random" | "skilled"; seed?: number } = {},
  ): Promise<Calibration> {
    const body = { target_fars: options.targetFars ?? [], against: options.against, seed: options.seed };
    return this.call("POST", `${at(collection)}/calibrate`, { body });
  }

  /** All calibrations, oldest first. */
  async calibrations(collection: string): Promise<Calibration[]> {
    return (await this.call<Schemas["CalibrationsOut"]>("GET", `${at(collection)}/calibrations`))
      .calibrations;
  }

  /** Fits the whitening on a cohort of the collection's subjects, which calibrations leave out. */
  async fitWhitening(
    collection: string,
    options: { share?: number; subjects?: string[]; seed?: number } = {},
  ): Promise<Whitening | null> {
    const found = await this.call<{ whitening: Whitening | null }>("POST", `${at(collection)}/whitening`, {
      body: options,
    });
    return found.whitening;
  }
}

function at(collection: string): string {
  return `/collections/${encodeURIComponent(collection)}`;
}

async function query(asked: SearchOptions): Promise<unknown> {
  const isMixed = asked.text !== undefined || asked.image !== undefined;
  if (Number(isMixed) + Number(asked.like !== undefined) + Number(asked.vector !== undefined) !== 1) {
    throw new TypeError("give words, a picture or both; or `like`; or `vector`");
  }
  if (!isMixed) return asked.like ?? asked.vector;
  const away = asked.without ?? [];
  const image = asked.image === undefined ? undefined : await encoded(asked.image);
  if (image === undefined && !away.length) return { text: asked.text };
  if (asked.text === undefined && !away.length) return { image };
  return {
    object: [
      ...(asked.text === undefined ? [] : [{ text: asked.text }]),
      ...(image === undefined ? [] : [{ image, weight: asked.imageWeight ?? 1 }]),
      // Half as strong as what is wanted, as on the command line.
      ...away.map((text) => ({ text, weight: -0.5 })),
    ],
  };
}

function policy({ targetFar, reviewFar, threshold }: Policy): Record<string, number | undefined> | undefined {
  const given = { target_far: targetFar, review_far: reviewFar, threshold };
  return Object.values(given).some((value) => value !== undefined) ? given : undefined;
}

export { ApiError };
