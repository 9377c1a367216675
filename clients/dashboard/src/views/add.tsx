// Pictures into a collection: files or whole folders, with progress and what went wrong with each.
import { useState } from "preact/hooks";
import { at, send, words, type CollectionLine, type Payload } from "../api";
import { count, duration, plural } from "../format";
import { dropped, forgetThumbnails, isPicture } from "../pictures";
import { endTask, go, href, refresh, say, startTask, tasks, updateTask, type Failed } from "../store";
import { Button, Empty, FileButton, Notice, Progress } from "../ui";

/** Files of one request: an answer comes for each as it is done, and a lost connection costs few. */
const BATCH = 32;

interface Line {
  index: number;
  file?: string;
  status: "ok" | "error";
  error?: string;
}

/** Sends files and hands on each line of the answer as it arrives. */
async function upload(collection: string, files: File[], payload: Payload, signal: AbortSignal, each: (line: Line) => void) {
  const form = new FormData();
  const folders = files.map((file) => file.webkitRelativePath.split("/").slice(0, -1).join("/"));
  const payloads = files.map((_, i) => ({ ...(folders[i] ? { folder: folders[i] } : {}), ...payload }));
  form.append("payloads", new Blob([JSON.stringify(payloads)], { type: "application/json" }));
  files.forEach((file) => form.append("image", file, file.name));
  const response = await send("POST", at(collection, "/images"), form, signal);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += value ?? "";
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") each(JSON.parse(line));
    if (done) return;
  }
}

async function ingest(collection: string, all: File[], payload: Payload) {
  const files = all.filter(isPicture);
  const abort = new AbortController();
  const id = startTask({ title: `Add ${plural(files.length, "picture")}`, collection, total: files.length, stop: () => abort.abort() });
  let added = 0;
  const fail = (failed: Failed) => updateTask(id, (task) => ({ failures: [...task.failures, failed].slice(0, 1000) }));
  if (all.length > files.length) {
    const others = all.filter((file) => !isPicture(file));
    others.slice(0, 20).forEach((file) => fail({ item: file.name, why: "no JPEG, PNG, WebP or GIF; left out" }));
  }
  try {
    for (let from = 0; from < files.length; from += BATCH) {
      const batch = files.slice(from, from + BATCH);
      await upload(collection, batch, payload, abort.signal, (line) => {
        if (line.status === "ok") added += 1;
        else fail({ item: line.file ?? batch[line.index]?.name ?? "the upload", why: words(new Error(line.error ?? "unknown error")) });
        updateTask(id, (task) => ({ done: Math.min(task.total, task.done + 1) }));
      });
      void refresh();
    }
    endTask(id, added > 0 || files.length === 0 ? "done" : "failed", `${plural(added, "picture")} added`);
  } catch (error) {
    endTask(id, abort.signal.aborted ? "stopped" : "failed", abort.signal.aborted ? `stopped after ${plural(added, "picture")}` : words(error));
  }
  forgetThumbnails(collection);
  say(`${added} of ${files.length} pictures added`);
  await refresh();
}

export function Add({ line }: { line: CollectionLine }) {
  const [over, setOver] = useState(false);
  const [field, setField] = useState("label");
  const [value, setValue] = useState("");
  const [error, setError] = useState("");
  const take = (files: File[]) => {
    setError("");
    if (files.length === 0) return;
    if (!files.some(isPicture)) return setError("None of these is a picture that can be read: use JPEG, PNG, WebP or GIF.");
    void ingest(line.name, files, field.trim() !== "" && value.trim() !== "" ? { [field.trim()]: value.trim() } : {});
  };
  if (line.signatures) {
    return (
      <Empty icon="pen" title="Signatures are enrolled for somebody">
        <p>This collection holds signatures. Each belongs to a subject, so they are added where they are verified.</p>
        <Button kind="main" onClick={() => go(href(line.name, "verify"))}>
          Enrol signatures
        </Button>
      </Empty>
    );
  }
  const own = tasks.value.filter((task) => task.collection === line.name && task.title.startsWith("Add"));
  return (
    <div class="stack">
      <div
        class={`drop ${over ? "over" : ""}`}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          if (event.dataTransfer) void dropped(event.dataTransfer).then(take, (error) => setError(words(error)));
        }}
      >
        <h2>Drop pictures or a folder here</h2>
        <p class="hint">JPEG, PNG, WebP and GIF, up to 20 MiB each. The same file twice is one point.</p>
        <div class="row">
          <FileButton kind="main" label="Choose pictures" multiple onFiles={take} />
          <FileButton label="Choose a folder" multiple folder onFiles={take} />
        </div>
      </div>
      <fieldset class="row tag">
        <legend>Give all of them a field to filter by (optional)</legend>
        <label>
          Field
          <input type="text" value={field} onInput={(event) => setField(event.currentTarget.value)} />
        </label>
        <label>
          Value
          <input type="text" placeholder="holiday" value={value} onInput={(event) => setValue(event.currentTarget.value)} />
        </label>
      </fieldset>
      {error && <Notice kind="error">{error}</Notice>}
      {own.map((task) => (
        <TaskCard key={task.id} id={task.id} />
      ))}
    </div>
  );
}

export function TaskCard({ id }: { id: number }) {
  const task = tasks.value.find((task) => task.id === id);
  if (!task) return null;
  const seconds = ((task.ended ?? Date.now()) - task.started) / 1000;
  const rate = task.done / Math.max(seconds, 0.1);
  const left = task.state === "running" && task.done > 0 ? (task.total - task.done) / rate : null;
  return (
    <article class={`task ${task.state}`} aria-label={task.title}>
      <header>
        <h2>{task.title}</h2>
        <span class={`state ${task.state}`}>{task.state}</span>
      </header>
      {task.state === "running" && <Progress done={task.done} total={task.total} label={task.title} />}
      <p class="hint">
        {task.total > 0 && `${count(task.done)} of ${count(task.total)}`}
        {task.total > 0 && task.done > 0 && `, ${rate.toFixed(1)} a second`}
        {left !== null && `, ${duration(left)} left`}
        {task.note && `${task.total > 0 ? ". " : ""}${task.note}`}
        {task.total === 0 && !task.note && duration(seconds)}
      </p>
      {task.failures.length > 0 && (
        <details open>
          <summary>{plural(task.failures.length, "file")} could not be added</summary>
          <ul class="failures">
            {task.failures.map((failed, i) => (
              <li key={i}>
                <span class="code">{failed.item}</span> {failed.why}
              </li>
            ))}
          </ul>
        </details>
      )}
      {task.stop && <Button onClick={task.stop}>Stop</Button>}
      {task.state === "done" && task.title.startsWith("Add") && (
        <Button onClick={() => go(href(task.collection, "search"))}>
          Search them
        </Button>
      )}
    </article>
  );
}
