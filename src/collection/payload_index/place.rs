//! Places in an order in which near ones mostly stand together: their degrees' bits interleaved
//! (Morton 1966). An area is a few ranges of that order; what they hold is compared exactly.

use super::key::Float;
use crate::types::{GeoBounds, GeoPoint};

/// Most ranges that a box is cut into: more hold fewer places in vain and cost a look-up each.
const MAX_RANGES: usize = 64;

/// A place by its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    code: u64,
    lon: Float,
    lat: Float,
}

impl Place {
    pub(super) fn new(point: GeoPoint) -> Self {
        let code = spread(cell(point.lon, 180.0)) << 1 | spread(cell(point.lat, 90.0));
        Self { code, lon: Float::new(point.lon), lat: Float::new(point.lat) }
    }

    pub(super) fn point(self) -> GeoPoint {
        GeoPoint { lon: self.lon.get(), lat: self.lat.get() }
    }

    /// Before all, and after all, places of these codes.
    fn ends(first: u64, last: u64) -> (Self, Self) {
        let (low, high) = (Float::new(f64::NEG_INFINITY), Float::new(f64::INFINITY));
        (Self { code: first, lon: low, lat: low }, Self { code: last, lon: high, lat: high })
    }
}

/// Degrees from `-most` to `most` as 32 bits, in their order.
fn cell(degrees: f64, most: f64) -> u32 {
    ((degrees + most) / (2.0 * most) * f64::from(u32::MAX)) as u32 // saturates
}

/// Every bit with a 0 before it.
fn spread(bits: u32) -> u64 {
    let mut x = u64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        x = (x | x << shift) & mask;
    }
    x
}

/// Ranges of the order that together hold all places within the bounds, ends included.
pub(super) fn ranges(bounds: &GeoBounds) -> Vec<(Place, Place)> {
    let lon = (cell(bounds.lon.0, 180.0), cell(bounds.lon.1, 180.0));
    let lat = (cell(bounds.lat.0, 90.0), cell(bounds.lat.1, 90.0));
    let mut whole = Vec::new();
    // Squares of the map: the lowest corner, and how many bits of it are free.
    let mut open = vec![(0_u32, 0_u32, 32_u32)];
    while !open.is_empty() && whole.len() + open.len() * 4 <= MAX_RANGES {
        let mut next = Vec::new();
        for (x, y, bits) in open {
            let half = bits - 1;
            for (right, up) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let (x, y) = (x | right << half, y | up << half);
                let last = (1_u32 << half) - 1;
                if x > lon.1 || x + last < lon.0 || y > lat.1 || y + last < lat.0 {
                    continue;
                }
                let inside = x >= lon.0 && x + last <= lon.1 && y >= lat.0 && y + last <= lat.1;
                if inside || half == 0 { whole.push((x, y, half)) } else { next.push((x, y, half)) }
            }
        }
        open = next;
    }
    let range = |(x, y, bits): (u32, u32, u32)| {
        let first = spread(x) << 1 | spread(y);
        let size = if bits == 32 { u64::MAX } else { (1 << (2 * bits)) - 1 };
        (first, first + size)
    };
    let mut codes: Vec<(u64, u64)> = whole.into_iter().chain(open).map(range).collect();
    codes.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (first, last) in codes {
        match joined.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(first) => *end = last,
            _ => joined.push((first, last)),
        }
    }
    joined.into_iter().map(|(first, last)| Place::ends(first, last)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_place_within_bounds_is_in_one_of_their_ranges(
            lon in (-180.0..=180.0, -180.0..=180.0), lat in (-90.0..=90.0, -90.0..=90.0),
            part in (0.0..=1.0, 0.0..=1.0),
        ) {
            let sorted = |(a, b): (f64, f64)| (a.min(b), a.max(b));
            let bounds = GeoBounds { lon: sorted(lon), lat: sorted(lat) };
            let within = |(a, b): (f64, f64), part: f64| (a + (b - a) * part).clamp(a, b);
            let point = GeoPoint { lon: within(bounds.lon, part.0), lat: within(bounds.lat, part.1) };
            let ranges = ranges(&bounds);
            prop_assert!(ranges.len() <= MAX_RANGES);
            let place = Place::new(point);
            prop_assert_eq!(ranges.iter().filter(|(low, high)| *low <= place && place <= *high).count(), 1);
            prop_assert_eq!(place.point(), point);
        }
    }
}
