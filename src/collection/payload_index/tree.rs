//! Keys in their order, each with the slots that have it. Keys stand in blocks of some hundred; a
//! block of a kind that is asked by ranges also knows the slots of all its keys together, so that
//! a wide range over many distinct values is put together from few sets.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::key::Key;

/// A block with more keys is cut in two.
const MAX_KEYS: usize = 1024;

/// The slots of one key; most keys of a field with many values have one.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collection) enum Slots {
    One(u32),
    Many(Box<RoaringBitmap>),
}

impl Slots {
    fn insert(&mut self, slot: u32) {
        match self {
            Slots::One(there) if *there == slot => {}
            Slots::One(there) => *self = Slots::Many(Box::new(RoaringBitmap::from_iter([*there, slot]))),
            Slots::Many(slots) => drop(slots.insert(slot)),
        }
    }

    /// Returns whether none are left.
    fn remove(&mut self, slot: u32) -> bool {
        match self {
            Slots::One(there) => *there == slot,
            Slots::Many(slots) => {
                slots.remove(slot);
                slots.is_empty()
            }
        }
    }

    fn contains(&self, slot: u32) -> bool {
        match self {
            Slots::One(there) => *there == slot,
            Slots::Many(slots) => slots.contains(slot),
        }
    }

    pub(super) fn add_to(&self, all: &mut RoaringBitmap) {
        match self {
            Slots::One(slot) => drop(all.insert(*slot)),
            Slots::Many(slots) => *all |= &**slots,
        }
    }

    /// The slots as a set of their own.
    pub(super) fn to_set(&self) -> RoaringBitmap {
        let mut set = RoaringBitmap::new();
        self.add_to(&mut set);
        set
    }
}

#[derive(Debug, Default)]
struct Block {
    keys: BTreeMap<Key, Slots>,
    /// The slots of all keys; `None` in a tree that is not asked by ranges.
    all: Option<RoaringBitmap>,
}

/// Blocks by a bound that is at most their first key and above every key of the block before.
#[derive(Debug)]
pub(super) struct Tree {
    blocks: BTreeMap<Key, Block>,
    has_ranges: bool,
}

/// Whether a tree is asked by ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Ranges,
    Keys,
}

impl Tree {
    pub(super) fn new(asked: Asked) -> Self {
        Self { blocks: BTreeMap::new(), has_ranges: asked == Asked::Ranges }
    }

    /// Adds a slot to a key, which is exchanged for the equal one that is there, if there is one:
    /// their text is shared.
    pub(super) fn insert(&mut self, key: &mut Key, slot: u32) {
        let bound = self.blocks.range(..=&*key).next_back().map(|(bound, _)| bound.clone());
        let bound = bound.unwrap_or(Key::Bool(false));
        let block = self.blocks.entry(bound).or_default();
        if let Some((there, slots)) = block.keys.range_mut(&*key..=&*key).next() {
            *key = there.clone();
            slots.insert(slot);
        } else {
            block.keys.insert(key.clone(), Slots::One(slot));
        }
        if self.has_ranges {
            block.all.get_or_insert_default().insert(slot);
        }
        if block.keys.len() > MAX_KEYS
            && let Some(middle) = block.keys.keys().nth(MAX_KEYS / 2).cloned()
        {
            let keys = block.keys.split_off(&middle);
            if self.has_ranges {
                block.all = Some(together(&block.keys));
            }
            let all = self.has_ranges.then(|| together(&keys));
            self.blocks.insert(middle, Block { keys, all });
        }
    }

    /// Takes a slot from a key; `others` are keys that it stays under.
    pub(super) fn remove(&mut self, key: &Key, slot: u32, others: &[Key]) {
        let Some((bound, block)) = self.blocks.range_mut(..=key).next_back() else { return };
        if block.keys.get_mut(key).is_some_and(|slots| slots.remove(slot)) {
            block.keys.remove(key);
        }
        if let Some(all) = &mut block.all
            && !others.iter().any(|other| block.keys.get(other).is_some_and(|slots| slots.contains(slot)))
        {
            all.remove(slot);
        }
        if block.keys.is_empty() {
            let bound = bound.clone();
            self.blocks.remove(&bound);
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Slots> {
        self.blocks.range(..=key).next_back()?.1.keys.get(key)
    }

    /// The slots of the keys from `low` to `high` that `keep` keeps. Between two keys that it
    /// keeps it keeps all.
    pub(super) fn range(&self, low: &Key, high: &Key, keep: impl Fn(&Key) -> bool) -> RoaringBitmap {
        let mut found = RoaringBitmap::new();
        for block in self.blocks_between(low, high) {
            let ends = [block.keys.first_key_value(), block.keys.last_key_value()];
            let whole = ends.into_iter().flatten().all(|(key, _)| low <= key && key <= high && keep(key));
            match &block.all {
                Some(all) if whole => found |= all,
                _ => {
                    let kept = block.keys.range(low..=high).filter(|(key, _)| keep(key));
                    kept.for_each(|(_, slots)| slots.add_to(&mut found));
                }
            }
        }
        found
    }

    /// Every key from `low` to `high` with its slots.
    pub(super) fn each<'a>(
        &'a self,
        low: &'a Key,
        high: &'a Key,
    ) -> impl Iterator<Item = (&'a Key, &'a Slots)> {
        self.blocks_between(low, high).flat_map(move |block| block.keys.range(low..=high))
    }

    /// Every key from `low` on.
    pub(super) fn from<'a>(&'a self, low: &'a Key) -> impl Iterator<Item = (&'a Key, &'a Slots)> {
        let first =
            self.blocks.range(..=low).next_back().map_or(Key::Bool(false), |(bound, _)| bound.clone());
        self.blocks.range(first..).flat_map(move |(_, block)| block.keys.range(low..))
    }

    /// Every key in its order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&Key, &Slots)> {
        self.blocks.values().flat_map(|block| &block.keys)
    }

    fn blocks_between<'a>(&'a self, low: &Key, high: &'a Key) -> impl Iterator<Item = &'a Block> {
        let first =
            self.blocks.range(..=low).next_back().map_or(Key::Bool(false), |(bound, _)| bound.clone());
        let is_within = low <= high;
        self.blocks.range(first..).take_while(move |(bound, _)| is_within && *bound <= high).map(|(_, b)| b)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

fn together(keys: &BTreeMap<Key, Slots>) -> RoaringBitmap {
    let mut all = RoaringBitmap::new();
    keys.values().for_each(|slots| slots.add_to(&mut all));
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_tree_of_many_blocks_answers_as_a_plain_list_does(
            steps in prop::collection::vec((0_i64..4000, 0_u32..400, prop::bool::weighted(0.8)), 0..6000),
            low in 0_i64..4000, width in 0_i64..4000,
        ) {
            let mut tree = Tree::new(Asked::Ranges);
            let mut list: BTreeMap<u32, Vec<Key>> = BTreeMap::new();
            for (key, slot, is_added) in steps {
                let keys = list.entry(slot).or_default();
                let mut key = Key::Integer(key);
                if is_added {
                    tree.insert(&mut key, slot);
                    keys.push(key);
                } else if keys.contains(&key) {
                    keys.retain(|there| *there != key);
                    tree.remove(&key, slot, keys);
                }
            }
            let (low, high) = (Key::Integer(low), Key::Integer(low + width));
            let even = |key: &Key| matches!(key, Key::Integer(n) if *n != 7);
            let expected: RoaringBitmap = list
                .iter()
                .filter(|(_, keys)| keys.iter().any(|key| low <= *key && *key <= high))
                .map(|(slot, _)| *slot)
                .collect();
            prop_assert_eq!(tree.range(&low, &high, |_| true), expected.clone());
            let mut each = RoaringBitmap::new();
            tree.each(&low, &high).for_each(|(_, slots)| slots.add_to(&mut each));
            prop_assert_eq!(each, expected);
            let kept = list.values().flatten().filter(|key| even(key)).count() > 0;
            prop_assert_eq!(tree.iter().any(|(key, _)| even(key)), kept);
        }
    }
}
