// The first page: the server, its collections, and a new one.
import { useState } from "preact/hooks";
import { apiKey, at, call, words } from "../api";
import { bytes, count, duration, plural } from "../format";
import { go, href, overview, overviewError, refresh, say } from "../store";
import { Button, Empty, Field, Notice } from "../ui";
import { STATE } from "./about";

function Create() {
  const [name, setName] = useState("");
  const [kind, setKind] = useState("pictures");
  const [error, setError] = useState<unknown>(null);
  const create = async () => {
    setError(null);
    try {
      await call("PUT", at(name), kind === "signatures" ? { signatures: {} } : {});
      await refresh();
      say(`${name} is created`);
      go(href(name, kind === "signatures" ? "verify" : "add"));
    } catch (error) {
      setError(error);
    }
  };
  return (
    <form
      class="panel create"
      aria-labelledby="create-title"
      onSubmit={(event) => {
        event.preventDefault();
        void create();
      }}
    >
      <h2 id="create-title">New collection</h2>
      <Field label="Name" hint="Letters, digits, - and _">
        {(id) => <input id={id} type="text" required maxLength={64} pattern="[A-Za-z0-9_\-]+" autocomplete="off" placeholder="holidays" value={name} onInput={(event) => setName(event.currentTarget.value)} />}
      </Field>
      <Field label="Kind">
        {(id) => (
          <select id={id} value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
            <option value="pictures">Pictures and texts</option>
            {overview.value?.model.signatures && <option value="signatures">Signatures to verify</option>}
          </select>
        )}
      </Field>
      {error != null && <Notice kind="error">{words(error)}</Notice>}
      <Button kind="main" type="submit">
        Create
      </Button>
    </form>
  );
}

export function Home() {
  const seen = overview.value;
  if (overviewError.value && !seen) {
    return (
      <Notice kind="error">
        {overviewError.value} <Button onClick={() => void refresh()}>Try again</Button>
      </Notice>
    );
  }
  if (!seen) return <div class="skeleton fill" />;
  const used = seen.disk.log_bytes + seen.disk.view_bytes;
  return (
    <div class="home">
      <section aria-labelledby="collections-title">
        <h2 id="collections-title" class="unseen">
          Collections
        </h2>
        {seen.collections.length === 0 && (
          <Empty icon="picture" title="No collections yet">
            <p>A collection holds pictures that are searched together. Give it a name, then drop a folder of pictures on it.</p>
          </Empty>
        )}
        <ul class="collections">
          {seen.collections.map((line) => (
            <li key={line.name}>
              <a class="panel" href={href(line.name, line.signatures ? "verify" : "search")}>
                <h3>{line.name}</h3>
                <p>
                  {plural(line.points, line.signatures ? "signature" : "point")} · {bytes(line.disk_bytes)}
                </p>
                <p class="hint">
                  <span class={`dot ${line.status}`} /> {STATE[line.status]}
                </p>
              </a>
            </li>
          ))}
        </ul>
      </section>
      <aside class="stack" aria-label="Server">
        <Create />
        <section class="panel" aria-labelledby="server-title">
          <h2 id="server-title">Server</h2>
          <dl class="facts">
            <dt>Model</dt>
            <dd>
              {seen.model.name}, {count(seen.model.dimension)} components, on {seen.model.device}
            </dd>
            <dt>On disk</dt>
            <dd>
              {bytes(used)}, {bytes(seen.disk.free_bytes)} free
            </dd>
            <dt>Running</dt>
            <dd>{seen.uptime_secs < 1 ? "since just now" : duration(seen.uptime_secs)}</dd>
            <dt>Version</dt>
            <dd>{seen.version}</dd>
          </dl>
          {seen.disk.free_bytes < 2 * seen.disk.reserve_bytes && (
            <Notice kind="info">The disk is nearly full: below {bytes(seen.disk.reserve_bytes)} only deletes are taken.</Notice>
          )}
          {apiKey.value === "" && (
            <a href="/openapi.json" target="_blank" rel="noreferrer">
              The API as OpenAPI
            </a>
          )}
        </section>
      </aside>
    </div>
  );
}
