//! The layers above the lowest one: a sample of the rows, by which a walk comes to its neighbourhood. Each is
//! arrays of its own; links know their places in them. Read-only.

use super::graph::Ranker;
use super::nearest::Near;

/// One row's neighbours on the upper layers.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) row: u32,
    /// Neighbours by layer, from the lowest of the upper ones on; layers above the row's own are
    /// absent.
    pub(super) layers: Vec<Vec<u32>>,
}

/// The upper layers, as they are handed over.
#[derive(Debug)]
pub(super) struct Sampled {
    /// The row on the highest layer.
    pub(super) entry: u32,
    /// Every row of them.
    pub(super) nodes: Vec<Node>,
}

/// The layers above the lowest one.
#[derive(Debug)]
pub(super) struct Upper {
    /// From the lowest of them on.
    layers: Vec<Layer>,
    /// A row on the highest layer.
    pub(super) entry: u32,
    /// They are made of a sample of the rows `0..covered`.
    pub(super) covered: usize,
}

/// One of the upper layers.
#[derive(Debug, Default)]
struct Layer {
    /// Its rows, increasing.
    rows: Vec<u32>,
    /// Where each one's links begin, and the end of the last one's.
    starts: Vec<u32>,
    /// Rows.
    links: Vec<u32>,
    /// The place in `rows` of each link.
    places: Vec<u32>,
    /// The place of each row on the layer below, where that is an upper one.
    below: Vec<u32>,
}

impl Layer {
    fn place(&self, row: u32) -> Option<u32> {
        self.rows.binary_search(&row).ok().map(|place| place as u32) // rows are numbered by u32
    }

    fn range(&self, place: u32) -> std::ops::Range<usize> {
        self.starts[place as usize] as usize..self.starts[place as usize + 1] as usize
    }
}

impl Upper {
    pub(super) fn new(entry: u32, covered: usize, mut nodes: Vec<Node>) -> Self {
        nodes.sort_unstable_by_key(|node| node.row);
        nodes.dedup_by_key(|node| node.row);
        let most = nodes.iter().map(|node| node.layers.len()).max().unwrap_or(0);
        let mut layers: Vec<Layer> = Vec::with_capacity(most);
        for number in 0..most {
            let here = || nodes.iter().filter(|node| node.layers.len() > number);
            let mut layer = Layer { rows: here().map(|node| node.row).collect(), ..Layer::default() };
            layer.starts.push(0);
            for node in here() {
                for &link in &node.layers[number] {
                    if let Some(place) = layer.place(link) {
                        layer.links.push(link);
                        layer.places.push(place);
                    }
                }
                layer.starts.push(layer.links.len() as u32); // rows times `m`, which is checked to fit
            }
            if let Some(below) = layers.last() {
                // A row of a layer is on all layers below.
                layer.below = layer.rows.iter().map(|&row| below.place(row).unwrap_or(0)).collect();
            }
            layers.push(layer);
        }
        Self { layers, entry, covered }
    }

    /// The neighbours of a row by layer, the lowest of these first.
    pub(super) fn links(&self, row: u32) -> impl Iterator<Item = Vec<u32>> {
        self.layers.iter().map_while(move |layer| Some(layer.links[layer.range(layer.place(row)?)].to_vec()))
    }

    /// Greedily down the upper layers, to where the lowest one is entered.
    pub(super) fn descend(&self, ranker: &impl Ranker, ranked: &mut Vec<f32>) -> Near {
        let entry = self.entry;
        let mut first = [0.0];
        ranker.rough_ranks(&[entry], &mut first);
        let mut best = Near { rank: first[0], number: entry };
        // On no layer where there are none.
        let mut place = self.layers.last().and_then(|layer| layer.place(entry)).unwrap_or(0);
        for layer in self.layers.iter().rev() {
            loop {
                let range = layer.range(place);
                let links = &layer.links[range.clone()];
                links.iter().for_each(|&row| ranker.glance(row));
                ranked.resize(links.len(), 0.0);
                ranker.rough_ranks(links, ranked);
                let mut moved = false;
                for (at, &rank) in range.zip(ranked.iter()) {
                    if rank < best.rank {
                        (best, place, moved) =
                            (Near { rank, number: layer.links[at] }, layer.places[at], true);
                    }
                }
                if !moved {
                    break;
                }
            }
            place = layer.below.get(place as usize).copied().unwrap_or(0);
        }
        ranker.ranks(&[best.number], &mut first);
        Near { rank: first[0], ..best }
    }
}
