//! Integer money: amounts in nano-dollars, prices per token in pico-dollars.
//!
//! Floats drift and single tokens cost less than a nano-dollar is good for: a DeepSeek cache read is 2.8
//! nano-dollars a token. So amounts count 1e-9 USD, prices count 1e-12 USD, a cost rounds up once, and all
//! arithmetic saturates: an absurd bill must look absurd, not wrap to a small one.

use std::{error::Error, fmt, iter::Sum, str::FromStr};

use serde::{Deserialize, Serialize};

/// An amount of money in nano-dollars (1e-9 USD).
///
/// Written and read as exact decimal dollars (`$0.000012345`), serialized as the integer.
///
/// ```
/// # use llm_core::NanoUsd;
/// let cap: NanoUsd = "2.50".parse()?;
/// assert_eq!(cap, NanoUsd(2_500_000_000));
/// assert_eq!(cap.saturating_sub(NanoUsd(1)).to_string(), "$2.499999999");
/// # Ok::<(), llm_core::MoneyError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoUsd(pub u64);

/// A price per token in pico-dollars (1e-12 USD), the same number as micro-dollars per million tokens.
///
/// Made from what price lists state, USD per million tokens. Serialized as the integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PicoUsd(pub u64);

/// Why a text or number is not an amount of money. Displays as a clause that quotes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoneyError {
    given: String,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    NotANumber,
    Negative,
    TooFine { places: usize },
    TooLarge,
    Absurd,
}

const NANO_PLACES: usize = 9;
const NANOS_PER_USD: u64 = 1_000_000_000;
const PICOS_PER_NANO: u128 = 1_000;
/// Decimal places of USD per million tokens that make one pico-dollar a token.
const PRICE_PLACES: usize = 6;
const PICOS_PER_USD_PER_MILLION: f64 = 1e6;

impl NanoUsd {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// The amount at which arithmetic saturates, about 18 billion dollars.
    pub const MAX: Self = Self(u64::MAX);

    /// Plain decimal dollars, for machines, which may take a number for a float: `0.06`.
    ///
    /// ```
    /// assert_eq!(llm_core::NanoUsd(60_000_000).decimal(), "0.06");
    /// ```
    pub fn decimal(self) -> String {
        self.to_string().trim_start_matches('$').to_owned()
    }

    /// The sum, or [`NanoUsd::MAX`].
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, or [`NanoUsd::ZERO`].
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Rounds up to the next whole nano-dollar.
    pub(crate) fn from_picos(picos: u128) -> Self {
        Self(u64::try_from(picos.div_ceil(PICOS_PER_NANO)).unwrap_or(u64::MAX))
    }
}

impl Sum for NanoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::saturating_add)
    }
}

impl FromStr for NanoUsd {
    type Err = MoneyError;

    /// Reads decimal dollars, with or without a leading `$`, exactly.
    ///
    /// # Errors
    /// If the text is not a plain decimal number, is negative, has digits beyond the ninth decimal place,
    /// or exceeds [`NanoUsd::MAX`].
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let number = text.strip_prefix('$').unwrap_or(text);
        decimal(number, NANO_PLACES).map(Self).map_err(|problem| MoneyError::new(text, problem))
    }
}

impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}.", self.0 / NANOS_PER_USD)?;
        write_fraction(f, self.0 % NANOS_PER_USD, NANO_PLACES)
    }
}

impl PicoUsd {
    /// No price: free of charge. A price that is not known is an absent one.
    pub const ZERO: Self = Self(0);
    /// The highest price that is believed: a dollar a token, 1,000,000 USD per million. Anything above is a
    /// slip of units.
    pub const MAX_BELIEVED: Self = Self(1_000_000_000_000);

    /// Reads USD per million tokens from decimal text, exactly: `"0.003625"` is 3,625 pico-dollars a token.
    ///
    /// # Errors
    /// If the text is not a plain decimal number, is negative, has digits beyond the sixth decimal place,
    /// or exceeds [`PicoUsd::MAX_BELIEVED`].
    pub fn per_million_tokens(usd: &str) -> Result<Self, MoneyError> {
        decimal(usd, PRICE_PLACES).and_then(Self::believed).map_err(|problem| MoneyError::new(usd, problem))
    }

    /// Takes USD per million tokens as a float, to the nearest pico-dollar a token; that is exact for every
    /// number written with at most six decimal places.
    ///
    /// # Errors
    /// If the number is negative, not finite, above [`PicoUsd::MAX_BELIEVED`], or so small that it would
    /// round to free.
    pub fn per_million_tokens_f64(usd: f64) -> Result<Self, MoneyError> {
        let picos = (usd * PICOS_PER_USD_PER_MILLION).round();
        let price = if !usd.is_finite() {
            Err(Problem::NotANumber)
        } else if usd < 0.0 {
            Err(Problem::Negative)
        } else if picos > Self::MAX_BELIEVED.0 as f64 {
            Err(Problem::Absurd)
        } else if picos == 0.0 && usd > 0.0 {
            Err(Problem::TooFine { places: PRICE_PLACES })
        } else {
            // A whole number below 2^53, so the conversion is exact.
            Ok(Self(picos as u64))
        };
        price.map_err(|problem| MoneyError::new(&usd.to_string(), problem))
    }

    /// What that many tokens cost, rounded up to a nano-dollar, saturating.
    pub fn cost(self, tokens: u64) -> NanoUsd {
        NanoUsd::from_picos(self.picos(tokens))
    }

    /// The unrounded cost, for lines that add up several prices. Cannot overflow.
    pub(crate) fn picos(self, tokens: u64) -> u128 {
        u128::from(self.0) * u128::from(tokens)
    }

    fn believed(picos: u64) -> Result<Self, Problem> {
        if picos > Self::MAX_BELIEVED.0 { Err(Problem::Absurd) } else { Ok(Self(picos)) }
    }
}

impl fmt::Display for PicoUsd {
    /// Writes USD per million tokens, exactly: `$0.003625 per million tokens`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_usd = PICOS_PER_USD_PER_MILLION as u64;
        write!(f, "${}.", self.0 / per_usd)?;
        write_fraction(f, self.0 % per_usd, PRICE_PLACES)?;
        f.write_str(" per million tokens")
    }
}

impl MoneyError {
    fn new(given: &str, problem: Problem) -> Self {
        Self { given: given.to_owned(), problem }
    }
}

impl fmt::Display for MoneyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { given, problem } = self;
        match problem {
            Problem::NotANumber => write!(f, "`{given}` is not a decimal number"),
            Problem::Negative => write!(f, "`{given}` is negative"),
            Problem::TooFine { places } => write!(f, "`{given}` is finer than {places} decimal places"),
            Problem::TooLarge => write!(f, "`{given}` is too large"),
            Problem::Absurd => write!(f, "`{given}` is more than a dollar a token; the unit is USD per million tokens"),
        }
    }
}

impl Error for MoneyError {}

/// Reads a plain decimal number (`12`, `0.5`) as a count of its `places`-th decimal.
fn decimal(text: &str, places: usize) -> Result<u64, Problem> {
    if text.starts_with('-') {
        return Err(Problem::Negative);
    }
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(Problem::NotANumber),
        None => (text, ""),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return Err(Problem::NotANumber);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > places {
        return Err(Problem::TooFine { places });
    }
    let padding = std::iter::repeat_n(b'0', places - fraction.len());
    let mut value = 0_u64;
    for digit in whole.bytes().chain(fraction.bytes()).chain(padding) {
        let next = value.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit - b'0')));
        value = next.ok_or(Problem::TooLarge)?;
    }
    Ok(value)
}

/// Writes a fraction without trailing zeros, but at least two digits, as cents are.
fn write_fraction(f: &mut fmt::Formatter<'_>, mut fraction: u64, mut places: usize) -> fmt::Result {
    while places > 2 && fraction.is_multiple_of(10) {
        fraction /= 10;
        places -= 1;
    }
    write!(f, "{fraction:0places$}")
}

#[cfg(test)]
mod tests;
