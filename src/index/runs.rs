//! Which rows stand for which slots, in as few runs as there are: most collections are one, and what a filter allows
//! becomes rows by a subtraction each, without a look at any chunk.

use roaring::RoaringBitmap;

/// Rows one after the other.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// Its first row.
    row: u32,
    /// The slots of its first and last row.
    first: u32,
    last: u32,
    /// It is a chunk whose slots are not one after the other.
    has_gaps: bool,
}

/// Runs in the order of their rows, and so of their slots.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs(Vec<Run>);

impl Runs {
    /// Adds a chunk, given its first row and its slots, increasing and behind all others.
    pub(super) fn push(&mut self, row: u32, slots: &[u32]) {
        let (Some(&first), Some(&last)) = (slots.first(), slots.last()) else { return };
        let has_gaps = (last - first) as usize + 1 != slots.len();
        match self.0.last_mut() {
            Some(run)
                if !run.has_gaps
                    && !has_gaps
                    && run.last.checked_add(1) == Some(first)
                    && run.row + (run.last - run.first) + 1 == row =>
            {
                run.last = last;
            }
            _ => self.0.push(Run { row, first, last, has_gaps }),
        }
    }

    /// The rows before `covered` whose slots are allowed, in order. `find` is asked for a slot among the rows of a
    /// chunk that has gaps, given its first row.
    pub(super) fn rows(
        &self,
        allow: &RoaringBitmap,
        covered: usize,
        find: impl Fn(u32, u32) -> Option<u32>,
    ) -> impl Iterator<Item = u32> {
        let mut runs = self.0.iter();
        let mut run = runs.next();
        let row_of = move |slot: u32| {
            while run.is_some_and(|run| run.last < slot) {
                run = runs.next();
            }
            let &Run { row, first, has_gaps, .. } = run?;
            let row = match slot.checked_sub(first) {
                None => return Some(None),
                Some(_) if has_gaps && (row as usize) < covered => return Some(find(row, slot)),
                Some(behind) => row + behind,
            };
            ((row as usize) < covered).then_some(Some(row))
        };
        allow.iter().map_while(row_of).flatten()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn allowed_rows_are_those_of_a_look_at_every_slot(
            chunks in proptest::collection::vec((0..3_u32, proptest::collection::vec(0..2_u32, 1..8)), 0..12),
            allow in proptest::collection::btree_set(0..160_u32, 0..60),
            covered in 0..12_usize,
        ) {
            // Chunks of up to 8 rows each, with gaps before and within them.
            let (mut runs, mut slots, mut next) = (Runs::default(), Vec::new(), 0);
            for (at, (before, gaps)) in chunks.iter().enumerate() {
                next += before;
                let own: Vec<u32> = gaps.iter().map(|gap| { next += gap + 1; next }).collect();
                runs.push(8 * at as u32, &own);
                slots.extend((8 * at as u32..).zip(own));
            }
            let find = |row: u32, slot: u32| {
                slots.iter().find(|(at, own)| at / 8 == row / 8 && *own == slot).map(|(at, _)| *at)
            };
            let set: RoaringBitmap = allow.iter().copied().collect();
            let found: Vec<u32> = runs.rows(&set, 8 * covered, find).collect();
            let is_there = |(row, slot): &(u32, u32)| (*row as usize) < 8 * covered && allow.contains(slot);
            let there: Vec<u32> = slots.iter().filter(|both| is_there(both)).map(|(row, _)| *row).collect();
            prop_assert_eq!(found, there);
        }
    }

    #[test]
    fn chunks_without_gaps_are_one_run() {
        let mut runs = Runs::default();
        runs.push(0, &[5, 6, 7, 8]);
        runs.push(4, &[9, 10, 11, 12]);
        assert_eq!(runs.0.len(), 1);
        runs.push(8, &[13, 15]);
        runs.push(12, &[16, 17, 18, 19]);
        assert_eq!(runs.0.len(), 3);
        // A chunk that is not full is not followed by its own rows.
        runs.push(16, &[20, 21]);
        runs.push(20, &[22]);
        assert_eq!(runs.0.len(), 4);
    }
}
