//! What makes a collection one of signatures. Stored with its configuration.

use serde::{Deserialize, Serialize};

/// The payload field that names whose signature a point is.
pub const SUBJECT_FIELD: &str = "subject";
/// The payload field that names whose signature a point imitates; such a point is no reference.
pub const FORGERY_FIELD: &str = "forgery_of";
/// Longest name of a subject, bytes.
pub const MAX_SUBJECT_BYTES: usize = 200;

/// The profile of a signature collection: its unnamed vector holds features of signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureProfile {
    /// How the features are made; features of another recipe are never compared with them.
    pub recipe: String,
    /// Whether every decision is written to the audit log before it is answered.
    #[serde(default)]
    pub audit: bool,
}

/// Checks the name of a subject.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check_subject(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_SUBJECT_BYTES || name.chars().any(char::is_control) {
        return Err(format!("a subject's name has 1 to {MAX_SUBJECT_BYTES} bytes and no control characters"));
    }
    Ok(())
}
