//! Keys in their order, each with the slots that have it. Keys stand in blocks of some dozens, and
//! blocks in groups of some dozens; of a kind that is asked by ranges, a block and a group also
//! know the slots of all their keys together, so that a range over any number of distinct values
//! is put together from few sets.

use std::collections::BTreeMap;

use roaring::{MultiOps, RoaringBitmap};

use super::key::Key;

/// A block with more keys is cut in two.
const MAX_KEYS: usize = 96;
/// A group with more blocks is cut in two.
const MAX_BLOCKS: usize = 64;

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

/// Consecutive blocks.
#[derive(Debug, Default)]
struct Group {
    /// By a bound that is at most their first key and above every key of the block before.
    blocks: BTreeMap<Key, Block>,
    /// The slots of all keys; `None` in a tree that is not asked by ranges.
    all: Option<RoaringBitmap>,
}

/// Groups by a bound that is at most that of their first block and above every key of the group
/// before.
#[derive(Debug)]
pub(super) struct Tree {
    groups: BTreeMap<Key, Group>,
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
        Self { groups: BTreeMap::new(), has_ranges: asked == Asked::Ranges }
    }

    /// Adds a slot to a key, which is exchanged for the equal one that is there, if there is one:
    /// their text is shared.
    pub(super) fn insert(&mut self, key: &mut Key, slot: u32) {
        let group = match self.groups.range_mut(..=&*key).next_back() {
            Some((_, group)) => group,
            None => self.groups.entry(Key::Bool(false)).or_default(),
        };
        let block = match group.blocks.range_mut(..=&*key).next_back() {
            Some((_, block)) => block,
            None => group.blocks.entry(Key::Bool(false)).or_default(),
        };
        if let Some((there, slots)) = block.keys.range_mut(&*key..=&*key).next() {
            *key = there.clone();
            slots.insert(slot);
        } else {
            block.keys.insert(key.clone(), Slots::One(slot));
        }
        if self.has_ranges {
            block.all.get_or_insert_default().insert(slot);
            group.all.get_or_insert_default().insert(slot);
        }
        if block.keys.len() > MAX_KEYS {
            let has_ranges = self.has_ranges;
            let Some(cut) = halve(&mut block.keys) else { return };
            if has_ranges {
                block.all = Some(together(block.keys.values()));
            }
            let all = has_ranges.then(|| together(cut.1.values()));
            group.blocks.insert(cut.0, Block { keys: cut.1, all });
            if group.blocks.len() > MAX_BLOCKS
                && let Some((bound, blocks)) = halve(&mut group.blocks)
            {
                let sets = |blocks: &BTreeMap<Key, Block>| {
                    has_ranges.then(|| blocks.values().filter_map(|block| block.all.as_ref()).union())
                };
                group.all = sets(&group.blocks);
                let all = sets(&blocks);
                self.groups.insert(bound, Group { blocks, all });
            }
        }
    }

    /// Takes a slot from a key; `others` are keys that it stays under.
    pub(super) fn remove(&mut self, key: &Key, slot: u32, others: &[Key]) {
        let Some((group_bound, group)) = self.groups.range_mut(..=key).next_back() else { return };
        let Some((bound, block)) = group.blocks.range_mut(..=key).next_back() else { return };
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
            group.blocks.remove(&bound);
        }
        let stays = |other: &Key| group.get(other).is_some_and(|slots| slots.contains(slot));
        if group.all.is_some() && !others.iter().any(stays) {
            group.all.get_or_insert_default().remove(slot);
        }
        if group.blocks.is_empty() {
            let bound = group_bound.clone();
            self.groups.remove(&bound);
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Slots> {
        self.groups.range(..=key).next_back()?.1.get(key)
    }

    /// The slots of the keys from `low` to `high` that `keep` keeps. Between two keys that it
    /// keeps it keeps all.
    pub(super) fn range(&self, low: &Key, high: &Key, keep: impl Fn(&Key) -> bool) -> RoaringBitmap {
        let is_kept = |key: &Key| low <= key && key <= high && keep(key);
        let mut sets: Vec<&RoaringBitmap> = Vec::new();
        let mut single: Vec<u32> = Vec::new();
        for group in between(&self.groups, low, high) {
            if let Some(all) = &group.all
                && group.ends().into_iter().flatten().all(is_kept)
            {
                sets.push(all);
                continue;
            }
            for block in between(&group.blocks, low, high) {
                let ends = [block.keys.first_key_value(), block.keys.last_key_value()];
                match &block.all {
                    Some(all) if ends.into_iter().flatten().all(|(key, _)| is_kept(key)) => sets.push(all),
                    _ => {
                        for (_, slots) in block.keys.range(low..=high).filter(|(key, _)| keep(key)) {
                            match slots {
                                Slots::One(slot) => single.push(*slot),
                                Slots::Many(slots) => sets.push(slots),
                            }
                        }
                    }
                }
            }
        }
        let mut found = sets.union();
        found.extend(single);
        found
    }

    /// Every key from `low` to `high` with its slots.
    pub(super) fn each<'a>(
        &'a self,
        low: &'a Key,
        high: &'a Key,
    ) -> impl Iterator<Item = (&'a Key, &'a Slots)> {
        between(&self.groups, low, high)
            .flat_map(move |group| between(&group.blocks, low, high))
            .flat_map(move |block| block.keys.range(low..=high))
    }

    /// Every key from `low` on.
    pub(super) fn from<'a>(&'a self, low: &'a Key) -> impl Iterator<Item = (&'a Key, &'a Slots)> {
        let groups = self.groups.range(start(&self.groups, low)..);
        let blocks = groups.flat_map(move |(_, group)| group.blocks.range(start(&group.blocks, low)..));
        blocks.flat_map(move |(_, block)| block.keys.range(low..))
    }

    /// Every key in its order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&Key, &Slots)> {
        self.groups.values().flat_map(|group| group.blocks.values()).flat_map(|block| &block.keys)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

impl Group {
    fn get(&self, key: &Key) -> Option<&Slots> {
        self.blocks.range(..=key).next_back()?.1.keys.get(key)
    }

    /// Its first and its last key.
    fn ends(&self) -> [Option<&Key>; 2] {
        let first = self.blocks.first_key_value().and_then(|(_, block)| block.keys.first_key_value());
        let last = self.blocks.last_key_value().and_then(|(_, block)| block.keys.last_key_value());
        [first.map(|(key, _)| key), last.map(|(key, _)| key)]
    }
}

/// The bound of the part that a key would be in.
fn start<T>(parts: &BTreeMap<Key, T>, low: &Key) -> Key {
    parts.range(..=low).next_back().map_or(Key::Bool(false), |(bound, _)| bound.clone())
}

/// The parts that may hold a key from `low` to `high`.
fn between<'a, T>(parts: &'a BTreeMap<Key, T>, low: &Key, high: &'a Key) -> impl Iterator<Item = &'a T> {
    let is_within = low <= high;
    let from = parts.range(start(parts, low)..);
    from.take_while(move |(bound, _)| is_within && *bound <= high).map(|(_, part)| part)
}

/// Takes the upper half out, with its first key.
fn halve<T>(parts: &mut BTreeMap<Key, T>) -> Option<(Key, BTreeMap<Key, T>)> {
    let middle = parts.keys().nth(parts.len() / 2)?.clone();
    let upper = parts.split_off(&middle);
    Some((middle, upper))
}

fn together<'a>(keys: impl Iterator<Item = &'a Slots>) -> RoaringBitmap {
    let mut all = RoaringBitmap::new();
    keys.for_each(|slots| slots.add_to(&mut all));
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_tree_of_many_blocks_answers_as_a_plain_list_does(
            steps in prop::collection::vec((0_i64..9000, 0_u32..400, prop::bool::weighted(0.8)), 0..14_000),
            low in 0_i64..9000, width in 0_i64..9000,
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
