//! Providers that are known by name, so that a configuration need not spell out where they are.

use crate::Auth;

/// What is known of a well-known provider. A configuration under its name takes from here what it does not state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// The name to configure it by, such as `openai`.
    pub name: &'static str,
    /// Its base URL, as its API reference states it.
    pub base_url: &'static str,
    /// The environment variable that its own tools read the key from; absent for a provider that wants no key.
    pub key_env: Option<&'static str>,
    /// Whether streams may be asked for a usage report. Mistral reports unasked, and refuses the field that asks.
    pub include_usage: bool,
}

impl Preset {
    /// Every known provider that speaks OpenAI's dialect.
    pub const ALL: &[Self] = &[
        Self::keyed("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
        Self::keyed("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
        Self::keyed("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
        Self { include_usage: false, ..Self::keyed("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY") },
        Self::keyed("deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY"),
        Self::keyed("xai", "https://api.x.ai/v1", "XAI_API_KEY"),
        Self { name: "ollama", base_url: "http://localhost:11434/v1", key_env: None, include_usage: true },
        Self { name: "vllm", base_url: "http://localhost:8000/v1", key_env: None, include_usage: true },
    ];

    const fn keyed(name: &'static str, base_url: &'static str, key_env: &'static str) -> Self {
        Self { name, base_url, key_env: Some(key_env), include_usage: true }
    }

    /// The provider of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|preset| preset.name == name)
    }

    pub(crate) fn auth(&self) -> Auth {
        if self.key_env.is_some() { Auth::Bearer } else { Auth::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BaseUrl;

    #[test]
    fn every_preset_has_a_name_of_its_own_and_a_valid_url() {
        for (at, preset) in Preset::ALL.iter().enumerate() {
            assert_eq!(Preset::ALL.iter().position(|other| other.name == preset.name), Some(at));
            preset.base_url.parse::<BaseUrl>().unwrap();
        }
    }
}
