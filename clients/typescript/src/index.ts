/** Client of lookalike, the vector-search database with the CLIP model inside. */

export * from "./client.js";
export { LookalikeError, Unreachable } from "./errors.js";
export { contentId, type Picture } from "./pictures.js";
export type { components, operations, paths } from "./schema.js";
