//! Exit codes, in one place: what a script may rely on. `lookalike help` and the manual pages print
//! [`TABLE`]; a test holds it and the constants together.

use std::process::ExitCode;

use super::client::Unreachable;

/// It failed; stderr says why and what to do.
pub const FAILED: u8 = 1;
/// The signature is rejected, or it is nobody's.
pub const REJECT: u8 = 3;
/// A person should look at the signature.
pub const REVIEW: u8 = 4;
/// An import is done, but some of its items failed; the error report names them.
pub const PARTLY: u8 = 5;
/// The server cannot be reached.
pub const UNREACHABLE: u8 = 6;
/// Ctrl-C; the same import goes on where it stopped.
pub const INTERRUPTED: u8 = 130;

/// All of them.
pub const TABLE: &str = "\
Exit codes:
    0  done (verify: accept; identify: somebody's)
    1  failed; stderr says why
    2  wrong usage
    3  verify: reject; identify: nobody's
    4  verify, identify: review
    5  import: done, but some items failed
    6  the server cannot be reached
  130  interrupted";

/// The code of a verb that failed so.
pub fn code_of(error: &anyhow::Error) -> ExitCode {
    if error.downcast_ref::<Unreachable>().is_some() { UNREACHABLE.into() } else { FAILED.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_in_the_table() {
        let listed: Vec<u8> =
            TABLE.lines().filter_map(|l| l.split_whitespace().next()?.parse().ok()).collect();
        assert_eq!(listed, [0, FAILED, 2, REJECT, REVIEW, PARTLY, UNREACHABLE, INTERRUPTED]);
    }

    #[test]
    fn a_server_that_is_not_there_has_a_code_of_its_own_however_deep_it_is_said() {
        use anyhow::Context as _;
        let unreachable = || Err::<(), _>(anyhow::Error::new(Unreachable { url: "http://x".into() }));
        let error = unreachable().context("a").context("b").unwrap_err();
        assert_eq!(code_of(&error), ExitCode::from(UNREACHABLE));
        assert_eq!(code_of(&anyhow::anyhow!("other")), ExitCode::from(FAILED));
    }
}
