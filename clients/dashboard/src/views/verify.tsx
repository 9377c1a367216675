// Signatures: enrol references of a subject, verify a questioned one with the evidence beside it, calibrate.
import { useState } from "preact/hooks";
import { at, call, get, post, send, words, type CollectionLine, type Id } from "../api";
import { count, duration, percent, plural } from "../format";
import { refresh, say, tracked } from "../store";
import { Bar, Button, Empty, Field, FileButton, Notice, Preview, Thumb, useLoad } from "../ui";
import { Det, type Rate } from "./det";

interface Subjects {
  subjects: { subject: string; references: number; forgeries: number }[];
  total: number;
  references: number;
}
interface Estimate {
  value: number;
  interval: { low: number; high: number };
}
interface Operating {
  target_far: number;
  threshold: number;
  far: Estimate;
  frr: Estimate;
  coarse: boolean;
}
interface Calibration {
  id: string;
  version: number;
  current: boolean;
  created: number;
  subjects: number;
  genuine: number;
  impostors: number;
  eer: Estimate;
  points: Operating[];
  outgrown: boolean;
  stale: string | null;
  det?: Rate[];
}
interface Verification {
  decision: "accept" | "reject" | "review";
  subject: string | null;
  reasons: { text: string }[];
  score: number | null;
  threshold: { accept: number; reject: number } | null;
  probability: { genuine: number; prior: number } | null;
  p_value: number | null;
  far: Estimate | null;
  frr: Estimate | null;
  references: { id: Id; similarity: number }[];
  nearest_impostor: { subject: string; score: number } | null;
  calibration: { version: number; age_secs: number } | null;
  warnings: string[];
  audit: number | null;
}
interface Identification {
  decision: Verification["decision"];
  subject: string | null;
  reasons: { text: string }[];
  candidates: { subject: string; score: number }[];
  searched: number;
  note: string;
  warnings: string[];
}

const WORD = { accept: "Accept", reject: "Reject", review: "Review" };
const ranged = (estimate: Estimate) => `${percent(estimate.value, 2)} (${percent(estimate.interval.low, 2)} to ${percent(estimate.interval.high, 2)})`;

/** The score on a line with the thresholds. */
function Scale({ score, threshold, impostor }: { score: number; threshold: { accept: number; reject: number }; impostor: number | null }) {
  const all = [score, threshold.accept, threshold.reject, ...(impostor === null ? [] : [impostor])];
  const [low, high] = [Math.min(...all) - 0.1, Math.max(...all) + 0.1];
  const x = (value: number) => 12 + ((value - low) / (high - low)) * 476;
  return (
    <svg class="scale" viewBox="0 0 500 76" role="img" aria-label={`Score ${score.toFixed(3)}; accepted from ${threshold.accept.toFixed(3)}, rejected below ${threshold.reject.toFixed(3)}.`}>
      <rect class="reject" x="12" y="32" width={Math.max(0, x(threshold.reject) - 12)} height="10" />
      <rect class="review" x={x(threshold.reject)} y="32" width={Math.max(0, x(threshold.accept) - x(threshold.reject))} height="10" />
      <rect class="accept" x={x(threshold.accept)} y="32" width={Math.max(0, 488 - x(threshold.accept))} height="10" />
      <path class="pointer" d={`M${x(score)} 30l-6 -10h12z`} />
      <text x={Math.min(455, Math.max(45, x(score)))} y="14" text-anchor="middle">
        this: {score.toFixed(3)}
      </text>
      {impostor !== null && <line class="other" x1={x(impostor)} x2={x(impostor)} y1="28" y2="46" />}
      {impostor !== null && (
        <text class="small" x={Math.min(440, Math.max(60, x(impostor)))} y="70" text-anchor="middle">
          nearest other: {impostor.toFixed(3)}
        </text>
      )}
    </svg>
  );
}

function Evidence({ line, probe, found }: { line: CollectionLine; probe: File; found: Verification }) {
  return (
    <article class={`verdict ${found.decision}`} aria-label="Decision" aria-live="polite">
      <header>
        <span class={`decision ${found.decision}`}>{WORD[found.decision]}</span>
        <p>{found.reasons[0]?.text}</p>
      </header>
      {found.score !== null && found.threshold && <Scale score={found.score} threshold={found.threshold} impostor={found.nearest_impostor?.score ?? null} />}
      <div class="beside">
        <figure>
          <Preview file={probe} alt="The questioned signature" />
          <figcaption>Questioned</figcaption>
        </figure>
        <ul class="references" aria-label="References compared with">
          {found.references.map((reference, i) => (
            <li key={reference.id}>
              <Thumb collection={line.name} id={reference.id} alt={`Reference ${i + 1}`} />
              <Bar share={reference.similarity} label={`Similarity to reference ${i + 1}`} />
              <span class="figure">{reference.similarity.toFixed(3)}</span>
            </li>
          ))}
        </ul>
      </div>
      <dl class="facts">
        {found.probability && (
          <>
            <dt>Probably genuine</dt>
            <dd>
              {percent(found.probability.genuine, 1)}, where {percent(found.probability.prior)} of all that are presented are
            </dd>
          </>
        )}
        {found.far && (
          <>
            <dt>Others accepted</dt>
            <dd>{ranged(found.far)} of other people's signatures pass this threshold</dd>
          </>
        )}
        {found.frr && (
          <>
            <dt>Own refused</dt>
            <dd>{ranged(found.frr)} of genuine ones do not</dd>
          </>
        )}
        {found.p_value !== null && (
          <>
            <dt>p-value</dt>
            <dd>{percent(found.p_value, 1)} of genuine signatures of the calibration score no higher</dd>
          </>
        )}
        {found.nearest_impostor && (
          <>
            <dt>Nearest other subject</dt>
            <dd>
              {found.nearest_impostor.subject}, score {found.nearest_impostor.score.toFixed(3)}
            </dd>
          </>
        )}
        {found.audit !== null && (
          <>
            <dt>Audit log</dt>
            <dd>line {count(found.audit)}</dd>
          </>
        )}
      </dl>
      {[...found.reasons.slice(1).map((reason) => reason.text), ...found.warnings].map((text) => (
        <Notice kind="info" key={text}>
          {text}
        </Notice>
      ))}
      <p class="hint">This supports an examiner and replaces none. The figures say nothing of practised forgeries.</p>
    </article>
  );
}

function Enrol({ line, done }: { line: CollectionLine; done: () => void }) {
  const [subject, setSubject] = useState("");
  const [result, setResult] = useState<{ items: { sample: string; status: string; error: string | null }[]; references: number; advice: string | null } | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const take = async (files: File[]) => {
    if (files.length === 0) return;
    setBusy(true);
    setError(null);
    setResult(null);
    try {
      const form = new FormData();
      form.append("subject", subject.trim());
      files.forEach((file) => form.append("sample", file, file.name));
      const enrolled = await tracked(`Enrol ${subject.trim()}`, line.name, async () => {
        const response = await send("POST", at(line.name, "/enrol"), form, undefined, { "X-Lookalike-Partial": "true" });
        return (await response.json()).result;
      });
      setResult(enrolled);
      say(`${subject} has ${enrolled.references} references`);
      done();
      await refresh();
    } catch (error) {
      setError(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <section class="panel" aria-labelledby="enrol-title">
      <h2 id="enrol-title">Enrol</h2>
      <p class="hint">At least 3 signatures of a person, better 5, as they are written on ordinary days.</p>
      <Field label="Subject">
        {(id) => <input id={id} type="text" autocomplete="off" placeholder="A. Smith" value={subject} onInput={(event) => setSubject(event.currentTarget.value)} />}
      </Field>
      {subject.trim() === "" ? (
        <Button disabled>Choose signatures</Button>
      ) : (
        <FileButton kind="main" label={busy ? "Enrolling…" : "Choose signatures"} multiple onFiles={(files) => void take(files)} />
      )}
      {error != null && <Notice kind="error">{words(error)}</Notice>}
      {result && (
        <Notice kind={result.items.some((item) => item.status === "enrolled") ? "good" : "error"}>
          <p>
            {plural(result.items.filter((item) => item.status === "enrolled").length, "signature")} enrolled, {plural(result.references, "reference")} in all. {result.advice}
          </p>
          {result.items
            .filter((item) => item.error)
            .map((item) => (
              <p key={item.sample}>
                <span class="code">{item.sample}</span> {item.error}
              </p>
            ))}
        </Notice>
      )}
    </section>
  );
}

function Check({ line, subjects, calibration }: { line: CollectionLine; subjects: Subjects; calibration: Calibration | null }) {
  const [subject, setSubject] = useState("");
  const [far, setFar] = useState("");
  const [file, setFile] = useState<File | null>(null);
  const [found, setFound] = useState<Verification | null>(null);
  const [named, setNamed] = useState<Identification | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const run = async (what: "verify" | "identify") => {
    if (!file) return;
    setBusy(true);
    setError(null);
    setFound(null);
    setNamed(null);
    try {
      const form = new FormData();
      if (what === "verify") form.append("subject", subject);
      if (far !== "") form.append("policy", JSON.stringify({ target_far: Number(far) }));
      form.append("sample", file, file.name);
      const response = await send("POST", at(line.name, `/${what}`), form);
      const answer = (await response.json()).result;
      if (what === "verify") setFound(answer);
      else setNamed(answer);
      say(`Decision: ${answer.decision}`);
    } catch (error) {
      setError(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <section class="panel" aria-labelledby="verify-title">
      <h2 id="verify-title">Verify</h2>
      <div class="row">
        <Field label="Said to be from">
          {(id) => (
            <>
              <input id={id} type="text" list={`${id}-list`} autocomplete="off" value={subject} onInput={(event) => setSubject(event.currentTarget.value)} />
              <datalist id={`${id}-list`}>
                {subjects.subjects.map((one) => (
                  <option key={one.subject} value={one.subject} />
                ))}
              </datalist>
            </>
          )}
        </Field>
        {calibration && (
          <Field label="Others accepted at most">
            {(id) => (
              <select id={id} value={far} onChange={(event) => setFar(event.currentTarget.value)}>
                <option value="">the lowest calibrated</option>
                {calibration.points.map((point) => (
                  <option key={point.target_far} value={point.target_far}>
                    {percent(point.target_far, point.target_far < 0.01 ? 1 : 0)}
                  </option>
                ))}
              </select>
            )}
          </Field>
        )}
      </div>
      <div class="row">
        <FileButton label={file ? "Choose another" : "Choose the questioned signature"} onFiles={(files) => (setFile(files[0] ?? null), setFound(null), setNamed(null))} />
        {file && <span class="code">{file.name}</span>}
      </div>
      <div class="row">
        <Button kind="main" disabled={!file || subject === "" || busy} onClick={() => void run("verify")}>
          {busy ? "Comparing…" : "Verify"}
        </Button>
        <Button disabled={!file || busy} onClick={() => void run("identify")}>
          Whose is it?
        </Button>
      </div>
      {error != null && <Notice kind="error">{words(error)}</Notice>}
      {found && file && <Evidence line={line} probe={file} found={found} />}
      {named && (
        <article class={`verdict ${named.decision}`} aria-label="Identification">
          <header>
            <span class={`decision ${named.decision}`}>{named.subject ?? "Nobody"}</span>
            <p>{named.reasons[0]?.text}</p>
          </header>
          <ol class="candidates" aria-label="Candidates">
            {named.candidates.map((one) => (
              <li key={one.subject}>
                {one.subject} <span class="figure">{one.score.toFixed(3)}</span>
              </li>
            ))}
          </ol>
          <p class="hint">
            {plural(named.searched, "subject")} searched. {named.note.charAt(0).toUpperCase() + named.note.slice(1)}.
          </p>
        </article>
      )}
    </section>
  );
}

function Calibrated({ line, calibration, again, enrolled }: { line: CollectionLine; calibration: Calibration | null; again: () => void; enrolled: number }) {
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    setError(null);
    try {
      await tracked(`Calibrate ${line.name}`, line.name, () => post(at(line.name, "/calibrate"), {}));
      say("Calibrated");
      again();
    } catch (error) {
      setError(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <section class="panel wide" aria-labelledby="calibration-title">
      <header class="row">
        <h2 id="calibration-title">Calibration</h2>
        <Button kind={calibration ? undefined : "main"} onClick={() => void run()} disabled={busy}>
          {busy ? "Calibrating…" : calibration ? "Calibrate again" : "Calibrate"}
        </Button>
      </header>
      {error != null && <Notice kind="error">{words(error)}</Notice>}
      {!calibration && (
        <p class="hint">
          Without a calibration there is no threshold, and every signature is for review. It needs at least 10 subjects with 4 references each; {plural(enrolled, "subject")} {enrolled === 1 ? "is" : "are"} enrolled.
        </p>
      )}
      {calibration && (
        <>
          {(calibration.stale || calibration.outgrown) && <Notice kind="info">{calibration.stale ?? "The collection has grown by half since; calibrate again."}</Notice>}
          <div class="calibration">
            {calibration.det && (
              <Det curve={calibration.det} eer={calibration.eer.value} used={calibration.points.map((point) => ({ threshold: point.threshold, far: point.far.value, frr: point.frr.value }))} />
            )}
            <div>
              <p class="big">{percent(calibration.eer.value, 2)}</p>
              <p class="hint">
                equal error rate, {percent(calibration.eer.interval.low, 2)} to {percent(calibration.eer.interval.high, 2)}. Version {calibration.version}, {plural(calibration.subjects, "subject")},{" "}
                {count(calibration.genuine)} genuine and {count(calibration.impostors)} other comparisons, {duration(Date.now() / 1000 - calibration.created)} ago.
              </p>
              <div class="scroll" tabIndex={0} role="region" aria-label="Thresholds">
                <table>
                  <thead>
                    <tr>
                      <th scope="col">FAR wanted</th>
                      <th scope="col">Threshold</th>
                      <th scope="col">Others accepted</th>
                      <th scope="col">Own refused</th>
                    </tr>
                  </thead>
                  <tbody>
                    {calibration.points.map((point) => (
                      <tr key={point.target_far}>
                        <td>{percent(point.target_far, point.target_far < 0.01 ? 1 : 0)}</td>
                        <td>{point.threshold.toFixed(3)}</td>
                        <td>
                          {percent(point.far.value, 2)}
                          {point.coarse && " (coarse)"}
                        </td>
                        <td>{percent(point.frr.value, 2)}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            </div>
          </div>
        </>
      )}
    </section>
  );
}

export function Verify({ line }: { line: CollectionLine }) {
  const subjects = useLoad((signal) => get<Subjects>(at(line.name, "/subjects?limit=1000"), signal), [line.name]);
  const calibration = useLoad(
    async (signal) => {
      const { calibrations } = await get<{ calibrations: Calibration[] }>(at(line.name, "/calibrations"), signal);
      const current = calibrations.find((one) => one.current);
      return current ? await get<Calibration>(at(line.name, `/calibrations/${encodeURIComponent(current.id)}`), signal) : null;
    },
    [line.name],
  );
  const [gone, setGone] = useState<string | null>(null);
  const remove = async (subject: string) => {
    await call("DELETE", at(line.name, `/subjects/${encodeURIComponent(subject)}`));
    setGone(null);
    subjects.again();
    calibration.again();
    await refresh();
  };
  if (!line.signatures) {
    return (
      <Empty icon="pen" title="No collection of signatures">
        <p>Signatures are verified in a collection that is made for them. Create one on the first page, of the kind "signatures".</p>
      </Empty>
    );
  }
  const known = subjects.value ?? { subjects: [], total: 0, references: 0 };
  return (
    <div class="panels">
      <Enrol line={line} done={subjects.again} />
      <Check line={line} subjects={known} calibration={calibration.value} />
      <Calibrated line={line} calibration={calibration.value} again={calibration.again} enrolled={known.total} />
      <section class="panel wide" aria-labelledby="subjects-title">
        <h2 id="subjects-title">Subjects</h2>
        {subjects.error != null && <Notice kind="error">{words(subjects.error)}</Notice>}
        {known.total === 0 ? (
          <p class="hint">Nobody is enrolled yet.</p>
        ) : (
          <ul class="subjects">
            {known.subjects.map((one) => (
              <li key={one.subject}>
                <span class="name">{one.subject}</span>
                <span class="hint">
                  {plural(one.references, "reference")}
                  {one.forgeries > 0 && `, ${plural(one.forgeries, "labelled forgery", "labelled forgeries")}`}
                </span>
                <Button kind={gone === one.subject ? "danger" : "quiet"} aria-label={`Delete ${one.subject}`} onClick={() => (gone === one.subject ? void remove(one.subject) : setGone(one.subject))}>
                  {gone === one.subject ? "Delete for good" : "Delete"}
                </Button>
              </li>
            ))}
          </ul>
        )}
      </section>
    </div>
  );
}
