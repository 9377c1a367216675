// How one collection stands: counts, index, disk, model, payload fields, snapshots, and its end.
import { useState } from "preact/hooks";
import { at, call, get, post, words, type CollectionLine, type Description } from "../api";
import { bytes, count, percent, plural } from "../format";
import { go, overview, refresh, say, tracked } from "../store";
import { Bar, Button, Dialog, Notice, useLoad } from "../ui";

export const STATE = { green: "Ready", yellow: "Building its index", red: "Read-only" };

export function About({ line }: { line: CollectionLine }) {
  const { value, error, again } = useLoad((signal) => get<Description>(at(line.name), signal), [line.name, line.points, line.indexed_vectors]);
  const [asked, setAsked] = useState(false);
  const [typed, setTyped] = useState("");
  const [failed, setFailed] = useState<unknown>(null);
  const [made, setMade] = useState("");
  const act = async (work: () => Promise<void>) => {
    setFailed(null);
    try {
      await work();
    } catch (error) {
      setFailed(error);
    }
  };
  const snapshot = () =>
    act(async () => {
      const made = await tracked(`Snapshot of ${line.name}`, line.name, () => post<{ name: string; size: number }>(at(line.name, "/snapshots"), {}));
      setMade(`${made.name}, ${bytes(made.size)}`);
      say("Snapshot made");
    });
  const keep = (thumbnails: boolean) =>
    act(async () => {
      await call("PATCH", at(line.name), { pictures: { thumbnails } });
      await refresh();
      again();
    });
  const remove = () =>
    act(async () => {
      await call("DELETE", at(line.name));
      await refresh();
      go("#/");
    });
  const model = overview.value?.model;
  const share = line.vectors === 0 ? 1 : line.indexed_vectors / line.vectors;
  return (
    <div class="stack">
      {error != null && <Notice kind="error">{words(error)}</Notice>}
      {failed != null && <Notice kind="error">{words(failed)}</Notice>}
      {line.error && <Notice kind="error">Nothing can be written: {line.error}</Notice>}
      <div class="figures">
        <div class="panel">
          <p class="hint">Points</p>
          <p class="big">{count(line.points)}</p>
        </div>
        <div class="panel">
          <p class="hint">On disk</p>
          <p class="big">{bytes(line.disk_bytes)}</p>
        </div>
        <div class="panel">
          <p class="hint">State</p>
          <p class="big">
            <span class={`dot ${line.status}`} /> {STATE[line.status]}
          </p>
        </div>
      </div>
      <section class="panel">
        <h2>Index</h2>
        {line.indexed_vectors > 0 && <Bar share={share} label="Vectors in the graph" />}
        <p class="hint">
          {line.indexed_vectors > 0
            ? `${count(line.indexed_vectors)} of ${plural(line.vectors, "vector")} are in the graph (${percent(share)}); the others are searched one by one.`
            : `${plural(line.vectors, "vector")} are compared one by one, which is exact and fast for so few.`}
          {value && ` A graph is built from ${count(value.config.hnsw_config.full_scan_threshold)} vectors on, with m ${value.config.hnsw_config.m}.`}
        </p>
      </section>
      <section class="panel">
        <h2>Model</h2>
        <dl class="facts">
          <dt>Name</dt>
          <dd>{model?.name}</dd>
          <dt>Dimension</dt>
          <dd>{model && count(model.dimension)}</dd>
          <dt>Runs on</dt>
          <dd>
            {model?.device}, {model?.precision}
          </dd>
          <dt>Fingerprint</dt>
          <dd class="code">{model?.fingerprint}</dd>
        </dl>
      </section>
      <section class="panel">
        <h2>Payload fields</h2>
        {value && Object.keys(value.payload_schema).length === 0 && <p class="hint">No field has an index. Filters work all the same; with an index they are faster, and their values can be counted.</p>}
        {value && Object.keys(value.payload_schema).length > 0 && (
          <table>
            <thead>
              <tr>
                <th scope="col">Field</th>
                <th scope="col">Kind</th>
                <th scope="col">Points with it</th>
              </tr>
            </thead>
            <tbody>
              {Object.entries(value.payload_schema).map(([field, index]) => (
                <tr key={field}>
                  <td>{field}</td>
                  <td>{index.data_type}</td>
                  <td>{count(index.points)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </section>
      <section class="panel">
        <h2>Pictures</h2>
        <p class="hint">
          {line.thumbnails ? "A small copy of every picture is kept with its point." : "No small copies of new pictures are kept."}{" "}
          {line.originals ? "The files themselves are kept too." : "The files themselves are not kept."}
        </p>
        <Button onClick={() => void keep(!line.thumbnails)}>{line.thumbnails ? "Keep no thumbnails from now on" : "Keep thumbnails"}</Button>
      </section>
      <section class="panel">
        <h2>Back up</h2>
        <p class="hint">A snapshot is the collection at one moment, in one file in the data directory.</p>
        <Button onClick={() => void snapshot()}>Make a snapshot</Button>
        {made && <Notice kind="good">{made}</Notice>}
      </section>
      <section class="panel">
        <h2>Delete the collection</h2>
        <p class="hint">All of its points, pictures and settings go with it.</p>
        <Button kind="danger" onClick={() => setAsked(true)}>
          Delete {line.name}
        </Button>
      </section>
      {asked && (
        <Dialog
          title={`Delete ${line.name}?`}
          close={() => setAsked(false)}
          actions={
            <>
              <Button kind="danger" disabled={typed !== line.name} onClick={() => void remove()}>
                Delete it for good
              </Button>
              <Button onClick={() => setAsked(false)}>Keep it</Button>
            </>
          }
        >
          <p>{plural(line.points, "point")} will be gone. There is no way back but a snapshot.</p>
          <label class="field">
            Type {line.name} to go on
            <input type="text" autocomplete="off" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
          </label>
        </Dialog>
      )}
    </div>
  );
}
