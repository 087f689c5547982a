//! What a model charges, and what a usage costs at that price.

use serde::{Deserialize, Serialize};

use crate::{money::NanoUsd, money::PicoUsd, usage::Usage};

/// What a model charges per token.
///
/// A model of unknown price has no `Price` at all. Within a price, what is not stated costs what the nearest
/// stated thing costs: cache reads and writes the input price, hour-long writes the price of short ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// A fresh input token.
    pub input: PicoUsd,
    /// An output token, reasoning included.
    pub output: PicoUsd,
    /// An input token read from the provider's prompt cache.
    pub cache_read: Option<PicoUsd>,
    /// An input token written to the provider's prompt cache.
    pub cache_write: Option<PicoUsd>,
    /// An input token written to a prompt cache that lives for an hour.
    pub cache_write_1h: Option<PicoUsd>,
    /// What the same model charges for batch jobs.
    pub batch: Option<BatchPrice>,
    /// Prices of long requests, in any order.
    pub tiers: Vec<Tier>,
}

/// What a model charges per token in batch jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPrice {
    /// An input token.
    pub input: PicoUsd,
    /// An output token.
    pub output: PicoUsd,
}

/// The price of a long request.
///
/// It is not a bracket: a request whose input exceeds the threshold is charged at this price as a whole,
/// output included. Cache prices that are not stated keep their ratio to the input price, as providers
/// define them by that ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// The most input tokens that are still charged at the price below this tier.
    pub above: u64,
    /// A fresh input token.
    pub input: PicoUsd,
    /// An output token, reasoning included.
    pub output: PicoUsd,
    /// An input token read from the prompt cache.
    pub cache_read: Option<PicoUsd>,
    /// An input token written to the prompt cache.
    pub cache_write: Option<PicoUsd>,
    /// An input token written to a prompt cache that lives for an hour.
    pub cache_write_1h: Option<PicoUsd>,
}

/// The prices that hold for one request, with its tier chosen and every gap filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// A fresh input token.
    pub input: PicoUsd,
    /// An output token.
    pub output: PicoUsd,
    /// An input token read from the prompt cache.
    pub cache_read: PicoUsd,
    /// An input token written to the prompt cache.
    pub cache_write: PicoUsd,
    /// An input token written to a prompt cache that lives for an hour.
    pub cache_write_1h: PicoUsd,
}

/// What a call cost, by line. Each line is rounded up to a nano-dollar; the total is exactly their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Input tokens that were neither read from nor written to a cache.
    pub input: NanoUsd,
    /// Input tokens read from the prompt cache.
    pub cache_read: NanoUsd,
    /// Input tokens written to a prompt cache, short and long lived.
    pub cache_write: NanoUsd,
    /// Output tokens, reasoning included.
    pub output: NanoUsd,
}

impl Price {
    /// A price of input and output alone.
    pub const fn new(input: PicoUsd, output: PicoUsd) -> Self {
        let tiers = Vec::new();
        Self { input, output, cache_read: None, cache_write: None, cache_write_1h: None, batch: None, tiers }
    }

    /// The prices that hold for a request of that many input tokens.
    pub fn rates(&self, input_tokens: u64) -> Rates {
        let base = Rates::filled(self.input, self.output, self.cache_read, self.cache_write, self.cache_write_1h);
        let reached = self.tiers.iter().filter(|tier| input_tokens > tier.above);
        match reached.max_by_key(|tier| tier.above) {
            Some(tier) => tier.rates(&base),
            None => base,
        }
    }

    /// What the usage costs.
    pub fn cost(&self, usage: &Usage) -> Cost {
        self.rates(usage.input).cost(usage)
    }

    /// What the usage costs as part of a batch job, or `None` if no batch price is known.
    ///
    /// A discount is taken only where it is stated, so that the bill is not higher than the figure: cache
    /// reads cost as much as batch input, cache writes as much as outside a batch, and requests that reach
    /// a tier cost that tier's price.
    pub fn batch_cost(&self, usage: &Usage) -> Option<Cost> {
        let batch = self.batch?;
        let reaches_a_tier = self.tiers.iter().any(|tier| usage.input > tier.above);
        if reaches_a_tier {
            return Some(self.cost(usage));
        }
        let (input, output) = (batch.input, batch.output);
        Some(Rates { input, output, cache_read: input, ..self.rates(usage.input) }.cost(usage))
    }
}

impl Tier {
    fn rates(&self, base: &Rates) -> Rates {
        let in_ratio = |stated: Option<PicoUsd>, base_price| stated.unwrap_or_else(|| self.in_ratio(base_price, base));
        Rates {
            input: self.input,
            output: self.output,
            cache_read: in_ratio(self.cache_read, base.cache_read),
            cache_write: in_ratio(self.cache_write, base.cache_write),
            cache_write_1h: in_ratio(self.cache_write_1h, base.cache_write_1h),
        }
    }

    /// A cache price that is to this tier's input price what it was to the base one, rounded up.
    fn in_ratio(&self, base_price: PicoUsd, base: &Rates) -> PicoUsd {
        if base.input == PicoUsd::ZERO {
            return self.input;
        }
        let scaled = (u128::from(base_price.0) * u128::from(self.input.0)).div_ceil(u128::from(base.input.0));
        PicoUsd(u64::try_from(scaled).unwrap_or(u64::MAX))
    }
}

impl Rates {
    fn filled(
        input: PicoUsd,
        output: PicoUsd,
        cache_read: Option<PicoUsd>,
        cache_write: Option<PicoUsd>,
        cache_write_1h: Option<PicoUsd>,
    ) -> Self {
        let cache_read = cache_read.unwrap_or(input);
        let cache_write = cache_write.unwrap_or(input);
        let cache_write_1h = cache_write_1h.unwrap_or(cache_write);
        Self { input, output, cache_read, cache_write, cache_write_1h }
    }

    /// What the usage costs at these prices.
    pub fn cost(&self, usage: &Usage) -> Cost {
        let fresh = usage.input.saturating_sub(usage.cache_read).saturating_sub(usage.cache_write);
        let short_lived = usage.cache_write.saturating_sub(usage.cache_write_1h);
        let written =
            self.cache_write.picos(short_lived).saturating_add(self.cache_write_1h.picos(usage.cache_write_1h));
        Cost {
            input: self.input.cost(fresh),
            cache_read: self.cache_read.cost(usage.cache_read),
            cache_write: NanoUsd::from_picos(written),
            output: self.output.cost(usage.output),
        }
    }
}

impl Cost {
    /// All lines together.
    pub fn total(&self) -> NanoUsd {
        [self.input, self.cache_read, self.cache_write, self.output].into_iter().sum()
    }
}

#[cfg(test)]
mod tests;
