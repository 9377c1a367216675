//! A request that is either JSON or a small multipart form with picture files: read whole, since what is in
//! it is judged together.

use std::collections::BTreeMap;

use actix_multipart::Multipart;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::answer::Failed;
use super::body::JsonBody;
use super::images::{clean_name, read_field};
use super::state::State;
use crate::engine::SampleFile;
use crate::error::{Error, Result};

/// Most files of a form.
const MAX_FILES: usize = 100;
/// Bytes of all files together.
const MAX_BYTES: usize = 128 * 1024 * 1024;
/// Largest part that is no file, bytes.
const MAX_TEXT: usize = 1024 * 1024;
/// Most parts that are no files.
const MAX_TEXTS: usize = 16;

/// A form's texts by name, and its files in order.
#[derive(Default)]
pub struct Form {
    pub texts: BTreeMap<String, String>,
    pub files: Vec<SampleFile>,
}

/// What came.
pub enum Upload<T> {
    Json(T),
    Form(Form),
}

/// Reads the body by its content type.
pub async fn read<T: DeserializeOwned + 'static>(
    request: &HttpRequest,
    payload: web::Payload,
    state: &State,
) -> Result<Upload<T>> {
    let kind =
        request.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut payload = payload.into_inner();
    if !kind.starts_with("multipart/form-data") {
        let body = JsonBody::<T>::from_request(request, &mut payload).await;
        return body.map(|body| Upload::Json(body.0)).map_err(|Failed(error)| error);
    }
    let mut upload = Multipart::new(request.headers(), payload);
    let mut form = Form::default();
    let mut total = 0;
    loop {
        let next = tokio::time::timeout(state.options.body_timeout, upload.next());
        let mut field = match next.await {
            Ok(None) => return Ok(Upload::Form(form)),
            Ok(Some(Ok(field))) => field,
            Ok(Some(Err(error))) => {
                return Err(Error::InvalidInput(format!("the upload could not be read: {error}")));
            }
            Err(_) => return Err(Error::Timeout("the upload stopped arriving".into())),
        };
        let part: String = field.name().unwrap_or_default().chars().take(64).collect();
        let file = field.content_disposition().and_then(|c| c.get_filename()).map(clean_name);
        let Some(name) = file else {
            if form.texts.len() == MAX_TEXTS {
                return Err(Error::TooLarge(format!(
                    "a form has at most {MAX_TEXTS} parts that are no files"
                )));
            }
            let bytes = read_field(&mut field, MAX_TEXT, state).await.map_err(|error| error.at(&part))?;
            let text = String::from_utf8(bytes)
                .map_err(|_| Error::InvalidInput(format!("{part}: the part is no UTF-8 text")))?;
            form.texts.insert(part, text);
            continue;
        };
        if form.files.len() == MAX_FILES {
            return Err(Error::TooLarge(format!("a form has at most {MAX_FILES} files")));
        }
        let limit = state.options.max_image_bytes;
        let bytes = read_field(&mut field, limit, state).await.map_err(|error| error.at(&name))?;
        total += bytes.len();
        if total > MAX_BYTES {
            return Err(Error::TooLarge(format!("the files come to more than {} MiB", MAX_BYTES >> 20)));
        }
        form.files.push(SampleFile { name, bytes });
    }
}
