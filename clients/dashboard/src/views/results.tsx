// Hits as a grid, and one hit in full.
import { useState } from "preact/hooks";
import { at, call, post, send, words, type CollectionLine, type Hit } from "../api";
import { count, percent, plain, titleOf } from "../format";
import { refresh, say } from "../store";
import { Bar, Button, Dialog, Icon, Notice, Thumb } from "../ui";

const tone = (relevance: number) => (relevance >= 0.5 ? "strong" : relevance >= 0.15 ? "fair" : "weak");

export function Relevance({ hit }: { hit: Hit }) {
  if (typeof hit.relevance === "number") {
    return (
      <div class="relevance">
        <Bar share={hit.relevance} label="Probability that this is a right answer" tone={tone(hit.relevance)} />
        <span class="figure" title={`score ${hit.score.toFixed(4)}`}>
          {hit.relevance > 0 && hit.relevance < 0.005 ? "< 1 %" : percent(hit.relevance)}
        </span>
      </div>
    );
  }
  // What was drawn at random has no score.
  return Number.isFinite(hit.score) ? <p class="figure score">score {hit.score.toFixed(3)}</p> : null;
}

export function Results({ collection, hits, onOpen, onLike }: { collection: string; hits: Hit[]; onOpen: (hit: Hit) => void; onLike: (hit: Hit) => void }) {
  return (
    <ul class="grid" aria-label="Results">
      {hits.map((hit) => (
        <li class="card" key={hit.id}>
          <button type="button" class="open" onClick={() => onOpen(hit)} aria-label={`Open ${titleOf(hit)}`}>
            <Thumb collection={collection} id={hit.id} alt="" />
          </button>
          <div class="under">
            <p class="name" title={titleOf(hit)}>
              {titleOf(hit)}
            </p>
            <Button kind="quiet" class="square" onClick={() => onLike(hit)} aria-label={`More like ${titleOf(hit)}`} title="More like this">
              <Icon name="like" />
            </Button>
          </div>
          <Relevance hit={hit} />
        </li>
      ))}
    </ul>
  );
}

export function Detail({ line, hit, close, onLike, onDeleted }: { line: CollectionLine; hit: Hit; close: () => void; onLike: (hit: Hit) => void; onDeleted: (hit: Hit) => void }) {
  const [sure, setSure] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const fields = Object.entries(hit.payload ?? {});
  const remove = async () => {
    try {
      await post(at(line.name, "/points/delete"), { points: [hit.id] });
      say(`${titleOf(hit)} is deleted`);
      void refresh();
      onDeleted(hit);
      close();
    } catch (error) {
      setError(error);
    }
  };
  const download = async () => {
    try {
      const response = await send("GET", at(line.name, `/points/${encodeURIComponent(String(hit.id))}/original`));
      const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1] ?? String(hit.id);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await response.blob());
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    } catch (error) {
      setError(error);
    }
  };
  return (
    <Dialog
      title={titleOf(hit)}
      close={close}
      actions={
        <>
          <Button kind="main" onClick={() => (onLike(hit), close())}>
            More like this
          </Button>
          {line.originals && <Button onClick={download}>Download original</Button>}
          <Button kind="danger" onClick={sure ? remove : () => setSure(true)}>
            {sure ? "Delete it for good" : "Delete"}
          </Button>
        </>
      }
    >
      <div class="detail">
        <Thumb collection={line.name} id={hit.id} alt={titleOf(hit)} />
        <div>
          {error != null && <Notice kind="error">{words(error)}</Notice>}
          <dl class="facts">
            <dt>Id</dt>
            <dd class="code">{String(hit.id)}</dd>
            {typeof hit.relevance === "number" && (
              <>
                <dt>Relevance</dt>
                <dd>{percent(hit.relevance, 1)}, the probability that this is a right answer</dd>
              </>
            )}
            {Number.isFinite(hit.score) && (
              <>
                <dt>Score</dt>
                <dd class="code">{hit.score.toFixed(4)}</dd>
              </>
            )}
            {fields.map(([name, value]) => (
              <>
                <dt>{name}</dt>
                <dd>{plain(value)}</dd>
              </>
            ))}
          </dl>
          {fields.length === 0 && <p class="hint">This point has no payload.</p>}
        </div>
      </div>
    </Dialog>
  );
}

/** Points by id, with their payloads. */
export const points = (collection: string, ids: (string | number)[]) =>
  call<Hit[]>("POST", at(collection, "/points"), { ids, with_payload: true });

export const found = (n: number, all: number) => (n >= all ? `${count(n)} shown` : `${count(n)} of ${count(all)} shown`);
