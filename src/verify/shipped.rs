//! The whitening that comes with the bundled model, in the binary.
//!
//! Invariant: its id follows from the numbers as they are kept, in 16 bits; what does not fit together is
//! taken for absent.

use super::whitening::Whitening;

static BUNDLED: &[u8] = include_bytes!("../../models/signatures/bundled.whitening");

/// The whitening that comes with the model whose features have this recipe; `None` for other models.
pub fn default_whitening(recipe: &str) -> Option<Whitening> {
    Whitening::from_bytes(BUNDLED).filter(|whitening| whitening.recipe() == recipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_model_comes_with_a_whitening_and_others_do_not() {
        let shipped = Whitening::from_bytes(BUNDLED).unwrap();
        assert!(shipped.is_whole());
        assert!(shipped.subjects() >= 50 && BUNDLED.len() < 2_000_000);
        assert_eq!(default_whitening(shipped.recipe()), Some(shipped));
        assert_eq!(default_whitening("another"), None);
    }
}
