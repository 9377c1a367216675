// Search by words, by a picture, by both with weights, and without what is named.
import { useEffect, useRef, useState } from "preact/hooks";
import { at, post, words, type CollectionLine, type Hit } from "../api";
import { duration, titleOf } from "../format";
import { base64, dropped, isPicture } from "../pictures";
import { go, href, overview, say } from "../store";
import { Button, Empty, FileButton, Icon, Notice, Preview, Skeletons, Thumb } from "../ui";
import { chosenCount, filterOf, Filters, NOTHING, type Chosen } from "./filters";
import { Detail, Results } from "./results";

const PAGE = 24;

interface Asked {
  text: string;
  without: string;
  textWeight: number;
  picture: File | null;
  pictureWeight: number;
  like: Hit | null;
}
const BLANK: Asked = { text: "", without: "", textWeight: 1, picture: null, pictureWeight: 1, like: null };

const isBlank = (asked: Asked) => asked.text.trim() === "" && !asked.picture && !asked.like;

async function queryOf(asked: Asked): Promise<unknown> {
  if (asked.like) return asked.like.id;
  const parts: { text?: string; image?: string; weight: number }[] = [];
  if (asked.text.trim() !== "") parts.push({ text: asked.text.trim(), weight: asked.textWeight });
  if (asked.picture) parts.push({ image: await base64(asked.picture), weight: asked.pictureWeight });
  for (const word of asked.without.split(",").map((word) => word.trim())) {
    if (word !== "") parts.push({ text: word, weight: -0.5 });
  }
  if (parts.length === 1) return parts[0]!.image ? { image: parts[0]!.image } : { text: parts[0]!.text };
  return { object: parts };
}

interface Found {
  hits: Hit[];
  more: boolean;
  took: number;
}

export function Search({ line }: { line: CollectionLine }) {
  const [asked, setAsked] = useState<Asked>(BLANK);
  const [draft, setDraft] = useState<Asked>(BLANK);
  const [chosen, setChosen] = useState<Chosen>(NOTHING);
  const [found, setFound] = useState<Found | null>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [open, setOpen] = useState<Hit | null>(null);
  const [over, setOver] = useState(false);
  const running = useRef<AbortController | null>(null);

  const search = async (offset: number) => {
    running.current?.abort();
    const abort = new AbortController();
    running.current = abort;
    setBusy(true);
    setError(null);
    const began = performance.now();
    try {
      const filter = filterOf(chosen);
      const shared = { limit: PAGE + 1, with_payload: true, filter };
      let hits: Hit[];
      if (isBlank(asked)) {
        const body = { ...shared, offset, query: { sample: "random" } };
        hits = (await post<{ points: Hit[] }>(at(line.name, "/points/query"), body, abort.signal)).points.map((hit) => ({ ...hit, score: NaN }));
      } else {
        const body = { ...shared, offset, query: await queryOf(asked), with_relevance: true };
        hits = (await post<{ points: Hit[] }>(at(line.name, "/points/query"), body, abort.signal)).points;
      }
      const page = hits.slice(0, PAGE);
      const all = offset > 0 && found ? [...found.hits, ...page] : page;
      setFound({ hits: all, more: hits.length > PAGE && !isBlank(asked), took: (performance.now() - began) / 1000 });
      if (!isBlank(asked)) say(`${all.length} results`);
    } catch (error) {
      if (!abort.signal.aborted) setError(error);
    } finally {
      if (running.current === abort) setBusy(false);
    }
  };

  useEffect(() => {
    void search(0);
    return () => running.current?.abort();
  }, [asked, chosen, line.name]);

  const submit = () => setAsked({ ...draft, like: draft.like });
  const like = (hit: Hit) => {
    const next = { ...BLANK, like: hit };
    setDraft(next);
    setAsked(next);
    scrollTo({ top: 0 });
    say(`Searching for more like ${titleOf(hit)}`);
  };
  const takePicture = (files: File[]) => {
    const picture = files.find(isPicture);
    if (!picture) return setError(new Error("That is no picture that can be read: use JPEG, PNG, WebP or GIF."));
    const next = { ...draft, picture, like: null };
    setDraft(next);
    setAsked(next);
  };
  // A model of pictures alone takes no words.
  const described = overview.value?.model.modalities.includes("text") ?? true;
  const both = draft.picture && draft.text.trim() !== "";

  if (line.points === 0) {
    return (
      <Empty icon="picture" title="Nothing to search yet">
        <p>Add pictures to this collection, and find them by words or by another picture.</p>
        <Button kind="main" onClick={() => go(href(line.name, "add"))}>
          Add pictures
        </Button>
      </Empty>
    );
  }
  return (
    <div
      class={`search ${over ? "over" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        if (event.dataTransfer) void dropped(event.dataTransfer).then(takePicture);
      }}
      onPaste={(event) => {
        const files = [...(event.clipboardData?.files ?? [])];
        if (files.length > 0) takePicture(files);
      }}
    >
      <form
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <div class="ask">
          <Icon name="search" />
          <input
            type="search"
            aria-label="Describe what you look for"
            placeholder={described ? "Describe what you look for" : "This model takes pictures only: choose or drop one"}
            disabled={!described}
            value={draft.text}
            onInput={(event) => setDraft({ ...draft, text: event.currentTarget.value, like: null })}
          />
          <FileButton label="Picture" kind="quiet" onFiles={takePicture} />
          <Button kind="main" type="submit">
            Search
          </Button>
        </div>
        {(draft.picture || draft.like) && (
          <div class="parts">
            {draft.picture && (
              <div class="part">
                <Preview file={draft.picture} alt="" />
                <span class="name">{draft.picture.name}</span>
                <Button kind="quiet" class="square" aria-label="Search without this picture" onClick={() => (setDraft({ ...draft, picture: null }), setAsked({ ...draft, picture: null }))}>
                  <Icon name="close" />
                </Button>
              </div>
            )}
            {draft.like && (
              <div class="part">
                <Thumb collection={line.name} id={draft.like.id} alt="" />
                <span class="name">Like {titleOf(draft.like)}</span>
                <Button kind="quiet" class="square" aria-label="Stop searching for more like it" onClick={() => (setDraft(BLANK), setAsked(BLANK))}>
                  <Icon name="close" />
                </Button>
              </div>
            )}
            {both && (
              <div class="weights">
                <label>
                  Words
                  <input type="range" min="0.1" max="2" step="0.1" value={draft.textWeight} onInput={(event) => setDraft({ ...draft, textWeight: event.currentTarget.valueAsNumber })} onChange={submit} />
                  <output>{draft.textWeight.toFixed(1)}</output>
                </label>
                <label>
                  Picture
                  <input type="range" min="0.1" max="2" step="0.1" value={draft.pictureWeight} onInput={(event) => setDraft({ ...draft, pictureWeight: event.currentTarget.valueAsNumber })} onChange={submit} />
                  <output>{draft.pictureWeight.toFixed(1)}</output>
                </label>
              </div>
            )}
          </div>
        )}
        {described && !draft.like && (
          <label class="without">
            <span>Not</span>
            <input
              type="text"
              placeholder="words to move away from, as: night, snow"
              value={draft.without}
              onInput={(event) => setDraft({ ...draft, without: event.currentTarget.value })}
            />
          </label>
        )}
      </form>
      <div class="columns">
        <details class="side" open={matchMedia("(min-width: 900px)").matches}>
          <summary>
            Filters{chosenCount(chosen) > 0 && <span class="count">{chosenCount(chosen)}</span>}
          </summary>
          <Filters collection={line.name} chosen={chosen} set={setChosen} />
        </details>
        <section class="found" aria-busy={busy} aria-label="Found">
          {error != null && <Notice kind="error">{words(error)}</Notice>}
          {found && (
            <p class="summary">
              {isBlank(asked)
                ? `Some of this collection, drawn at random. ${described ? "Describe what you look for, or drop" : "Drop"} a picture here.`
                : `${found.hits.length} best first, in ${duration(found.took)}.${
                    found.hits.length > 0 && typeof found.hits[0]!.relevance !== "number" ? " Relevance is shown from 64 points on." : ""
                  }`}
            </p>
          )}
          {busy && !found && <Skeletons />}
          {found && found.hits.length === 0 && !busy && (
            <Empty icon="search" title="Nothing found">
              <p>No point passes these filters.</p>
              <Button onClick={() => setChosen(NOTHING)}>Clear filters</Button>
            </Empty>
          )}
          {found && found.hits.length > 0 && <Results collection={line.name} hits={found.hits} onOpen={setOpen} onLike={like} />}
          {found?.more && (
            <div class="more">
              <Button onClick={() => void search(found.hits.length)} disabled={busy}>
                Show more
              </Button>
            </div>
          )}
        </section>
      </div>
      {open && (
        <Detail
          line={line}
          hit={open}
          close={() => setOpen(null)}
          onLike={like}
          onDeleted={(gone) => found && setFound({ ...found, hits: found.hits.filter((hit) => hit.id !== gone.id) })}
        />
      )}
    </div>
  );
}
