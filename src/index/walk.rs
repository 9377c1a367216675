//! A search by the graph: the nearest that a walk meets, compared exactly, with what the graph does not hold; or nothing,
//! where the walk is not to be relied on.

use super::arena::Rows;
use super::graph::{Graph, Ranker};
use super::nearest::{Near, Nearest};
use super::reach::Stop;
use super::scan::{Probe, scan_chunks};
use super::{Rescore, Search, least_rescored, rescored};

/// Where distances say nothing of how far a filtered walk got, it must meet so many times the hits that the filter lets
/// through.
pub(super) const SURE: usize = 2;
/// And the last hit wanted must be met no later than this many times where it would be if the filter had nothing to do
/// with the vectors; for few hits, which chance puts anywhere, later. Measured with clusters and a filter that leaves out
/// the query's side of the space: with 2.5 recall is 1, without it was 0.96 to 0.98.
const FAR: f32 = 2.5;

/// What is asked of a walk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    /// Where it ends.
    pub(super) stop: Stop,
    /// So many rows may be answered.
    pub(super) expected: usize,
    /// The hits wanted are among so many rows, deleted ones counted.
    pub(super) among: usize,
}

/// What came of a walk.
struct Met {
    /// The best that may be answered, best first, compared exactly, by row.
    best: Vec<Near>,
    /// Rows that the walk met and that may be answered.
    count: usize,
    /// Rows that it met before the last hit wanted.
    before_last: usize,
    /// By their distances hardly a nearer hit was left out.
    has_reached: bool,
}

impl Met {
    /// False where a filter lets little through of what is near: at the far end of what it met a walk is not to be relied
    /// on.
    fn is_sure(&self, search: &Search<'_>, walk: Walk) -> bool {
        if search.allow.is_none() {
            return self.count >= search.limit.min(walk.expected);
        }
        if walk.stop.is_bounded() {
            return self.has_reached;
        }
        let far = walk.among as f32 * FAR.max(1.0 + 5.0 / (search.limit as f32).sqrt());
        self.count >= (SURE * search.limit).min(walk.expected) && self.before_last as f32 <= far
    }
}

/// The nearest of the sealed rows by slot: those in the graph by a walk, the others by a scan. `None` where the walk came
/// back short or is not to be relied on: then nothing is to be left out.
pub(super) fn walk(
    probe: Probe<'_>,
    rows: &Rows,
    graph: &Graph,
    search: &Search<'_>,
    walk: Walk,
) -> Option<Vec<Near>> {
    let slot_if_kept = |row: u32| {
        let (chunk, i) = rows.locate(row);
        let slot = chunk.slots()[i];
        (chunk.is_visible(i, probe.moment) && search.allow.is_none_or(|allow| allow.contains(slot)))
            .then_some(slot)
    };
    let exact = |row: u32| probe.rank(&rows.vector(row));
    let is_kept = |row: u32| slot_if_kept(row).is_some();
    let met = match graph.bytes() {
        Some(bytes) if search.rescore != Rescore::All => {
            let query = bytes.query(probe.vector);
            let is_hit: Option<&dyn Fn(u32) -> bool> = search.allow.map(|_| &is_kept as _);
            let walked = graph.walk_among(walk.stop, &query, is_hit);
            // What lies far behind the last one wanted is not even looked up.
            let (enough, doubtful) = (least_rescored(search).max(SURE * search.limit), query.doubtful());
            let mut best: Vec<Near> = Vec::with_capacity(walked.len());
            let mut before_last = 0;
            for (place, &near) in walked.iter().enumerate() {
                if best.len() >= enough && near.rank > best[search.limit - 1].rank + doubtful {
                    break;
                }
                if is_kept(near.number) {
                    best.push(near);
                    if best.len() == search.limit {
                        before_last = place;
                    }
                }
            }
            let last = best.get(search.limit - 1);
            let has_reached = last.is_some_and(|last| walk.stop.has_reached(last.rank, &walked));
            let count = best.len();
            best.truncate(rescored(&best, search, doubtful));
            best.iter().for_each(|near| rows.prefetch(near.number));
            let best = best.into_iter().map(|near| Near { rank: exact(near.number), ..near }).collect();
            Met { best, count, before_last, has_reached }
        }
        _ => {
            let walked = graph.walk_to(walk.stop, &Exactly { probe, rows }).into_iter().enumerate();
            let best: Vec<(usize, Near)> = walked.filter(|(_, near)| is_kept(near.number)).collect();
            let before_last = best.get(search.limit - 1).map_or(0, |(place, _)| *place);
            let best: Vec<Near> = best.into_iter().map(|(_, near)| near).collect();
            Met { count: best.len(), best, before_last, has_reached: false }
        }
    };
    if !met.is_sure(search, walk) {
        return None;
    }
    let loose = graph.loose().iter().map(|&row| Near { rank: exact(row), number: row });
    let mut nearest = Nearest::new(search.limit);
    for near in met.best.into_iter().chain(loose) {
        if let Some(slot) = slot_if_kept(near.number) {
            nearest.offer(Near { number: slot, ..near });
        }
    }
    let tail = rows.behind(graph.covered());
    let expected = tail.len() * rows.chunk_rows();
    let found = nearest.merge(scan_chunks(probe, tail, search.allow, search.limit, expected)).into_sorted();
    (found.len() >= search.limit.min(walk.expected)).then_some(found)
}

/// Ranks rows for a walk where there are no bytes.
struct Exactly<'a> {
    probe: Probe<'a>,
    rows: &'a Rows,
}

impl Ranker for Exactly<'_> {
    fn ranks(&self, rows: &[u32], out: &mut [f32]) {
        rows.iter().zip(out).for_each(|(&row, out)| *out = self.probe.rank(&self.rows.vector(row)));
    }

    fn fetch(&self, row: u32) {
        self.rows.prefetch(row);
    }
}
