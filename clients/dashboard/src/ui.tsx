// The pieces that every view is made of.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { Id } from "./api";
import { percent } from "./format";
import { thumbnail } from "./pictures";

export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round">
      <path d={PATHS[name]} />
    </svg>
  );
}

const PATHS = {
  search: "M9 15A6 6 0 1 0 9 3a6 6 0 0 0 0 12Zm4.5-1.5L17 17",
  add: "M10 4v12M4 10h12",
  map: "M4 4v12h12M8 12h.01M11 8h.01M14 11h.01M9 6h.01",
  copies: "M7 7h9v9H7zM4 13V4h9",
  pen: "M3 16c3-1 3-6 5-6s0 6 2 6 2-4 4-4 1 3 3 3",
  info: "M10 9v5M10 6h.01M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14Z",
  home: "M3 9l7-6 7 6v8h-5v-5H8v5H3z",
  tasks: "M4 5h.01M4 10h.01M4 15h.01M8 5h9M8 10h9M8 15h9",
  key: "M12.5 10.5a3.5 3.5 0 1 0-3-1.7L3 15v2h3v-2h2v-2l1.2-1.2a3.5 3.5 0 0 0 3.3-1.3Z",
  picture: "M3 4h14v12H3zM3 13l4-4 4 4 2-2 4 4M13 7h.01",
  close: "M5 5l10 10M15 5L5 15",
  like: "M11 10a4 4 0 1 1-8 0 4 4 0 0 1 8 0ZM17 10a4 4 0 1 1-8 0 4 4 0 0 1 8 0Z",
  warn: "M10 7v4M10 14h.01M10 3l8 14H2z",
} as const;

type ButtonProps = JSX.IntrinsicElements["button"] & { kind?: "main" | "quiet" | "danger"; children?: ComponentChildren };
export function Button({ kind, class: more, ...rest }: ButtonProps) {
  return <button type="button" {...rest} class={`button ${kind ?? ""} ${more ?? ""}`} />;
}

/** Something to fill in, under its name. */
export function Field({ label, hint, children }: { label: string; hint?: string; children: (id: string) => ComponentChildren }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children(id)}
      {hint && <p class="hint">{hint}</p>}
    </div>
  );
}

export function Notice({ kind, children }: { kind: "error" | "info" | "good"; children: ComponentChildren }) {
  return (
    <div class={`notice ${kind}`} role={kind === "error" ? "alert" : "status"}>
      <Icon name={kind === "error" ? "warn" : "info"} />
      <div>{children}</div>
    </div>
  );
}

/** What stands where nothing is yet: what this is for, and what to do. */
export function Empty({ icon, title, children }: { icon: keyof typeof PATHS; title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <span class="disc">
        <Icon name={icon} />
      </span>
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Skeletons({ count = 12 }: { count?: number }) {
  return (
    <div class="grid" aria-hidden="true">
      {Array.from({ length: count }, (_, i) => (
        <div class="card" key={i}>
          <div class="picture skeleton" />
          <div class="skeleton line" />
          <div class="skeleton line half" />
        </div>
      ))}
    </div>
  );
}

/** A share as a bar, with the number beside it. */
export function Bar({ share, label, tone }: { share: number; label: string; tone?: string }) {
  const filled = Math.max(0, Math.min(1, share));
  return (
    <div class={`bar ${tone ?? ""}`} role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(filled * 100)} aria-valuetext={percent(filled)}>
      <span style={{ width: `${filled * 100}%` }} />
    </div>
  );
}

export function Progress({ done, total, label }: { done: number; total: number; label: string }) {
  return total > 0 ? <progress aria-label={label} value={done} max={total} /> : <progress aria-label={label} />;
}

/** A point's picture, or its place. */
export function Thumb({ collection, id, alt }: { collection: string; id: Id; alt: string }) {
  const [url, setUrl] = useState<string | null | undefined>(undefined);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let wanted = true;
    setUrl(undefined);
    const load = () => void thumbnail(collection, id).then((url) => wanted && setUrl(url));
    const seen = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) {
        seen.disconnect();
        load();
      }
    }, { rootMargin: "400px" });
    if (box.current) seen.observe(box.current);
    return () => {
      wanted = false;
      seen.disconnect();
    };
  }, [collection, id]);
  return (
    <div class={`picture ${url === undefined ? "skeleton" : ""}`} ref={box}>
      {url ? (
        <img src={url} alt={alt} loading="lazy" decoding="async" />
      ) : (
        url === null && (
          <span class="none" role="img" aria-label={`${alt}, no picture kept`}>
            <Icon name="picture" />
          </span>
        )
      )}
    </div>
  );
}

/** A local picture file. */
export function Preview({ file, alt }: { file: Blob; alt: string }) {
  const [url, setUrl] = useState("");
  useEffect(() => {
    const made = URL.createObjectURL(file);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [file]);
  return <div class="picture">{url && <img src={url} alt={alt} />}</div>;
}

/** A window over the page; Escape closes it, and what opened it has the focus again. */
export function Dialog({ title, close, children, actions }: { title: string; close: () => void; children: ComponentChildren; actions?: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    dialog.current?.showModal();
    return () => before?.focus?.();
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onClick={(event) => event.target === dialog.current && close()}
    >
      <div class="dialog">
        <header>
          <h2 id={id}>{title}</h2>
          <Button kind="quiet" class="square" aria-label="Close" onClick={close}>
            <Icon name="close" />
          </Button>
        </header>
        <div class="body">{children}</div>
        {actions && <footer>{actions}</footer>}
      </div>
    </dialog>
  );
}

/** A place to drop files on, and the button that chooses them. */
export function FileButton({ label, multiple, folder, onFiles, kind }: { label: string; multiple?: boolean; folder?: boolean; onFiles: (files: File[]) => void; kind?: "main" | "quiet" }) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (folder) input.current?.setAttribute("webkitdirectory", "");
  }, [folder]);
  return (
    <>
      <input
        ref={input}
        type="file"
        class="unseen"
        tabIndex={-1}
        aria-label={label}
        accept={folder ? undefined : "image/jpeg,image/png,image/webp,image/gif"}
        multiple={multiple}
        onChange={(event) => {
          onFiles([...(event.currentTarget.files ?? [])]);
          event.currentTarget.value = "";
        }}
      />
      <Button kind={kind} onClick={() => input.current?.click()}>
        {label}
      </Button>
    </>
  );
}

/** Runs what loads again whenever `keys` change; the answer, the error, and a way to load again. */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, keys: unknown[]): { value: T | null; error: unknown; loading: boolean; again: () => void } {
  const [state, setState] = useState<{ value: T | null; error: unknown; loading: boolean }>({ value: null, error: null, loading: true });
  const [round, setRound] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    setState((before) => ({ ...before, loading: true, error: null }));
    load(abort.signal).then(
      (value) => !abort.signal.aborted && setState({ value, error: null, loading: false }),
      (error) => !abort.signal.aborted && setState({ value: null, error, loading: false }),
    );
    return () => abort.abort();
  }, [...keys, round]);
  return { ...state, again: () => setRound((n) => n + 1) };
}
