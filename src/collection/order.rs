//! Points in the order of a payload field that has an index of numbers or datetimes. A point with several
//! values stands at each of them; one without any is left out.

use crate::error::{Error, Result};
use crate::types::{Filter, PointId, Record};

pub use super::payload_index::OrderValue;
use super::read::MAX_SCROLL;
use super::{Collection, Fields};

/// Which end comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// The smallest value.
    #[default]
    Ascending,
    /// The largest value.
    Descending,
}

/// Where an order begins; the value itself is in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StartFrom {
    /// For a field of integers or floats.
    Number(f64),
    /// For a field of datetimes.
    Moment(jiff::Timestamp),
}

/// An order of points.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderBy {
    /// The payload field, as its index was created.
    pub key: String,
    /// Which end comes first.
    pub direction: Direction,
    /// Values before it are left out.
    pub start_from: Option<StartFrom>,
}

/// A point at one of its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Ordered {
    /// The point.
    pub record: Record,
    /// The value that it stands at.
    pub value: OrderValue,
}

impl OrderValue {
    /// Not before where the order begins.
    fn is_from(self, start: StartFrom, direction: Direction) -> bool {
        let order = match (self, start) {
            #[allow(clippy::cast_precision_loss)]
            (OrderValue::Integer(value), StartFrom::Number(start)) => (value as f64).partial_cmp(&start),
            (OrderValue::Float(value), StartFrom::Number(start)) => value.partial_cmp(&start),
            (OrderValue::Moment(value), StartFrom::Moment(start)) => Some(value.cmp(&start)),
            _ => None,
        };
        match direction {
            Direction::Ascending => order.is_some_and(|order| order.is_ge()),
            Direction::Descending => order.is_some_and(|order| order.is_le()),
        }
    }
}

impl Collection {
    /// The first `limit` points in an order, among those that the filter lets through, `skip` of them
    /// left out.
    ///
    /// # Errors
    /// `InvalidInput` where there is no index that holds the field's values in order; names the field
    /// and says which to create. Those of reading.
    pub fn in_order(
        &self,
        order: &OrderBy,
        filter: Option<&Filter>,
        (skip, limit): (usize, usize),
        fields: &Fields,
    ) -> Result<Vec<Ordered>> {
        if !(1..=MAX_SCROLL).contains(&limit) {
            return Err(Error::InvalidInput(format!("limit is {limit}, it must be from 1 to {MAX_SCROLL}")));
        }
        self.check_fields(fields)?;
        self.volume.read_whole(|| {
            let allowed = filter.filter(|filter| !filter.is_empty()).map(|filter| self.matching(filter));
            let allowed = allowed.transpose()?;
            let places = self.places(order, skip + limit, |slot| {
                allowed.as_ref().is_none_or(|allowed| allowed.contains(slot))
            })?;
            let mut found = Vec::with_capacity(limit.min(places.len()));
            for (value, id) in places.into_iter().skip(skip) {
                found.extend(self.record(id, fields)?.map(|record| Ordered { record, value }));
            }
            Ok(found)
        })
    }

    fn places(
        &self,
        order: &OrderBy,
        most: usize,
        allowed: impl Fn(u32) -> bool,
    ) -> Result<Vec<(OrderValue, PointId)>> {
        let state = self.memory.state.read();
        let index = state.payload_indexes.get(&order.key).and_then(|index| index.ordered());
        let Some(values) = index else {
            return Err(Error::InvalidInput(format!(
                "No range index for `order_by` key: `{}`. Please create one to use `order_by`: an index of kind \
                 `integer`, `float` or `datetime`",
                order.key
            )));
        };
        let values: &mut dyn Iterator<Item = _> = match order.direction {
            Direction::Ascending => &mut { values },
            Direction::Descending => &mut values.rev(),
        };
        let mut places = Vec::new();
        for (value, slots) in values {
            if order.start_from.is_some_and(|start| !value.is_from(start, order.direction)) {
                continue;
            }
            let mut here: Vec<(OrderValue, PointId)> = slots
                .iter()
                .filter(|&slot| allowed(slot))
                .filter_map(|slot| Some((value, *state.ids.get(&slot)?)))
                .collect();
            here.sort_unstable_by_key(|(_, id)| *id);
            if order.direction == Direction::Descending {
                here.reverse();
            }
            places.extend(here);
            if places.len() >= most {
                places.truncate(most);
                break;
            }
        }
        Ok(places)
    }

    /// Ids of `most` points drawn at random, each as likely as the others, among those that the filter
    /// lets through.
    ///
    /// # Errors
    /// Those of reading payloads.
    pub fn sample(&self, filter: Option<&Filter>, most: usize) -> Result<Vec<PointId>> {
        let slots: Vec<u32> = match filter.filter(|filter| !filter.is_empty()) {
            Some(filter) => self.volume.read_whole(|| self.matching(filter))?.iter().collect(),
            None => self.memory.state.read().live.iter().collect(),
        };
        let chosen = rand::seq::index::sample(&mut rand::rng(), slots.len(), most.min(slots.len()));
        let state = self.memory.state.read();
        Ok(chosen.iter().filter_map(|at| state.ids.get(&slots[at]).copied()).collect())
    }
}
