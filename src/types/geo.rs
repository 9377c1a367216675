//! Places on the globe and areas of it. What an area contains is computed step by step as Qdrant's
//! own in-memory reference does (qdrant-client, `local/geo.py`), so that borders fall alike.

use serde_json::Value;

/// Metres, the mean radius of the earth (IUGG).
const EARTH_RADIUS: f64 = 6_371_008.8;

/// A place in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeoPoint {
    /// Longitude, -180 to 180 in a filter.
    pub lon: f64,
    /// Latitude, -90 to 90 in a filter.
    pub lat: f64,
}

impl GeoPoint {
    /// A payload's `{"lon": .., "lat": ..}`; `None` where it is no object with these two numbers.
    pub fn read(value: &Value) -> Option<Self> {
        let degrees = |key| value.get(key).filter(|v| v.is_number()).and_then(Value::as_f64);
        let place = Self { lon: degrees("lon")?, lat: degrees("lat")? };
        (place.lon.is_finite() && place.lat.is_finite()).then_some(place)
    }

    /// True where both degrees are in the range that a map has.
    pub fn is_on_the_map(self) -> bool {
        (-180.0..=180.0).contains(&self.lon) && (-90.0..=90.0).contains(&self.lat)
    }

    /// Metres to another place along the surface (haversine).
    pub fn distance(self, other: Self) -> f64 {
        let (lat1, lat2) = (self.lat.to_radians(), other.lat.to_radians());
        let lat = (lat2 - lat1) / 2.0;
        let lon = (other.lon.to_radians() - self.lon.to_radians()) / 2.0;
        let a = lat.sin().powi(2) + lat1.cos() * lat2.cos() * lon.sin().powi(2);
        EARTH_RADIUS * 2.0 * a.sqrt().min(1.0).asin()
    }
}

/// A part of the globe.
#[derive(Debug, Clone, PartialEq)]
pub enum GeoArea {
    /// Strictly between the corners; a west edge that is east of the other crosses 180 degrees.
    Box {
        /// The north-western corner.
        top_left: GeoPoint,
        /// The south-eastern corner.
        bottom_right: GeoPoint,
    },
    /// Nearer to a place than so many metres.
    Circle {
        /// The place.
        center: GeoPoint,
        /// Metres.
        radius: f64,
    },
    /// Within a ring and in none of the holes; the ring's border is outside, a hole's inside the hole.
    Polygon {
        /// The ring, its first place again as the last.
        exterior: Vec<GeoPoint>,
        /// Rings that are left out.
        interiors: Vec<Vec<GeoPoint>>,
    },
}

/// Degrees between which something lies, both ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeoBounds {
    /// West and east.
    pub lon: (f64, f64),
    /// South and north.
    pub lat: (f64, f64),
}

impl GeoArea {
    /// True where the place is in the area.
    pub fn contains(&self, place: GeoPoint) -> bool {
        match self {
            GeoArea::Box { top_left, bottom_right } => {
                let (west, east) = (top_left.lon, bottom_right.lon);
                let lon = if west > east {
                    place.lon > west || place.lon < east
                } else {
                    west < place.lon && place.lon < east
                };
                lon && top_left.lat > place.lat && place.lat > bottom_right.lat
            }
            GeoArea::Circle { center, radius } => place.distance(*center) < *radius,
            GeoArea::Polygon { exterior, interiors } => {
                in_ring(place, exterior, Border::Outside)
                    && !interiors.iter().any(|ring| in_ring(place, ring, Border::Inside))
            }
        }
    }

    /// Boxes on the map that together hold all of the area that is on the map.
    pub fn bounds(&self) -> Vec<GeoBounds> {
        match self {
            GeoArea::Box { top_left, bottom_right } => {
                let lat = (bottom_right.lat, top_left.lat);
                across(top_left.lon, bottom_right.lon, lat)
            }
            GeoArea::Circle { center, radius } => {
                // A little wider than the sphere says: rounding must not leave a place out.
                let angle = (radius / EARTH_RADIUS).to_degrees() * (1.0 + 1e-9) + 1e-9;
                let lat = ((center.lat - angle).max(-90.0), (center.lat + angle).min(90.0));
                let reach = angle.to_radians().sin() / center.lat.to_radians().cos();
                let round = lat.0 <= -90.0 || lat.1 >= 90.0 || angle >= 90.0 || !(0.0..1.0).contains(&reach);
                if round {
                    return across(-180.0, 180.0, lat);
                }
                let reach = reach.asin().to_degrees() * (1.0 + 1e-9) + 1e-9;
                let wrap = |lon: f64| (lon + 540.0).rem_euclid(360.0) - 180.0;
                if reach >= 180.0 {
                    return across(-180.0, 180.0, lat);
                }
                let (west, east) = (center.lon - reach, center.lon + reach);
                if west >= -180.0 && east <= 180.0 {
                    return across(west, east, lat);
                }
                across(wrap(west), wrap(east), lat)
            }
            GeoArea::Polygon { exterior, .. } => {
                let low = |of: fn(&GeoPoint) -> f64| exterior.iter().map(of).fold(f64::INFINITY, f64::min);
                let high =
                    |of: fn(&GeoPoint) -> f64| exterior.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
                across(low(|p| p.lon), high(|p| p.lon), (low(|p| p.lat), high(|p| p.lat)))
            }
        }
    }
}

fn across(west: f64, east: f64, lat: (f64, f64)) -> Vec<GeoBounds> {
    if west > east {
        return vec![GeoBounds { lon: (west, 180.0), lat }, GeoBounds { lon: (-180.0, east), lat }];
    }
    vec![GeoBounds { lon: (west, east), lat }]
}

/// Where the border of a ring belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Border {
    Inside,
    Outside,
}

fn in_ring(place: GeoPoint, ring: &[GeoPoint], border: Border) -> bool {
    let ring = match ring {
        [first, rest @ .., last] if first == last && !rest.is_empty() => &ring[..ring.len() - 1],
        ring => ring,
    };
    let Some(mut before) = ring.last().copied() else { return false };
    let (x, y) = (place.lat, place.lon);
    let mut inside = false;
    for &at in ring {
        let (xi, yi, xj, yj) = (at.lat, at.lon, before.lat, before.lon);
        let on_border = y * (xi - xj) + yi * (xj - x) + yj * (x - xi) == 0.0
            && (xi - x) * (xj - x) <= 0.0
            && (yi - y) * (yj - y) <= 0.0;
        if on_border {
            return border == Border::Inside;
        }
        if (yi > y) != (yj > y) && x < (xj - xi) * (y - yi) / (yj - yi) + xi {
            inside = !inside;
        }
        before = at;
    }
    inside
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(lon: f64, lat: f64) -> GeoPoint {
        GeoPoint { lon, lat }
    }

    #[test]
    fn distances_between_cities_are_those_of_the_map() {
        let (moscow, london) = (at(37.6173, 55.7558), at(-0.1278, 51.5074));
        assert!((2_400e3..2_600e3).contains(&moscow.distance(london)));
        assert_eq!(moscow.distance(moscow), 0.0);
    }

    #[test]
    fn a_polygon_leaves_out_its_border_and_its_holes_with_theirs() {
        let square = |low: f64, high: f64| {
            vec![at(low, low), at(high, low), at(high, high), at(low, high), at(low, low)]
        };
        let area = GeoArea::Polygon { exterior: square(0.0, 10.0), interiors: vec![square(4.0, 6.0)] };
        for (place, inside) in [
            (at(1.0, 1.0), true),
            (at(0.0, 5.0), false),
            (at(5.0, 5.0), false),
            (at(4.0, 5.0), false),
            (at(11.0, 5.0), false),
        ] {
            assert_eq!(area.contains(place), inside, "{place:?}");
        }
    }

    fn a_place() -> impl Strategy<Value = GeoPoint> {
        (-180.0..=180.0, -90.0..=90.0).prop_map(|(lon, lat)| at(lon, lat))
    }

    fn an_area() -> impl Strategy<Value = GeoArea> {
        prop_oneof![
            (a_place(), a_place())
                .prop_map(|(top_left, bottom_right)| GeoArea::Box { top_left, bottom_right }),
            (a_place(), 1.0..2e7).prop_map(|(center, radius)| GeoArea::Circle { center, radius }),
            prop::collection::vec(a_place(), 3..8).prop_map(|mut exterior| {
                exterior.push(exterior[0]);
                GeoArea::Polygon { exterior, interiors: Vec::new() }
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_an_area_contains_is_within_its_bounds(
            area in an_area(), places in prop::collection::vec(a_place(), 1..50)
        ) {
            let bounds = area.bounds();
            for place in places.into_iter().filter(|place| area.contains(*place)) {
                prop_assert!(bounds.iter().any(|b| b.lon.0 <= place.lon && place.lon <= b.lon.1
                    && b.lat.0 <= place.lat && place.lat <= b.lat.1), "{:?}", place);
            }
        }
    }
}
