// Pictures that are there more than once, and what to do with the extra ones.
import { useState } from "preact/hooks";
import { at, post, words, type CollectionLine, type Hit, type Id } from "../api";
import { count, plural, titleOf } from "../format";
import { go, href, refresh, say, tracked } from "../store";
import { Button, Dialog, Empty, Field, Notice, Skeletons, Thumb } from "../ui";

interface Group {
  id: Id;
  size: number;
  hits: Hit[];
}
interface Page {
  groups: Group[];
  left_out: number;
  threshold: number;
  compared: number;
  next_offset: Id | null;
}

/** Pages of one search: each compares up to 20,000 points. */
const MOST_PAGES = 50;

export function Duplicates({ line }: { line: CollectionLine }) {
  const [threshold, setThreshold] = useState(0.95);
  const [found, setFound] = useState<{ groups: Group[]; compared: number; whole: boolean } | null>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [asked, setAsked] = useState<Group[] | null>(null);

  const look = async () => {
    setBusy(true);
    setError(null);
    try {
      await tracked(`Find duplicates in ${line.name}`, line.name, async () => {
        let [groups, compared, offset] = [[] as Group[], 0, null as Id | null];
        let [whole, pages] = [true, 0];
        do {
          const page: Page = await post(at(line.name, "/duplicates"), { threshold, offset, with_payload: true, limit: 200 });
          groups = [...groups, ...page.groups];
          compared += page.compared;
          whole &&= page.left_out === 0;
          offset = page.next_offset;
          pages += 1;
        } while (offset !== null && pages < MOST_PAGES && groups.length < 500);
        groups.sort((a, b) => b.size - a.size);
        setFound({ groups, compared, whole: whole && offset === null });
        say(`${groups.length} groups found`);
      });
    } catch (error) {
      setError(error);
    } finally {
      setBusy(false);
    }
  };
  const extras = (groups: Group[]) => groups.flatMap((group) => group.hits.slice(1).map((hit) => hit.id));
  const remove = async (groups: Group[]) => {
    setAsked(null);
    try {
      const ids = extras(groups);
      await tracked(`Delete ${plural(ids.length, "copy", "copies")}`, line.name, () => post(at(line.name, "/points/delete"), { points: ids }));
      setFound((before) => before && { ...before, groups: before.groups.filter((group) => !groups.includes(group)) });
      say(`${ids.length} copies deleted`);
      await refresh();
    } catch (error) {
      setError(error);
    }
  };

  if (line.points < 2) {
    return (
      <Empty icon="copies" title="Nothing to compare yet">
        <p>With two pictures or more, this finds those that are nearly the same.</p>
        <Button kind="main" onClick={() => go(href(line.name, "add"))}>
          Add pictures
        </Button>
      </Empty>
    );
  }
  return (
    <div class="stack">
      <form
        class="row tools"
        onSubmit={(event) => {
          event.preventDefault();
          void look();
        }}
      >
        <Field label={`As alike as ${threshold.toFixed(2)}`} hint="Photos: from 0.95 re-encoded and cropped copies. Drawings are more alike: from 0.98.">
          {(id) => (
            <input id={id} type="range" min="0.8" max="1" step="0.01" value={threshold} onInput={(event) => setThreshold(event.currentTarget.valueAsNumber)} />
          )}
        </Field>
        <Button kind="main" type="submit" disabled={busy}>
          {busy ? "Comparing…" : "Find duplicates"}
        </Button>
        {found && found.groups.length > 0 && (
          <Button kind="danger" onClick={() => setAsked(found.groups)}>
            Keep the first of each group
          </Button>
        )}
      </form>
      {error != null && <Notice kind="error">{words(error)}</Notice>}
      {busy && !found && <Skeletons count={6} />}
      {!found && !busy && (
        <Empty icon="copies" title="Find pictures that are there twice">
          <p>Every picture is compared with all others. Nothing is deleted unless you say so.</p>
        </Empty>
      )}
      {found && found.groups.length === 0 && !busy && (
        <Empty icon="copies" title="No duplicates">
          <p>{count(found.compared)} points were compared; no two are as alike as {threshold.toFixed(2)}.</p>
        </Empty>
      )}
      {found && found.groups.length > 0 && (
        <p class="summary">
          {plural(found.groups.length, "group")} among {count(found.compared)} points{found.whole ? "" : ", more are left out"}. The first of a group is the one of the smallest id.
        </p>
      )}
      {found?.groups.map((group) => (
        <article class="group" key={group.id} aria-label={`Group of ${group.size}`}>
          <header>
            <h2>{group.size} alike</h2>
            <Button onClick={() => setAsked([group])}>Keep the first</Button>
          </header>
          <ul class="strip">
            {group.hits.slice(0, 24).map((hit, i) => (
              <li key={hit.id}>
                <Thumb collection={line.name} id={hit.id} alt={titleOf(hit)} />
                <p class="name" title={titleOf(hit)}>
                  {titleOf(hit)}
                </p>
                <p class="figure">{i === 0 ? "first" : hit.score.toFixed(3)}</p>
              </li>
            ))}
          </ul>
        </article>
      ))}
      {asked && (
        <Dialog
          title={`Delete ${plural(extras(asked).length, "copy", "copies")}?`}
          close={() => setAsked(null)}
          actions={
            <>
              <Button kind="danger" onClick={() => void remove(asked)}>
                Delete them for good
              </Button>
              <Button onClick={() => setAsked(null)}>Keep all</Button>
            </>
          }
        >
          <p>The first point of {asked.length === 1 ? "the group" : `each of the ${count(asked.length)} groups`} stays; the others are deleted with their payloads and pictures.</p>
        </Dialog>
      )}
    </div>
  );
}
