//! The envelope of every answer, and the clock that bounds and times a request.

use std::future::{Future, Ready, ready};
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder, dev, web};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::state::State;
use crate::error::{Error, Result};

/// `{"result": .., "status": "ok", "time": seconds}`
#[derive(Serialize, ToSchema)]
pub struct Envelope<T> {
    /// What was asked for.
    pub result: T,
    /// `ok`, or `accepted` where a task was started.
    #[schema(value_type = String)]
    pub status: &'static str,
    /// Seconds it took in the server.
    pub time: f64,
}

/// `{"status": {"error": "text"}, "time": seconds}`
#[derive(Serialize, ToSchema)]
pub struct ErrorEnvelope {
    /// What went wrong.
    pub status: ErrorStatus,
    /// Seconds it took in the server.
    pub time: f64,
}

/// The text of an error.
#[derive(Serialize, ToSchema)]
pub struct ErrorStatus {
    /// Names the field or item and says what to do.
    pub error: String,
}

/// Query parameters that every call accepts. `wait`, `ordering` and `consistency` need nothing:
/// every write is durable and visible when it is answered.
#[derive(Deserialize)]
struct Params {
    timeout: Option<u64>,
}

/// Starts when a request arrives; bounds the work and stamps the answer.
pub struct Clock {
    started: Instant,
    limit: Duration,
}

impl FromRequest for Clock {
    type Error = Failed;
    type Future = Ready<Result<Self, Failed>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let started = Instant::now();
        let most = request
            .app_data::<web::Data<State>>()
            .map_or(Duration::from_secs(60), |s| s.options.request_timeout);
        ready(match web::Query::<Params>::from_query(request.query_string()) {
            Err(_) => Err(Failed(Error::InvalidInput("timeout: expected a whole number of seconds".into()))),
            Ok(web::Query(Params { timeout: Some(0) })) => {
                Err(Failed(Error::Validation("timeout is 0, it must be at least 1 second".into())))
            }
            Ok(web::Query(Params { timeout })) => {
                let limit = timeout.map_or(most, |secs| Duration::from_secs(secs).min(most));
                Ok(Self { started, limit })
            }
        })
    }
}

impl Clock {
    /// Runs the work within the request's time and wraps what came of it.
    pub async fn run<T: Serialize>(self, work: impl Future<Output = Result<T>>) -> HttpResponse {
        match tokio::time::timeout(self.limit, work).await {
            Ok(Ok(result)) => HttpResponse::Ok().json(Envelope {
                result,
                status: "ok",
                time: self.started.elapsed().as_secs_f64(),
            }),
            Ok(Err(error)) => failure(&error, self.started),
            Err(_) => failure(
                &Error::Timeout(format!(
                    "not done after {} s; a write may still be carried out",
                    self.limit.as_secs()
                )),
                self.started,
            ),
        }
    }
}

impl Clock {
    /// The answer where work goes on behind it, under `location`.
    pub fn accepted<T: Serialize>(self, location: &str, result: T) -> HttpResponse {
        HttpResponse::Accepted().insert_header(("Location", location)).json(Envelope {
            result,
            status: "accepted",
            time: self.started.elapsed().as_secs_f64(),
        })
    }
}

fn failure(error: &Error, started: Instant) -> HttpResponse {
    let status = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(%error, "a request failed inside the server");
        match error {
            // What is wrong with stored bytes is the operator's to know at once.
            Error::Corrupted(_) => error.to_string(),
            _ => "Service internal error; the server's log says why".to_owned(),
        }
    } else {
        error.to_string()
    };
    let mut response = HttpResponseBuilder::new(status);
    if let Some(seconds) = error.retry_after_secs() {
        response.insert_header(("Retry-After", seconds.to_string()));
    }
    response.json(json!({"status": {"error": text}, "time": started.elapsed().as_secs_f64()}))
}

/// An error before a handler ran, in the same envelope.
#[derive(Debug)]
pub struct Failed(pub Error);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl actix_web::ResponseError for Failed {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
    fn error_response(&self) -> HttpResponse {
        failure(&self.0, Instant::now())
    }
}

/// The answer where no resource has this path.
pub async fn no_such_path(request: HttpRequest) -> HttpResponse {
    let error = Error::NotFound(format!("no such path: {} {}", request.method(), request.path()));
    failure(&error, Instant::now())
}

/// The answer where the path exists, but not with this method.
pub async fn wrong_method(request: HttpRequest) -> HttpResponse {
    HttpResponse::MethodNotAllowed().json(json!({
        "status": {"error": format!("Method not allowed: {} {}", request.method(), request.path())}, "time": 0.0,
    }))
}
