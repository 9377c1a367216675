//! Matrix tiles (Intel AMX): products of blocks of 32 rows by 32 columns. The intrinsics are not stable, so
//! the tiles are used by inline assembly; a block is one piece of it, so that no tile is alive outside.
//!
//! The kernel of Linux gives tiles only to a process that asks; see [`granted`].

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::sync::OnceLock;

/// Whether the processor has tiles of bf16 and bytes and the system lets this process use them.
pub(super) fn granted() -> bool {
    static GRANTED: OnceLock<bool> = OnceLock::new();
    *GRANTED.get_or_init(|| {
        if __cpuid(0).eax < 7 {
            return false;
        }
        const BF16: u32 = 1 << 22;
        const TILE: u32 = 1 << 24;
        const INT8: u32 = 1 << 25;
        let wanted = BF16 | TILE | INT8;
        __cpuid_count(7, 0).edx & wanted == wanted && ask()
    })
}

/// Ask the system for the state of tiles, for all threads of the process.
fn ask() -> bool {
    #[cfg(target_os = "linux")]
    {
        const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
        const XFEATURE_XTILEDATA: libc::c_long = 18;
        // SAFETY: the call takes two numbers and changes only what this process may use.
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// What LDTILECFG reads.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Tiles of a block of `rows` rows, 1 to 32: 0, 1 and 4 are of its first 16 rows, 2, 3 and 5 of the others,
/// 6 and 7 of the weights. Dropped, it gives the tiles back.
pub(super) struct Tiles {
    rows: usize,
}

impl Tiles {
    /// # Safety
    /// [`granted`] has said yes.
    pub unsafe fn new(rows: usize) -> Tiles {
        let rows = rows.clamp(1, 32);
        let (upper, lower) = (rows.min(16) as u8, if rows > 16 { rows as u8 - 16 } else { 16 });
        let mut shapes =
            Shapes { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        for (tile, rows) in [upper, upper, lower, lower, upper, lower, 16, 16].into_iter().enumerate() {
            (shapes.row_bytes[tile], shapes.rows[tile]) = (64, rows);
        }
        // SAFETY: the process may use tiles, and the shapes are within those of palette 1.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &shapes, options(nostack, readonly)) }
        Tiles { rows }
    }

    /// Rows of the block.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: whoever made it may use tiles.
        unsafe { asm!("tilerelease", options(nostack, nomem)) }
    }
}

/// A factor of a product: the left one begins at a tile of rows, whose lines follow each other by 1024
/// bytes; the right one has 16 rows of 128 bytes for each line of the left one.
#[derive(Clone, Copy)]
pub(super) struct Block {
    /// The first 16 rows.
    pub left: *const u8,
    /// Bytes from there to the other 16 rows.
    pub down: usize,
    /// The weights.
    pub right: *const u8,
    /// Lines of a row, at least 1.
    pub lines: usize,
    /// Begin at zero; otherwise at the sums in the tile.
    pub fresh: bool,
}

// Assembly cannot be generic: the two products differ in one instruction.
macro_rules! product {
    ($name:ident, $instruction:literal, $what:literal) => {
        #[doc = $what]
        ///
        /// # Safety
        /// `left` has `lines` tiles for its first 16 rows and, of more than 16 rows, as many for the others;
        /// `right` has `lines` times 2048 bytes.
        pub unsafe fn $name(&self, block: Block, tile: &mut [f32; 1024]) {
            let Block { left, down, right, lines, fresh } = block;
            if self.rows > 16 {
                // SAFETY: the caller vouches for the factors; the tile holds the 32 rows of 128 bytes that are stored;
                // the shapes were set by `new`.
                unsafe {
                    asm!(
                        "test {fresh}, {fresh}", "jz 3f",
                        "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                        "jmp 2f",
                        "3:",
                        "tileloadd tmm0, [{tile} + {wide}]", "tileloadd tmm1, [{tile} + {wide} + 64]",
                        "tileloadd tmm2, [{tile} + {wide} + 2048]", "tileloadd tmm3, [{tile} + {wide} + 2112]",
                        "2:",
                        "tileloadd tmm6, [{right} + {wide}]",
                        "tileloadd tmm4, [{left} + {line}]",
                        concat!($instruction, " tmm0, tmm4, tmm6"),
                        "tileloadd tmm7, [{right} + {wide} + 64]",
                        concat!($instruction, " tmm1, tmm4, tmm7"),
                        "tileloadd tmm5, [{lower} + {line}]",
                        concat!($instruction, " tmm2, tmm5, tmm6"),
                        concat!($instruction, " tmm3, tmm5, tmm7"),
                        "add {left}, 1024", "add {lower}, 1024", "add {right}, 2048",
                        "dec {lines}", "jnz 2b",
                        "tilestored [{tile} + {wide}], tmm0",
                        "tilestored [{tile} + {wide} + 64], tmm1",
                        "tilestored [{tile} + {wide} + 2048], tmm2",
                        "tilestored [{tile} + {wide} + 2112], tmm3",
                        left = inout(reg) left => _, lower = inout(reg) left.wrapping_add(down) => _,
                        right = inout(reg) right => _, lines = inout(reg) lines => _,
                        line = in(reg) 64usize, wide = in(reg) 128usize, tile = in(reg) tile.as_mut_ptr(),
                        fresh = in(reg) u64::from(fresh),
                        out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                        out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                        options(nostack),
                    );
                }
            } else {
                // SAFETY: as above, for 16 rows.
                unsafe {
                    asm!(
                        "test {fresh}, {fresh}", "jz 3f",
                        "tilezero tmm0", "tilezero tmm1",
                        "jmp 2f",
                        "3:",
                        "tileloadd tmm0, [{tile} + {wide}]", "tileloadd tmm1, [{tile} + {wide} + 64]",
                        "2:",
                        "tileloadd tmm6, [{right} + {wide}]",
                        "tileloadd tmm4, [{left} + {line}]",
                        concat!($instruction, " tmm0, tmm4, tmm6"),
                        "tileloadd tmm7, [{right} + {wide} + 64]",
                        concat!($instruction, " tmm1, tmm4, tmm7"),
                        "add {left}, 1024", "add {right}, 2048",
                        "dec {lines}", "jnz 2b",
                        "tilestored [{tile} + {wide}], tmm0",
                        "tilestored [{tile} + {wide} + 64], tmm1",
                        left = inout(reg) left => _, right = inout(reg) right => _,
                        lines = inout(reg) lines => _,
                        line = in(reg) 64usize, wide = in(reg) 128usize, tile = in(reg) tile.as_mut_ptr(),
                        fresh = in(reg) u64::from(fresh),
                        out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm6") _, out("tmm7") _,
                        options(nostack),
                    );
                }
            }
        }
    };
}

impl Tiles {
    product!(bf16, "tdpbf16ps", "The product of pairs of bf16, f32 sums.");
    product!(bytes, "tdpbusd", "The product of unsigned by signed bytes, the bits of i32 sums.");

    /// The product of numbers in three parts: the six products of parts that matter at 24 bits. `plane` is
    /// the bytes between the parts of the left and of the right factor.
    ///
    /// # Safety
    /// As the others, for each part.
    pub unsafe fn thirds(&self, block: Block, plane: (usize, usize), tile: &mut [f32; 1024]) {
        let Block { left, down, right, lines, fresh } = block;
        // Parts a, b, c of the left by A, B, C of the right: aA, aB, aC, bA, bB, cA; the rest is below 2^-24.
        if self.rows > 16 {
            // SAFETY: as for `bf16`.
            unsafe {
                asm!(
                    "test {fresh}, {fresh}", "jz 3f",
                        "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                        "jmp 2f",
                        "3:",
                        "tileloadd tmm0, [{tile} + {wide}]", "tileloadd tmm1, [{tile} + {wide} + 64]",
                        "tileloadd tmm2, [{tile} + {wide} + 2048]", "tileloadd tmm3, [{tile} + {wide} + 2112]",
                    "2:",
                    // c by A
                    "lea {at}, [{left} + 2*{up}]",
                    "tileloadd tmm6, [{right} + {wide}]", "tileloadd tmm7, [{right} + {wide} + 64]",
                    "tileloadd tmm4, [{at} + {line}]",
                    "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7",
                    "add {at}, {down}",
                    "tileloadd tmm5, [{at} + {line}]",
                    "tdpbf16ps tmm2, tmm5, tmm6", "tdpbf16ps tmm3, tmm5, tmm7",
                    // b by A
                    "lea {at}, [{left} + {up}]",
                    "tileloadd tmm4, [{at} + {line}]",
                    "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7",
                    "add {at}, {down}",
                    "tileloadd tmm5, [{at} + {line}]",
                    "tdpbf16ps tmm2, tmm5, tmm6", "tdpbf16ps tmm3, tmm5, tmm7",
                    // b by B
                    "lea {at}, [{right} + {across}]",
                    "tileloadd tmm6, [{at} + {wide}]", "tileloadd tmm7, [{at} + {wide} + 64]",
                    "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6", "tdpbf16ps tmm3, tmm5, tmm7",
                    // a by B
                    "tileloadd tmm4, [{left} + {line}]",
                    "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7",
                    "lea {at}, [{left} + {down}]",
                    "tileloadd tmm5, [{at} + {line}]",
                    "tdpbf16ps tmm2, tmm5, tmm6", "tdpbf16ps tmm3, tmm5, tmm7",
                    // a by C
                    "lea {at}, [{right} + 2*{across}]",
                    "tileloadd tmm6, [{at} + {wide}]", "tileloadd tmm7, [{at} + {wide} + 64]",
                    "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6", "tdpbf16ps tmm3, tmm5, tmm7",
                    // a by A
                    "tileloadd tmm6, [{right} + {wide}]", "tileloadd tmm7, [{right} + {wide} + 64]",
                    "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6", "tdpbf16ps tmm3, tmm5, tmm7",
                    "add {left}, 1024", "add {right}, 2048",
                    "dec {lines}", "jnz 2b",
                    "tilestored [{tile} + {wide}], tmm0",
                    "tilestored [{tile} + {wide} + 64], tmm1",
                    "tilestored [{tile} + {wide} + 2048], tmm2",
                    "tilestored [{tile} + {wide} + 2112], tmm3",
                    left = inout(reg) left => _, right = inout(reg) right => _,
                    lines = inout(reg) lines => _, at = out(reg) _,
                    up = in(reg) plane.0, across = in(reg) plane.1, down = in(reg) down,
                    line = in(reg) 64usize, wide = in(reg) 128usize, tile = in(reg) tile.as_mut_ptr(),
                        fresh = in(reg) u64::from(fresh),
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        } else {
            // SAFETY: as above, for 16 rows.
            unsafe {
                asm!(
                    "test {fresh}, {fresh}", "jz 3f",
                        "tilezero tmm0", "tilezero tmm1",
                        "jmp 2f",
                        "3:",
                        "tileloadd tmm0, [{tile} + {wide}]", "tileloadd tmm1, [{tile} + {wide} + 64]",
                    "2:",
                    "lea {at}, [{left} + 2*{up}]",
                    "tileloadd tmm6, [{right} + {wide}]", "tileloadd tmm7, [{right} + {wide} + 64]",
                    "tileloadd tmm4, [{at} + {line}]", // c
                    "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7",
                    "lea {at}, [{left} + {up}]",
                    "tileloadd tmm4, [{at} + {line}]", // b
                    "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7",
                    "lea {at}, [{right} + {across}]",
                    "tileloadd tmm6, [{at} + {wide}]", "tileloadd tmm7, [{at} + {wide} + 64]",
                    "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7",
                    "tileloadd tmm4, [{left} + {line}]", // a
                    "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7",
                    "lea {at}, [{right} + 2*{across}]",
                    "tileloadd tmm6, [{at} + {wide}]", "tileloadd tmm7, [{at} + {wide} + 64]",
                    "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7",
                    "tileloadd tmm6, [{right} + {wide}]", "tileloadd tmm7, [{right} + {wide} + 64]",
                    "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7",
                    "add {left}, 1024", "add {right}, 2048",
                    "dec {lines}", "jnz 2b",
                    "tilestored [{tile} + {wide}], tmm0",
                    "tilestored [{tile} + {wide} + 64], tmm1",
                    left = inout(reg) left => _, right = inout(reg) right => _,
                    lines = inout(reg) lines => _, at = out(reg) _,
                    up = in(reg) plane.0, across = in(reg) plane.1,
                    line = in(reg) 64usize, wide = in(reg) 128usize, tile = in(reg) tile.as_mut_ptr(),
                        fresh = in(reg) u64::from(fresh),
                    out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        }
    }
}
