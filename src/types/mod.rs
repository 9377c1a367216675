//! Plain values, one noun a file. A value that exists is valid: parsing happens at the edge
//! (http, cli), and the constructors here refuse what may not be. No I/O, no threads.

mod collection_config;
mod distance;
mod filter;
mod payload;
mod point;
mod point_id;
mod text_templates;
mod vector;

pub use collection_config::{CollectionConfig, CollectionName, HnswParams, PayloadFieldType, VectorParams};
pub use distance::{Distance, Order};
pub use filter::{
    Condition, DatetimeRange, FieldCondition, Filter, Match, MatchValue, MinShould, Range, parse_datetime,
};
pub use payload::{JsonPath, Payload, PayloadSelector, merge_payload};
pub use point::{Point, Record, ScoredPoint};
pub use point_id::PointId;
pub use text_templates::TextTemplates;
pub use vector::{DEFAULT_VECTOR, MIN_NORM, NamedVectors, VectorName, check_vector};
