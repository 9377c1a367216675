//! Graphs kept on disk, so that a start needs no build. A file holds the ids of the points in the
//! order of their slots, each with the checksum of its vectors, and every index's graph in terms
//! of places in that list. It is a hint: when it is read, a point counts only if its vectors are
//! still the same, and without the file graphs are built as if there had never been one.
//!
//! `"LKGRAPH2" | points u64 | (tag u8, id, crc u32) ... | graphs u32 | (name length u8, name, m u32,
//! ef_construct u32, width u32, entry u32, nodes u64 | (place u32, layers u8 | (count u16, places u32 ...)
//! ...) ...) ...`, little-endian. Storage puts a hash around it.

use std::collections::HashMap;

use crate::error::Result;
use crate::index::KeptGraph;
use crate::storage::Volume;
use crate::types::{PointId, VectorName};

use super::state::Memory;

const MAGIC: &[u8; 8] = b"LKGRAPH2";
/// Most points of a file.
const MAX_POINTS: u64 = u32::MAX as u64;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    /// Points in the order of their slots, with the checksums of their vectors.
    pub points: Vec<(PointId, u32)>,
    /// Graphs by the vector's name; their slots are places in `points`.
    pub graphs: Vec<(VectorName, KeptGraph)>,
}

/// Writes down the graphs that there are.
///
/// # Errors
/// Those of storage. Failing is no harm: the next start builds.
pub(super) fn keep(memory: &Memory, volume: &Volume) -> Result<()> {
    let graphs: Vec<_> =
        memory.indexes.iter().filter_map(|(name, index)| Some((name.clone(), index.keep()?))).collect();
    if graphs.is_empty() {
        return Ok(());
    }
    let ids: Vec<(u32, PointId)> = memory.state.read().ids.iter().map(|(slot, id)| (*slot, *id)).collect();
    let mut places = HashMap::with_capacity(ids.len());
    let mut points = Vec::with_capacity(ids.len());
    for (slot, id) in ids {
        if let Some(crc) = volume.vectors_crc(id)? {
            places.insert(slot, u32::try_from(points.len()).unwrap_or(u32::MAX));
            points.push((id, crc));
        }
    }
    let graphs =
        graphs.into_iter().map(|(name, graph)| (name, with_slots(graph, |slot| places.get(&slot).copied())));
    let kept = Kept { points, graphs: graphs.collect() };
    volume.keep_file("graphs", &kept.encode())
}

/// What was written down last; `None` where there is nothing whole.
pub(super) fn read(volume: &Volume) -> Option<Kept> {
    Kept::decode(&volume.kept_file("graphs")?)
}

/// The graph with other slots; nodes that have none are left out.
pub(super) fn with_slots(graph: KeptGraph, slot: impl Fn(u32) -> Option<u32>) -> KeptGraph {
    let layer = |layer: Vec<u32>| layer.into_iter().filter_map(&slot).collect::<Vec<u32>>();
    let node =
        |(old, layers): (u32, Vec<Vec<u32>>)| Some((slot(old)?, layers.into_iter().map(layer).collect()));
    let entry = slot(graph.entry).unwrap_or(u32::MAX);
    KeptGraph { entry, nodes: graph.nodes.into_iter().filter_map(node).collect(), ..graph }
}

impl Kept {
    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
        put(&(self.points.len() as u64).to_le_bytes());
        for (id, crc) in &self.points {
            match id {
                PointId::Num(number) => {
                    put(&[0]);
                    put(&number.to_le_bytes());
                }
                PointId::Uuid(uuid) => {
                    put(&[1]);
                    put(uuid.as_bytes());
                }
            }
            put(&crc.to_le_bytes());
        }
        put(&(self.graphs.len() as u32).to_le_bytes());
        for (name, graph) in &self.graphs {
            put(&[u8::try_from(name.len()).unwrap_or(u8::MAX)]);
            put(name.as_bytes());
            for number in [graph.m, graph.ef_construct, graph.width] {
                put(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
            }
            put(&graph.entry.to_le_bytes());
            put(&(graph.nodes.len() as u64).to_le_bytes());
            for (place, layers) in &graph.nodes {
                put(&place.to_le_bytes());
                put(&[u8::try_from(layers.len()).unwrap_or(u8::MAX)]);
                for layer in layers {
                    put(&u16::try_from(layer.len()).unwrap_or(u16::MAX).to_le_bytes());
                    layer.iter().for_each(|place| put(&place.to_le_bytes()));
                }
            }
        }
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = Reader(bytes);
        if rest.take(8)? != MAGIC {
            return None;
        }
        let count = rest.u64().filter(|count| *count <= MAX_POINTS)?;
        let mut points = Vec::new();
        for _ in 0..count {
            let id = match rest.u8()? {
                0 => PointId::Num(rest.u64()?),
                1 => PointId::Uuid(uuid::Uuid::from_slice(rest.take(16)?).ok()?),
                _ => return None,
            };
            points.push((id, rest.u32()?));
        }
        let mut graphs = Vec::new();
        for _ in 0..rest.u32()? {
            let length = rest.u8()?;
            let name = std::str::from_utf8(rest.take(length.into())?).ok()?.to_owned();
            let [m, ef_construct, width] =
                [rest.u32()?, rest.u32()?, rest.u32()?].map(|number| number as usize);
            let entry = rest.u32()?;
            let count = rest.u64().filter(|count| *count <= MAX_POINTS)?;
            let mut nodes = Vec::new();
            for _ in 0..count {
                let place = rest.u32()?;
                let mut layers = Vec::new();
                for _ in 0..rest.u8()? {
                    let count = rest.u16()?;
                    let (words, _) = rest.take(usize::from(count) * 4)?.as_chunks::<4>();
                    layers.push(words.iter().map(|word| u32::from_le_bytes(*word)).collect());
                }
                nodes.push((place, layers));
            }
            graphs.push((name, KeptGraph { m, ef_construct, width, entry, nodes }));
        }
        rest.0.is_empty().then_some(Self { points, graphs })
    }
}

/// Takes numbers off the front of some bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(*self.take(2)?.first_chunk()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(*self.take(4)?.first_chunk()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(*self.take(8)?.first_chunk()?))
    }
}

/// What loading found of the kept points: their slots, where their vectors are still the same.
pub(super) struct Loaded {
    kept: Kept,
    slots: Vec<Option<u32>>,
}

impl Loaded {
    pub(super) fn new(kept: Kept) -> Self {
        let slots = vec![None; kept.points.len()];
        Self { kept, slots }
    }

    /// The ids in the order in which they should be loaded.
    pub(super) fn ids(&self) -> Vec<PointId> {
        self.kept.points.iter().map(|(id, _)| *id).collect()
    }

    /// The `place`-th of the ids was loaded.
    pub(super) fn loaded(&mut self, place: usize, crc: u32, slot: Option<u32>) {
        if self.kept.points.get(place).is_some_and(|(_, kept)| *kept == crc) {
            self.slots[place] = slot;
        }
    }

    /// Hands the graphs to the indexes.
    pub(super) fn adopt(self, memory: &Memory) {
        let slots = self.slots;
        for (name, graph) in self.kept.graphs {
            if let Some(index) = memory.indexes.get(&name) {
                let graph = with_slots(graph, |place| *slots.get(place as usize)?);
                let nodes = graph.nodes.len();
                let taken = index.adopt(graph);
                tracing::debug!("graph of `{name}` with {nodes} nodes from disk: taken {taken}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn any_kept() -> impl Strategy<Value = Kept> {
        let id = prop_oneof![
            any::<u64>().prop_map(PointId::Num),
            any::<u128>().prop_map(|bits| PointId::Uuid(uuid::Uuid::from_u128(bits)))
        ];
        let node = (any::<u32>(), vec(vec(any::<u32>(), 0..5), 0..3));
        let graph = ([1..99_usize, 1..999, 1..99], any::<u32>(), vec(node, 0..6)).prop_map(
            |([m, ef_construct, width], entry, nodes)| KeptGraph { m, ef_construct, width, entry, nodes },
        );
        (vec((id, any::<u32>()), 0..8), vec(("[a-z]{0,4}", graph), 0..3))
            .prop_map(|(points, graphs)| Kept { points, graphs })
    }

    proptest! {
        #[test]
        fn what_is_kept_is_read_back_and_no_bytes_are_read_as_anything_else_without_notice(
            kept in any_kept(), cut in any::<prop::sample::Index>()
        ) {
            let bytes = kept.encode();
            prop_assert_eq!(Kept::decode(&bytes), Some(kept));
            prop_assert_eq!(Kept::decode(&bytes[..cut.index(bytes.len())]), None);
        }
    }
}
