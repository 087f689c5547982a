//! Providers that are known by name, so that a configuration need not spell out where they are.

use llm_wire::openai::Variant;

use crate::ProviderDialect;

/// What is known of a well-known provider. A configuration under its name takes from here what it does not state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// The name to configure it by, such as `openai`.
    pub name: &'static str,
    /// The dialect that it speaks below `base_url`.
    pub dialect: ProviderDialect,
    /// Its base URL, as its API reference states it.
    pub base_url: &'static str,
    /// The environment variable that its own tools read the key from; absent for a provider that wants no key.
    pub key_env: Option<&'static str>,
    /// How it differs from OpenAI, where it speaks its dialect.
    pub variant: &'static Variant,
}

impl Preset {
    /// Every known provider.
    pub const ALL: &[Self] = &[
        Self::keyed("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", &Variant::OPENAI),
        Self {
            dialect: ProviderDialect::Anthropic,
            ..Self::keyed("anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY", &Variant::COMPATIBLE)
        },
        Self::keyed("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", &Variant::OPENROUTER),
        Self::keyed("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", &Variant::GROQ),
        Self::keyed("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", &Variant::MISTRAL),
        Self::keyed("deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY", &Variant::DEEPSEEK),
        Self::keyed("xai", "https://api.x.ai/v1", "XAI_API_KEY", &Variant::XAI),
        Self::keyless("ollama", "http://localhost:11434/v1", &Variant::OLLAMA),
        Self::keyless("vllm", "http://localhost:8000/v1", &Variant::VLLM),
    ];

    const fn keyless(name: &'static str, base_url: &'static str, variant: &'static Variant) -> Self {
        Self { name, dialect: ProviderDialect::OpenAi, base_url, key_env: None, variant }
    }

    const fn keyed(
        name: &'static str,
        base_url: &'static str,
        key_env: &'static str,
        variant: &'static Variant,
    ) -> Self {
        Self { key_env: Some(key_env), ..Self::keyless(name, base_url, variant) }
    }

    /// The provider of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|preset| preset.name == name)
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

    #[test]
    fn every_preset_of_openais_dialect_is_the_variant_of_its_name() {
        for preset in Preset::ALL.iter().filter(|preset| preset.dialect == ProviderDialect::OpenAi) {
            assert_eq!(preset.variant.name, preset.name);
        }
    }
}
