//! Plain values, one noun a file. A value that exists is valid: parsing happens at the edge
//! (http, cli), and the constructors here refuse what may not be. No I/O, no threads.

mod collection_config;
mod datatype;
mod distance;
mod filter;
mod geo;
mod payload;
mod payload_field;
mod picture;
mod point;
mod point_id;
mod quantization;
mod signature_profile;
mod text_templates;
mod vector;
mod words;

pub use collection_config::{CollectionConfig, CollectionName, HnswParams, VectorParams};
pub use datatype::Datatype;
pub use distance::{Distance, Order};
pub use filter::{
    Condition, DatetimeRange, FieldCondition, Filter, Match, MatchValue, MinShould, Range, parse_datetime,
};
pub use geo::{GeoArea, GeoBounds, GeoPoint};
pub use payload::{JsonPath, Payload, PayloadSelector, merge_payload};
pub use payload_field::{PayloadFieldType, PayloadIndexParams};
pub use picture::{PictureKind, PicturePolicy, Pictures, THUMBNAIL_SIDE};
pub use point::{Point, Record, ScoredPoint};
pub use point_id::PointId;
pub use quantization::{Quantization, QuantizationConfig};
pub use signature_profile::{
    FORGERY_FIELD, MAX_SUBJECT_BYTES, SUBJECT_FIELD, SignatureProfile, check_subject,
};
pub use text_templates::TextTemplates;
pub use vector::{DEFAULT_VECTOR, MIN_NORM, NamedVectors, VectorName, check_vector, norm};
pub use words::{TextOptions, Tokenizer};
