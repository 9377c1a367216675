//! Every key of the view is built here and nowhere else.
//!
//! | key | bytes |
//! |---|---|
//! | state of a collection | number u32 BE, `0`, `0` |
//! | configuration of a collection | number u32 BE, `0`, `1` |
//! | point with a number | number u32 BE, `1`, id u64 BE |
//! | point with a UUID | number u32 BE, `2`, 16 bytes |
//!
//! Big-endian, so that byte order is id order: numbers before UUIDs, each by value.

use uuid::Uuid;

use crate::types::PointId;

const OWN: u8 = 0;
const NUM: u8 = 1;
const UUID: u8 = 2;

/// The prefix of all keys of a collection.
pub fn collection(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// The key of the collection's state.
pub fn state(number: u32) -> Vec<u8> {
    [&collection(number)[..], &[OWN, 0]].concat()
}

/// The key of the collection's configuration.
pub fn config(number: u32) -> Vec<u8> {
    [&collection(number)[..], &[OWN, 1]].concat()
}

/// The key of a point.
pub fn point(number: u32, id: PointId) -> Vec<u8> {
    let mut key = Vec::with_capacity(21);
    key.extend_from_slice(&collection(number));
    write_id(&mut key, id);
    key
}

/// The first key that a point of the collection can have.
pub fn first_point(number: u32) -> Vec<u8> {
    [&collection(number)[..], &[NUM]].concat()
}

/// The first key behind the collection's; `None` behind the last possible collection.
pub fn end(number: u32) -> Option<[u8; 4]> {
    number.checked_add(1).map(collection)
}

/// The collection that a key belongs to.
pub fn number_of(key: &[u8]) -> Option<u32> {
    key.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

/// The id within a point's key; `None` for any other key.
pub fn point_id(key: &[u8]) -> Option<PointId> {
    let (id, length) = read_id(key.get(4..)?)?;
    (length + 4 == key.len()).then_some(id)
}

/// Writes an id as keys and log records hold it: a tag byte, then big-endian bytes.
pub fn write_id(out: &mut Vec<u8>, id: PointId) {
    match id {
        PointId::Num(number) => {
            out.push(NUM);
            out.extend_from_slice(&number.to_be_bytes());
        }
        PointId::Uuid(uuid) => {
            out.push(UUID);
            out.extend_from_slice(uuid.as_bytes());
        }
    }
}

/// Reads an id from the start of `bytes`; also returns how many bytes it took.
pub fn read_id(bytes: &[u8]) -> Option<(PointId, usize)> {
    let (tag, rest) = bytes.split_first()?;
    match *tag {
        NUM => rest.first_chunk::<8>().map(|n| (PointId::Num(u64::from_be_bytes(*n)), 9)),
        UUID => rest.first_chunk::<16>().map(|n| (PointId::Uuid(Uuid::from_bytes(*n)), 17)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_id() -> impl Strategy<Value = PointId> {
        prop_oneof![
            any::<u64>().prop_map(PointId::Num),
            any::<u128>().prop_map(|bits| PointId::Uuid(Uuid::from_u128(bits))),
        ]
    }

    proptest! {
        #[test]
        fn byte_order_of_keys_is_id_order_within_collection_order(
            a in (any::<u32>(), any_id()), b in (any::<u32>(), any_id())
        ) {
            prop_assert_eq!(point(a.0, a.1).cmp(&point(b.0, b.1)), a.cmp(&b));
        }

        #[test]
        fn an_id_comes_back_from_its_key_and_lies_within_its_collection(number in 0..u32::MAX, id in any_id()) {
            let key = point(number, id);
            prop_assert_eq!(point_id(&key), Some(id));
            prop_assert_eq!(number_of(&key), Some(number));
            prop_assert!(key.as_slice() >= first_point(number).as_slice());
            prop_assert!(key.as_slice() < end(number).unwrap().as_slice());
            prop_assert!(state(number) < key && config(number) < key);
        }
    }

    #[test]
    fn keys_of_state_and_configuration_are_no_points() {
        assert_eq!(point_id(&state(7)), None);
        assert_eq!(point_id(&config(7)), None);
    }
}
