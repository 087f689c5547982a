//! The weights of a model, and the file that holds them.

use std::borrow::Cow;

use llm_core::ConfigError;

use super::{
    LABELS,
    features::{DENSE, FAMILIES, Family, ROWS, Sink},
};

/// Weights of a row: one for each label, and what is left over of eight.
pub const LANES: usize = 8;

const MAGIC: [u8; 8] = *b"llmintnt";
/// Goes up with every change of the features or of the file.
const VERSION: u32 = 1;
/// Magic, version, labels, rows, figures and checksum.
const HEADER: usize = 8 + 4 + 4 + 4 + 4 + 8;
/// Bytes of a table.
const TABLE: usize = ROWS * LANES;
/// Floats after the tables: a scale for each family, then the bias and the weights of each figure.
const FLOATS: usize = FAMILIES + (1 + DENSE) * LANES;
const LENGTH: usize = HEADER + 2 * TABLE + 4 * FLOATS;

/// How a weight of zero is written: weights from −128 to 127 as 0 to 255, so that they add up without signs.
const ZERO: u8 = 128;

type Table = [[u8; LANES]; ROWS];

/// A model as it is trained, to be written to a file.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The table of words and first words.
    pub words: Vec<[i8; LANES]>,
    /// The table of pieces of words.
    pub pieces: Vec<[i8; LANES]>,
    /// What a unit of the table is worth in each family.
    pub scales: [f32; FAMILIES],
    /// The score of each label before anything is read.
    pub bias: [f32; LANES],
    /// The weights of each figure.
    pub figures: Vec<[f32; LANES]>,
}

impl Trained {
    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let tables =
            self.words.iter().chain(&self.pieces).flatten().map(|weight| weight.cast_unsigned().wrapping_add(ZERO));
        let floats = self.scales.iter().chain(&self.bias).chain(self.figures.iter().flatten());
        let body: Vec<u8> = tables.chain(floats.flat_map(|float| float.to_le_bytes())).collect();
        let header = header(checksum(&body));
        [&header[..], &body].concat()
    }
}

/// The weights of a model, in the bytes of their file.
#[derive(Clone)]
pub(crate) struct Weights {
    bytes: Cow<'static, [u8]>,
    scales: [f32; FAMILIES],
    bias: [f32; LANES],
    figures: [[f32; LANES]; DENSE],
}

impl Weights {
    /// Reads a file.
    pub(crate) fn try_from(bytes: Cow<'static, [u8]>) -> Result<Self, ConfigError> {
        let error = |what: &str| ConfigError::new("weights", what);
        if bytes.len() < HEADER || bytes[..8] != MAGIC {
            return Err(error("this is no file of intent weights"));
        }
        if bytes.len() != LENGTH || bytes[8..24] != header(0)[8..24] {
            return Err(error("the weights are of another version or shape"));
        }
        if bytes[..HEADER] != header(checksum(&bytes[HEADER..])) {
            return Err(error("the weights are damaged"));
        }
        let mut floats = bytes[HEADER + 2 * TABLE..].as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let mut next = || floats.next().expect("the length was looked at");
        let scales = std::array::from_fn(|_| next());
        let bias = std::array::from_fn(|_| next());
        let figures = std::array::from_fn(|_| std::array::from_fn(|_| next()));
        Ok(Self { bytes, scales, bias, figures })
    }

    /// Begins to add up the scores of a text.
    pub(crate) fn sums(&self) -> Sums<'_> {
        let tables = &self.bytes[HEADER..];
        Sums {
            words: table(&tables[..TABLE]),
            pieces: table(&tables[TABLE..2 * TABLE]),
            sums: [Sum::default(); FAMILIES],
        }
    }

    /// The score of each label by the words of a text.
    pub(crate) fn of_words(&self, sums: &Sums<'_>) -> [f32; LABELS.len()] {
        let mut scores = [0.0; LABELS.len()];
        for ((rows, lanes), scale) in sums.totals().into_iter().zip(self.scales) {
            // Long texts have more words, not more to say.
            let scale = scale / (rows.max(1) as f32).sqrt();
            for (score, lane) in scores.iter_mut().zip(lanes) {
                *score += lane as f32 * scale;
            }
        }
        scores
    }

    /// The score of each label by the figures of a text.
    pub(crate) fn of_figures(&self, figures: &[f32; DENSE]) -> [f32; LABELS.len()] {
        let mut scores = [0.0; LABELS.len()];
        for (label, score) in scores.iter_mut().enumerate() {
            *score = self.bias[label];
        }
        for (figure, weights) in figures.iter().zip(&self.figures) {
            for (score, weight) in scores.iter_mut().zip(weights) {
                *score += figure * weight;
            }
        }
        scores
    }
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Weights({} bytes)", self.bytes.len())
    }
}

/// Rows that are added up in sixteen bits: 256 times 255 still fits.
const BATCH: usize = 256;

/// The sum of the weights of one family.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    /// The sum of the last few rows, which eight lanes of sixteen bits hold in one register.
    batch: [u16; LANES],
    /// How many rows these are.
    batched: usize,
    lanes: [u32; LANES],
    rows: usize,
}

impl Sum {
    #[inline]
    fn add<const N: usize>(&mut self, table: &Table, rows: [usize; N]) {
        if self.batched + N > BATCH {
            self.end_batch();
        }
        // Added up here first: each sum in memory waits for the one before.
        let mut sums = [0; LANES];
        for row in rows {
            for (sum, weight) in sums.iter_mut().zip(&table[row % ROWS]) {
                *sum += u16::from(*weight);
            }
        }
        for (batch, sum) in self.batch.iter_mut().zip(sums) {
            *batch += sum;
        }
        self.batched += N;
    }

    fn end_batch(&mut self) {
        for (lane, sum) in self.lanes.iter_mut().zip(&mut self.batch) {
            *lane += u32::from(std::mem::take(sum));
        }
        self.rows += std::mem::take(&mut self.batched);
    }
}

/// Adds up weights.
pub(crate) struct Sums<'a> {
    words: &'a Table,
    pieces: &'a Table,
    sums: [Sum; FAMILIES],
}

impl Sums<'_> {
    /// The number of rows of each family, and the sums of their weights.
    fn totals(&self) -> [(usize, [i64; LANES]); FAMILIES] {
        self.sums.map(|mut sum| {
            sum.end_batch();
            let zeros = sum.rows as i64 * i64::from(ZERO);
            (sum.rows, sum.lanes.map(|lane| i64::from(lane) - zeros))
        })
    }
}

impl Sink for Sums<'_> {
    #[inline]
    fn has<const N: usize>(&mut self, family: Family, rows: [usize; N]) {
        let table = if family == Family::Pieces { self.pieces } else { self.words };
        self.sums[family as usize].add(table, rows);
    }
}

fn table(bytes: &[u8]) -> &Table {
    bytes.as_chunks::<LANES>().0.try_into().expect("a table has this many rows")
}

fn header(checksum: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&MAGIC);
    let numbers = [VERSION, LABELS.len() as u32, ROWS as u32, DENSE as u32];
    for (place, number) in header[8..24].chunks_exact_mut(4).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    header[24..].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// FNV-1a of 64 bits: it finds damage, not intent.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
