//! Who may come in: keys, and on an open loopback address the host and origin, so that no web
//! page can talk to the server behind its user's back (DNS rebinding, cross-site requests).

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, HOST, ORIGIN};
use actix_web::middleware::Next;
use actix_web::{Error as ActixError, ResponseError, web};
use subtle::ConstantTimeEq;

use super::answer::Failed;
use super::state::{ServerOptions, State};
use super::{dashboard, metrics};
use crate::error::{Error, Result};

/// What a request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// Paths that anybody may see: they say nothing about the data.
const PUBLIC: [&str; 4] = ["/", "/healthz", "/livez", "/readyz"];

/// The middleware: refuses before a handler sees the request.
pub async fn check(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> std::result::Result<ServiceResponse<BoxBody>, ActixError> {
    let allowed = match request.app_data::<web::Data<State>>() {
        Some(state) => allow(&request, &state.options),
        None => Err(Error::Internal("the server has no state".into())),
    };
    let count = metrics::Count::start(&request);
    let answer = match allowed {
        Ok(()) => next.call(request).await.map(ServiceResponse::map_into_boxed_body)?,
        Err(error) => {
            let response = Failed(error).error_response();
            request.into_response(response)
        }
    };
    count.end(&answer);
    Ok(answer)
}

fn allow(request: &ServiceRequest, options: &ServerOptions) -> Result<()> {
    let header = |name| {
        request.headers().get(name).and_then(|v: &actix_web::http::header::HeaderValue| v.to_str().ok())
    };
    let host = header(HOST).unwrap_or_default();
    if let Some(origin) = header(ORIGIN)
        && origin.split_once("://").map(|(_, rest)| rest) != Some(host)
    {
        return Err(Error::Forbidden(format!("requests from pages of {origin} are not allowed")));
    }
    if options.api_key.is_none() && options.read_only_api_key.is_none() {
        let loopback = options.address.ip().is_loopback();
        if loopback && !host.is_empty() && !is_local(host) {
            return Err(Error::Forbidden(format!(
                "host {host} is not this machine; use http://localhost or set an API key"
            )));
        }
        return Ok(());
    }
    if PUBLIC.contains(&request.path()) || dashboard::is_page(request.path()) {
        return Ok(());
    }
    let given = header(actix_web::http::header::HeaderName::from_static("api-key"))
        .or_else(|| header(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")));
    let Some(given) = given else {
        return Err(Error::Unauthorized("Must provide an API key or an Authorization bearer token".into()));
    };
    let same =
        |key: &Option<String>| key.as_ref().is_some_and(|key| key.as_bytes().ct_eq(given.as_bytes()).into());
    if same(&options.api_key) {
        return Ok(());
    }
    if !same(&options.read_only_api_key) {
        return Err(Error::Unauthorized("Invalid API key or bearer token".into()));
    }
    match access(request.method(), request.path()) {
        Access::Read => Ok(()),
        Access::Write => Err(Error::Forbidden("the read-only key does not allow writing".into())),
    }
}

/// What a call needs; what is not known to read is taken to write.
fn access(method: &Method, path: &str) -> Access {
    let read = match *method {
        Method::GET | Method::HEAD => true,
        Method::POST => {
            let end = path.trim_start_matches('/').splitn(3, '/').nth(2).unwrap_or(path);
            matches!(
                end,
                "points"
                    | "points/query"
                    | "points/query/batch"
                    | "points/query/groups"
                    | "points/search"
                    | "points/search/batch"
                    | "points/recommend"
                    | "facet"
                    | "duplicates"
                    | "map"
                    | "points/scroll"
                    | "points/count"
                    | "/embed"
                    | "verify"
                    | "identify"
            )
        }
        _ => false,
    };
    if read { Access::Read } else { Access::Write }
}

/// True for the names of this machine, with or without a port.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in ["localhost", "localhost:6333", "127.0.0.1:6333", "[::1]:6333", "[::1]", "LOCALHOST:1"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:6333", "10.0.0.1", "127.0.0.1.evil.example", ""]
        {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn what_is_not_known_to_read_writes() {
        assert_eq!(access(&Method::GET, "/collections"), Access::Read);
        assert_eq!(access(&Method::POST, "/collections/a/points/query"), Access::Read);
        assert_eq!(access(&Method::POST, "/embed"), Access::Read);
        for path in
            ["/collections/a/points/delete", "/collections/a/images", "/collections/points/payload", "/x"]
        {
            assert_eq!(access(&Method::POST, path), Access::Write, "{path}");
        }
        assert_eq!(access(&Method::PUT, "/collections/a/points"), Access::Write);
    }
}
