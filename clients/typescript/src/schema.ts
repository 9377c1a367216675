// Made from the OpenAPI document by scripts/generate.mjs.
export interface paths {
    "/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Title and version. */
        get: operations["root"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/cluster": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** There is no cluster. */
        get: operations["cluster"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The names of all collections. */
        get: operations["list_collections"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Configuration, counts and state of one collection. */
        get: operations["get_collection"];
        /** Creates a collection; durable when answered. */
        put: operations["create_collection"];
        post?: never;
        /** Removes a collection with everything in it; false where there was none. */
        delete: operations["delete_collection"];
        options?: never;
        head?: never;
        /** Changes a collection's metadata and tuning; durable when answered. */
        patch: operations["update_collection"];
        trace?: never;
    };
    "/collections/{name}/adapt": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The versions with their figures, and which of them is applied to which queries. */
        get: operations["list_adapt"];
        put?: never;
        /**
         * Fits heads for picture and text queries on the collection's labelled points, compares them
         *     with no head on held-out points, stores the best with all figures as a new version, and
         *     applies it where it wins. An applied head changes text and picture queries (not the vectors,
         *     not queries by numbers or ids); one query opts out with `"adapt": "none"` in the `options` of
         *     its text or picture, or in `params`.
         */
        post: operations["fit_adapt"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/adapt/applied": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /** Applies a version, or none with `{"version": null}`. */
        put: operations["apply_adapt"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/adapt/{version}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Removes a version; if it was applied, no head is from then on. */
        delete: operations["delete_adapt"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/audit": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The whole audit log, oldest first. Each line holds the hash of the one before it. */
        get: operations["export_audit"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/calibrate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Finds thresholds on the collection's own subjects, with intervals over subjects, and keeps them as a new
         *     version. A FAR that the number of comparisons cannot support is refused.
         */
        post: operations["calibrate"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/calibrations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The calibrations, oldest first; the last one is used. */
        get: operations["list_calibrations"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/calibrations/{calibration}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One calibration with its DET curve and Platt's coefficients. */
        get: operations["get_calibration"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/calibrations/{calibration}/report": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The report of a calibration as one HTML page. */
        get: operations["calibration_report"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/duplicates": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Groups of points that are nearly the same. Every point of a group reaches the threshold against its representative,
         *     the one of the smallest id; a point is in one group, and no two representatives are the same. Points with equal vectors
         *     are always found. A page ends after 20,000 searches, 10 seconds or 10,000 points of groups; one page is made
         *     at a time in the whole server.
         */
        post: operations["duplicates"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/enrol": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Enrols references of a subject: JSON, or a form with `subject` and picture files. Pictures without ink,
         *     too small, mostly dark, or the same as a reference are refused with the reason; nothing is enrolled then,
         *     unless the header `X-Lookalike-Partial: true` asks for the others.
         */
        post: operations["enrol"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/exists": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Whether there is such a collection. */
        get: operations["collection_exists"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/facet": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Counts the values of a payload field. */
        post: operations["facet"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/identify": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Whose signature is this, if anybody's? JSON, or a form with `policy` and one picture file. */
        post: operations["identify"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/images": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Ingests picture files; answers one NDJSON line `{index, file, id, status, error?}` a file. */
        post: operations["upload_images"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/import": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Imports points sent as JSON lines, each `{"id", "vector", "payload"}` as in an upsert; a vector may be an object
         *     with `text` or `image` for the model. One that is wrong never fails the rest. Without `async` the answer is a
         *     line for each point; with `async=true` it is 202 with a task, once the body has arrived whole.
         */
        post: operations["import_points"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/index": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /** Indexes a payload field, so that filters on it need not read every payload. */
        put: operations["create_index"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/index/{field}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Removes the index of a payload field; the payloads stay. */
        delete: operations["delete_index"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/map": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * A sample of the points on a plane, what is alike together. The same points give the same map. One is drawn at a time
         *     in the whole server.
         */
        post: operations["map"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/points": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /**
         * Writes points, embedding what is for the model. All or nothing, unless the header
         *     `X-Lookalike-Partial: true` is sent.
         */
        put: operations["upsert_points"];
        /** Reads points by id. */
        post: operations["retrieve_points"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/points/count": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Counts points. */
        post: operations["count_points"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/points/delete": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Deletes points by id or by filter, as one change. */
        post: operations["delete_points"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/points/payload": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /** Replaces whole payloads. */
        put: operations["overwrite_payload"];
        /** Sets keys; the others stay. */
        post: operations["set_payload"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/points/payload/clear": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Empties payloads. */
        post: operations["clear_payload"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/points/payload/delete": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Removes keys. */
        post: operations["delete_payload"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/points/query": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** One query. */
        post: operations["query_points"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/points/query/batch": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Several queries, embedded together. */
        post: operations["query_batch"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/points/query/groups": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** One query, its hits in groups by a payload field. */
        post: operations["query_groups"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/points/recommend": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** One recommendation, in its older form. */
        post: operations["recommend"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/points/scroll": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Walks through the points in the order of their ids or of a payload field. */
        post: operations["scroll_points"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/points/search": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** One query by a vector, in its older form. */
        post: operations["search"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/points/search/batch": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Several queries by vectors, in their older form. */
        post: operations["search_batch"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/points/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Reads one point. */
        get: operations["get_point"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/points/{id}/original": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The file that a point was made from, as it was sent, to be downloaded. Kept only where the server runs with
         *     `--originals` and the collection does not say no.
         */
        get: operations["original"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/points/{id}/thumbnail": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The small copy of a point's picture: a JPEG whose longer side has at most 256 pixels, without metadata. None is
         *     kept of points that came as numbers or texts, or where the server or the collection keeps none.
         */
        get: operations["thumbnail"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/snapshots": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The snapshots of a collection. */
        get: operations["list_snapshots"];
        put?: never;
        /** Makes a snapshot of a collection; durable when answered, reads and writes go on meanwhile. */
        post: operations["create_snapshot"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/snapshots/recover": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /**
         * Brings a collection back from a snapshot, in place of the one of this name; searches see the
         *     old one until the new one is whole.
         */
        put: operations["recover_snapshot"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/snapshots/upload": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Brings a collection back from an archive in the part `snapshot` of a multipart upload. */
        post: operations["upload_snapshot"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/snapshots/{snapshot}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The archive of a collection's snapshot. */
        get: operations["download_snapshot"];
        put?: never;
        post?: never;
        /** Removes a snapshot of a collection. */
        delete: operations["delete_snapshot"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/subjects": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The subjects in the order of names, with counts; `next` is the `from` of the next page. */
        get: operations["list_subjects"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/subjects/{subject}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One subject with its references. */
        get: operations["get_subject"];
        put?: never;
        post?: never;
        /**
         * Deletes a subject with everything derived from it: references, labelled forgeries, features. Calibrations
         *     are marked as stale. The audit log keeps its lines.
         */
        delete: operations["delete_subject"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/verify": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Is this the subject's signature? JSON, or a form with `subject`, `policy` and one picture file. */
        post: operations["verify"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/collections/{name}/whitening": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The whitening in use. */
        get: operations["get_whitening"];
        put?: never;
        /**
         * Fits a whitening on a cohort of the collection's subjects, which calibrations leave out from then on, or
         *     goes back to the default one. Thresholds of the whitening before do not hold any more: calibrate again.
         */
        post: operations["fit_whitening"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/dashboard": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The dashboard: a page to add, search, compare and verify pictures. Served without a key. */
        get: operations["page"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/dashboard/{file}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The page's script, style and icon. */
        get: operations["file"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/embed": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Vectors of texts and pictures, unit length, in the order of the inputs. */
        post: operations["embed"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** True while the process lives. */
        get: operations["healthz"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/livez": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** True while the process lives. */
        get: operations["livez"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Counters, histograms and levels in Prometheus' text format: requests by endpoint and status, the queues and batches
         *     of the model, its cache, decoding, collections and points, the process.
         */
        get: operations["metrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/models": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The models of this server, the one that it started with first; the others are loaded when they are first used. */
        get: operations["models"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** This document. */
        get: operations["openapi"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/overview": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Version, model, disk, and all collections with their counts, states and sizes. */
        get: operations["overview"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** True when requests are answered; the server only listens once its collections are open. */
        get: operations["readyz"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/snapshots": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The snapshots of all collections. */
        get: operations["list_full_snapshots"];
        put?: never;
        /** Makes a snapshot of all collections. */
        post: operations["create_full_snapshot"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/snapshots/{snapshot}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The archive of a snapshot of all collections. */
        get: operations["download_full_snapshot"];
        put?: never;
        post?: never;
        /** Removes a snapshot of all collections. */
        delete: operations["delete_full_snapshot"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/tasks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The tasks that are open, and those that were over within a day, at most 100; newest first. No task outlives
         *     its server.
         */
        get: operations["list_tasks"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/tasks/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A task: how far it is, and what came of it. */
        get: operations["get_task"];
        put?: never;
        post?: never;
        /**
         * Cancels a task: one that waits at once, one that runs at its next step, `cancelling` until then. A cancelled
         *     fit, snapshot or recovery has changed nothing; of an import stays what it counts as done. Where it is over
         *     already the answer is 409.
         */
        delete: operations["cancel_task"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description `POST /collections/{c}/adapt` */
        AdaptBody: {
            /** @description `if_better` (default) or `never`. */
            apply?: string | null;
            /** @description Some of `none`, `centre`, `whiten`, `within`, `ridge`; all if absent. */
            candidates?: string[] | null;
            /**
             * Format: double
             * @description The share of points that is held out, 0.1 to 0.5; 0.3 if absent.
             */
            holdout?: number | null;
            /** @description Path of the payload field with the labels: at least 3 labels with 4 different points each. */
            label?: string | null;
            /**
             * Format: int64
             * @description Seed of the split; 1 if absent.
             */
            seed?: number | null;
            /** @description Name of the vector; the unnamed one if absent. Its distance must be Cosine or Dot. */
            vector?: string | null;
            /** @description Words of labels, a text or a list by label; a label without is its own word. */
            words?: Record<string, never> | null;
        };
        /** @description Versions of heads, and which are applied. */
        AdaptOut: {
            applied: components["schemas"]["AppliedOut"][];
            /** @description With all figures. */
            versions: Record<string, never>[];
        };
        /** @description `PUT /collections/{c}/adapt/applied` */
        AppliedBody: {
            /**
             * @description `["picture"]`, `["text"]` or both; where absent: those for which the version won, or with
             *     `version: null` both.
             */
            queries?: string[] | null;
            /** @description With `version: null`: name of the vector; the unnamed one if absent. */
            vector?: string | null;
            /**
             * Format: int32
             * @description The version to apply; null to apply none.
             */
            version?: number | null;
        };
        /** @description A head that is applied. */
        AppliedOut: {
            /** @description `picture` or `text`. */
            modality: string;
            vector: string;
            /** Format: int64 */
            version: number;
        };
        /** @description Points as columns. */
        BatchBody: {
            /** @description One id a point. */
            ids: unknown[];
            /** @description One payload a point; null for none. */
            payloads?: Record<string, never>[] | null;
            /** @description A list with one vector a point, or such a list by vector name. */
            vectors: unknown;
        };
        /** @description `POST /collections/{c}/calibrate` */
        CalibrateBody: {
            /** @description `random` (default): thresholds against other people's signatures; `skilled`: against labelled forgeries. */
            against?: string | null;
            /** @description Draws for the intervals, 100 to 10,000; 300 if absent. */
            resamples?: number | null;
            /**
             * Format: int64
             * @description Of the sampling and of the intervals; 1 if absent.
             */
            seed?: number | null;
            /** @description FARs to find thresholds for; 0.001, 0.01, 0.05 and 0.1 as far as the comparisons support them if absent. */
            target_fars?: number[];
        };
        /** @description A calibration; `det`, `platt` and `eer_threshold` only where one is asked for by its id. */
        CalibrationOut: {
            /** @description `random` or `skilled`. */
            against: string;
            /**
             * Format: int64
             * @description Seconds since 1970.
             */
            created: number;
            /** @description It is in use. */
            current: boolean;
            det?: components["schemas"]["RatePointOut"][] | null;
            eer: components["schemas"]["EstimateOut"];
            /** Format: double */
            eer_threshold?: number | null;
            /** Format: int64 */
            enrolled: number;
            /** Format: int64 */
            genuine: number;
            id: string;
            identification?: null | components["schemas"]["SearchesOut"];
            /** Format: int64 */
            impostors: number;
            /** @description The collection has grown by half since. */
            outgrown: boolean;
            platt?: null | components["schemas"]["PlattOut"];
            points: components["schemas"]["OperatingPointOut"][];
            recipe: string;
            /** Format: int64 */
            seed: number;
            skilled?: null | components["schemas"]["SkilledOut"];
            /** @description Why it should be made anew. */
            stale?: string | null;
            /** Format: int64 */
            subjects: number;
            /** Format: int64 */
            version: number;
            whitening: string;
        };
        /** @description All calibrations, oldest first. */
        CalibrationsOut: {
            calibrations: components["schemas"]["CalibrationOut"][];
        };
        /** @description A subject and the probe's score against it. */
        CandidateOut: {
            /** Format: double */
            score: number;
            subject: string;
        };
        /** @description A collection in a few words; `GET /collections/{c}` has all of them. */
        CollectionLine: {
            /**
             * Format: int64
             * @description Bytes of its log.
             */
            disk_bytes: number;
            /** @description Why nothing can be written. */
            error?: string | null;
            /** @description Vectors in a graph; the others are searched exactly. */
            indexed_vectors: number;
            name: string;
            /** @description Whether their files are kept. */
            originals: boolean;
            points: number;
            /** @description Whether it is a collection of signatures. */
            signatures: boolean;
            /** @description `green`, `yellow` while a graph is being built, `red` where nothing can be written. */
            status: string;
            /** @description Whether small copies of the pictures that come from now on are kept. */
            thumbnails: boolean;
            vectors: number;
        };
        /** @description A collection, as Qdrant describes one. */
        CollectionOut: {
            /** @description Vectors, graph parameters, metadata. */
            config: Record<string, never>;
            /** Format: int64 */
            disk_bytes: number;
            /**
             * Format: int64
             * @description Vectors that a graph covers.
             */
            indexed_vectors_count: number;
            /** @description Payload indexes by field: `{data_type, points, params?}`. */
            payload_schema: Record<string, never>;
            /** Format: int64 */
            points_count: number;
            /** Format: int64 */
            segments_count: number;
            /** @description `green`; `yellow` while a graph is being built; `red` when it is read-only. */
            status: string;
            /** Format: int64 */
            vectors_count: number;
        };
        /** @description All collections. */
        CollectionsOut: {
            collections: components["schemas"]["Named"][];
        };
        /** @description `POST /collections/{c}/points/count` */
        CountBody: {
            /** @description Counts are always exact. */
            exact?: boolean | null;
            /** @description Which points are counted; all if absent. */
            filter?: Record<string, never> | null;
            /** @description Custom sharding is not supported. */
            shard_key?: unknown;
        };
        /** @description How many points. */
        CountOut: {
            /** Format: int64 */
            count: number;
        };
        /** @description `PUT /collections/{c}`. Fields that tune other servers are kept and echoed. */
        CreateBody: {
            /** @description `m` (4 to 64), `ef_construct` (4 to 2,000), `full_scan_threshold`, `max_indexing_threads` (0, which is half the cores, to 1,024). */
            hnsw_config?: Record<string, never> | null;
            /** @description Not supported. */
            init_from?: unknown;
            /**
             * @description The client's own notes. `text_templates`, a list of 1 to 64 strings each with `{}` once, has a
             *     meaning: text queries are put into each and their vectors averaged.
             */
            metadata?: Record<string, never> | null;
            /** @description Accepted and echoed; payloads are always on disk. */
            on_disk_payload?: boolean | null;
            /** @description Accepted and echoed. */
            optimizers_config?: Record<string, never> | null;
            /**
             * @description `{"thumbnails": false}` and `{"originals": false}` keep none of this collection's pictures, whatever
             *     the server keeps; true is as the server says.
             */
            pictures?: Record<string, never> | null;
            /**
             * @description `{"scalar": {...}}` (a byte a component, also where nothing is said) or `{"binary": {...}}` (a
             *     bit): what the graph is walked by. Counts for the vectors that name none of their own.
             */
            quantization_config?: Record<string, never> | null;
            /**
             * Format: int32
             * @description Accepted and echoed.
             */
            replication_factor?: number | null;
            /**
             * Format: int32
             * @description Accepted and echoed.
             */
            shard_number?: number | null;
            /** @description Only `auto`. */
            sharding_method?: string | null;
            /**
             * @description Makes it a collection of signatures: `{}` or `{"audit": true}`, which writes every decision to the
             *     audit log. Its vector is the model's own, so that `vectors` must be left out.
             */
            signatures?: Record<string, never> | null;
            /** @description Sparse vectors are not supported. */
            sparse_vectors?: Record<string, never> | null;
            /** @description Accepted and echoed. */
            strict_mode_config?: Record<string, never> | null;
            /**
             * @description `{"size", "distance"}`, or such an object by vector name. If absent: one vector of the default
             *     model's dimension under cosine. `model` in such an object names the model (`GET /models`) that makes
             *     this vector of texts and pictures; the default one if absent.
             */
            vectors?: Record<string, never> | null;
            /** @description Accepted and echoed. */
            wal_config?: Record<string, never> | null;
            /**
             * Format: int32
             * @description Accepted and echoed.
             */
            write_consistency_factor?: number | null;
        };
        /**
         * @description `accept`, `reject`, or `review` where a person must look.
         * @enum {string}
         */
        DecisionOut: "accept" | "reject" | "review";
        /** @description Points that were deleted. */
        DeletedOut: {
            /** Format: int64 */
            deleted: number;
        };
        /** @description A snapshot that is there. */
        Described: {
            /** @description SHA-256 of its file in hexadecimal. */
            checksum?: string | null;
            /** @description When it was made, UTC, without a zone. */
            creation_time?: string | null;
            /** @description Name of its file. */
            name: string;
            /**
             * Format: int64
             * @description Bytes of its file.
             */
            size: number;
        };
        /** @description Points that are the same as the first of them. */
        DuplicateGroupOut: {
            /** @description The representative, then the others by their score to it, best first. */
            hits: components["schemas"]["ScoredPointOut"][];
            /** @description Id of the representative: the smallest. */
            id?: unknown;
            /** @description Points of the group; more than `hits` holds where they are more than 10,000. */
            size: number;
        };
        /** @description What counts as the same, and which points are compared. */
        DuplicatesBody: {
            /** @description Which points are compared; all if absent, at most 2,000,000. */
            filter?: Record<string, never> | null;
            /** @description Most groups; 100 if absent, at most 10,000. */
            limit?: number | null;
            /** @description Points that a group has at least; 2 if absent, at most 10,000. */
            min_size?: number | null;
            /** @description Id to start from; `next_offset` of the page before. */
            offset?: unknown;
            /** @description Custom sharding is not supported. */
            shard_key?: unknown;
            /**
             * Format: float
             * @description The score from which on two points are the same. If absent: 0.95 under Cosine; under Euclid and Manhattan a
             *     quarter of the typical distance of two points; needed under Dot.
             */
            threshold?: number | null;
            /** @description Name of the vector; the unnamed one if absent. */
            using?: string | null;
            /** @description As in a query. */
            with_payload?: unknown;
            /** @description As in a query. */
            with_vector?: unknown;
        };
        /** @description A page of groups. */
        DuplicatesOut: {
            /** @description Points of this page. */
            compared: number;
            /** @description The largest first, of as many points the most certain. */
            groups: components["schemas"]["DuplicateGroupOut"][];
            /** @description Groups of this page that are not here because of the limit. */
            left_out: number;
            /** @description Where the next page begins; null after the last. */
            next_offset?: unknown;
            /**
             * Format: float
             * @description The threshold that was used.
             */
            threshold: number;
        };
        /** @description `POST /embed` */
        EmbedBody: {
            /** @description 1 to 1,024 texts (strings), `{"text"}`, `{"image": base64}` or `{"object"}`. */
            inputs: unknown[];
            /** @description The model's name, as `GET /models` has it; the default one if absent. */
            model?: string | null;
        };
        /** @description What the model makes of the inputs. */
        EmbedOut: {
            /** Format: int64 */
            dimension: number;
            /** @description Unit length, in the order of the inputs. */
            embeddings: number[][];
            model: string;
        };
        /** @description `POST /collections/{c}/enrol`; as a form the files are the samples. */
        EnrolBody: {
            /** @description They imitate the subject: kept for calibration, never compared with as references. */
            forgery?: boolean;
            /** @description Kept with each. */
            payload?: Record<string, never> | null;
            /** @description One picture, in place of `samples`. */
            sample?: string | null;
            /** @description Pictures as base64 or data: URLs, or `{"image": ..}`; 1 to 100. */
            samples?: string[];
            /** @description Whose signatures these are. */
            subject?: string | null;
        };
        /** @description What an enrolment did. */
        EnrolOut: {
            /** @description What should still be done. */
            advice?: string | null;
            items: components["schemas"]["EnrolledOut"][];
            /**
             * Format: int64
             * @description References that the subject has now.
             */
            references: number;
            subject: string;
        };
        /** @description What became of one picture. */
        EnrolledOut: {
            error?: string | null;
            id?: null | components["schemas"]["PointIdOut"];
            quality?: null | components["schemas"]["QualityOut"];
            sample: string;
            /** @description `enrolled` or `refused`. */
            status: string;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_AdaptOut: {
            /** @description Versions of heads, and which are applied. */
            result: {
                applied: components["schemas"]["AppliedOut"][];
                /** @description With all figures. */
                versions: Record<string, never>[];
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_CalibrationOut: {
            /** @description A calibration; `det`, `platt` and `eer_threshold` only where one is asked for by its id. */
            result: {
                /** @description `random` or `skilled`. */
                against: string;
                /**
                 * Format: int64
                 * @description Seconds since 1970.
                 */
                created: number;
                /** @description It is in use. */
                current: boolean;
                det?: components["schemas"]["RatePointOut"][] | null;
                eer: components["schemas"]["EstimateOut"];
                /** Format: double */
                eer_threshold?: number | null;
                /** Format: int64 */
                enrolled: number;
                /** Format: int64 */
                genuine: number;
                id: string;
                identification?: null | components["schemas"]["SearchesOut"];
                /** Format: int64 */
                impostors: number;
                /** @description The collection has grown by half since. */
                outgrown: boolean;
                platt?: null | components["schemas"]["PlattOut"];
                points: components["schemas"]["OperatingPointOut"][];
                recipe: string;
                /** Format: int64 */
                seed: number;
                skilled?: null | components["schemas"]["SkilledOut"];
                /** @description Why it should be made anew. */
                stale?: string | null;
                /** Format: int64 */
                subjects: number;
                /** Format: int64 */
                version: number;
                whitening: string;
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_CalibrationsOut: {
            /** @description All calibrations, oldest first. */
            result: {
                calibrations: components["schemas"]["CalibrationOut"][];
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_CollectionOut: {
            /** @description A collection, as Qdrant describes one. */
            result: {
                /** @description Vectors, graph parameters, metadata. */
                config: Record<string, never>;
                /** Format: int64 */
                disk_bytes: number;
                /**
                 * Format: int64
                 * @description Vectors that a graph covers.
                 */
                indexed_vectors_count: number;
                /** @description Payload indexes by field: `{data_type, points, params?}`. */
                payload_schema: Record<string, never>;
                /** Format: int64 */
                points_count: number;
                /** Format: int64 */
                segments_count: number;
                /** @description `green`; `yellow` while a graph is being built; `red` when it is read-only. */
                status: string;
                /** Format: int64 */
                vectors_count: number;
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_CollectionsOut: {
            /** @description All collections. */
            result: {
                collections: components["schemas"]["Named"][];
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_CountOut: {
            /** @description How many points. */
            result: {
                /** Format: int64 */
                count: number;
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_DeletedOut: {
            /** @description Points that were deleted. */
            result: {
                /** Format: int64 */
                deleted: number;
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_Described: {
            /** @description A snapshot that is there. */
            result: {
                /** @description SHA-256 of its file in hexadecimal. */
                checksum?: string | null;
                /** @description When it was made, UTC, without a zone. */
                creation_time?: string | null;
                /** @description Name of its file. */
                name: string;
                /**
                 * Format: int64
                 * @description Bytes of its file.
                 */
                size: number;
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_DuplicatesOut: {
            /** @description A page of groups. */
            result: {
                /** @description Points of this page. */
                compared: number;
                /** @description The largest first, of as many points the most certain. */
                groups: components["schemas"]["DuplicateGroupOut"][];
                /** @description Groups of this page that are not here because of the limit. */
                left_out: number;
                /** @description Where the next page begins; null after the last. */
                next_offset?: unknown;
                /**
                 * Format: float
                 * @description The threshold that was used.
                 */
                threshold: number;
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_EmbedOut: {
            /** @description What the model makes of the inputs. */
            result: {
                /** Format: int64 */
                dimension: number;
                /** @description Unit length, in the order of the inputs. */
                embeddings: number[][];
                model: string;
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_EnrolOut: {
            /** @description What an enrolment did. */
            result: {
                /** @description What should still be done. */
                advice?: string | null;
                items: components["schemas"]["EnrolledOut"][];
                /**
                 * Format: int64
                 * @description References that the subject has now.
                 */
                references: number;
                subject: string;
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_ExistsOut: {
            /** @description Whether there is such a collection. */
            result: {
                exists: boolean;
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_Facets: {
            /** @description The most frequent first. */
            result: {
                hits: components["schemas"]["FacetHit"][];
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_GroupsOut: {
            /** @description Groups, that of the best hit first. */
            result: {
                groups: components["schemas"]["GroupOut"][];
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_HitsOut: {
            /** @description Hits, best first. */
            result: {
                points: components["schemas"]["ScoredPointOut"][];
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_IdentifyOut: {
            /** @description Whose signature is this? */
            result: {
                /** Format: int64 */
                audit?: number | null;
                calibration?: null | components["schemas"]["UsedCalibrationOut"];
                /** @description The best first. */
                candidates: components["schemas"]["CandidateOut"][];
                decision: components["schemas"]["DecisionOut"];
                note: string;
                quality?: null | components["schemas"]["QualityOut"];
                reasons: components["schemas"]["WhyOut"][];
                replay: boolean;
                /**
                 * Format: double
                 * @description The share of searches with a stranger's signature that name somebody.
                 */
                search_far?: number | null;
                /** Format: int64 */
                searched: number;
                /** @description Null where it is nobody's. */
                subject?: string | null;
                threshold?: null | components["schemas"]["ThresholdOut"];
                warnings: string[];
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_MapOut: {
            /** @description A map. */
            result: {
                /** @description Points that could have been drawn. */
                among: number;
                /** @description The share of the variance along the two directions of most, 0 to 1; `tsne` starts from these. */
                explained: number[];
                /** @description In the order of ids. */
                points: components["schemas"]["MapPointOut"][];
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_ModelsOut: {
            /** @description The models of a server. */
            result: {
                models: components["schemas"]["ModelOut"][];
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_Overview: {
            /** @description The whole server. */
            result: {
                /** @description In the order of names. */
                collections: components["schemas"]["CollectionLine"][];
                /** @description `{log_bytes, view_bytes, free_bytes, reserve_bytes}`; below the reserve only deletes are taken. */
                disk: Record<string, never>;
                /** @description As `GET /models` describes it. */
                model: Record<string, never>;
                /** Format: int64 */
                uptime_secs: number;
                /** @description Of lookalike. */
                version: string;
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_RecordOut: {
            /** @description A point as it was read. */
            result: {
                id: components["schemas"]["PointIdOut"];
                /** @description Where it stands in the order that was asked for; microseconds since 1970 of a datetime. */
                order_value?: unknown;
                payload?: Record<string, never> | null;
                vector?: unknown;
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_ScrollOut: {
            /** @description A page of points. */
            result: {
                next_page_offset?: null | components["schemas"]["PointIdOut"];
                points: components["schemas"]["RecordOut"][];
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_SubjectOut: {
            /** @description A subject. */
            result: {
                /** Format: int64 */
                forgeries: number;
                references: components["schemas"]["ReferenceOut"][];
                subject: string;
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_SubjectsOut: {
            /** @description A page of subjects. */
            result: {
                /** @description The `from` of the next page. */
                next?: string | null;
                /** Format: int64 */
                references: number;
                subjects: components["schemas"]["SubjectCountOut"][];
                /** Format: int64 */
                total: number;
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_TaskOut: {
            /** @description A task as it is at the moment. */
            result: {
                /** @description The collection; none where it is all of them. */
                collection?: string | null;
                /** @description When it was asked for, RFC 3339, UTC. */
                created: string;
                /**
                 * Format: int64
                 * @description Items that are done, well or not.
                 */
                done: number;
                /** @description Why it `failed`. */
                error?: string | null;
                /**
                 * Format: int32
                 * @description The status that the call would have been answered with, once it `failed`.
                 */
                error_status?: number | null;
                /**
                 * Format: double
                 * @description Seconds that the rest will take at this rate.
                 */
                eta?: number | null;
                /**
                 * Format: int64
                 * @description Items among them that failed.
                 */
                failed: number;
                /** @description The first 1,000 items that failed. */
                failures: components["schemas"]["ItemFailureOut"][];
                /** @description When it was over. */
                finished?: string | null;
                /** @description A UUID. */
                id: string;
                /** @description `import`, `adapt`, `calibrate`, `whiten`, `snapshot` or `recover`. */
                kind: string;
                /**
                 * Format: double
                 * @description Items a second since it started.
                 */
                rate?: number | null;
                /** @description What the call would have answered; once it is `done`. */
                result?: unknown;
                /** @description When its turn came. */
                started?: string | null;
                /** @description `queued`, `running`, `cancelling`, and then `done`, `failed` or `cancelled`. */
                state: string;
                /**
                 * Format: int64
                 * @description Items, where they are counted.
                 */
                total?: number | null;
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_TasksOut: {
            /** @description All tasks that are known. */
            result: {
                /** @description Newest first. */
                tasks: components["schemas"]["TaskOut"][];
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_UpdatedOut: {
            /** @description A change that is done. */
            result: {
                /** @description With `X-Lookalike-Partial: true`: items that could not be embedded. */
                failed?: components["schemas"]["FailedItem"][];
                /**
                 * Format: int64
                 * @description Sequence number of the write.
                 */
                operation_id: number;
                /** @description Always `completed`. */
                status: string;
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_Value: {
            result: unknown;
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_Vec_Described: {
            result: {
                /** @description SHA-256 of its file in hexadecimal. */
                checksum?: string | null;
                /** @description When it was made, UTC, without a zone. */
                creation_time?: string | null;
                /** @description Name of its file. */
                name: string;
                /**
                 * Format: int64
                 * @description Bytes of its file.
                 */
                size: number;
            }[];
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_Vec_HitsOut: {
            result: {
                points: components["schemas"]["ScoredPointOut"][];
            }[];
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_Vec_RecordOut: {
            result: {
                id: components["schemas"]["PointIdOut"];
                /** @description Where it stands in the order that was asked for; microseconds since 1970 of a datetime. */
                order_value?: unknown;
                payload?: Record<string, never> | null;
                vector?: unknown;
            }[];
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_Vec_ScoredPointOut: {
            result: {
                id: components["schemas"]["PointIdOut"];
                /**
                 * Format: float
                 * @description The same, under a name that the official clients read.
                 */
                order_value?: number | null;
                payload?: Record<string, never> | null;
                /**
                 * Format: float
                 * @description The probability from 0 to 1 that it is a right answer, where it was asked for and can be known.
                 */
                relevance?: number | null;
                /**
                 * Format: float
                 * @description Similarity (larger is nearer) or distance (smaller is nearer).
                 */
                score: number;
                vector?: unknown;
                /**
                 * Format: int64
                 * @description Sequence number of the write that made the point as it is.
                 */
                version: number;
            }[];
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_Vec_Vec_ScoredPointOut: {
            result: {
                id: components["schemas"]["PointIdOut"];
                /**
                 * Format: float
                 * @description The same, under a name that the official clients read.
                 */
                order_value?: number | null;
                payload?: Record<string, never> | null;
                /**
                 * Format: float
                 * @description The probability from 0 to 1 that it is a right answer, where it was asked for and can be known.
                 */
                relevance?: number | null;
                /**
                 * Format: float
                 * @description Similarity (larger is nearer) or distance (smaller is nearer).
                 */
                score: number;
                vector?: unknown;
                /**
                 * Format: int64
                 * @description Sequence number of the write that made the point as it is.
                 */
                version: number;
            }[][];
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_VerifyOut: {
            /** @description Is this the subject's signature? */
            result: {
                /**
                 * Format: int64
                 * @description Its number in the audit log, where there is one.
                 */
                audit?: number | null;
                calibration?: null | components["schemas"]["UsedCalibrationOut"];
                decision: components["schemas"]["DecisionOut"];
                far?: null | components["schemas"]["EstimateOut"];
                frr?: null | components["schemas"]["EstimateOut"];
                nearest_impostor?: null | components["schemas"]["CandidateOut"];
                /**
                 * Format: double
                 * @description The share of genuine probes of the calibration that score no higher.
                 */
                p_value?: number | null;
                probability?: null | components["schemas"]["ProbabilityOut"];
                quality?: null | components["schemas"]["QualityOut"];
                /** @description The first decided. */
                reasons: components["schemas"]["WhyOut"][];
                references: components["schemas"]["UsedReferenceOut"][];
                /** @description The probe is a copy of a reference. */
                replay: boolean;
                /**
                 * Format: double
                 * @description Null where the probe cannot be judged.
                 */
                score?: number | null;
                subject: string;
                threshold?: null | components["schemas"]["ThresholdOut"];
                warnings: string[];
                whitening: string;
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_WhiteningsOut: {
            /** @description The whitening in use. */
            result: {
                whitening?: null | components["schemas"]["WhiteningOut"];
            };
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"result": .., "status": "ok", "time": seconds}` */
        Envelope_bool: {
            result: boolean;
            /** @description `ok`, or `accepted` where a task was started. */
            status: string;
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description `{"status": {"error": "text"}, "time": seconds}` */
        ErrorEnvelope: {
            /** @description What went wrong. */
            status: components["schemas"]["ErrorStatus"];
            /**
             * Format: double
             * @description Seconds it took in the server.
             */
            time: number;
        };
        /** @description The text of an error. */
        ErrorStatus: {
            /** @description Names the field or item and says what to do. */
            error: string;
        };
        /** @description A figure with its interval over subjects drawn again. */
        EstimateOut: {
            interval: components["schemas"]["IntervalOut"];
            /** Format: double */
            value: number;
        };
        /** @description Whether there is such a collection. */
        ExistsOut: {
            exists: boolean;
        };
        /** @description What is counted. */
        FacetBody: {
            /** @description Counts are always exact. */
            exact?: boolean | null;
            /** @description Which points are counted; all if absent. */
            filter?: Record<string, never> | null;
            /** @description A payload field with a keyword, integer, bool or uuid index. */
            key: string;
            /** @description Most values; 10 if absent, at most 10,000. */
            limit?: number | null;
            /** @description Custom sharding is not supported. */
            shard_key?: unknown;
        };
        /** @description A value and the number of points that have it. */
        FacetHit: {
            /** Format: int64 */
            count: number;
            value: unknown;
        };
        /** @description The most frequent first. */
        Facets: {
            hits: components["schemas"]["FacetHit"][];
        };
        /** @description An item that was left out. */
        FailedItem: {
            error: string;
            id: components["schemas"]["PointIdOut"];
            /**
             * Format: int64
             * @description Its place in the request.
             */
            index: number;
        };
        /** @description One group. */
        GroupOut: {
            /** @description Its best points. */
            hits: components["schemas"]["ScoredPointOut"][];
            /** @description The value that its points have in common. */
            id: unknown;
        };
        /** @description A query whose hits are grouped by a payload field. */
        GroupsBody: {
            /** @description As in a query. */
            filter?: Record<string, never> | null;
            /** @description The payload field; its strings and integers are the groups. */
            group_by: string;
            /** @description Most hits of a group; 3 if absent, at most 1,000. */
            group_size?: number | null;
            /** @description Most groups; 10 if absent. Together with `group_size` at most 10,000 hits. */
            limit?: number | null;
            /** @description As in a query. */
            lookup_from?: Record<string, never> | null;
            /**
             * Format: float
             * @description As in a query.
             */
            min_relevance?: number | null;
            /** @description As in a query. */
            params?: Record<string, never> | null;
            /** @description As in a query. */
            prefetch?: unknown;
            /** @description As in a query. */
            query?: unknown;
            /**
             * Format: float
             * @description As in a query.
             */
            score_threshold?: number | null;
            /** @description Not supported. */
            shard_key?: unknown;
            /** @description As in a query. */
            using?: string | null;
            /** @description Not supported. */
            with_lookup?: unknown;
            /** @description As in a query. */
            with_payload?: unknown;
            /** @description As in a query. */
            with_relevance?: boolean | null;
            /** @description As in a query. */
            with_vector?: unknown;
        };
        /** @description Groups, that of the best hit first. */
        GroupsOut: {
            groups: components["schemas"]["GroupOut"][];
        };
        /** @description Hits, best first. */
        HitsOut: {
            points: components["schemas"]["ScoredPointOut"][];
        };
        /** @description `POST /collections/{c}/identify`; as a form the one file is the sample. */
        IdentifyBody: {
            /** @description Candidates in the answer, 1 to 100; 5 if absent. */
            limit?: number | null;
            /** @description As in `verify`; a FAR is that of the whole search. */
            policy?: Record<string, never> | null;
            /** @description As in `verify`. */
            sample?: unknown;
        };
        /** @description Whose signature is this? */
        IdentifyOut: {
            /** Format: int64 */
            audit?: number | null;
            calibration?: null | components["schemas"]["UsedCalibrationOut"];
            /** @description The best first. */
            candidates: components["schemas"]["CandidateOut"][];
            decision: components["schemas"]["DecisionOut"];
            note: string;
            quality?: null | components["schemas"]["QualityOut"];
            reasons: components["schemas"]["WhyOut"][];
            replay: boolean;
            /**
             * Format: double
             * @description The share of searches with a stranger's signature that name somebody.
             */
            search_far?: number | null;
            /** Format: int64 */
            searched: number;
            /** @description Null where it is nobody's. */
            subject?: string | null;
            threshold?: null | components["schemas"]["ThresholdOut"];
            warnings: string[];
        };
        /** @description One line of the answer to an upload of pictures. */
        ImageLine: {
            /** @description Why it was refused. */
            error?: string | null;
            /** @description Its name. */
            file?: string | null;
            id?: null | components["schemas"]["PointIdOut"];
            /**
             * Format: int64
             * @description Place of the file in the upload.
             */
            index: number;
            /** @description `ok` or `error`. */
            status: string;
        };
        /** @description One line of the answer. */
        ImportLine: {
            /** @description Why it was not written. */
            error?: string | null;
            id?: null | components["schemas"]["PointIdOut"];
            /**
             * Format: int64
             * @description Place of the point among those that were sent, from 0.
             */
            index: number;
            /** @description `ok` or `error`. */
            status: string;
        };
        /** @description A range of 95 %. */
        IntervalOut: {
            /** Format: double */
            high: number;
            /** Format: double */
            low: number;
        };
        /** @description An item of an import that failed. */
        ItemFailureOut: {
            /** @description Why. */
            error: string;
            id?: null | components["schemas"]["PointIdOut"];
            /**
             * Format: int64
             * @description Its place among the items, from 0.
             */
            index: number;
        };
        /** @description Keys to remove from points named by id or by filter. */
        KeysBody: {
            /** @description A filter that the points pass. */
            filter?: Record<string, never> | null;
            /** @description Paths to remove. */
            keys: string[];
            /** @description Ids of points. */
            points?: unknown[] | null;
            /** @description Custom sharding is not supported. */
            shard_key?: unknown;
        };
        /** @description What is drawn, and how. */
        MapBody: {
            /** @description Which points are drawn; all if absent. */
            filter?: Record<string, never> | null;
            /** @description Most points; 1,000 if absent, at most 2,000. Of more a sample is drawn that depends on the ids alone. */
            limit?: number | null;
            /**
             * @description `tsne` (default): neighbours lie together, and distances beyond them mean nothing; `pca`: the two
             *     directions of most variance.
             */
            method?: string | null;
            /** @description Custom sharding is not supported. */
            shard_key?: unknown;
            /** @description Name of the vector; the unnamed one if absent. */
            using?: string | null;
            /** @description As in a query. */
            with_payload?: unknown;
        };
        /** @description A map. */
        MapOut: {
            /** @description Points that could have been drawn. */
            among: number;
            /** @description The share of the variance along the two directions of most, 0 to 1; `tsne` starts from these. */
            explained: number[];
            /** @description In the order of ids. */
            points: components["schemas"]["MapPointOut"][];
        };
        /** @description A point on the map. */
        MapPointOut: {
            id: unknown;
            payload?: Record<string, never> | null;
            /**
             * Format: float
             * @description -1 to 1, to the right.
             */
            x: number;
            /**
             * Format: float
             * @description -1 to 1, upwards.
             */
            y: number;
        };
        /** @description A model. */
        ModelOut: {
            /** @description Whether it is the one of vectors that name none. */
            default: boolean;
            device?: string | null;
            /** Format: int64 */
            dimension: number;
            /** @description Whether it is in memory. */
            loaded: boolean;
            /** @description `text` and `image`, or `image` alone; absent where it was not loaded yet, as `device` and `precision` are. */
            modalities?: string[] | null;
            name: string;
            precision?: string | null;
            /**
             * Format: int64
             * @description MiB of its weights.
             */
            weight_mib: number;
        };
        /** @description The models of a server. */
        ModelsOut: {
            models: components["schemas"]["ModelOut"][];
        };
        /** @description A name in a list. */
        Named: {
            name: string;
        };
        /** @description A threshold for a chosen FAR. */
        OperatingPointOut: {
            /** @description Fewer than 30 false accepts are expected: the true FAR may be off by more than 30 %. */
            coarse: boolean;
            far: components["schemas"]["EstimateOut"];
            frr: components["schemas"]["EstimateOut"];
            /** Format: double */
            target_far: number;
            /** Format: double */
            threshold: number;
            threshold_interval: components["schemas"]["IntervalOut"];
        };
        /** @description The whole server. */
        Overview: {
            /** @description In the order of names. */
            collections: components["schemas"]["CollectionLine"][];
            /** @description `{log_bytes, view_bytes, free_bytes, reserve_bytes}`; below the reserve only deletes are taken. */
            disk: Record<string, never>;
            /** @description As `GET /models` describes it. */
            model: Record<string, never>;
            /** Format: int64 */
            uptime_secs: number;
            /** @description Of lookalike. */
            version: string;
        };
        /** @description Payload for points named by id or by filter. */
        PayloadBody: {
            /** @description A filter that the points pass. */
            filter?: Record<string, never> | null;
            /** @description Path under which the keys are set. */
            key?: string | null;
            /** @description The keys to set. */
            payload: Record<string, never>;
            /** @description Ids of points. */
            points?: unknown[] | null;
            /** @description Custom sharding is not supported. */
            shard_key?: unknown;
        };
        /** @description `PUT /collections/{c}/index`. */
        PayloadIndexBody: {
            /** @description Path of the payload field. */
            field_name: string;
            /**
             * @description `keyword`, `integer`, `float`, `bool`, `datetime`, `uuid`, `text`, `geo`, or an object
             *     whose `type` is one of them, with `is_tenant`, `is_principal`, `lookup`, `range`, `on_disk`
             *     (kept and echoed) and for `text` with `tokenizer` (`word`, `whitespace`, `prefix`),
             *     `lowercase`, `min_token_len`, `max_token_len` and `phrase_matching`.
             */
            field_schema?: unknown;
        };
        /** @description Scores to probabilities. */
        PlattOut: {
            /** Format: double */
            offset: number;
            /** Format: double */
            slope: number;
        };
        /** @description One point. */
        PointBody: {
            /** @description An unsigned integer or a UUID. */
            id: unknown;
            /** @description Any JSON object. */
            payload?: Record<string, never> | null;
            /** @description Numbers, vectors by name, or an object with `text` or `image` for the model. */
            vector: unknown;
        };
        /** @description An unsigned 64-bit number, or a UUID. */
        PointIdOut: number | string;
        /** @description The probability that a probe with this score is genuine, where the share `prior` of all is. */
        ProbabilityOut: {
            /** Format: double */
            genuine: number;
            /** Format: double */
            prior: number;
        };
        /** @description Facts of a picture's ink. */
        QualityOut: {
            /** Format: double */
            contrast: number;
            /** Format: int64 */
            height: number;
            /** Format: double */
            ink_share: number;
            /** Format: int64 */
            width: number;
        };
        /** @description Several queries that are answered together. */
        QueryBatchBody: {
            /** @description 1 to 256 queries. */
            searches: components["schemas"]["QueryBody"][];
        };
        /** @description One query. */
        QueryBody: {
            /** @description Which points may be answered. */
            filter?: Record<string, never> | null;
            /** @description Most hits; 10 if absent, at most 10,000 together with `offset`. */
            limit?: number | null;
            /** @description For a query by id: `{"collection", "vector"}` that the id is looked up in. */
            lookup_from?: Record<string, never> | null;
            /**
             * Format: float
             * @description Hits must be at least as probably right, 0 to 1; they say how probable.
             */
            min_relevance?: number | null;
            /** @description Hits to skip. */
            offset?: number | null;
            /**
             * @description `hnsw_ef` (at most 10,000), `exact`, `quantization` (`ignore`, `rescore`, `oversampling` from 1 to 100); `adapt`: `none`, `picture` or `text`, which head of the
             *     collection the query goes through, whatever it is.
             */
            params?: Record<string, never> | null;
            /**
             * @description Queries that come first, one or a list, nested up to 4 deep and 32 in all: their hits are made one
             *     list by `fusion` or `rrf`, or chosen from by any other query.
             */
            prefetch?: unknown;
            /**
             * @description A vector, a point id, an object for the model, `{"nearest": any of these}` with an
             *     optional `mmr`; `recommend`, `discover`, `context`, `order_by`, `sample`; with `prefetch` also
             *     `fusion` or `rrf`; or absent: points in the order of their ids.
             */
            query?: unknown;
            /**
             * Format: float
             * @description Hits must be at least as good.
             */
            score_threshold?: number | null;
            /** @description Not supported. */
            shard_key?: unknown;
            /** @description Name of the vector; the unnamed one if absent. */
            using?: string | null;
            /** @description true, false, names, or `{"include"|"exclude": [..]}`; false if absent. */
            with_payload?: unknown;
            /**
             * @description true: hits say in `relevance` how probable it is, from 0 to 1, that they are right answers (and in
             *     `order_value` for clients that know no other field). They do not where fewer than 64 points have the vector.
             */
            with_relevance?: boolean | null;
            /** @description true, false or vector names; false if absent. */
            with_vector?: unknown;
        };
        /** @description A point of the DET curve. */
        RatePointOut: {
            /** Format: double */
            far: number;
            /** Format: double */
            frr: number;
            /** Format: double */
            threshold: number;
        };
        /** @description The older form of a recommendation. */
        RecommendBody: {
            /** @description As in a query. */
            filter?: Record<string, never> | null;
            /** @description As in a query. */
            limit?: number | null;
            /** @description As in a query. */
            lookup_from?: Record<string, never> | null;
            /** @description Ids and vectors not to be like. */
            negative?: unknown[] | null;
            /** @description As in a query. */
            offset?: number | null;
            /** @description As in a query. */
            params?: Record<string, never> | null;
            /** @description Ids and vectors to be like. */
            positive?: unknown[] | null;
            /**
             * Format: float
             * @description As in a query.
             */
            score_threshold?: number | null;
            /** @description Not supported. */
            shard_key?: unknown;
            /** @description `average_vector` if absent, `best_score`, `sum_scores`. */
            strategy?: string | null;
            /** @description As in a query. */
            using?: string | null;
            /** @description As in a query. */
            with_payload?: unknown;
            /** @description As in a query. */
            with_vector?: unknown;
        };
        /** @description A point as it was read. */
        RecordOut: {
            id: components["schemas"]["PointIdOut"];
            /** @description Where it stands in the order that was asked for; microseconds since 1970 of a datetime. */
            order_value?: unknown;
            payload?: Record<string, never> | null;
            vector?: unknown;
        };
        /** @description Where a collection is recovered from. */
        RecoverBody: {
            /** @description Sent as `api-key` to the URL. */
            api_key?: string | null;
            /** @description SHA-256 that the archive must have, in hexadecimal. */
            checksum?: string | null;
            /** @description `http(s)://…`, or `file:///…` of one of this server's own snapshots. */
            location: string;
            /** @description Which replica wins where they differ: there is one, and the snapshot wins. */
            priority?: string | null;
        };
        /** @description A reference. */
        ReferenceOut: {
            id: components["schemas"]["PointIdOut"];
            sha256?: string | null;
        };
        /** @description `POST /collections/{c}/points`: points by id. */
        RetrieveBody: {
            /** @description Ids; absent points are left out of the answer. */
            ids: unknown[];
            /** @description Custom sharding is not supported. */
            shard_key?: unknown;
            /** @description true if absent. */
            with_payload?: unknown;
            /** @description false if absent. */
            with_vector?: unknown;
        };
        /** @description A hit. */
        ScoredPointOut: {
            id: components["schemas"]["PointIdOut"];
            /**
             * Format: float
             * @description The same, under a name that the official clients read.
             */
            order_value?: number | null;
            payload?: Record<string, never> | null;
            /**
             * Format: float
             * @description The probability from 0 to 1 that it is a right answer, where it was asked for and can be known.
             */
            relevance?: number | null;
            /**
             * Format: float
             * @description Similarity (larger is nearer) or distance (smaller is nearer).
             */
            score: number;
            vector?: unknown;
            /**
             * Format: int64
             * @description Sequence number of the write that made the point as it is.
             */
            version: number;
        };
        /** @description `POST /collections/{c}/points/scroll` */
        ScrollBody: {
            /** @description Which points are wanted. */
            filter?: Record<string, never> | null;
            /** @description Most points, 10 if absent, at most 10,000. */
            limit?: number | null;
            /** @description Id to start from; `next_page_offset` of the page before. */
            offset?: unknown;
            /**
             * @description A payload field with an integer, float or datetime index, or `{"key", "direction", "start_from"}`;
             *     without `offset`.
             */
            order_by?: unknown;
            /** @description Custom sharding is not supported. */
            shard_key?: unknown;
            /** @description true if absent. */
            with_payload?: unknown;
            /** @description false if absent. */
            with_vector?: unknown;
        };
        /** @description A page of points. */
        ScrollOut: {
            next_page_offset?: null | components["schemas"]["PointIdOut"];
            points: components["schemas"]["RecordOut"][];
        };
        /** @description Several older queries that are answered together. */
        SearchBatchBody: {
            /** @description 1 to 256 queries. */
            searches: components["schemas"]["SearchBody"][];
        };
        /** @description The older form of a query by a vector. */
        SearchBody: {
            /** @description As in a query. */
            filter?: Record<string, never> | null;
            /** @description As in a query. */
            limit?: number | null;
            /** @description As in a query. */
            offset?: number | null;
            /** @description As in a query. */
            params?: Record<string, never> | null;
            /**
             * Format: float
             * @description As in a query.
             */
            score_threshold?: number | null;
            /** @description Not supported. */
            shard_key?: unknown;
            /** @description A vector, or `{"name", "vector"}`. */
            vector: unknown;
            /** @description As in a query. */
            with_payload?: unknown;
            /** @description As in a query. */
            with_vector?: unknown;
        };
        /** @description The searches that identification rests on. */
        SearchesOut: {
            /** Format: int64 */
            searches: number;
            /** Format: int64 */
            subjects: number;
        };
        /** @description What labelled forgeries show at the thresholds. */
        SkilledOut: {
            eer: components["schemas"]["EstimateOut"];
            far: number[];
            /** Format: int64 */
            forgeries: number;
            /** Format: int64 */
            subjects: number;
        };
        /** @description A subject in a list. */
        SubjectCountOut: {
            /** Format: int64 */
            forgeries: number;
            /** Format: int64 */
            references: number;
            subject: string;
        };
        /** @description A subject. */
        SubjectOut: {
            /** Format: int64 */
            forgeries: number;
            references: components["schemas"]["ReferenceOut"][];
            subject: string;
        };
        /** @description A page of subjects. */
        SubjectsOut: {
            /** @description The `from` of the next page. */
            next?: string | null;
            /** Format: int64 */
            references: number;
            subjects: components["schemas"]["SubjectCountOut"][];
            /** Format: int64 */
            total: number;
        };
        /** @description Points named by id or by filter: exactly one of the two. */
        TargetBody: {
            /** @description A filter that the points pass. */
            filter?: Record<string, never> | null;
            /** @description Ids of points. */
            points?: unknown[] | null;
            /** @description Custom sharding is not supported. */
            shard_key?: unknown;
        };
        /** @description A task as it is at the moment. */
        TaskOut: {
            /** @description The collection; none where it is all of them. */
            collection?: string | null;
            /** @description When it was asked for, RFC 3339, UTC. */
            created: string;
            /**
             * Format: int64
             * @description Items that are done, well or not.
             */
            done: number;
            /** @description Why it `failed`. */
            error?: string | null;
            /**
             * Format: int32
             * @description The status that the call would have been answered with, once it `failed`.
             */
            error_status?: number | null;
            /**
             * Format: double
             * @description Seconds that the rest will take at this rate.
             */
            eta?: number | null;
            /**
             * Format: int64
             * @description Items among them that failed.
             */
            failed: number;
            /** @description The first 1,000 items that failed. */
            failures: components["schemas"]["ItemFailureOut"][];
            /** @description When it was over. */
            finished?: string | null;
            /** @description A UUID. */
            id: string;
            /** @description `import`, `adapt`, `calibrate`, `whiten`, `snapshot` or `recover`. */
            kind: string;
            /**
             * Format: double
             * @description Items a second since it started.
             */
            rate?: number | null;
            /** @description What the call would have answered; once it is `done`. */
            result?: unknown;
            /** @description When its turn came. */
            started?: string | null;
            /** @description `queued`, `running`, `cancelling`, and then `done`, `failed` or `cancelled`. */
            state: string;
            /**
             * Format: int64
             * @description Items, where they are counted.
             */
            total?: number | null;
        };
        /** @description All tasks that are known. */
        TasksOut: {
            /** @description Newest first. */
            tasks: components["schemas"]["TaskOut"][];
        };
        /** @description Accept from, reject below. */
        ThresholdOut: {
            /** Format: double */
            accept: number;
            /** Format: double */
            reject: number;
        };
        /** @description `PATCH /collections/{c}`. Fields that tune other servers are kept and echoed. */
        UpdateBody: {
            /**
             * @description `m`, `ef_construct`, `full_scan_threshold`, `max_indexing_threads`. Where another `m` or `ef_construct`
             *     counts for a vector, its graph is built anew in the background (`status` is `yellow` meanwhile).
             */
            hnsw_config?: Record<string, never> | null;
            /**
             * @description Merged into the collection's metadata, key by key; a null removes its key.
             *     `text_templates` is a list of 1 to 64 strings, each with `{}` once: text queries are put
             *     into each and their vectors averaged.
             */
            metadata?: Record<string, never> | null;
            /** @description Accepted and echoed. */
            optimizers_config?: Record<string, never> | null;
            /** @description Accepted and echoed. */
            params?: Record<string, never> | null;
            /** @description As in the creation of a collection; counts for pictures that come from now on. */
            pictures?: Record<string, never> | null;
            /** @description As in the creation of a collection, or `"Disabled"`; the graph is built anew in the background. */
            quantization_config?: Record<string, never> | null;
            /** @description Not supported. */
            sparse_vectors?: Record<string, never> | null;
            /** @description Accepted and echoed. */
            strict_mode_config?: Record<string, never> | null;
            /**
             * @description By name (`""` is the unnamed vector): `hnsw_config` and `quantization_config` as above and below, for this
             *     vector alone, and `on_disk`, which takes effect when the server is started next.
             */
            vectors?: Record<string, never> | null;
        };
        /** @description A change that is done. */
        UpdatedOut: {
            /** @description With `X-Lookalike-Partial: true`: items that could not be embedded. */
            failed?: components["schemas"]["FailedItem"][];
            /**
             * Format: int64
             * @description Sequence number of the write.
             */
            operation_id: number;
            /** @description Always `completed`. */
            status: string;
        };
        /** @description `PUT /collections/{c}/points`: either `points` or `batch`. */
        UpsertBody: {
            batch?: null | components["schemas"]["BatchBody"];
            /** @description The points, one by one. */
            points?: components["schemas"]["PointBody"][] | null;
            /** @description Custom sharding is not supported. */
            shard_key?: unknown;
            /** @description Conditional updates are not supported. */
            update_filter?: unknown;
            /** @description Only `upsert`. */
            update_mode?: string | null;
        };
        /** @description The calibration that was used. */
        UsedCalibrationOut: {
            /** @description `random` or `skilled`. */
            against: string;
            /** Format: int64 */
            age_secs: number;
            id: string;
            /** Format: int64 */
            version: number;
        };
        /** @description A reference that was compared with. */
        UsedReferenceOut: {
            id: components["schemas"]["PointIdOut"];
            /** Format: double */
            similarity: number;
        };
        /** @description `POST /collections/{c}/verify`; as a form the one file is the sample. */
        VerifyBody: {
            /**
             * @description `{"target_far", "review_far"?}` of the calibration, or `{"threshold", "reject_below"?}`; the lowest
             *     calibrated FAR if absent.
             */
            policy?: Record<string, never> | null;
            /**
             * Format: double
             * @description The share of genuine signatures among all that are presented; 0.5 if absent.
             */
            prior?: number | null;
            /** @description A picture as base64 or data: URL, `{"vector": [..]}` of the collection's features, or `{"id": ..}`. */
            sample?: unknown;
            /** @description Whose it is said to be. */
            subject?: string | null;
        };
        /** @description Is this the subject's signature? */
        VerifyOut: {
            /**
             * Format: int64
             * @description Its number in the audit log, where there is one.
             */
            audit?: number | null;
            calibration?: null | components["schemas"]["UsedCalibrationOut"];
            decision: components["schemas"]["DecisionOut"];
            far?: null | components["schemas"]["EstimateOut"];
            frr?: null | components["schemas"]["EstimateOut"];
            nearest_impostor?: null | components["schemas"]["CandidateOut"];
            /**
             * Format: double
             * @description The share of genuine probes of the calibration that score no higher.
             */
            p_value?: number | null;
            probability?: null | components["schemas"]["ProbabilityOut"];
            quality?: null | components["schemas"]["QualityOut"];
            /** @description The first decided. */
            reasons: components["schemas"]["WhyOut"][];
            references: components["schemas"]["UsedReferenceOut"][];
            /** @description The probe is a copy of a reference. */
            replay: boolean;
            /**
             * Format: double
             * @description Null where the probe cannot be judged.
             */
            score?: number | null;
            subject: string;
            threshold?: null | components["schemas"]["ThresholdOut"];
            warnings: string[];
            whitening: string;
        };
        /** @description `POST /collections/{c}/whitening` */
        WhitenBody: {
            /** @description True goes back to the whitening that ships with the model. */
            default?: boolean;
            /**
             * Format: int64
             * @description Of the draw; 1 if absent.
             */
            seed?: number | null;
            /**
             * Format: double
             * @description The share of subjects that is drawn, 0.05 to 0.95; 0.5 if absent.
             */
            share?: number | null;
            /** @description The cohort by name, at least 10; drawn by `share` if absent. */
            subjects?: string[];
        };
        /** @description A whitening. */
        WhiteningOut: {
            /** @description Names of the subjects it was fitted on, where they are of this collection. */
            cohort: string[];
            /**
             * Format: int64
             * @description Seconds since 1970.
             */
            created: number;
            id: string;
            /** @description `default` or `fitted`. */
            origin: string;
            /** Format: int64 */
            subjects: number;
        };
        /** @description The whitening in use. */
        WhiteningsOut: {
            whitening?: null | components["schemas"]["WhiteningOut"];
        };
        /** @description A reason, as a word and as a sentence. */
        WhyOut: {
            reason: string;
            text: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    root: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description title, protocol version, lookalike's own version, model */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    cluster: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description always disabled */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    list_collections: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description {collections: [{name}]} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_CollectionsOut"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    get_collection: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description as Qdrant describes a collection */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_CollectionOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    create_collection: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateBody"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_bool"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    delete_collection: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_bool"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    update_collection: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["UpdateBody"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_bool"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    list_adapt: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description {versions, applied: [{vector, modality, version}]} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_AdaptOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    fit_adapt: {
        parameters: {
            query?: {
                /** @description answer with a task, and fit in the background */
                async?: boolean;
            };
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AdaptBody"];
            };
        };
        responses: {
            /** @description the version: {version, comparisons: [{modality, candidates: [{kind, strength, map, first, gain}], best, wins}], applied_to} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_Value"];
                };
            };
            /** @description the task */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_TaskOut"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    apply_adapt: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AppliedBody"];
            };
        };
        responses: {
            /** @description as GET answers */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_AdaptOut"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    delete_adapt: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
                version: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description as GET answers */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_AdaptOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    export_audit: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description JSON lines: {hash, previous, sequence, time, kind, subject, probe_sha256, decision, score, threshold, calibration, key} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/x-ndjson": unknown;
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    calibrate: {
        parameters: {
            query?: {
                /** @description answer with a task, and calibrate in the background */
                async?: boolean;
            };
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CalibrateBody"];
            };
        };
        responses: {
            /** @description the calibration: {id, version, eer, points: [{target_far, threshold, far, frr}], skilled?, identification, outgrown, stale?} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_CalibrationOut"];
                };
            };
            /** @description the task */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_TaskOut"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    list_calibrations: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description {calibrations} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_CalibrationsOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    get_calibration: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
                calibration: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description as in the list, with {det: [{threshold, far, frr}], platt, eer_threshold} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_CalibrationOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    calibration_report: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
                calibration: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description an HTML page that needs nothing else */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/html": unknown;
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    duplicates: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["DuplicatesBody"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_DuplicatesOut"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    enrol: {
        parameters: {
            query?: never;
            header?: {
                "X-Lookalike-Partial"?: boolean | null;
            };
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["EnrolBody"];
            };
        };
        responses: {
            /** @description {subject, items: [{sample, status, id?, quality?, error?}], references, advice?} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_EnrolOut"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    collection_exists: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description {exists} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_ExistsOut"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    facet: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["FacetBody"];
            };
        };
        responses: {
            /** @description values, the most frequent first */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_Facets"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    identify: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["IdentifyBody"];
            };
        };
        responses: {
            /** @description {subject?, decision, reasons, candidates: [{subject, score}], threshold, search_far, searched, note, calibration, replay, quality, warnings, audit} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_IdentifyOut"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    upload_images: {
        parameters: {
            query?: {
                /** @description name of the vector; the unnamed one if absent */
                using?: string;
            };
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        /** @description `payloads` and `ids` as JSON, then the files */
        requestBody: {
            content: {
                "multipart/form-data": {
                    /** @description JSON, before the files: as `payloads`; a file without an id gets one made from its bytes. */
                    ids?: string | null;
                    /** @description Picture files. */
                    image: string[];
                    /** @description JSON, before the files: a list in the order of the files, or an object by file name. */
                    payloads?: string | null;
                };
            };
        };
        responses: {
            /** @description NDJSON, one line a file: {index, file, id, status, error?} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/x-ndjson": components["schemas"]["ImageLine"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    import_points: {
        parameters: {
            query?: {
                /** @description answer with a task, and import in the background */
                async?: boolean;
            };
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        /** @description one point a line */
        requestBody: {
            content: {
                "application/x-ndjson": components["schemas"]["PointBody"];
            };
        };
        responses: {
            /** @description NDJSON, one line a point, not always in their order: {index, id?, status, error?} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/x-ndjson": components["schemas"]["ImportLine"];
                };
            };
            /** @description the task */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_TaskOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    create_index: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PayloadIndexBody"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_UpdatedOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    delete_index: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
                field: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_UpdatedOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    map: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["MapBody"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_MapOut"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    upsert_points: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["UpsertBody"];
            };
        };
        responses: {
            /** @description {operation_id, status, failed?} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_UpdatedOut"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    retrieve_points: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RetrieveBody"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_Vec_RecordOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    count_points: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CountBody"];
            };
        };
        responses: {
            /** @description {count} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_CountOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    delete_points: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["TargetBody"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_UpdatedOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    overwrite_payload: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PayloadBody"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_UpdatedOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    set_payload: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PayloadBody"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_UpdatedOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    clear_payload: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["TargetBody"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_UpdatedOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    delete_payload: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["KeysBody"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_UpdatedOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    query_points: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["QueryBody"];
            };
        };
        responses: {
            /** @description {points: hits, best first} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_HitsOut"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    query_batch: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["QueryBatchBody"];
            };
        };
        responses: {
            /** @description one {points} a query */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_Vec_HitsOut"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    query_groups: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["GroupsBody"];
            };
        };
        responses: {
            /** @description {groups: [{id, hits}]}, the group of the best hit first */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_GroupsOut"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    recommend: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RecommendBody"];
            };
        };
        responses: {
            /** @description hits, best first */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_Vec_ScoredPointOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    scroll_points: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ScrollBody"];
            };
        };
        responses: {
            /** @description {points, next_page_offset} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_ScrollOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    search: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SearchBody"];
            };
        };
        responses: {
            /** @description hits, best first */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_Vec_ScoredPointOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    search_batch: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SearchBatchBody"];
            };
        };
        responses: {
            /** @description hits for each query */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_Vec_Vec_ScoredPointOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    get_point: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_RecordOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    original: {
        parameters: {
            query?: never;
            header?: {
                /** @description the ETag of what is known */
                "If-None-Match"?: string | null;
            };
            path: {
                name: string;
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description the file: JPEG, PNG, WebP or GIF, with an ETag */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "image/*": unknown;
                };
            };
            /** @description still what If-None-Match names */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    thumbnail: {
        parameters: {
            query?: never;
            header?: {
                /** @description the ETag of what is known */
                "If-None-Match"?: string | null;
            };
            path: {
                name: string;
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description the JPEG, with an ETag */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "image/jpeg": unknown;
                };
            };
            /** @description still what If-None-Match names */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    list_snapshots: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_Vec_Described"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    create_snapshot: {
        parameters: {
            query?: {
                /** @description answer with a task */
                async?: boolean;
            };
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_Described"];
                };
            };
            /** @description the task */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_TaskOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    recover_snapshot: {
        parameters: {
            query?: {
                /** @description answer with a task */
                async?: boolean;
            };
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RecoverBody"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_bool"];
                };
            };
            /** @description the task */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_TaskOut"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    upload_snapshot: {
        parameters: {
            query?: {
                /** @description SHA-256 that the archive must have */
                checksum?: string;
                priority?: string;
            };
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        /** @description the archive as the part `snapshot` */
        requestBody: {
            content: {
                "multipart/form-data": {
                    /**
                     * Format: binary
                     * @description The archive.
                     */
                    snapshot: string;
                };
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_bool"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    download_snapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
                snapshot: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description a tar archive */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": unknown;
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    delete_snapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
                snapshot: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_bool"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    list_subjects: {
        parameters: {
            query?: {
                from?: string;
                /** @description 1 to 10,000; 100 if absent */
                limit?: number;
            };
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description {subjects: [{subject, references, forgeries}], total, references, next?} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_SubjectsOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    get_subject: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
                subject: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description {subject, references: [{id, sha256?}], forgeries} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_SubjectOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    delete_subject: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
                subject: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description {deleted: points} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_DeletedOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    verify: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["VerifyBody"];
            };
        };
        responses: {
            /** @description {decision: accept|reject|review, reasons: [{reason, text}], score, threshold: {accept, reject}, probability: {genuine, prior}, p_value, far, frr, references: [{id, similarity}], nearest_impostor, calibration: {id, version, age_secs, against}, whitening, replay, quality, warnings, audit} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_VerifyOut"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    get_whitening: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description {whitening: {id, origin: default|fitted, created, subjects, cohort}?} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_WhiteningsOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    fit_whitening: {
        parameters: {
            query?: {
                /** @description answer with a task, and fit in the background */
                async?: boolean;
            };
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["WhitenBody"];
            };
        };
        responses: {
            /** @description as GET answers */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_WhiteningsOut"];
                };
            };
            /** @description the task */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_TaskOut"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    page: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description an HTML page */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/html": unknown;
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    file: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description app.js, style.css or icon.svg */
                file: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description the file */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    embed: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["EmbedBody"];
            };
        };
        responses: {
            /** @description {embeddings, model, dimension} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_EmbedOut"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    healthz: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description the server lives */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    livez: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description the server lives */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    metrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Prometheus' text format 0.0.4 */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    models: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description {models: [{name, dimension, modalities, device, precision, loaded, default, weight_mib}]} */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_ModelsOut"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    openapi: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description the OpenAPI document */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    overview: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_Overview"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    readyz: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description the server answers requests */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    list_full_snapshots: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_Vec_Described"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    create_full_snapshot: {
        parameters: {
            query?: {
                /** @description answer with a task */
                async?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_Described"];
                };
            };
            /** @description the task */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_TaskOut"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    download_full_snapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                snapshot: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description a tar archive */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": unknown;
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    delete_full_snapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                snapshot: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_bool"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    list_tasks: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_TasksOut"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    get_task: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_TaskOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
    cancel_task: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_TaskOut"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
            /** @description the error in words */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorEnvelope"];
                };
            };
        };
    };
}
