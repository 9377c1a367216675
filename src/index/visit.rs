//! Every vector of an index, one after another, for what looks at all of them and not at the nearest.

use roaring::RoaringBitmap;

use super::Index;
use super::arena::Chunk;

impl Index {
    /// Gives every vector, as it is compared, with its slot, in the order of slots; only the allowed ones
    /// where a set is given. It sees one moment, and takes the lock for no longer than it takes to copy a chunk.
    pub fn each(&self, allow: Option<&RoaringBitmap>, mut visit: impl FnMut(u32, &[f32])) {
        let size = self.shared.size;
        let (rows, moment, open) = {
            let state = self.shared.state.read();
            let open: Vec<(u32, Vec<f32>)> = (0..state.open.len())
                .filter(|&i| state.open.is_visible(i, state.moment))
                .map(|i| (state.open.slots()[i], state.open.vector(i, size).into_owned()))
                .collect();
            (state.sealed.clone(), state.moment, open)
        };
        let is_allowed = |slot: u32| allow.is_none_or(|allow| allow.contains(slot));
        let mut visit_chunk = |chunk: &Chunk| {
            for i in (0..chunk.len()).filter(|&i| chunk.is_visible(i, moment)) {
                let slot = chunk.slots()[i];
                if is_allowed(slot) {
                    let vector = chunk.vector(i, size);
                    // What storage cannot give back is left out.
                    if !vector[0].is_nan() {
                        visit(slot, &vector);
                    }
                }
            }
        };
        rows.chunks().iter().for_each(|chunk| visit_chunk(chunk));
        open.iter().filter(|(slot, _)| is_allowed(*slot)).for_each(|(slot, vector)| visit(*slot, vector));
    }
}
