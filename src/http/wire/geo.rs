//! Geo conditions of a filter into `types::GeoArea`; degrees and rings are checked as Qdrant does.

use serde_json::Value;

use super::object::{Object, expected};
use crate::error::{Error, Result};
use crate::types::{GeoArea, GeoPoint};

/// The keys of the geo conditions.
pub const KINDS: [&str; 3] = ["geo_bounding_box", "geo_radius", "geo_polygon"];
/// Most places of a polygon, its holes included: each is looked at for each point.
const MAX_PLACES: usize = 4096;

/// Reads the condition of this kind.
///
/// # Errors
/// `MalformedBody` or `Validation` that names the place, and the value with its range.
pub fn area(kind: &str, value: Value, place: String) -> Result<GeoArea> {
    let mut object = Object::new(value, place)?;
    let area = match kind {
        "geo_bounding_box" => GeoArea::Box {
            top_left: place_of(&mut object, "top_left")?,
            bottom_right: place_of(&mut object, "bottom_right")?,
        },
        "geo_radius" => {
            let center = place_of(&mut object, "center")?;
            let at = object.at("radius");
            let radius = object.number("radius")?;
            let radius = radius.ok_or_else(|| Error::MalformedBody(format!("{at}: field is missing")))?;
            if radius < 0.0 {
                return Err(Error::Validation(format!("{at} is {radius}, it must be 0 or more")));
            }
            GeoArea::Circle { center, radius }
        }
        _ => {
            let at = object.at("exterior");
            let exterior = ring(object.require("exterior")?, at)?;
            let at = object.at("interiors");
            let mut interiors = Vec::new();
            for (i, value) in object.list("interiors")?.unwrap_or_default().into_iter().enumerate() {
                interiors.push(ring(value, format!("{at}[{i}]"))?);
            }
            let places = exterior.len() + interiors.iter().map(Vec::len).sum::<usize>();
            if places > MAX_PLACES {
                return Err(Error::Validation(format!(
                    "{} holds {places} points, at most {MAX_PLACES}",
                    object.at("").trim_end_matches('.')
                )));
            }
            GeoArea::Polygon { exterior, interiors }
        }
    };
    object.finish()?;
    Ok(area)
}

fn place_of(object: &mut Object, key: &'static str) -> Result<GeoPoint> {
    let at = object.at(key);
    one(object.require(key)?, at)
}

fn one(value: Value, place: String) -> Result<GeoPoint> {
    let mut object = Object::new(value, place)?;
    let mut degrees = |key: &'static str, most: f64| {
        let at = object.at(key);
        let number =
            object.number(key)?.ok_or_else(|| Error::MalformedBody(format!("{at}: field is missing")))?;
        if number.abs() > most {
            return Err(Error::Validation(format!("{at} is {number}, it must be from -{most} to {most}")));
        }
        Ok(number)
    };
    let point = GeoPoint { lon: degrees("lon", 180.0)?, lat: degrees("lat", 90.0)? };
    object.finish()?;
    Ok(point)
}

fn ring(value: Value, place: String) -> Result<Vec<GeoPoint>> {
    let mut object = Object::new(value, place)?;
    let at = object.at("points");
    let items = match object.require("points")? {
        Value::Array(items) => items,
        other => return Err(expected(&at, "a list of points", &other)),
    };
    object.finish()?;
    if !(4..=MAX_PLACES).contains(&items.len()) {
        let count = items.len();
        return Err(Error::Validation(format!(
            "{at} holds {count} points, it must be from 4 to {MAX_PLACES}"
        )));
    }
    let points: Vec<GeoPoint> = items
        .into_iter()
        .enumerate()
        .map(|(i, value)| one(value, format!("{at}[{i}]")))
        .collect::<Result<_>>()?;
    if points.first() != points.last() {
        return Err(Error::Validation(format!("{at}: the last point must be the first one again")));
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn areas_are_read_and_what_is_wrong_is_named_with_its_range() {
        let at = |lon: f64, lat: f64| json!({"lon": lon, "lat": lat});
        let ring = json!({"points": [at(0., 0.), at(1., 0.), at(1., 1.), at(0., 0.)]});
        for (kind, value) in [
            ("geo_bounding_box", json!({"top_left": at(170., 10.), "bottom_right": at(-170., -10.)})),
            ("geo_radius", json!({"center": at(0., 0.), "radius": 10})),
            ("geo_polygon", json!({"exterior": ring, "interiors": [ring]})),
        ] {
            area(kind, value, "f".into()).unwrap();
        }
        for (kind, value, named) in [
            ("geo_bounding_box", json!({"top_left": at(0., 0.)}), "f.bottom_right: field is missing"),
            (
                "geo_radius",
                json!({"center": at(0., 91.), "radius": 1}),
                "f.center.lat is 91, it must be from -90",
            ),
            ("geo_radius", json!({"center": at(0., 0.), "radius": -1}), "f.radius is -1"),
            ("geo_radius", json!({"center": at(0., 0.), "radius": 1, "x": 1}), "f.x"),
            (
                "geo_polygon",
                json!({"exterior": {"points": [at(0., 0.)]}}),
                "f.exterior.points holds 1 points",
            ),
            (
                "geo_polygon",
                json!({"exterior": {"points": [at(0., 0.), at(1., 0.), at(1., 1.), at(2., 0.)]}}),
                "f.exterior.points: the last point",
            ),
        ] {
            let error = area(kind, value.clone(), "f".into()).unwrap_err().to_string();
            assert!(error.contains(named), "{value}: {error}");
        }
    }
}
