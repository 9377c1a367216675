//! JSON bodies: bounded in size and time, and with errors that name the field.

use std::future::Future;
use std::pin::Pin;

use actix_web::{FromRequest, HttpRequest, dev, web};
use serde::de::DeserializeOwned;

use super::answer::Failed;
use super::state::State;
use crate::error::Error;

/// A request body read as `T`. An empty body reads as `{}`.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Failed>>>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let bytes = web::Bytes::from_request(request, payload);
        let state = request.app_data::<web::Data<State>>().cloned();
        Box::pin(async move {
            let Some(state) = state else {
                return Err(Failed(Error::Internal("the server has no state".into())));
            };
            let limit = state.options.max_body_bytes;
            let bytes = match tokio::time::timeout(state.options.body_timeout, bytes).await {
                Ok(Ok(bytes)) => bytes,
                Ok(Err(error)) if error.as_response_error().status_code().as_u16() == 413 => {
                    return Err(Failed(Error::TooLarge(format!(
                        "the body is larger than {} MiB; send smaller batches",
                        limit / (1024 * 1024)
                    ))));
                }
                Ok(Err(error)) => {
                    return Err(Failed(Error::InvalidInput(format!("the body could not be read: {error}"))));
                }
                Err(_) => {
                    let secs = state.options.body_timeout.as_secs();
                    return Err(Failed(Error::Timeout(format!("the body did not arrive within {secs} s"))));
                }
            };
            parse(&bytes).map(JsonBody).map_err(Failed)
        })
    }
}

/// Reads JSON; an error names the path of the field.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let bytes = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { bytes };
    // Without this a list would be read as a struct's fields in order.
    if bytes.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Error::MalformedBody("expected an object".into()));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if path == "." || path.is_empty() {
            Error::MalformedBody(inner.to_string())
        } else {
            Error::MalformedBody(format!("{path}: {inner}"))
        }
    })?;
    deserializer.end().map_err(|error| Error::MalformedBody(error.to_string()))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug)]
    #[allow(dead_code)]
    struct Inner {
        n: u32,
    }

    #[test]
    fn an_error_names_the_field_by_its_path() {
        assert!(parse::<Inner>(b" [1]").unwrap_err().to_string().contains("expected an object"));
        let error =
            parse::<std::collections::BTreeMap<String, Vec<Inner>>>(br#"{"a": [{"n": 1}, {"n": "x"}]}"#);
        assert!(error.unwrap_err().to_string().contains("a[1].n"), "the path is missing");
        assert!(parse::<Inner>(br#"{"n": 1} x"#).is_err());
        assert!(parse::<Inner>(b"").unwrap_err().to_string().contains("missing field `n`"));
    }
}
