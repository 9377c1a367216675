//! What a camera wrote into a picture (EXIF), as payload: `taken_at` (a datetime; in the camera's
//! own time zone where it names none), `location` (`{lat, lon}`, as geo filters want it), `camera`
//! and `lens`. What is missing or cannot be read is left out: many pictures carry broken fields.

use std::io::Cursor;

use exif::{Exif, In, Reader, Tag, Value};
use serde_json::json;

use crate::types::Payload;

/// Longest text that is taken from a field.
const MAX_TEXT: usize = 200;

/// Adds what the picture says of itself; fields that are already there stay.
pub fn describe(bytes: &[u8], payload: &mut Payload) {
    let Ok(exif) = Reader::new().read_from_container(&mut Cursor::new(bytes)) else { return };
    let found = [
        ("taken_at", taken_at(&exif).map(Into::into)),
        ("location", location(&exif)),
        ("camera", camera(&exif).map(Into::into)),
        ("lens", text(&exif, Tag::LensModel).map(Into::into)),
    ];
    for (key, value) in found {
        if let Some(value) = value {
            payload.entry(key).or_insert(value);
        }
    }
}

fn text(exif: &Exif, tag: Tag) -> Option<String> {
    match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Ascii(texts) => {
            let text = String::from_utf8_lossy(texts.first()?);
            let text: String =
                text.trim_matches(['\0', ' ']).chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
            (!text.is_empty()).then_some(text)
        }
        _ => None,
    }
}

/// `2024:05:01 12:30:00` and perhaps `+02:00`, as RFC 3339 has it.
fn taken_at(exif: &Exif) -> Option<String> {
    let (time, offset) = [
        (Tag::DateTimeOriginal, Tag::OffsetTimeOriginal),
        (Tag::DateTimeDigitized, Tag::OffsetTimeDigitized),
        (Tag::DateTime, Tag::OffsetTime),
    ]
    .into_iter()
    .find_map(|(time, offset)| Some((text(exif, time)?, text(exif, offset))))?;
    let (date, clock) = time.split_once(' ')?;
    let local: jiff::civil::DateTime = format!("{}T{clock}", date.replace(':', "-")).parse().ok()?;
    let zoned = offset.map(|offset| format!("{local}{offset}"));
    Some(zoned.filter(|text| text.parse::<jiff::Timestamp>().is_ok()).unwrap_or_else(|| local.to_string()))
}

fn location(exif: &Exif) -> Option<serde_json::Value> {
    let lat = degrees(exif, Tag::GPSLatitude, Tag::GPSLatitudeRef, "S")?;
    let lon = degrees(exif, Tag::GPSLongitude, Tag::GPSLongitudeRef, "W")?;
    // Cameras without a fix write zeros.
    let is_place = lat.abs() <= 90.0 && lon.abs() <= 180.0 && (lat, lon) != (0.0, 0.0);
    is_place.then(|| json!({"lat": lat, "lon": lon}))
}

fn degrees(exif: &Exif, tag: Tag, side: Tag, negative: &str) -> Option<f64> {
    let Value::Rational(parts) = &exif.get_field(tag, In::PRIMARY)?.value else { return None };
    let [degrees, minutes, seconds] = parts.as_slice() else { return None };
    let value = degrees.to_f64() + minutes.to_f64() / 60.0 + seconds.to_f64() / 3600.0;
    let is_negative = text(exif, side).is_some_and(|side| side.eq_ignore_ascii_case(negative));
    let value = if is_negative { -value } else { value };
    // Six decimals are 10 cm.
    value.is_finite().then(|| (value * 1e6).round() / 1e6)
}

/// Make and model; most models begin with the make.
fn camera(exif: &Exif) -> Option<String> {
    match (text(exif, Tag::Make), text(exif, Tag::Model)) {
        (Some(make), Some(model)) => {
            let first = make.split(' ').next().unwrap_or_default().to_lowercase();
            let is_named = model.to_lowercase().starts_with(&first);
            Some(if is_named { model } else { format!("{make} {model}") })
        }
        (make, model) => make.or(model),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use exif::experimental::Writer;
    use exif::{Field, Rational};

    fn tiff(fields: &[(Tag, Value)]) -> Vec<u8> {
        let fields: Vec<_> = fields
            .iter()
            .map(|(tag, value)| Field { tag: *tag, ifd_num: In::PRIMARY, value: value.clone() })
            .collect();
        let mut writer = Writer::new();
        fields.iter().for_each(|field| writer.push_field(field));
        let mut bytes = Cursor::new(Vec::new());
        writer.write(&mut bytes, false).unwrap();
        bytes.into_inner()
    }

    fn described(fields: &[(Tag, Value)]) -> serde_json::Value {
        let mut payload = Payload::new();
        describe(&tiff(fields), &mut payload);
        payload.into()
    }

    fn ascii(text: &str) -> Value {
        Value::Ascii(vec![text.as_bytes().to_vec()])
    }

    fn angle(parts: [(u32, u32); 3]) -> Value {
        Value::Rational(parts.map(|(num, denom)| Rational { num, denom }).to_vec())
    }

    #[test]
    fn time_place_and_camera_become_payload() {
        let found = described(&[
            (Tag::DateTimeOriginal, ascii("2024:05:01 12:30:05")),
            (Tag::OffsetTimeOriginal, ascii("+02:00")),
            (Tag::GPSLatitude, angle([(33, 1), (51, 1), (3594, 100)])),
            (Tag::GPSLatitudeRef, ascii("S")),
            (Tag::GPSLongitude, angle([(151, 1), (12, 1), (40, 1)])),
            (Tag::GPSLongitudeRef, ascii("E")),
            (Tag::Make, ascii("Canon")),
            (Tag::Model, ascii("Canon EOS R5\0")),
            (Tag::LensModel, ascii("RF 50mm")),
        ]);
        let expected = json!({"taken_at": "2024-05-01T12:30:05+02:00", "location": {"lat": -33.859_983, "lon": 151.211_111},
            "camera": "Canon EOS R5", "lens": "RF 50mm"});
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_broken_is_left_out_and_the_rest_is_there() {
        let found = described(&[
            (Tag::DateTimeOriginal, ascii("0000:00:00 00:00:00")),
            (Tag::GPSLatitude, angle([(1, 0), (0, 1), (0, 1)])),
            (Tag::GPSLongitude, angle([(1, 1), (0, 1), (0, 1)])),
            (Tag::Make, ascii("Acme")),
            (Tag::Model, ascii("One")),
        ]);
        assert_eq!(found, json!({"camera": "Acme One"}));
        let without_zone =
            described(&[(Tag::DateTime, ascii("2024:05:01 12:30:05")), (Tag::OffsetTime, ascii("soon"))]);
        assert_eq!(without_zone, json!({"taken_at": "2024-05-01T12:30:05"}));
        let mut payload = Payload::new();
        describe(b"no picture", &mut payload);
        assert!(payload.is_empty());
    }

    #[test]
    fn what_the_source_says_wins_over_the_camera() {
        let mut payload = Payload::from_iter([("camera".to_owned(), json!("mine"))]);
        describe(&tiff(&[(Tag::Model, ascii("One"))]), &mut payload);
        assert_eq!(payload["camera"], "mine");
    }
}
