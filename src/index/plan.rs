//! How a search is carried out, as a value.

use super::reach::{HALF_WAY, Reach, Stop};
use super::walk::SURE;
use super::{Mode, Rescore, Search};

/// Candidates that a walk looks at where the request names none.
pub(super) const DEFAULT_EF: usize = 128;
/// The same with a filter. Measured on word vectors of which half are kept: recall 0.99 in place of 0.988.
const DEFAULT_EF_FILTERED: usize = 160;
/// The same where it goes by bits, which put more in the wrong order and cost half.
pub(super) const DEFAULT_EF_BY_BITS: usize = 384;

/// Where nothing is known of distances, a filter that lets less through is scanned.
const LEAST_PER_CENT: usize = 15;

/// What looking at one candidate costs, in rows of a scan. Measured with 100, 256 and 512 components: 26, 10 and 40.
const ROWS_PER_CANDIDATE: usize = 24;

/// The two ways to find the nearest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Plan {
    /// Compare every row, or every allowed one.
    Scan,
    /// Walk the graph until then, and scan what it does not hold.
    Walk(Stop),
}

/// What the decision rests on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stats {
    /// Rows that are alive.
    pub(super) live: usize,
    /// The hits wanted are among so many rows where a filter has nothing to do with the vectors, deleted ones counted.
    pub(super) among: usize,
    /// Rows in the graph, 0 without one.
    pub(super) in_graph: usize,
    /// Slots that the filter allows.
    pub(super) allowed: Option<usize>,
    /// The graph is walked by bits.
    pub(super) by_bits: bool,
    /// How distances grow with their place, where that is known.
    pub(super) reach: Option<Reach>,
    /// A collection of so many rows is scanned in any case.
    pub(super) full_scan_threshold: usize,
}

/// Scans where it is asked for, where there is no graph, where it is cheaper, and where a walk would mostly meet what
/// the filter leaves out, or not get far enough.
pub(super) fn plan(search: &Search<'_>, stats: &Stats) -> Plan {
    if search.mode == Mode::Exact || stats.in_graph == 0 || stats.live <= stats.full_scan_threshold {
        return Plan::Scan;
    }
    let default = match stats.allowed {
        _ if stats.by_bits => DEFAULT_EF_BY_BITS,
        Some(_) => DEFAULT_EF_FILTERED,
        None => DEFAULT_EF,
    };
    let ef = search.ef.unwrap_or(default).max(search.limit);
    // Distances by exact ranks are others.
    let reach = stats.reach.filter(|_| search.rescore != Rescore::All);
    let is_cheaper = |candidates: usize, rows: usize| candidates.saturating_mul(ROWS_PER_CANDIDATE) < rows;
    let Some(allowed) = stats.allowed else {
        let stop = reach.map_or(Stop::at(ef), |reach| reach.stop(stats.among, ef));
        return if is_cheaper(ef, stats.live) { Plan::Walk(stop) } else { Plan::Scan };
    };
    let scanned = allowed.min(stats.live);
    if scanned == 0 {
        return Plan::Scan;
    }
    // A walk meets rows that are not wanted as well: so many that enough wanted ones are among them.
    let ef = ef.max(2 * SURE * search.limit);
    let with_others = |wanted: usize| wanted.saturating_mul(stats.live) / scanned;
    let Some(reach) = reach else {
        let most = with_others(ef);
        let lets_enough_through = scanned.saturating_mul(100) >= stats.live.saturating_mul(LEAST_PER_CENT);
        let is_walked =
            scanned > stats.full_scan_threshold && lets_enough_through && is_cheaper(most, scanned);
        return if is_walked { Plan::Walk(Stop::at(most)) } else { Plan::Scan };
    };
    let places = |part: f32| reach.places(search.limit, ef, stats.among, part);
    let enough = places(1.0).min(with_others(ef));
    if places(HALF_WAY) > enough || !is_cheaper(enough, scanned) {
        return Plan::Scan;
    }
    // If it was in vain, it took no longer than the scan that follows.
    let most = (scanned / ROWS_PER_CANDIDATE).max(ef);
    Plan::Walk(reach.stop_filtered(search.limit, ef, stats.among, enough.max(ef), most))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(allowed: Option<usize>, limit: usize, reach: Option<Reach>) -> Stats {
        let live = 100_000;
        Stats {
            live,
            among: limit * live / allowed.unwrap_or(live).max(1),
            in_graph: 90_000,
            allowed,
            by_bits: false,
            reach,
            full_scan_threshold: 10_000,
        }
    }

    fn planned(search: Search<'_>, allowed: Option<usize>) -> Plan {
        plan(&search, &stats(allowed, search.limit, None))
    }

    #[test]
    fn few_allowed_rows_are_scanned_and_many_are_walked() {
        let search = Search::new(10);
        assert_eq!(planned(search, None), Plan::Walk(Stop::at(DEFAULT_EF)));
        assert_eq!(planned(search, Some(50_000)), Plan::Walk(Stop::at(2 * DEFAULT_EF_FILTERED)));
        assert_eq!(planned(search, Some(14_000)), Plan::Scan);
        assert_eq!(planned(search, Some(0)), Plan::Scan);
    }

    #[test]
    fn exact_mode_and_large_limits_scan() {
        assert_eq!(planned(Search { mode: Mode::Exact, ..Search::new(10) }, None), Plan::Scan);
        assert_eq!(planned(Search::new(10_000), None), Plan::Scan);
        assert_eq!(planned(Search { ef: Some(64), ..Search::new(10) }, None), Plan::Walk(Stop::at(64)));
        assert_eq!(planned(Search { ef: Some(64), ..Search::new(200) }, None), Plan::Walk(Stop::at(200)));
    }

    #[test]
    fn where_distances_are_known_a_filter_is_walked_if_the_walk_gets_far_enough_for_less() {
        let planned =
            |allowed: usize, reach: Reach| plan(&Search::new(10), &stats(Some(allowed), 10, Some(reach)));
        // Distances grow with places everywhere: with a filter so many more are looked at.
        let even = |place: usize| place as f32 / 10.0;
        assert!(
            matches!(planned(50_000, Reach::with(even)), Plan::Walk(stop) if stop.is_bounded() && (950..=960).contains(&stop.most))
        );
        assert_eq!(planned(10_000, Reach::with(even)), Plan::Scan);
        // Clusters of 256 that are far from each other: a tenth of one holds more than is wanted.
        let clusters = |place: usize| if place <= 8 { place as f32 / 1000.0 } else { 3.0 };
        assert!(matches!(planned(10_000, Reach::with(clusters)), Plan::Walk(_)));
        assert_eq!(planned(1_000, Reach::with(clusters)), Plan::Scan);
        // Clusters of 32: a tenth of one does not, and the others are all alike.
        let small = |place: usize| if place <= 5 { place as f32 / 1000.0 } else { 3.0 + place as f32 / 1e4 };
        assert_eq!(planned(10_000, Reach::with(small)), Plan::Scan);
        assert!(matches!(planned(80_000, Reach::with(small)), Plan::Walk(_)));
        // Many rows have a copy: the first hit is then no measure.
        let copies = |place: usize| if place == 0 { -7.0 } else { place as f32 / 10.0 };
        let stats_of_one = stats(Some(50_000), 1, Some(Reach::with(copies)));
        assert!(matches!(plan(&Search::new(1), &stats_of_one), Plan::Walk(stop) if stop.hits == 1));
        // Exact ranks have other distances.
        let all = Search { rescore: Rescore::All, ..Search::new(10) };
        let stats = stats(Some(50_000), 10, Some(Reach::with(even)));
        assert_eq!(plan(&all, &stats), Plan::Walk(Stop::at(2 * DEFAULT_EF_FILTERED)));
    }
}
