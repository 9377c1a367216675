// The collection on a plane: what is alike lies together. Pointer or arrow keys go from point to point.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { at, post, words, type CollectionLine, type Hit, type Id, type Payload } from "../api";
import { count, percent, plain, title } from "../format";
import { go, href, say, tracked } from "../store";
import { Button, Empty, Field, Notice, Thumb, useLoad } from "../ui";
import { Detail } from "./results";

interface Point {
  id: Id;
  x: number;
  y: number;
  payload?: Payload;
}
interface Drawn {
  points: Point[];
  among: number;
  explained: [number, number];
}
interface Window {
  x: number;
  y: number;
  scale: number;
}

const WHOLE: Window = { x: 0, y: 0, scale: 1 };
const MOST_COLOURS = 8;
const RADIUS = 4;

/** The fields of the payloads whose values come more than once, by which points can be told apart. */
function fieldsOf(points: Point[]): Map<string, string[]> {
  const seen = new Map<string, Map<string, number>>();
  for (const { payload } of points) {
    for (const [name, value] of Object.entries(payload ?? {})) {
      if (!["string", "boolean", "number"].includes(typeof value)) continue;
      const values = seen.get(name) ?? new Map<string, number>();
      values.set(plain(value), (values.get(plain(value)) ?? 0) + 1);
      seen.set(name, values);
    }
  }
  const useful = [...seen].filter(([, values]) => values.size > 1 && values.size <= Math.max(12, points.length / 2));
  return new Map(useful.map(([name, values]) => [name, [...values].sort((a, b) => b[1] - a[1]).map(([value]) => value)]));
}

export function MapView({ line }: { line: CollectionLine }) {
  const [method, setMethod] = useState("tsne");
  const [colour, setColour] = useState("");
  const [window_, setWindow] = useState<Window>(WHOLE);
  const [at_, setAt] = useState<number | null>(null);
  const [open, setOpen] = useState<Hit | null>(null);
  const [size, setSize] = useState({ width: 800, height: 560 });
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const drag = useRef<{ x: number; y: number; moved: boolean } | null>(null);
  const { value, error, loading, again } = useLoad(
    (signal) => tracked(`Draw the map of ${line.name}`, line.name, () => post<Drawn>(at(line.name, "/map"), { method, limit: 1000, with_payload: true }, signal)),
    [line.name, method],
  );
  const points = value?.points ?? [];
  const fields = useMemo(() => fieldsOf(points), [value]);
  const values = fields.get(colour)?.slice(0, MOST_COLOURS) ?? [];
  const group = (point: Point) => (colour === "" ? 0 : values.indexOf(plain(point.payload?.[colour])));

  useEffect(() => {
    const seen = new ResizeObserver(([entry]) => {
      const width = Math.round(entry!.contentRect.width);
      if (width > 0) setSize({ width, height: Math.round(Math.min(640, Math.max(320, width * 0.66))) });
    });
    if (box.current) seen.observe(box.current);
    return () => seen.disconnect();
  }, [value]);

  const place = (point: Point): [number, number] => {
    const half = Math.min(size.width, size.height) / 2 - 24;
    const wide = ((size.width / 2 - 24) / half) * 0.9;
    return [size.width / 2 + (point.x * wide - window_.x) * half * window_.scale, size.height / 2 - (point.y - window_.y) * half * window_.scale];
  };

  useEffect(() => {
    const sheet = canvas.current;
    const pen = sheet?.getContext("2d");
    if (!sheet || !pen) return;
    const dots = devicePixelRatio || 1;
    sheet.width = size.width * dots;
    sheet.height = size.height * dots;
    pen.scale(dots, dots);
    const style = getComputedStyle(sheet);
    const tone = (i: number) => style.getPropertyValue(i < 0 ? "--map-other" : `--map-${i}`);
    pen.clearRect(0, 0, size.width, size.height);
    points.forEach((point, i) => {
      const [x, y] = place(point);
      pen.beginPath();
      pen.globalAlpha = at_ === null || at_ === i ? 0.85 : 0.55;
      pen.fillStyle = tone(group(point));
      pen.arc(x, y, at_ === i ? RADIUS * 2 : RADIUS, 0, Math.PI * 2);
      pen.fill();
      if (at_ === i) {
        pen.globalAlpha = 1;
        pen.lineWidth = 2;
        pen.strokeStyle = style.getPropertyValue("--text");
        pen.stroke();
      }
    });
  }, [value, size, window_, at_, colour, matchMedia("(prefers-color-scheme: dark)").matches]);

  const nearest = (x: number, y: number, reach: number): number | null => {
    let best: number | null = null;
    let least = reach * reach;
    points.forEach((point, i) => {
      const [px, py] = place(point);
      const far = (px - x) ** 2 + (py - y) ** 2;
      if (far < least) [best, least] = [i, far];
    });
    return best;
  };
  const show = (i: number | null) => {
    setAt(i);
    if (i !== null) say(title(points[i]!.id, points[i]!.payload));
  };
  const step = (dx: number, dy: number) => {
    if (points.length === 0) return;
    const from = at_ === null ? [size.width / 2, size.height / 2] : place(points[at_]!);
    if (at_ === null) return show(nearest(from[0]!, from[1]!, Infinity));
    let best: number | null = null;
    let least = Infinity;
    points.forEach((point, i) => {
      const [x, y] = place(point);
      const along = (x - from[0]!) * dx + (y - from[1]!) * dy;
      const across = Math.abs((x - from[0]!) * dy) + Math.abs((y - from[1]!) * dx);
      if (i !== at_ && along > 1 && along + 2 * across < least) [best, least] = [i, along + 2 * across];
    });
    if (best !== null) show(best);
  };
  const openAt = (i: number | null) => {
    if (i !== null) setOpen({ id: points[i]!.id, score: NaN, payload: points[i]!.payload });
  };
  const zoom = (by: number) => setWindow((w) => ({ ...w, scale: Math.max(0.8, Math.min(40, w.scale * by)) }));
  const under = at_ === null ? null : points[at_];

  if (line.points === 0) {
    return (
      <Empty icon="map" title="No map of nothing">
        <p>When there are pictures, this shows them on a plane, those that are alike together.</p>
        <Button kind="main" onClick={() => go(href(line.name, line.signatures ? "verify" : "add"))}>
          Add pictures
        </Button>
      </Empty>
    );
  }
  return (
    <div class="stack">
      <div class="row tools">
        <Field label="Arranged by">
          {(id) => (
            <select id={id} value={method} onChange={(event) => setMethod(event.currentTarget.value)}>
              <option value="tsne">Likeness (t-SNE)</option>
              <option value="pca">Main directions (PCA)</option>
            </select>
          )}
        </Field>
        <Field label="Coloured by">
          {(id) => (
            <select id={id} value={colour} onChange={(event) => setColour(event.currentTarget.value)}>
              <option value="">nothing</option>
              {[...fields.keys()].map((name) => (
                <option key={name} value={name}>
                  {name}
                </option>
              ))}
            </select>
          )}
        </Field>
        <div class="row zoom">
          <Button aria-label="Zoom in" onClick={() => zoom(1.5)}>
            +
          </Button>
          <Button aria-label="Zoom out" onClick={() => zoom(1 / 1.5)}>
            −
          </Button>
          <Button onClick={() => setWindow(WHOLE)}>Whole map</Button>
        </div>
      </div>
      {error != null && (
        <Notice kind="error">
          {words(error)} <Button onClick={again}>Try again</Button>
        </Notice>
      )}
      <div class="map" ref={box}>
        {loading && !value && <div class="skeleton fill" />}
        {value && (
          <>
            <canvas
              ref={canvas}
              tabIndex={0}
              role="application"
              aria-roledescription="map"
              aria-label={`Map of ${count(points.length)} points. Arrow keys go from point to point, Enter opens one, plus and minus zoom.`}
              style={{ width: `${size.width}px`, height: `${size.height}px` }}
              onPointerDown={(event) => {
                drag.current = { x: event.offsetX, y: event.offsetY, moved: false };
                event.currentTarget.setPointerCapture(event.pointerId);
              }}
              onPointerMove={(event) => {
                const held = drag.current;
                if (held && (held.moved || Math.hypot(event.offsetX - held.x, event.offsetY - held.y) > 4)) {
                  const half = Math.min(size.width, size.height) / 2 - 24;
                  const [dx, dy] = [(event.offsetX - held.x) / half, (event.offsetY - held.y) / half];
                  setWindow((w) => ({ ...w, x: w.x - dx / w.scale, y: w.y + dy / w.scale }));
                  drag.current = { x: event.offsetX, y: event.offsetY, moved: true };
                } else if (!held) {
                  setAt(nearest(event.offsetX, event.offsetY, 16));
                }
              }}
              onPointerUp={(event) => {
                if (drag.current && !drag.current.moved) {
                  const i = nearest(event.offsetX, event.offsetY, 24);
                  setAt(i);
                  openAt(i);
                }
                drag.current = null;
              }}
              onPointerLeave={() => !drag.current && setAt(null)}
              onWheel={(event) => {
                if (!event.ctrlKey && !event.metaKey && document.activeElement !== event.currentTarget) return;
                event.preventDefault();
                zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
              }}
              onKeyDown={(event) => {
                const steps: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
                const way = steps[event.key];
                if (way) step(...way);
                else if (event.key === "Enter" || event.key === " ") openAt(at_);
                else if (event.key === "+" || event.key === "=") zoom(1.5);
                else if (event.key === "-") zoom(1 / 1.5);
                else if (event.key === "Escape") setAt(null);
                else return;
                event.preventDefault();
              }}
            />
            {under && (
              <div class="tip" style={{ left: `${Math.min(Math.max(place(under)[0] + 14, 0), Math.max(0, size.width - 176))}px`, top: `${Math.min(Math.max(place(under)[1] + 14, 0), Math.max(0, size.height - 190))}px` }}>
                <Thumb collection={line.name} id={under.id} alt="" />
                <p class="name">{title(under.id, under.payload)}</p>
              </div>
            )}
          </>
        )}
      </div>
      {values.length > 0 && (
        <ul class="legend" aria-label={`Colours by ${colour}`}>
          {values.map((name, i) => (
            <li key={name}>
              <span class={`swatch tone-${i}`} />
              {name}
            </li>
          ))}
          {(fields.get(colour)?.length ?? 0) > MOST_COLOURS && (
            <li>
              <span class="swatch tone-other" />
              others
            </li>
          )}
        </ul>
      )}
      {value && (
        <p class="hint">
          {value.among > points.length ? `A sample of ${count(points.length)} of ${count(value.among)} points.` : `All ${count(points.length)} points.`}{" "}
          {method === "pca"
            ? `The two directions hold ${percent(value.explained[0] + value.explained[1])} of all differences.`
            : "Neighbours are alike; how far groups lie from each other means nothing."}
        </p>
      )}
      {open && <Detail line={line} hit={open} close={() => setOpen(null)} onLike={() => go(href(line.name, "search"))} onDeleted={again} />}
    </div>
  );
}
