//! A scan by bytes: what a search compares where it does not walk, and what rounding may have put in the wrong order
//! is compared once more exactly. Of many rows that a filter allows, those are left out that by their bits cannot be
//! among the hits.

use std::sync::Arc;

use rayon::prelude::*;

use super::arena::{Chunk, Rows};
use super::graph::Ranker;
use super::nearest::{Near, Nearest};
use super::quantised::{Quantised, Query};
use super::scan::{Probe, fold_chunks, is_worth_threads, visible};
use super::{Search, rescored};

/// The nearest of the rows that are there as bytes, by slot: every one is compared by its bytes, and exactly
/// what rounding may have put in the wrong order.
pub(super) fn scan_bytes(
    probe: Probe<'_>,
    rows: &Rows,
    chunks: &[Arc<Chunk>],
    bytes: &Quantised,
    search: &Search<'_>,
    expected: usize,
) -> Vec<Near> {
    let query = bytes.query(probe.vector);
    let numbered: Vec<(usize, &Arc<Chunk>)> = chunks.iter().enumerate().collect();
    // By bits more is in doubt.
    let (times, more) = if bytes.is_bits_alone() { (16, 512) } else { (4, 64) };
    let kept = search.limit.saturating_mul(times).max(search.limit + more);
    if let Some(allow) = search.allow {
        let among = rows.among(allow, chunks.len() * rows.chunk_rows());
        let floats = expected.saturating_mul(rows.size() / 4);
        let sifts = query.is_worth_sifting(expected);
        let new = || (Nearest::new(search.limit), Nearest::new(kept));
        let (_, best) = if is_worth_threads(floats) {
            let among: Vec<u32> = among.collect();
            let parts = among.par_chunks(PART);
            parts
                .fold(new, |found, part| scan_among(probe, rows, part.iter().copied(), &query, sifts, found))
                .reduce(new, |(a, b), (c, d)| (a.merge(c), b.merge(d)))
        } else {
            scan_among(probe, rows, among, &query, sifts, new())
        };
        return compared(probe, rows, best.into_sorted(), search, query.doubtful());
    }
    let scan = |mut nearest: Nearest, (number, chunk): &(usize, &Arc<Chunk>)| {
        let first = (number * rows.chunk_rows()) as u32; // rows are numbered by u32
        let places = visible(chunk, probe.moment, first);
        let mut ranks = vec![0.0; places.len()];
        query.ranks(&places, &mut ranks);
        for (number, rank) in places.into_iter().zip(ranks) {
            if nearest.admits(rank) {
                nearest.offer(Near { rank, number });
            }
        }
        nearest
    };
    let best = fold_chunks(&numbered, kept, expected.saturating_mul(rows.size() / 4), scan);
    compared(probe, rows, best.into_sorted(), search, query.doubtful())
}

/// Rows that are fetched while those before them are ranked.
const BLOCK: usize = 64;
/// Rows that a thread takes at a time.
const PART: usize = 256 * BLOCK;

/// The `kept` best by their bytes of those of the rows that a search may answer. Where there are bits, a row is left
/// out that by these cannot be among the hits, which need not be as far as the last kept. Deletion is looked up only
/// for those that would be kept, and rows are fetched ahead: few of many rows lie far apart.
fn scan_among(
    probe: Probe<'_>,
    rows: &Rows,
    mut among: impl Iterator<Item = u32>,
    query: &Query<'_>,
    sifts: bool,
    (mut hits, mut kept): (Nearest, Nearest),
) -> (Nearest, Nearest) {
    let fetch = |row: &u32| if sifts { query.glance_for_scan(*row) } else { query.fetch(*row) };
    let mut next = |block: &mut Vec<u32>| {
        block.clear();
        block.extend(among.by_ref().take(BLOCK).inspect(fetch));
    };
    let (mut block, mut coming, mut ranks) = (Vec::new(), Vec::new(), [0.0; BLOCK]);
    next(&mut block);
    while !block.is_empty() {
        next(&mut coming);
        if sifts {
            let last = hits.worst().filter(|_| hits.is_full());
            query.sift_for_scan(&mut block, last.map_or(f32::INFINITY, |last| last.rank + query.doubtful()));
        }
        query.ranks(&block, &mut ranks[..block.len()]);
        for (&number, &rank) in block.iter().zip(&ranks) {
            if kept.admits(rank) {
                let (chunk, i) = rows.locate(number);
                if chunk.is_visible(i, probe.moment) {
                    hits.offer(Near { rank, number });
                    kept.offer(Near { rank, number });
                }
            }
        }
        std::mem::swap(&mut block, &mut coming);
    }
    (hits, kept)
}

/// The best by bytes, best first, compared exactly and by slot, as far as rounding may have put them in the
/// wrong order.
fn compared(
    probe: Probe<'_>,
    rows: &Rows,
    mut best: Vec<Near>,
    search: &Search<'_>,
    doubtful: f32,
) -> Vec<Near> {
    best.truncate(rescored(&best, search, doubtful));
    best.iter().for_each(|near| rows.prefetch(near.number));
    let exact = |near: Near| {
        let (chunk, i) = rows.locate(near.number);
        Near { rank: probe.rank(&chunk.vector(i, rows.size())), number: chunk.slots()[i] }
    };
    best.into_iter().map(exact).collect()
}
