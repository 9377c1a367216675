// Filters from the payload schema: values with their counts, and ranges. Fields that have no index yet are offered.
import { useState } from "preact/hooks";
import { at, call, get, post, words, type Description, type Payload } from "../api";
import { count, plain } from "../format";
import { say } from "../store";
import { Button, Notice, useLoad } from "../ui";

type Value = string | number | boolean;
export interface Chosen {
  values: Record<string, Value[]>;
  ranges: Record<string, { gte?: number; lte?: number }>;
}
export const NOTHING: Chosen = { values: {}, ranges: {} };

const COUNTED = ["keyword", "integer", "bool", "uuid"];
const RANGED = ["integer", "float"];
const VALUES = 12;

/** The API's filter; undefined where nothing is chosen. `except` leaves a field out: its own counts do not depend on it. */
export function filterOf(chosen: Chosen, except?: string): object | undefined {
  const must: object[] = [];
  for (const [key, any] of Object.entries(chosen.values)) {
    if (key === except || any.length === 0) continue;
    // A boolean is matched one at a time.
    must.push(
      typeof any[0] === "boolean" ? { should: any.map((value) => ({ key, match: { value } })) } : { key, match: { any } },
    );
  }
  for (const [key, range] of Object.entries(chosen.ranges)) {
    if (key !== except && (range.gte !== undefined || range.lte !== undefined)) must.push({ key, range });
  }
  return must.length > 0 ? { must } : undefined;
}

export const chosenCount = (chosen: Chosen) =>
  Object.values(chosen.values).filter((any) => any.length > 0).length +
  Object.values(chosen.ranges).filter((range) => range.gte !== undefined || range.lte !== undefined).length;

function Facet({ collection, field, chosen, set }: { collection: string; field: string; chosen: Chosen; set: (chosen: Chosen) => void }) {
  const filter = filterOf(chosen, field);
  const { value, error } = useLoad(
    (signal) => post<{ hits: { value: Value; count: number }[] }>(at(collection, "/facet"), { key: field, limit: VALUES, filter }, signal),
    [collection, field, JSON.stringify(filter)],
  );
  const any = chosen.values[field] ?? [];
  const toggle = (one: Value) => {
    const next = any.includes(one) ? any.filter((value) => value !== one) : [...any, one];
    set({ ...chosen, values: { ...chosen.values, [field]: next } });
  };
  if (error) return <p class="hint">{words(error)}</p>;
  if (!value) return <div class="skeleton line" />;
  if (value.hits.length === 0) return <p class="hint">No values.</p>;
  return (
    <ul class="values">
      {value.hits.map((hit) => (
        <li key={plain(hit.value)}>
          <label>
            <input type="checkbox" checked={any.includes(hit.value)} onChange={() => toggle(hit.value)} />
            <span class="value">{plain(hit.value)}</span>
            <span class="figure">{count(hit.count)}</span>
          </label>
        </li>
      ))}
    </ul>
  );
}

function Range({ field, chosen, set }: { field: string; chosen: Chosen; set: (chosen: Chosen) => void }) {
  const range = chosen.ranges[field] ?? {};
  const end = (name: "gte" | "lte", label: string) => (
    <label>
      {label}
      <input
        type="number"
        step="any"
        value={range[name] ?? ""}
        onChange={(event) => {
          const number = event.currentTarget.valueAsNumber;
          set({ ...chosen, ranges: { ...chosen.ranges, [field]: { ...range, [name]: Number.isFinite(number) ? number : undefined } } });
        }}
      />
    </label>
  );
  return (
    <div class="range">
      {end("gte", "From")}
      {end("lte", "To")}
    </div>
  );
}

/** How a field's values would be indexed: by what most of them are. */
function kindOf(values: unknown[]): string | null {
  if (values.every((value) => typeof value === "string" || (Array.isArray(value) && value.every((one) => typeof one === "string")))) return "keyword";
  if (values.every((value) => typeof value === "boolean")) return "bool";
  if (values.every((value) => Number.isInteger(value))) return "integer";
  if (values.every((value) => typeof value === "number")) return "float";
  return null;
}

export function Filters({ collection, chosen, set }: { collection: string; chosen: Chosen; set: (chosen: Chosen) => void }) {
  const described = useLoad((signal) => get<Description>(at(collection), signal), [collection]);
  const sample = useLoad(
    (signal) => post<{ points: { payload: Payload | null }[] }>(at(collection, "/points/scroll"), { limit: 64, with_payload: true }, signal),
    [collection],
  );
  const [error, setError] = useState<unknown>(null);
  const schema = Object.entries(described.value?.payload_schema ?? {});
  const seen: Record<string, unknown[]> = {};
  for (const point of sample.value?.points ?? []) {
    for (const [name, value] of Object.entries(point.payload ?? {})) (seen[name] ??= []).push(value);
  }
  const offered = Object.entries(seen)
    .filter(([name]) => !schema.some(([field]) => field === name) && /^[A-Za-z0-9_-]+$/.test(name))
    .map(([name, values]) => [name, kindOf(values)] as const)
    .filter(([name, kind]) => kind !== null && !["sha256", "file"].includes(name));
  const index = async (field_name: string, field_schema: string) => {
    try {
      await call("PUT", at(collection, "/index"), { field_name, field_schema });
      say(`${field_name} can be filtered by now`);
      described.again();
    } catch (error) {
      setError(error);
    }
  };
  return (
    <div class="filters">
      {error != null && <Notice kind="error">{words(error)}</Notice>}
      {described.loading && !described.value && <div class="skeleton line" />}
      {schema
        .filter(([, { data_type }]) => COUNTED.includes(data_type) || RANGED.includes(data_type))
        .map(([field, { data_type }]) => (
          <fieldset key={field}>
            <legend>{field}</legend>
            {COUNTED.includes(data_type) && <Facet collection={collection} field={field} chosen={chosen} set={set} />}
            {RANGED.includes(data_type) && <Range field={field} chosen={chosen} set={set} />}
          </fieldset>
        ))}
      {chosenCount(chosen) > 0 && <Button onClick={() => set(NOTHING)}>Clear filters</Button>}
      {offered.length > 0 && (
        <div class="offered">
          <p class="hint">Index a field to filter by it:</p>
          {offered.map(([name, kind]) => (
            <Button kind="quiet" key={name} onClick={() => void index(name, kind!)}>
              + {name}
            </Button>
          ))}
        </div>
      )}
      {!described.loading && schema.length === 0 && offered.length === 0 && (
        <p class="hint">The points have no payload to filter by. Give pictures labels when you add them.</p>
      )}
    </div>
  );
}
