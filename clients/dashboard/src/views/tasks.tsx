// What is being worked on: by the server in the background, by this tab, and graphs that are being built.
import { useEffect, useState } from "preact/hooks";
import { call, get, keyAsked, words } from "../api";
import { count, duration, plural } from "../format";
import { overview, refresh, say, serverTasks, tasks, type ServerTask } from "../store";
import { Button, Empty, Notice, Progress } from "../ui";
import { STATE } from "./about";
import { TaskCard } from "./add";

/** How often the page asks how far they are while somebody looks, milliseconds. */
const REFRESH = 1000;

const KINDS: Record<string, string> = {
  import: "Import",
  adapt: "Fit a head",
  calibrate: "Calibrate",
  whiten: "Fit a whitening",
  snapshot: "Snapshot",
  recover: "Recover",
};

export const isOpen = (task: ServerTask) => ["queued", "running", "cancelling"].includes(task.state);
const titleOf = (task: ServerTask) => `${KINDS[task.kind] ?? task.kind} ${task.collection ? `${task.kind === "import" ? "into" : "of"} ${task.collection}` : "of everything"}`;

function ServerCard({ task }: { task: ServerTask }) {
  const [error, setError] = useState<unknown>(null);
  const cancel = async () => {
    setError(null);
    try {
      await call("DELETE", `/tasks/${task.id}`);
      say(`${titleOf(task)} is being cancelled`);
      await loadTasks();
    } catch (error) {
      setError(error);
    }
  };
  const tone = isOpen(task) ? "running" : task.state;
  const figures = [
    task.total != null && `${count(task.done)} of ${count(task.total)}`,
    task.rate != null && `${task.rate.toFixed(1)} a second`,
    task.eta != null && `${duration(task.eta)} left`,
  ].filter(Boolean);
  return (
    <article class={`task ${tone}`} aria-label={titleOf(task)}>
      <header>
        <h3>{titleOf(task)}</h3>
        <span class={`state ${tone}`}>{task.state}</span>
      </header>
      {isOpen(task) && <Progress done={task.done} total={task.total ?? 0} label={titleOf(task)} />}
      <p class="hint">{figures.length > 0 ? figures.join(", ") : `Since ${new Date(task.created).toLocaleTimeString("en-GB")}`}</p>
      {task.error && <Notice kind="error">{words(new Error(task.error))}</Notice>}
      {error != null && <Notice kind="error">{words(error)}</Notice>}
      {task.failed > 0 && (
        <details>
          <summary>{plural(task.failed, "point")} failed</summary>
          <ul class="failures">
            {task.failures.map((failed) => (
              <li key={failed.index}>
                <span class="code">{String(failed.id ?? `line ${failed.index + 1}`)}</span> {failed.error}
              </li>
            ))}
          </ul>
        </details>
      )}
      {isOpen(task) && (
        <Button onClick={() => void cancel()} disabled={task.state === "cancelling"}>
          Cancel
        </Button>
      )}
    </article>
  );
}

export async function loadTasks() {
  try {
    serverTasks.value = (await get<{ tasks: ServerTask[] }>("/tasks")).tasks;
  } catch {
    // The frame says where the server cannot be reached.
  }
}

export function Tasks() {
  useEffect(() => {
    void loadTasks();
    const timer = setInterval(() => {
      if (document.visibilityState !== "visible" || keyAsked.value !== null) return;
      void loadTasks();
      if (serverTasks.value.some(isOpen)) void refresh();
    }, REFRESH);
    return () => clearInterval(timer);
  }, []);
  const building = overview.value?.collections.filter((line) => line.status !== "green") ?? [];
  const own = tasks.value;
  if (own.length === 0 && building.length === 0 && serverTasks.value.length === 0) {
    return (
      <Empty icon="tasks" title="Nothing is being worked on">
        <p>Uploads, maps, calibrations and snapshots that you start in this tab are listed here, and what the server works on in the background.</p>
      </Empty>
    );
  }
  return (
    <div class="stack">
      {building.map((line) => (
        <article class="task running" key={line.name}>
          <header>
            <h2>{line.name}</h2>
            <span class="state running">{STATE[line.status]}</span>
          </header>
          <p class="hint">
            {line.error ?? `${line.indexed_vectors.toLocaleString("en-GB")} of ${plural(line.vectors, "vector")} in the graph. Searches work meanwhile.`}
          </p>
        </article>
      ))}
      {serverTasks.value.length > 0 && (
        <section class="stack" aria-labelledby="server-tasks">
          <h2 id="server-tasks">On the server</h2>
          {serverTasks.value.map((task) => (
            <ServerCard key={task.id} task={task} />
          ))}
        </section>
      )}
      {own.length > 0 && serverTasks.value.length > 0 && <h2>In this tab</h2>}
      {own.map((task) => (
        <TaskCard key={task.id} id={task.id} />
      ))}
    </div>
  );
}
