//! Pictures in the terminal. Small by intent: a row of hits should stay on the screen.

use std::io::IsTerminal;

use anyhow::Context;
use viuer::{Config, KittySupport};

/// Height of a picture, lines of text.
const LINES: u32 = 10;

/// Whether the terminal shows pictures as pictures. Asks it, so only where stdout is a terminal.
pub fn can_be_shown() -> bool {
    viuer::is_iterm_supported()
        || viuer::get_kitty_support() != KittySupport::None
        || viuer::is_sixel_supported()
}

/// Prints a picture at the cursor.
///
/// # Errors
/// Where the bytes are no picture.
pub fn show(bytes: &[u8]) -> anyhow::Result<()> {
    let picture = image::load_from_memory(bytes).context("cannot be decoded")?;
    // What is no terminal is not asked what it can, and gets half blocks.
    let is_terminal = std::io::stdout().is_terminal();
    let config = Config {
        absolute_offset: false,
        height: Some(LINES),
        x: 3,
        transparent: true,
        use_kitty: is_terminal,
        use_iterm: is_terminal,
        use_sixel: is_terminal,
        ..Config::default()
    };
    viuer::print(&picture, &config).context("cannot be shown")?;
    Ok(())
}
