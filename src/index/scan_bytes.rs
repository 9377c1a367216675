//! A scan by bytes: what a search compares where it does not walk, and what rounding may have put in the wrong order
//! is compared once more exactly. Of many rows that a filter allows, those are left out that by their bits cannot be
//! among the hits.

use std::cell::Cell;
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
        let scan = Scan { probe, rows, query: &query, hits: search.limit };
        let new = || Found { hits: Nearest::new(search.limit), kept: Nearest::new(kept) };
        let (sifts, in_parts) = (query.is_worth_sifting(expected), is_worth_threads(floats));
        let best = if sifts || in_parts {
            let among: Vec<u32> = among.collect();
            let part = |found, part: &[u32]| match sifts {
                true => scan.sift(part, found),
                false => scan.compare(part.iter().copied(), found, &Cell::default()),
            };
            match in_parts {
                true => among.par_chunks(PART).fold(new, part).reduce(new, Found::merge),
                false => among.chunks(PART).fold(new(), part),
            }
        } else {
            scan.compare(among, new(), &Cell::default())
        };
        return compared(probe, rows, best.kept.into_sorted(), search, query.doubtful());
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
/// Of a part's estimates so many are looked at for the best of it, roughly.
const SAMPLE: usize = 1_024;
/// So many times the hits are compared before the others are left out or not.
const LIKELY: usize = 4;

/// What a scan has found.
struct Found {
    /// As many as are wanted: what is to be among the hits must be no farther than the last of them, but for rounding.
    hits: Nearest,
    /// More, which are compared exactly.
    kept: Nearest,
}

impl Found {
    fn merge(self, other: Found) -> Found {
        Found { hits: self.hits.merge(other.hits), kept: self.kept.merge(other.kept) }
    }

    /// The rank of the last hit; infinite while there are too few.
    fn last(&self) -> f32 {
        self.hits.worst().filter(|_| self.hits.is_full()).map_or(f32::INFINITY, |last| last.rank)
    }
}

/// A scan of rows that are allowed.
#[derive(Clone, Copy)]
struct Scan<'a> {
    probe: Probe<'a>,
    rows: &'a Rows,
    query: &'a Query<'a>,
    /// So many are wanted.
    hits: usize,
}

impl Scan<'_> {
    /// Compares rows by their bytes. Deletion is looked up only for those that would be kept, and rows are fetched ahead:
    /// few of many rows lie far apart. `last` is the rank of the last hit as the rows are taken.
    fn compare(&self, mut among: impl Iterator<Item = u32>, mut found: Found, last: &Cell<f32>) -> Found {
        let mut next = |block: &mut Vec<u32>| {
            block.clear();
            block.extend(among.by_ref().take(BLOCK).inspect(|row| self.query.fetch(*row)));
        };
        let (mut block, mut coming, mut ranks) = (Vec::new(), Vec::new(), [0.0; BLOCK]);
        last.set(found.last());
        next(&mut block);
        while !block.is_empty() {
            next(&mut coming);
            self.query.ranks(&block, &mut ranks[..block.len()]);
            for (&number, &rank) in block.iter().zip(&ranks) {
                if found.kept.admits(rank) {
                    let (chunk, i) = self.rows.locate(number);
                    if chunk.is_visible(i, self.probe.moment) {
                        found.hits.offer(Near { rank, number });
                        found.kept.offer(Near { rank, number });
                    }
                }
            }
            last.set(found.last());
            std::mem::swap(&mut block, &mut coming);
        }
        found
    }

    /// Compares those of the rows by their bytes that by their bits may be among the hits: first the likely ones, so that
    /// the last hit is near when it is asked of the others.
    fn sift(&self, among: &[u32], mut found: Found) -> Found {
        let estimates = self.estimates(among);
        let (last, room) = (Cell::default(), self.query.room_of_scan());
        let numbered = || among.iter().copied().zip(estimates.iter().copied());
        let likely = if found.hits.is_full() { f32::NEG_INFINITY } else { self.likely(&estimates) };
        let is_likely = |estimate: f32| estimate <= likely;
        if likely > f32::NEG_INFINITY {
            let first = numbered().filter(|(_, estimate)| is_likely(*estimate));
            found = self.compare(first.map(|(row, _)| row), found, &last);
        }
        let may_be_hit = |estimate: f32| {
            last.get() == f32::INFINITY || estimate - room < last.get() + self.query.doubtful()
        };
        let others = numbered().filter(|(_, estimate)| !is_likely(*estimate) && may_be_hit(*estimate));
        self.compare(others.map(|(row, _)| row), found, &last)
    }

    /// Ranks by bits.
    fn estimates(&self, among: &[u32]) -> Vec<f32> {
        let mut estimates = vec![0.0; among.len()];
        let blocks = among.chunks(BLOCK);
        let coming = blocks.clone().skip(1).chain(std::iter::once(&[][..]));
        among.iter().take(BLOCK).for_each(|row| self.query.glance_for_scan(*row));
        for ((block, coming), estimates) in blocks.zip(coming).zip(estimates.chunks_mut(BLOCK)) {
            coming.iter().for_each(|row| self.query.glance_for_scan(*row));
            self.query.rough_ranks(block, estimates);
        }
        estimates
    }

    /// An estimate that roughly [`LIKELY`] times the hits do not exceed.
    fn likely(&self, estimates: &[f32]) -> f32 {
        let every = (estimates.len() / SAMPLE).max(1);
        let mut sample: Vec<f32> = estimates.iter().copied().step_by(every).collect();
        let Some(most) = sample.len().checked_sub(1) else { return f32::NEG_INFINITY };
        let place = (self.hits.saturating_mul(LIKELY) / every).min(most);
        *sample.select_nth_unstable_by(place, f32::total_cmp).1
    }
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
