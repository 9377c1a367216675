//! The one error enum. A variant is a class that a client can act on; its text names the field
//! or the item and says what to do. Causes inside the machine go to the log in full and reach a
//! client only as far as they help.

/// What went wrong, by what the caller can do about it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The request cannot be carried out as it stands (400). The text names the field or item.
    #[error("Wrong input: {0}")]
    InvalidInput(String),
    /// A picture that can be read but not judged, as one without ink (400). Says why.
    #[error("Wrong input: {0}")]
    Unfit(String),
    /// The body is not JSON of the expected form (400).
    #[error("Format error in JSON body: {0}")]
    MalformedBody(String),
    /// The body has the right form but a value outside its range (422). Names the field.
    #[error("Validation error in JSON body: {0}")]
    Validation(String),
    /// No such collection, point, model or path (404).
    #[error("Not found: {0}")]
    NotFound(String),
    /// The name is taken (409).
    #[error("Wrong input: {0}")]
    AlreadyExists(String),
    /// What is stored does not go with what is asked, as a threshold of another whitening (409). Says what to do.
    #[error("Conflict: {0}")]
    Conflict(String),
    /// The request lacks a valid key (401).
    #[error("{0}")]
    Unauthorized(String),
    /// The key, host or origin does not allow it (403).
    #[error("Forbidden: {0}")]
    Forbidden(String),
    /// It took longer than allowed (408).
    #[error("Timeout: {0}")]
    Timeout(String),
    /// A body, a picture or a batch over its bound (413).
    #[error("Payload too large: {0}")]
    TooLarge(String),
    /// A bounded queue is full (429); come back after so many seconds.
    #[error("Too many requests: {what}; retry after {retry_after_secs} s")]
    Overloaded {
        /// Which queue is full.
        what: String,
        /// Seconds after which a retry makes sense.
        retry_after_secs: u32,
    },
    /// The collection is read-only, or the server is starting or stopping (503). Says why.
    #[error("Service unavailable: {0}")]
    Unavailable(String),
    /// A model that is to be loaded has no room beside those in use (503); come back after so many seconds.
    #[error("No room: {what}; retry after {retry_after_secs} s")]
    NoRoom {
        /// Which model, and which bound.
        what: String,
        /// Seconds after which a retry makes sense.
        retry_after_secs: u32,
    },
    /// The disk is too full to write (507); deletes still work.
    #[error("Insufficient storage: {0}")]
    StorageFull(String),
    /// Stored bytes that fail their checksum or do not decode (500).
    #[error("Corrupted data: {0}")]
    Corrupted(String),
    /// The operating system refused an I/O operation (500).
    #[error("Input/output error: {0}")]
    Io(String),
    /// A model directory that cannot be used as it is (400 at run time, exit 1 at start).
    #[error("Model error: {0}")]
    Model(String),
    /// A bug or a failed dependency (500); details are in the log.
    #[error("Internal error: {0}")]
    Internal(String),
}

/// `Result` with the one [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The HTTP status that belongs to the class.
    pub fn code(&self) -> u16 {
        match self {
            Error::InvalidInput(_) | Error::Unfit(_) | Error::MalformedBody(_) | Error::Model(_) => 400,
            Error::Unauthorized(_) => 401,
            Error::Forbidden(_) => 403,
            Error::NotFound(_) => 404,
            Error::Timeout(_) => 408,
            Error::AlreadyExists(_) | Error::Conflict(_) => 409,
            Error::TooLarge(_) => 413,
            Error::Validation(_) => 422,
            Error::Overloaded { .. } => 429,
            Error::Corrupted(_) | Error::Io(_) | Error::Internal(_) => 500,
            Error::Unavailable(_) | Error::NoRoom { .. } => 503,
            Error::StorageFull(_) => 507,
        }
    }

    /// Seconds after which the same request may succeed, where that is known.
    pub fn retry_after_secs(&self) -> Option<u32> {
        match self {
            Error::Overloaded { retry_after_secs, .. } | Error::NoRoom { retry_after_secs, .. } => {
                Some(*retry_after_secs)
            }
            _ => None,
        }
    }

    /// The same error with the place in front: `points[3]: …`.
    #[must_use]
    pub fn at(self, place: impl std::fmt::Display) -> Self {
        match self {
            Error::InvalidInput(text) => Error::InvalidInput(format!("{place}: {text}")),
            Error::Unfit(text) => Error::Unfit(format!("{place}: {text}")),
            Error::Validation(text) => Error::Validation(format!("{place}: {text}")),
            Error::TooLarge(text) => Error::TooLarge(format!("{place}: {text}")),
            other => other,
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Error::Io(error.to_string())
    }
}
