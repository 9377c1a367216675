//! The server: where it listens, its routes, its bounds on connections and headers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use actix_web::{App, HttpServer, Resource, dev, middleware, web};

use super::state::{ServerOptions, State};
use super::{
    adapt, answer, audit, calibrations, collections, dashboard, duplicates, embed, facet, guard, images,
    import, map, metrics, openapi, overview, payload, pictures, points, query, service, signatures,
    snapshots, tasks,
};
use crate::engine::Engine;
use crate::error::{Error, Result};

/// A server that listens but does not run yet.
pub struct Bound {
    /// Where it listens.
    pub address: SocketAddr,
    /// Runs until it is stopped by a signal or through its handle.
    pub server: dev::Server,
}

/// Most connections at once.
const MAX_CONNECTIONS: usize = 4096;
/// How long a stop waits for requests in flight, seconds.
const SHUTDOWN_SECS: u64 = 30;
/// The headers of a request must arrive within this time.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Binds the address. The server runs when `Bound::server` is awaited, until SIGINT or SIGTERM;
/// requests in flight are finished first.
///
/// # Errors
/// `InvalidInput` where the address cannot be bound, saying what to do.
pub fn bind(engine: Engine, options: ServerOptions) -> Result<Bound> {
    let address = options.address;
    let workers = options.workers;
    let state = web::Data::new(State { engine, options, started: Instant::now() });
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .app_data(web::PayloadConfig::new(state.options.max_body_bytes))
            .wrap(middleware::from_fn(guard::check))
            .configure(routes)
            .default_service(web::to(answer::no_such_path))
    })
    .max_connections(MAX_CONNECTIONS)
    // A client that closes its connection has gone: its handler is dropped, and what it waits for with it.
    .h1_allow_half_closed(false)
    .client_request_timeout(HEADER_TIMEOUT)
    .shutdown_timeout(SHUTDOWN_SECS);
    if workers > 0 {
        server = server.workers(workers);
    }
    let server = server.bind(address).map_err(|error| {
        Error::InvalidInput(format!(
            "cannot listen on {address}: {error}. Is another server running there? Choose another with --port"
        ))
    })?;
    let address = server.addrs().first().copied().unwrap_or(address);
    Ok(Bound { address, server: server.run() })
}

fn at(path: &str) -> Resource {
    web::resource(path).default_service(web::to(answer::wrong_method))
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .service(at("/").get(service::root))
        .service(at("/healthz").get(service::healthz))
        .service(at("/livez").get(service::livez))
        .service(at("/readyz").get(service::readyz))
        .service(at("/cluster").get(service::cluster))
        .service(at("/metrics").get(metrics::metrics))
        .service(at("/overview").get(overview::overview))
        .service(at("/dashboard").get(dashboard::page))
        .service(web::redirect("/dashboard/", "/dashboard"))
        .service(at("/dashboard/{file}").get(dashboard::file))
        .service(at("/models").get(embed::models))
        .service(at("/embed").post(embed::embed))
        .service(at("/openapi.json").get(openapi::serve))
        .service(at("/collections").get(collections::list))
        .service(
            at("/collections/{name}")
                .get(collections::get)
                .put(collections::create)
                .patch(collections::update)
                .delete(collections::remove),
        )
        .service(at("/collections/{name}/exists").get(collections::exists))
        .service(at("/collections/{name}/index").put(collections::create_index))
        .service(at("/collections/{name}/index/{field}").delete(collections::delete_index))
        .service(at("/collections/{name}/adapt").get(adapt::list).post(adapt::fit))
        .service(at("/collections/{name}/adapt/applied").put(adapt::apply))
        .service(at("/collections/{name}/adapt/{version}").delete(adapt::remove))
        .service(at("/collections/{name}/enrol").post(signatures::enrol))
        .service(at("/collections/{name}/subjects").get(signatures::subjects))
        .service(
            at("/collections/{name}/subjects/{subject}")
                .get(signatures::subject)
                .delete(signatures::remove_subject),
        )
        .service(at("/collections/{name}/verify").post(signatures::verify))
        .service(at("/collections/{name}/identify").post(signatures::identify))
        .service(at("/collections/{name}/calibrate").post(calibrations::calibrate))
        .service(at("/collections/{name}/whitening").get(calibrations::whitening).post(calibrations::whiten))
        .service(at("/collections/{name}/calibrations").get(calibrations::list))
        .service(at("/collections/{name}/calibrations/{calibration}").get(calibrations::get))
        .service(at("/collections/{name}/calibrations/{calibration}/report").get(calibrations::report))
        .service(at("/collections/{name}/audit").get(audit::export))
        .service(at("/collections/{name}/snapshots").get(snapshots::list).post(snapshots::create))
        .service(at("/collections/{name}/snapshots/recover").put(snapshots::recover))
        .service(at("/collections/{name}/snapshots/upload").post(snapshots::upload))
        .service(
            at("/collections/{name}/snapshots/{snapshot}").get(snapshots::download).delete(snapshots::remove),
        )
        .service(at("/snapshots").get(snapshots::list_full).post(snapshots::create_full))
        .service(at("/snapshots/{snapshot}").get(snapshots::download_full).delete(snapshots::remove_full))
        .service(at("/tasks").get(tasks::list))
        .service(at("/tasks/{id}").get(tasks::get).delete(tasks::cancel))
        .service(at("/collections/{name}/images").post(images::ingest))
        .service(at("/collections/{name}/import").post(import::import))
        .service(at("/collections/{name}/points").put(points::upsert).post(points::retrieve))
        .service(at("/collections/{name}/points/delete").post(points::delete))
        .service(at("/collections/{name}/points/scroll").post(points::scroll))
        .service(at("/collections/{name}/points/count").post(points::count))
        .service(at("/collections/{name}/points/query").post(query::query))
        .service(at("/collections/{name}/points/query/batch").post(query::query_batch))
        .service(at("/collections/{name}/points/query/groups").post(query::query_groups))
        .service(at("/collections/{name}/facet").post(facet::facet))
        .service(at("/collections/{name}/duplicates").post(duplicates::duplicates))
        .service(at("/collections/{name}/map").post(map::map))
        .service(at("/collections/{name}/points/search").post(query::search))
        .service(at("/collections/{name}/points/search/batch").post(query::search_batch))
        .service(at("/collections/{name}/points/recommend").post(query::recommend))
        .service(at("/collections/{name}/points/payload").post(payload::merge).put(payload::overwrite))
        .service(at("/collections/{name}/points/payload/delete").post(payload::delete_keys))
        .service(at("/collections/{name}/points/payload/clear").post(payload::clear))
        .service(at("/collections/{name}/points/{id}/thumbnail").get(pictures::thumbnail))
        .service(at("/collections/{name}/points/{id}/original").get(pictures::original))
        .service(at("/collections/{name}/points/{id}").get(points::get));
}
