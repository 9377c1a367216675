// The frame of the page: where one is, where one can go, and the question for a key.
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { apiKey, forgetKey, keyAsked, useKey, type CollectionLine } from "./api";
import { href, overview, overviewError, place, refresh, serverTasks, spoken, tasks, type View } from "./store";
import { Button, Dialog, Empty, Field, Icon, Notice } from "./ui";
import { About } from "./views/about";
import { Add } from "./views/add";
import { Duplicates } from "./views/duplicates";
import { Home } from "./views/home";
import { MapView } from "./views/map";
import { Search } from "./views/search";
import { isOpen, loadTasks, Tasks } from "./views/tasks";
import { Verify } from "./views/verify";

/** How often the page asks how the server stands, milliseconds. */
const REFRESH = 5000;

type IconName = Parameters<typeof Icon>[0]["name"];
const VIEWS: { view: View; name: string; icon: IconName }[] = [
  { view: "search", name: "Search", icon: "search" },
  { view: "add", name: "Add", icon: "add" },
  { view: "map", name: "Map", icon: "map" },
  { view: "duplicates", name: "Duplicates", icon: "copies" },
  { view: "verify", name: "Verify", icon: "pen" },
  { view: "about", name: "Overview", icon: "info" },
];

const viewsOf = (line: CollectionLine) =>
  VIEWS.filter(({ view }) => (line.signatures ? ["verify", "map", "about"].includes(view) : view !== "verify"));

function Key() {
  const [typed, setTyped] = useState("");
  const why = keyAsked.value;
  if (why === null) return null;
  return (
    <Dialog title="API key" close={() => (keyAsked.value = null)}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (typed === "") return;
          useKey(typed);
          setTyped("");
          void refresh();
        }}
      >
        <p>{why}</p>
        <Field label="Key" hint="It is kept in this tab only, until the tab is closed.">
          {(id) => <input id={id} type="password" autocomplete="off" autofocus value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />}
        </Field>
        <Button kind="main" type="submit">
          Use this key
        </Button>
      </form>
    </Dialog>
  );
}

function CollectionPage({ name, view }: { name: string; view: View }) {
  const line = overview.value?.collections.find((line) => line.name === name);
  if (!overview.value) return overviewError.value ? <Notice kind="error">{overviewError.value}</Notice> : <div class="skeleton fill" />;
  if (!line) {
    return (
      <Empty icon="info" title="There is no such collection">
        <p>{name} may have been deleted.</p>
        <a href="#/">All collections</a>
      </Empty>
    );
  }
  switch (view) {
    case "add":
      return <Add line={line} key={name} />;
    case "map":
      return <MapView line={line} key={name} />;
    case "duplicates":
      return <Duplicates line={line} key={name} />;
    case "verify":
      return <Verify line={line} key={name} />;
    case "about":
      return <About line={line} key={name} />;
    default:
      return line.signatures ? <Verify line={line} key={name} /> : <Search line={line} key={name} />;
  }
}

function App() {
  useEffect(() => {
    const look = () => (void refresh(), void loadTasks());
    look();
    const timer = setInterval(() => document.visibilityState === "visible" && keyAsked.value === null && look(), REFRESH);
    return () => clearInterval(timer);
  }, []);
  const { page, collection, view } = place.value;
  const line = overview.value?.collections.find((line) => line.name === collection);
  const running = tasks.value.filter((task) => task.state === "running").length + serverTasks.value.filter(isOpen).length;
  const title = page === "tasks" ? "Tasks" : page === "home" ? "Collections" : collection;
  useEffect(() => {
    document.title = page === "home" ? "lookalike" : `${title} · lookalike`;
  }, [title, page]);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), document.querySelector<HTMLElement>("main h1")?.focus())}>
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href="#/">
          <img src="/dashboard/icon.svg" alt="" width="28" height="28" />
          lookalike
        </a>
        <nav aria-label="Main">
          <a href="#/" aria-current={page === "home" ? "page" : undefined}>
            <Icon name="home" />
            <span>Collections</span>
          </a>
          <a href="#/tasks" aria-current={page === "tasks" ? "page" : undefined}>
            <Icon name="tasks" />
            <span>Tasks</span>
            {running > 0 && <span class="count">{running}</span>}
          </a>
          <Button kind="quiet" onClick={() => (apiKey.value === "" ? (keyAsked.value = "Give the key that this server asks for.") : (forgetKey(), void refresh()))} aria-label={apiKey.value === "" ? "Give an API key" : "Forget the API key"}>
            <Icon name="key" />
            <span>{apiKey.value === "" ? "Key" : "Forget key"}</span>
          </Button>
        </nav>
      </header>
      <main id="main">
        <h1 tabIndex={-1}>{title}</h1>
        {page === "collection" && line && (
          <nav class="tabs" aria-label={`Of ${collection}`}>
            {viewsOf(line).map((one) => (
              <a key={one.view} href={href(collection, one.view)} aria-current={one.view === view ? "page" : undefined}>
                <Icon name={one.icon} />
                {one.name}
              </a>
            ))}
          </nav>
        )}
        {overviewError.value && overview.value && <Notice kind="error">{overviewError.value}</Notice>}
        {page === "home" && <Home />}
        {page === "tasks" && <Tasks />}
        {page === "collection" && <CollectionPage name={collection} view={view} />}
      </main>
      <p class="unseen" role="status" aria-live="polite">
        {spoken.value}
      </p>
      <Key />
    </>
  );
}

render(<App />, document.getElementById("app")!);
