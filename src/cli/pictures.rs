//! Pictures in the terminal: by kitty's and iTerm2's protocols where the environment says that the terminal
//! knows them, else in half blocks of colour. Small by intent: a row of hits
//! should stay on the screen. Sources: sw.kovidgoyal.net/kitty/graphics-protocol, iterm2.com/documentation-images.

use std::io::{IsTerminal, Write};

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat};

/// Height of a picture, lines of text.
const LINES: u32 = 10;
/// Longest side of what is sent to the terminal, pixels.
const PIXELS: u32 = 400;
/// Bytes of base64 in one piece of kitty's protocol.
const PIECE: usize = 4096;

/// How a picture is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Protocol {
    Kitty,
    Iterm,
    HalfBlocks,
}

/// What the terminal knows, by its environment: asking it would wait for terminals that never answer.
fn protocol(variable: impl Fn(&str) -> Option<String>) -> Protocol {
    let is = |name: &str, values: &[&str]| {
        variable(name).is_some_and(|value| values.iter().any(|wanted| value.contains(wanted)))
    };
    // A multiplexer in between shows neither.
    if is("TERM", &["screen", "tmux"]) {
        Protocol::HalfBlocks
    } else if variable("KITTY_WINDOW_ID").is_some()
        || is("TERM", &["kitty", "ghostty"])
        || is("TERM_PROGRAM", &["ghostty"])
    {
        Protocol::Kitty
    } else if is("TERM_PROGRAM", &["iTerm", "WezTerm", "mintty", "vscode"]) || is("LC_TERMINAL", &["iTerm"]) {
        Protocol::Iterm
    } else {
        Protocol::HalfBlocks
    }
}

fn here() -> Protocol {
    if !std::io::stdout().is_terminal() {
        return Protocol::HalfBlocks;
    }
    protocol(|name| std::env::var(name).ok())
}

/// Whether stdout is a terminal that shows pictures as pictures.
pub fn can_be_shown() -> bool {
    here() != Protocol::HalfBlocks
}

/// Prints a picture below the last line.
///
/// # Errors
/// Where the bytes are no picture.
pub fn show(bytes: &[u8]) -> anyhow::Result<()> {
    let picture = image::load_from_memory(bytes).context("cannot be decoded")?;
    let mut out = std::io::stdout().lock();
    out.write_all(rendered(&picture, here())?.as_bytes())?;
    Ok(out.flush()?)
}

fn rendered(picture: &DynamicImage, protocol: Protocol) -> anyhow::Result<String> {
    if protocol == Protocol::HalfBlocks {
        return Ok(half_blocks(picture));
    }
    let mut png = std::io::Cursor::new(Vec::new());
    let is_large = picture.width().max(picture.height()) > PIXELS;
    let small = if is_large { picture.thumbnail(PIXELS, PIXELS) } else { picture.clone() };
    small.to_rgba8().write_to(&mut png, ImageFormat::Png)?;
    let text = STANDARD.encode(png.into_inner());
    Ok(match protocol {
        Protocol::Iterm => {
            format!("\x1b]1337;File=inline=1;height={LINES};preserveAspectRatio=1:{text}\x07\n")
        }
        _ => kitty(&text),
    })
}

/// A PNG in pieces; all but the last say that more come.
fn kitty(text: &str) -> String {
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(PIECE).collect();
    let mut out = String::new();
    for (i, piece) in pieces.iter().enumerate() {
        let more = u8::from(i + 1 < pieces.len());
        let first = if i == 0 { format!("f=100,a=T,q=2,r={LINES},") } else { String::new() };
        out += &format!("\x1b_G{first}m={more};{}\x1b\\", String::from_utf8_lossy(piece));
    }
    out + "\n"
}

/// Two pixels a character: the upper as the colour of the block, the lower as that of its ground.
fn half_blocks(picture: &DynamicImage) -> String {
    let small = picture.resize(8 * LINES, 2 * LINES, FilterType::Triangle).to_rgba8();
    let colour = |x: u32, y: u32| {
        small
            .get_pixel_checked(x, y)
            .filter(|pixel| pixel[3] > 127)
            .map(|p| format!("{};{};{}", p[0], p[1], p[2]))
    };
    let mut out = String::new();
    for y in (0..small.height()).step_by(2) {
        out += "   ";
        for x in 0..small.width() {
            out += &match (colour(x, y), colour(x, y + 1)) {
                (None, None) => "\x1b[0m ".to_owned(),
                (Some(upper), None) => format!("\x1b[0;38;2;{upper}m▀"),
                (None, Some(lower)) => format!("\x1b[0;38;2;{lower}m▄"),
                (Some(upper), Some(lower)) => format!("\x1b[0;38;2;{upper};48;2;{lower}m▀"),
            };
        }
        out += "\x1b[0m\n";
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_is_known_by_its_environment() {
        let of = |pairs: &[(&str, &str)]| {
            protocol(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(of(&[("TERM", "xterm-kitty")]), Protocol::Kitty);
        assert_eq!(of(&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "ghostty")]), Protocol::Kitty);
        assert_eq!(of(&[("TERM_PROGRAM", "iTerm.app")]), Protocol::Iterm);
        assert_eq!(of(&[("TERM", "tmux-256color"), ("KITTY_WINDOW_ID", "1")]), Protocol::HalfBlocks);
        assert_eq!(of(&[("TERM", "xterm-256color")]), Protocol::HalfBlocks);
    }

    #[test]
    fn a_picture_is_whole_in_every_protocol() {
        let noise = image::RgbImage::from_fn(300, 200, |x, y| {
            let value = (x * 7919 + y * 104_729) % 251;
            image::Rgb([value as u8, (value * 3 % 256) as u8, (x % 256) as u8])
        });
        let picture = DynamicImage::ImageRgb8(noise);
        let text = rendered(&picture, Protocol::Kitty).unwrap();
        let pieces: Vec<&str> = text.split("\x1b_G").skip(1).collect();
        assert!(pieces.len() > 2, "{}", pieces.len());
        let data: String =
            pieces.iter().map(|p| p.split(';').nth(1).unwrap().split('\x1b').next().unwrap()).collect();
        let decoded = image::load_from_memory(&STANDARD.decode(data).unwrap()).unwrap();
        assert_eq!((decoded.width(), decoded.height()), (300, 200));
        assert_eq!(pieces.iter().filter(|piece| piece.contains("m=0;")).count(), 1);
        assert!(rendered(&picture, Protocol::Iterm).unwrap().starts_with("\x1b]1337;File=inline=1;"));
        let blocks = rendered(&picture, Protocol::HalfBlocks).unwrap();
        assert_eq!(blocks.lines().count(), LINES as usize);
        assert_eq!(blocks.matches('▀').count(), 30 * LINES as usize);
    }
}
