//! How a search is carried out, as a value.

use super::{Mode, Search};

/// Candidates that a walk looks at where the request names none.
pub(super) const DEFAULT_EF: usize = 128;
/// The same where it goes by bits, which put more in the wrong order and cost half.
pub(super) const DEFAULT_EF_BY_BITS: usize = 384;

/// What looking at one candidate costs, in rows of a scan. Measured at 256 components and `m` 16:
/// 2 us a candidate, 0.08 us a row.
const ROWS_PER_CANDIDATE: usize = 24;

/// The two ways to find the nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Compare every row, or every allowed one.
    Scan,
    /// Walk the graph with so many candidates, and scan what it does not hold.
    Walk {
        /// Candidates.
        ef: usize,
    },
}

/// What the decision rests on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stats {
    /// Rows that are alive.
    pub(super) live: usize,
    /// Rows in the graph, 0 without one.
    pub(super) in_graph: usize,
    /// Slots that the filter allows.
    pub(super) allowed: Option<usize>,
    /// The graph is walked by bits.
    pub(super) by_bits: bool,
    /// Up to so many rows are scanned in any case.
    pub(super) full_scan_threshold: usize,
}

/// Scans where it is asked for, where there is no graph, where few rows are left, where less
/// than 15 % are allowed (a walk would mostly meet others), and where it is cheaper.
pub(super) fn plan(search: &Search<'_>, stats: &Stats) -> Plan {
    let scanned = stats.allowed.map_or(stats.live, |allowed| allowed.min(stats.live));
    if search.mode == Mode::Exact || stats.in_graph == 0 || scanned <= stats.full_scan_threshold {
        return Plan::Scan;
    }
    if scanned.saturating_mul(100) < stats.live.saturating_mul(15) {
        return Plan::Scan;
    }
    let least = if stats.allowed.is_some() { 2 * super::SURE * search.limit } else { search.limit };
    let default = if stats.by_bits { DEFAULT_EF_BY_BITS } else { DEFAULT_EF };
    let ef = search.ef.unwrap_or(default).max(least);
    let looked_at = ef.saturating_mul(stats.live) / scanned; // so many to keep `ef`
    if looked_at.saturating_mul(ROWS_PER_CANDIDATE) >= scanned {
        return Plan::Scan;
    }
    // A walk meets rows that are not wanted as well: so many that enough wanted ones are among them.
    Plan::Walk { ef: looked_at }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(search: Search<'_>, allowed: Option<usize>) -> Plan {
        let stats =
            Stats { live: 100_000, in_graph: 90_000, allowed, by_bits: false, full_scan_threshold: 10_000 };
        plan(&search, &stats)
    }

    #[test]
    fn few_allowed_rows_are_scanned_and_many_are_walked() {
        let search = Search::new(10);
        assert_eq!(planned(search, None), Plan::Walk { ef: DEFAULT_EF });
        assert_eq!(planned(search, Some(50_000)), Plan::Walk { ef: 2 * DEFAULT_EF });
        assert_eq!(planned(search, Some(14_000)), Plan::Scan);
        assert_eq!(planned(search, Some(0)), Plan::Scan);
    }

    #[test]
    fn exact_mode_and_large_limits_scan() {
        assert_eq!(planned(Search { mode: Mode::Exact, ..Search::new(10) }, None), Plan::Scan);
        assert_eq!(planned(Search::new(10_000), None), Plan::Scan);
        assert_eq!(planned(Search { ef: Some(64), ..Search::new(10) }, None), Plan::Walk { ef: 64 });
        assert_eq!(planned(Search { ef: Some(64), ..Search::new(200) }, None), Plan::Walk { ef: 200 });
    }
}
