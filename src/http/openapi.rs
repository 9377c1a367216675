//! The OpenAPI document, generated from the handlers and the wire types.

use actix_web::{HttpResponse, Responder};
use utoipa::OpenApi;
use utoipa::openapi::{ContentBuilder, Ref, Response, ResponseBuilder};

use super::{
    adapt, audit, calibrations, collections, dashboard, duplicates, embed, facet, images, import, map,
    metrics, overview, payload, pictures, points, query, service, signatures, snapshots, tasks,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "lookalike",
        description = "A vector-search database for images and text with the model inside; speaks the Qdrant protocol.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        service::root, service::healthz, service::livez, service::readyz, service::cluster, metrics::metrics, overview::overview, dashboard::page, dashboard::file,
        embed::models, embed::embed, serve,
        collections::list, collections::get, collections::create, collections::update, collections::remove, collections::exists,
        collections::create_index, collections::delete_index,
        images::ingest, import::import, pictures::thumbnail, pictures::original,
        points::upsert, points::retrieve, points::get, points::delete, points::scroll, points::count,
        payload::merge, payload::overwrite, payload::delete_keys, payload::clear,
        query::query, query::query_batch, query::query_groups, query::search, query::search_batch, query::recommend, facet::facet, duplicates::duplicates, map::map,
        adapt::fit, adapt::list, adapt::apply, adapt::remove,
        signatures::enrol, signatures::subjects, signatures::subject, signatures::remove_subject,
        signatures::verify, signatures::identify, audit::export,
        calibrations::calibrate, calibrations::whitening, calibrations::whiten, calibrations::list,
        calibrations::get, calibrations::report,
        snapshots::create, snapshots::list, snapshots::download, snapshots::remove, snapshots::recover, snapshots::upload,
        snapshots::create_full, snapshots::list_full, snapshots::download_full, snapshots::remove_full,
        tasks::list, tasks::get, tasks::cancel,
    ),
    tags(
        (name = "collections"), (name = "points"), (name = "search"), (name = "signatures"), (name = "snapshots"),
        (name = "tasks", description = "long work in the background"),
        (name = "model", description = "the model inside the server"), (name = "service")
    )
)]
struct Document;

/// The document as JSON.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    for path in document.paths.paths.values_mut() {
        let operations = [&mut path.get, &mut path.put, &mut path.post, &mut path.delete, &mut path.patch];
        for operation in operations.into_iter().flatten() {
            // Any call may be refused: keys, limits, a full queue, a read-only collection.
            let (name, error) = ("default".to_owned(), failure());
            operation.responses.responses.entry(name).or_insert_with(|| error.into());
        }
    }
    document
}

fn failure() -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorEnvelope"))).build();
    ResponseBuilder::new().description("the error in words").content("application/json", content).build()
}

/// This document.
#[utoipa::path(get, operation_id = "openapi", path = "/openapi.json", tag = "service", responses((status = 200, description = "the OpenAPI document")))]
pub async fn serve() -> impl Responder {
    HttpResponse::Ok().json(document())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_route_is_in_the_document_and_the_other_way_round() {
        let source = include_str!("server.rs");
        let routed: std::collections::BTreeSet<_> =
            source.split("at(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let document = super::document();
        let documented: std::collections::BTreeSet<_> =
            document.paths.paths.keys().map(String::as_str).collect();
        assert_eq!(routed, documented);
    }

    /// Generators name functions after them.
    #[test]
    fn every_operation_has_an_id_of_its_own() {
        let document = serde_json::to_value(super::document()).unwrap();
        let mut ids = std::collections::BTreeMap::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap().to_owned();
                if let Some(other) = ids.insert(id.clone(), format!("{method} {path}")) {
                    panic!("{id} is {method} {path} and {other}");
                }
            }
        }
    }

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        let document = super::document().to_json().unwrap();
        let value: serde_json::Value = serde_json::from_str(&document).unwrap();
        for rest in document.split("\"#/components/schemas/").skip(1) {
            let name = rest.split('"').next().unwrap();
            assert!(value["components"]["schemas"].get(name).is_some(), "{name}");
        }
    }
}
